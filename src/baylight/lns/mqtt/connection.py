"""One life of a connection to an MQTT broker, and the messages that it received."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from typing import Any, NamedTuple, Protocol

from gmqtt import Client, Subscription

from baylight.errors import TransientError
from baylight.lns.mqtt.lanes import Batch, Lanes, Read, Received
from baylight.log import logger

_log = logger("mqtt")
KEEPALIVE_S = 15  # a dead connection is noticed after two of these
ANSWER_TIMEOUT_S = 10.0
PUBLISH_TIMEOUT_S = 5.0
MAX_PACKET_BYTES = 1024 * 1024


class _Turn(NamedTuple):
    """A message's turn to be acknowledged, after the messages before it. `task` does that once `begun` is set."""

    batch: Batch
    begun: asyncio.Future[None]
    task: asyncio.Task[Any]

    def begin(self) -> None:
        if not self.begun.done():
            self.begun.set_result(None)


class Consumer(Protocol):
    """The part of a consumer that its connections need: the settings, and the functions that receive messages."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    client_id: str
    user: str | None
    password: str | None
    topic: str
    session_expiry_s: int
    version: int
    read: Read
    lanes: Lanes

    @property
    def waiting(self) -> int: ...

    def resume(self) -> None: ...

    def put(self, connection: Connection, received: Received, qos: int) -> Batch | None: ...


class Connection:
    """One life of a connection, with a client of its own.

    So no PUBACK for a message of a former connection can reach the broker, where its packet id may now stand for
    another message.
    """

    def __init__(self, consumer: Consumer) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[Exception] = loop.create_future()
        self._consumer = consumer
        self._subscribed: asyncio.Future[None] = loop.create_future()
        self._turns: deque[_Turn] = deque()
        self._outgoing = _Outgoing()
        self._qos0_logged = self._overflow_logged = False
        self._client = Client(
            consumer.client_id,
            clean_session=False,
            optimistic_acknowledgement=False,
            persistent_storage=self._outgoing,
            session_expiry_interval=consumer.session_expiry_s,
            receive_maximum=min(consumer.lanes.room, 65535),
            maximum_packet_size=MAX_PACKET_BYTES,
        )
        self._client.set_config({"reconnect_retries": -2})  # -2: never, -1: for ever, 0: once
        if consumer.user is not None:
            self._client.set_auth_credentials(consumer.user, consumer.password)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_disconnect = self._on_disconnect

    async def open(self) -> None:
        """Connect and subscribe. Raises OSError, TimeoutError, ConnectionError or gmqtt's MQTTError."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            opening = asyncio.create_task(self._open())
            try:
                first: list[asyncio.Future[Any]] = [opening, self.lost]
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                if not opening.done():
                    is_it = "MQTT 5" if self._consumer.version == 5 else "MQTT 3.1.1"
                    raise ConnectionError(f"{self.lost.result()} before it answered: is it {is_it}, and TLS as set?")
                opening.result()
            finally:
                opening.cancel()

    async def _open(self) -> None:
        consumer = self._consumer
        await self._client.connect(
            consumer.host,
            consumer.port,
            ssl=consumer.tls or False,
            keepalive=KEEPALIVE_S,
            version=consumer.version,
        )
        await self._subscribed

    async def close(self) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2):
                await self._client.disconnect()
        # The connection is closed, so these tasks send no PUBACK.
        for turn in self._turns:
            turn.begin()
        self._turns.clear()
        self._outgoing.fail(TransientError("broker_away", "the connection to the MQTT broker was lost"))
        if not self._subscribed.done():
            self._subscribed.cancel()

    async def acknowledge(self) -> None:
        """Send the PUBACKs of the messages that are done, in the order in which they came (MQTT 5, 4.6)."""
        sending = []
        while self._turns and self._turns[0].batch.done:
            turn = self._turns.popleft()
            turn.begin()
            sending.append(turn.task)
        if sending:
            await asyncio.wait(sending)

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        try:
            self._client.publish(topic, payload, qos=qos)
            if qos:
                confirmed = self._outgoing.latest
                async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                    await confirmed
        except TimeoutError:
            raise TransientError("broker_away", "the MQTT broker did not acknowledge the message") from None
        except OverflowError:
            raise TransientError("broker_busy", "too many messages wait for the MQTT broker") from None

    def _on_connect(self, client: Client, session_present: int, code: int, properties: dict[str, Any]) -> None:
        self._consumer.resume()
        # A session that has the subscription already is not harmed. Retained messages are no events, so none are sent.
        retained = 2 if self._consumer.version == 5 else 0  # MQTT 3.1.1 does not have this option
        client.subscribe(Subscription(self._consumer.topic, qos=1, retain_handling_options=retained))

    def _on_subscribe(self, client: Client, mid: int, granted: tuple[int, ...], properties: dict[str, Any]) -> None:
        if self._subscribed.done():
            return
        if granted[0] >= 0x80:
            reason = f"the broker refuses the subscription to {self._consumer.topic} (reason {granted[0]:#x})"
            self._subscribed.set_exception(ConnectionError(reason))
        else:
            self._subscribed.set_result(None)

    async def _on_message(
        self, client: Client, topic: str | bytes, payload: bytes, qos: int, properties: dict[str, Any]
    ) -> int:
        """Put a message into its lane. Return when gmqtt may send its PUBACK."""
        name = topic if isinstance(topic, str) else topic.decode("utf-8", "replace")
        batch = self._consumer.put(self, Received(name, payload, self._consumer.read(name, payload)), qos)
        if qos:
            task = asyncio.current_task()
            if batch is not None and task is not None:
                turn = _Turn(batch, asyncio.get_running_loop().create_future(), task)
                self._turns.append(turn)
                await turn.begun
        else:
            self._log_qos0(lost=batch is None)
        return 0

    def _log_qos0(self, *, lost: bool) -> None:
        """Log once per connection that messages have QoS 0, and once that some of them were lost."""
        if not self._qos0_logged:
            self._qos0_logged = True
            _log.warning(
                "qos0_messages",
                hint="the network server publishes with QoS 0, and may lose events: set qos=1, or use webhooks",
            )
        if lost and not self._overflow_logged:
            self._overflow_logged = True
            _log.error("qos0_messages_lost", waiting=self._consumer.waiting)

    def _on_disconnect(self, client: Client, packet: Any, error: Exception | None = None) -> None:
        reason = packet[0] if isinstance(packet, bytes) and packet else None
        if not self.lost.done():
            self.lost.set_result(ConnectionError("closed by the broker" + (f", reason {reason:#x}" if reason else "")))


class _Outgoing:
    """Replacement of gmqtt's store of unacknowledged messages. It reports PUBACKs, and sends no message again."""

    is_empty = True
    latest: asyncio.Future[None]

    def __init__(self) -> None:
        self._confirmed: dict[int, asyncio.Future[None]] = {}

    def push_message(self, mid: int, raw_package: bytes) -> None:
        self.latest = self._confirmed[mid] = asyncio.get_running_loop().create_future()

    def remove_message_by_mid(self, mid: int) -> None:
        confirmed = self._confirmed.pop(mid, None)
        if confirmed is not None and not confirmed.done():
            confirmed.set_result(None)

    def fail(self, error: Exception) -> None:
        for confirmed in self._confirmed.values():
            if not confirmed.done():
                confirmed.set_exception(error)
                confirmed.exception()  # a publisher that gave up does not fetch it, and asyncio would log that

    def clear(self) -> None:
        """Do nothing. gmqtt calls this for a session that the broker does not know, before a message was sent."""

    async def wait_empty(self) -> None:
        """Do nothing. gmqtt calls this before a message was sent."""
