"""One life of a connection to an MQTT broker, and the messages that it received."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from typing import Any, NamedTuple, Protocol

from gmqtt import Client, Subscription

from baylight.domain.events import Ignored
from baylight.errors import TransientError
from baylight.lns.mqtt.gate import Gate
from baylight.lns.mqtt.lanes import Batch, Lanes, Read, Received
from baylight.lns.mqtt.outgoing import Outgoing
from baylight.lns.mqtt.reasons import in_words
from baylight.log import logger

_log = logger("mqtt")
KEEPALIVE_S = 15  # a dead connection is noticed after two of these
ANSWER_TIMEOUT_S = 10.0
PUBLISH_TIMEOUT_S = 5.0
MAX_PACKET_BYTES = 1024 * 1024
_SESSION_TAKEN_OVER = 0x8E
OUTSIDE = Ignored("outside_topic")
"""Message on a topic that the settings do not name. A former subscription of the session can bring it."""


class RefusedError(ConnectionError):
    """End of a connection for a reason that the broker gives."""


class TakenOverError(RefusedError):
    """End of a connection because another client connected with the same client id."""


class _Turn(NamedTuple):
    """A message's turn to be acknowledged, after the messages before it. `task` does that once `begun` is set."""

    batch: Batch
    payload: bytes
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
    known_filters: frozenset[str]
    session_expiry_s: int
    version: int
    read: Read
    lanes: Lanes

    def accepts(self, topic: str) -> bool: ...

    async def keep_filters(self, filters: frozenset[str]) -> None: ...

    def received_qos_0(self, evidence: str) -> None: ...

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
        self.session_present = False
        self._answers: dict[int, asyncio.Future[tuple[int, ...]]] = {}
        self._turns: deque[_Turn] = deque()
        self._gate = Gate(consumer.lanes.room)
        self._outgoing = Outgoing()
        self._overflow_logged = False
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
        self._client.on_subscribe = self._client.on_unsubscribe = self._on_answer
        self._client.on_message = self._on_message
        self._client.on_disconnect = self._on_disconnect
        self._read_answers()

    async def open(self) -> None:
        """Connect and subscribe. Raises OSError, TimeoutError, ConnectionError or gmqtt's MQTTError."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            opening = asyncio.create_task(self._open())
            try:
                first: list[asyncio.Future[Any]] = [opening, self.lost]
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                if not opening.done():
                    error = self.lost.result()
                    if isinstance(error, RefusedError):
                        raise error
                    is_it = "MQTT 5" if self._consumer.version == 5 else "MQTT 3.1.1"
                    raise ConnectionError(f"{error} before it answered: is it {is_it}, and TLS as set?")
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
        await self._subscribe_only(consumer.topic)
        self._gate.subscribed()

    async def _subscribe_only(self, topic: str) -> None:
        """Let the session have this subscription and no other. The settings of a former process may have had others.

        Filters are stored before they are subscribed to, so that no crash leaves one that nothing remembers.
        """
        consumer = self._consumer
        former = consumer.known_filters - {topic}
        await consumer.keep_filters(consumer.known_filters | {topic})
        # A session that has the subscription already is not harmed. Retained messages are no events, so none are sent.
        retained = 2 if consumer.version == 5 else 0  # MQTT 3.1.1 does not have this option
        subscription = Subscription(topic, qos=1, retain_handling_options=retained)
        (granted, *_) = await self._answer(self._client.subscribe(subscription))
        if granted >= 0x80:
            raise RefusedError(f"the broker refuses the subscription to {topic}: {in_words(granted)}")
        if granted == 0:
            consumer.received_qos_0(f"the broker grants QoS 0 alone for {topic}")
        for old in sorted(former):
            await self._answer(self._client.unsubscribe(old))
            _log.info("unsubscribed", topic=old)
        await consumer.keep_filters(frozenset({topic}))

    def _answer(self, mid: int) -> asyncio.Future[tuple[int, ...]]:
        """Return a future of the reason codes of the SUBACK or UNSUBACK."""
        self._answers[mid] = answer = asyncio.get_running_loop().create_future()
        return answer

    def _on_answer(self, client: Client, mid: int, reasons: tuple[int, ...], *_: object) -> None:
        answer = self._answers.pop(mid, None)
        if answer is not None and not answer.done():
            answer.set_result(reasons)

    def _read_answers(self) -> None:
        """Let our store read each PUBACK before gmqtt, which does not pass on the reason code."""
        handler = self._client._package_handler
        forget = handler._handle_puback_packet

        def read(command: int, packet: bytes) -> None:
            self._outgoing.answered(packet)
            forget(command, packet)

        handler._handle_puback_packet = read

    async def close(self) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2):
                await self._client.disconnect()
        # The connection is closed, so these tasks send no PUBACK.
        for turn in self._turns:
            turn.begin()
        self._turns.clear()
        self._outgoing.fail(TransientError("broker_away", "the connection to the MQTT broker was lost"))

    async def acknowledge(self) -> None:
        """Send the PUBACKs of the messages that are done, in the order in which they came (MQTT 5, 4.6)."""
        sending = []
        while self._turns and self._turns[0].batch.done:
            turn = self._turns.popleft()
            self._gate.acknowledged(turn.payload)
            turn.begin()
            sending.append(turn.task)
        if sending:
            await asyncio.wait(sending)

    async def publish(self, topic: str, payload: bytes, qos: int) -> int:
        """Return the reason code of the PUBACK, or 0 for QoS 0. Raises TransientError `broker_away`, `broker_busy`."""
        try:
            self._client.publish(topic, payload, qos=qos)
            if not qos:
                return 0
            confirmed = self._outgoing.latest
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                return await confirmed
        except TimeoutError:
            raise TransientError("broker_away", "the MQTT broker did not acknowledge the message") from None
        except OverflowError:
            raise TransientError("broker_busy", "too many messages wait for the MQTT broker") from None

    def _on_connect(self, client: Client, session_present: int, code: int, properties: dict[str, Any]) -> None:
        self.session_present = bool(session_present)
        self._gate.install(client, KEEPALIVE_S)
        self._consumer.resume()

    async def _on_message(
        self, client: Client, topic: str | bytes, payload: bytes, qos: int, properties: dict[str, Any]
    ) -> int:
        """Put a message into its lane. Return when gmqtt may send its PUBACK."""
        name = topic if isinstance(topic, str) else topic.decode("utf-8", "replace")
        message = self._consumer.read(name, payload) if self._consumer.accepts(name) else OUTSIDE
        batch = self._consumer.put(self, Received(name, payload, message), qos)
        if qos:
            task = asyncio.current_task()
            if batch is not None and task is not None:
                turn = _Turn(batch, payload, asyncio.get_running_loop().create_future(), task)
                self._turns.append(turn)
                self._gate.received(payload)
                await turn.begun
        else:
            self._note_qos_0(lost=batch is None)
        return 0

    def _note_qos_0(self, *, lost: bool) -> None:
        """Report that messages have QoS 0, and log once per connection that some of them were lost."""
        self._consumer.received_qos_0("the network server publishes with QoS 0, and may lose events: set qos=1 there")
        if lost and not self._overflow_logged:
            self._overflow_logged = True
            _log.error("qos0_messages_lost", waiting=self._consumer.waiting)

    def _on_disconnect(self, client: Client, packet: Any, error: Exception | None = None) -> None:
        reason = packet[0] if isinstance(packet, bytes) and packet else None
        if self.lost.done():
            return
        if not reason:
            self.lost.set_result(ConnectionError("closed by the broker"))
        else:
            kind = TakenOverError if reason == _SESSION_TAKEN_OVER else RefusedError
            self.lost.set_result(kind(f"closed by the broker: {in_words(reason)}"))
