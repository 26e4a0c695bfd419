"""Messages of an MQTT broker in batches, acknowledged only after their handler is done with them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import random
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gmqtt import Client, Subscription

from baylight.errors import TransientError
from baylight.log import logger

_log = logger("mqtt")
KEEPALIVE_S = 15  # a dead connection is noticed after twice that
ANSWER_TIMEOUT_S = 10.0
PUBLISH_TIMEOUT_S = 5.0
LONGEST_BACKOFF_S = 10.0
LARGEST_PACKET = 1024 * 1024
MOST_WAITING = 50_000
"""Bounds what flow control does not: messages of QoS 0, and those that were held when a connection was lost."""
_UNDER_WAY = 10  # mosquitto takes 20 unacknowledged messages of a client


class Received(NamedTuple):
    topic: str
    payload: bytes


Handle = Callable[[list[Received]], Awaitable[None]]
Reject = Callable[[Received, Exception], Awaitable[None]]


@dataclass(slots=True, eq=False)
class _Batch:
    """Messages of one connection and QoS. With `settled` their PUBACKs go out, by the tasks in `acknowledging`."""

    connection: _Connection
    qos: int
    settled: asyncio.Future[None]
    messages: list[Received] = field(default_factory=list)
    acknowledging: list[asyncio.Task[Any]] = field(default_factory=list)

    def settle(self) -> None:
        if not self.settled.done():
            self.settled.set_result(None)


class MqttConsumer:
    """Takes what is waiting, up to `max_batch` messages, as soon as `handle` is free; never waits for more.

    `handle` may raise TransientError: the same batch comes again. Any other error: the batch is halved until the
    message at fault is alone; that one goes to `reject` and is acknowledged. Delivery is at least once: after a lost
    connection the broker sends everything unacknowledged again.

    `session_expiry_s`: how long the broker keeps messages while we are away. `workers`: batches handled at a time.
    `version`: of MQTT, 5 or 4 (3.1.1, which has neither session expiry nor shared subscriptions).
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        client_id: str,
        topic: str,
        handle: Handle,
        reject: Reject,
        session_expiry_s: int,
        share_group: str | None = None,
        user: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        max_batch: int = 1000,
        workers: int = 1,
        version: int = 5,
    ) -> None:
        self.host, self.port, self.tls = host, port, tls
        self.client_id, self.user, self.password = client_id, user, password
        self.topic = f"$share/{share_group}/{topic}" if share_group else topic
        self.session_expiry_s = session_expiry_s
        self.max_batch = max_batch
        self.version = version
        self._handle, self._reject, self._workers = handle, reject, workers
        self._batches: deque[_Batch] = deque()
        self._wake = asyncio.Event()
        self._connection: _Connection | None = None
        self._publishing = asyncio.Semaphore(_UNDER_WAY)
        self._stopping = asyncio.Event()
        self._ended: asyncio.Event | None = None
        # gmqtt tells of every lost connection in several lines; ours tell it once.
        logging.getLogger("gmqtt").setLevel(logging.CRITICAL)

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def waiting(self) -> int:
        """Messages received that no handler has begun with."""
        return sum(len(batch.messages) for batch in self._batches)

    async def run(self) -> None:
        """Until `stop`; a broker that is away, even at the start, is waited for."""
        self._ended = asyncio.Event()
        connecting = asyncio.create_task(self._stay_connected())
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(self._workers):
                    workers.create_task(self._work())
        finally:
            connecting.cancel()
            await asyncio.wait([connecting])
            self._ended.set()

    async def stop(self) -> None:
        """Begins no batch any more, and returns when those under way are done and acknowledged.

        What waits, or is being retried, stays with the broker for the next start.
        """
        self._stopping.set()
        self._wake.set()
        if self._ended is not None:
            await self._ended.wait()

    async def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        """Returns when the broker acknowledged it (QoS 1). Raises TransientError `broker_away` or `broker_busy`.

        A broker that forbids the topic acknowledges too: gmqtt keeps the reason code to itself.
        """
        async with self._publishing:
            connection = self._connection
            if connection is None:
                raise TransientError("broker_away", f"not connected to the MQTT broker {self.host}:{self.port}")
            await connection.publish(topic, payload, qos)

    # --- connection ---

    async def _stay_connected(self) -> None:
        away_since: float | None = None
        backoff = 0.1
        while True:
            hint = ""
            connection = _Connection(self)
            try:
                await connection.open()
                self._connection = connection
                since = time.monotonic()
                if away_since is None:
                    _log.info("broker_connected", broker=self._broker)
                else:
                    _log.info("broker_back", broker=self._broker, away_s=round(since - away_since, 1))
                away_since = None
                error = await connection.lost
                if time.monotonic() - since > LONGEST_BACKOFF_S:
                    backoff = 0.1
                else:
                    hint = f"does another process use the client id {self.client_id!r}?"
            except Exception as failure:
                error = failure
            finally:
                self._connection = None
                await connection.close()
            if away_since is None:
                away_since = time.monotonic()
                _log.warning("broker_away", broker=self._broker, error=f"{type(error).__name__}: {error}", hint=hint)
            await asyncio.sleep(backoff * random.uniform(0.5, 1))
            backoff = min(backoff * 2, LONGEST_BACKOFF_S)

    @property
    def _broker(self) -> str:
        return f"{self.host}:{self.port}"

    def resume(self) -> None:
        """On a new connection what waits from former ones comes again, for a broker that kept everything. One that
        crashed may not have: so it is handled all the same, unless it piles up."""
        if self.waiting >= MOST_WAITING:
            self._batches = deque(batch for batch in self._batches if batch.qos == 0)

    def take(self, connection: _Connection, message: Received, qos: int) -> _Batch | None:
        """The batch that the message is now in; None if there is no room for it."""
        last = self._batches[-1] if self._batches else None
        if last is None or last.qos != qos or len(last.messages) >= self.max_batch or last.connection is not connection:
            if qos == 0 and self.waiting >= MOST_WAITING:
                return None
            last = _Batch(connection, qos, asyncio.get_running_loop().create_future())
            self._batches.append(last)
            self._wake.set()
        last.messages.append(message)
        return last

    # --- handling ---

    async def _work(self) -> None:
        while (batch := await self._next()) is not None:
            if await self._deliver(batch.messages):
                batch.settle()
                if batch.acknowledging:
                    await asyncio.wait(batch.acknowledging)

    async def _next(self) -> _Batch | None:
        while not self._stopping.is_set():
            if self._batches:
                return self._batches.popleft()
            self._wake.clear()
            await self._wake.wait()
        return None

    async def _deliver(self, messages: list[Received]) -> bool:
        """False: stopped before the messages were handled."""
        try:
            done = await self._until_stopped(lambda: self._handle(messages))
        except Exception as error:
            _log.error("handler_failed", messages=len(messages), error=repr(error), exc_info=len(messages) == 1)
            if len(messages) == 1:
                return await self._give_up(messages[0], error)
            middle = len(messages) // 2
            return await self._deliver(messages[:middle]) and await self._deliver(messages[middle:])
        return done

    async def _give_up(self, message: Received, error: Exception) -> bool:
        try:
            return await self._until_stopped(lambda: self._reject(message, error))
        except Exception as failure:
            # The log is the last place that can keep it.
            kept = base64.b64encode(message.payload[:4096]).decode()
            _log.error("message_not_kept", topic=message.topic, payload=kept, error=repr(failure))
            return True

    async def _until_stopped(self, attempt: Callable[[], Awaitable[None]]) -> bool:
        backoff = 0.1
        while True:
            try:
                await attempt()
                return True
            except TransientError as error:
                pause = error.retry_after_s or backoff
                _log.warning("handler_retries", error=error.message, code=error.code, in_s=round(pause, 2))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause * random.uniform(0.5, 1))
            if self._stopping.is_set():
                return False
            backoff = min(backoff * 2, LONGEST_BACKOFF_S)


class _Connection:
    """One life of a connection, with a client of its own: so no PUBACK for a former connection's message can reach the
    broker, where its packet id may stand for another message by now."""

    def __init__(self, consumer: MqttConsumer) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[Exception] = loop.create_future()
        self._consumer = consumer
        self._subscribed: asyncio.Future[None] = loop.create_future()
        self._unsettled: set[_Batch] = set()
        self._outgoing = _Outgoing()
        self._qos0_told = self._overflow_told = False
        self._client = Client(
            consumer.client_id,
            clean_session=False,
            optimistic_acknowledgement=False,
            persistent_storage=self._outgoing,
            session_expiry_interval=consumer.session_expiry_s,
            receive_maximum=min(2 * consumer.max_batch, 65535),
            maximum_packet_size=LARGEST_PACKET,
        )
        self._client.set_config({"reconnect_retries": -2})  # never: -1 is for ever, and 0 is once
        if consumer.user is not None:
            self._client.set_auth_credentials(consumer.user, consumer.password)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_disconnect = self._on_disconnect

    async def open(self) -> None:
        """Connected and subscribed. Raises OSError, TimeoutError, ConnectionError or gmqtt's MQTTError."""
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
        # From here on a PUBACK goes nowhere.
        for batch in tuple(self._unsettled):
            batch.settle()
        self._outgoing.fail(TransientError("broker_away", "the connection to the MQTT broker was lost"))
        if not self._subscribed.done():
            self._subscribed.cancel()

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
        # Subscribing anew is harmless where the session knows it; retained messages are nobody's events.
        retained = 2 if self._consumer.version == 5 else 0  # 3.1.1 has no such option
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
        """gmqtt sends the PUBACK when this returns."""
        name = topic if isinstance(topic, str) else topic.decode("utf-8", "replace")
        batch = self._consumer.take(self, Received(name, payload), qos)
        if qos:
            task = asyncio.current_task()
            if batch is not None and task is not None:
                batch.acknowledging.append(task)
                self._unsettled.add(batch)
                await batch.settled
                self._unsettled.discard(batch)
        else:
            self._tell_of_qos0(lost=batch is None)
        return 0

    def _tell_of_qos0(self, *, lost: bool) -> None:
        if not self._qos0_told:
            self._qos0_told = True
            _log.warning(
                "qos0_messages",
                hint="the network server publishes with QoS 0, and may lose events: set qos=1, or use webhooks",
            )
        if lost and not self._overflow_told:
            self._overflow_told = True
            _log.error("qos0_messages_lost", waiting=self._consumer.waiting)

    def _on_disconnect(self, client: Client, packet: Any, error: Exception | None = None) -> None:
        reason = packet[0] if isinstance(packet, bytes) and packet else None
        if not self.lost.done():
            self.lost.set_result(ConnectionError("closed by the broker" + (f", reason {reason:#x}" if reason else "")))


class _Outgoing:
    """In place of gmqtt's store of unacknowledged messages: it tells of PUBACKs, and sends nothing again."""

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
                confirmed.exception()  # a publisher that gave up does not ask for it any more

    def clear(self) -> None:
        """Called for a session that the broker does not know: nothing was sent on this connection yet."""

    async def wait_empty(self) -> None:
        """Called before anything was sent."""
