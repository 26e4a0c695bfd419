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

from baylight.domain.events import Event, Ignored, Rejected
from baylight.errors import TransientError
from baylight.lns.mqtt_connection import Batch, Connection, Received
from baylight.log import logger

_log = logger("mqtt")
LONGEST_BACKOFF_S = 10.0
MOST_WAITING = 50_000
"""Bounds what flow control does not: messages of QoS 0, and those that were held when a connection was lost."""
_UNDER_WAY = 10  # mosquitto takes 20 unacknowledged messages of a client


Read = Callable[[str, bytes], Event | Ignored | Rejected | None]
Handle = Callable[[list[Received]], Awaitable[None]]
Reject = Callable[[Received, Exception], Awaitable[None]]


class MqttConsumer:
    """Takes what is waiting, up to `max_batch` messages, as soon as `handle` is free; never waits for more.

    `handle` may raise TransientError: the same batch comes again. Any other error: the batch is halved until the
    message at fault is alone; that one goes to `reject` and is acknowledged. If `reject` raises TransientError, it goes
    to `handle` once more. Delivery is at least once: after a lost connection the broker sends everything
    unacknowledged again.

    `read`: reads topic and payload of each message when it comes, while the handler waits for the database; None for
    what it cannot read. It raises nothing.

    `session_expiry_s`: how long the broker keeps messages while we are away. `version`: of MQTT, 5 or 4 (3.1.1, which
    has neither session expiry nor shared subscriptions).
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
        read: Read | None = None,
        session_expiry_s: int,
        share_group: str | None = None,
        user: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        max_batch: int = 1000,
        version: int = 5,
    ) -> None:
        self.host, self.port, self.tls = host, port, tls
        self.client_id, self.user, self.password = client_id, user, password
        self.topic = f"$share/{share_group}/{topic}" if share_group else topic
        self.session_expiry_s = session_expiry_s
        self.max_batch = max_batch
        self.version = version
        self.read = read
        self._handle, self._reject = handle, reject
        self._batches: deque[Batch] = deque()
        self._wake = asyncio.Event()
        self._connection: Connection | None = None
        self._trouble = f"not connected to {self._broker}"
        self._publishing = asyncio.Semaphore(_UNDER_WAY)
        self._stopping = asyncio.Event()
        self._ended: asyncio.Event | None = None
        # gmqtt tells of every lost connection in several lines; ours tell it once.
        logging.getLogger("gmqtt").setLevel(logging.CRITICAL)

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def trouble(self) -> str | None:
        """Why it is not connected, in plain words; None while it is."""
        return None if self.connected else self._trouble

    @property
    def waiting(self) -> int:
        """Messages received that no handler has begun with."""
        return sum(len(batch.messages) for batch in self._batches)

    async def run(self) -> None:
        """Until `stop`; a broker that is away, even at the start, is waited for."""
        self._ended = asyncio.Event()
        connecting = asyncio.create_task(self._stay_connected())
        try:
            await self._work()
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
            connection = Connection(self)
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
            self._trouble = f"{self._broker}: {error or type(error).__name__}"
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

    def take(self, connection: Connection, message: Received, qos: int) -> Batch | None:
        """The batch that the message is now in; None if there is no room for it."""
        last = self._batches[-1] if self._batches else None
        if last is None or last.qos != qos or len(last.messages) >= self.max_batch or last.connection is not connection:
            if qos == 0 and self.waiting >= MOST_WAITING:
                return None
            last = Batch(connection, qos, asyncio.get_running_loop().create_future())
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

    async def _next(self) -> Batch | None:
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
        """If it cannot be rejected now, it is not the message that is at fault: it is handled again until it can."""
        faults = [error]

        async def attempt() -> None:
            if not faults:
                try:
                    await self._handle([message])
                    return
                except TransientError:
                    raise
                except Exception as fault:
                    faults.append(fault)
            await self._reject(message, faults.pop())

        try:
            return await self._until_stopped(attempt)
        except Exception as failure:
            # The log is the last place that can keep it.
            kept = base64.b64encode(message.payload[:4096]).decode()
            _log.error("message_not_kept", topic=message.topic, payload=kept, error=repr(failure))
            return True

    async def _until_stopped(self, attempt: Callable[[], Awaitable[None]]) -> bool:
        backoff, told = 0.1, False
        while True:
            try:
                await attempt()
                if told:
                    _log.info("handler_works_again")
                return True
            except TransientError as error:
                pause = error.retry_after_s or backoff
                tell = _log.debug if told else _log.warning
                tell("handler_retries", error=error.message, code=error.code, in_s=round(pause, 2))
                told = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause * random.uniform(0.5, 1))
            if self._stopping.is_set():
                return False
            backoff = min(backoff * 2, LONGEST_BACKOFF_S)
