"""Lanes of messages. A lane passes all messages that wait to a handler at once, and repeats that until it succeeds."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from baylight.domain.events import Message, device_of
from baylight.errors import DevicesHeldError, TransientError
from baylight.log import logger

_log = logger("mqtt")
MAX_BACKOFF_S = 1.5
"""Longest pause before a batch is tried again. So a lane goes on within two seconds after the database is back."""
HELD_AGAIN_S = 1.0
"""Seconds until messages are tried again whose devices' rows another program holds."""
MESSAGE_LANES = 3
"""Number of lanes. While the database works for two lanes, the process computes for the third. Two lanes leave one of
them idle; four make the batches smaller."""


class Received(NamedTuple):
    """Bytes as they came, and the message that was parsed from them."""

    topic: str
    payload: bytes
    message: Message


class Source(Protocol):
    """A source of messages."""

    async def acknowledge(self) -> None:
        """Acknowledge the messages of each batch that is done. Called after each batch."""


@dataclass(slots=True, eq=False)
class Batch:
    """Messages of one lane, source and QoS. `done`: the handler has finished, so they can be acknowledged.

    `since`: monotonic time at which the first of them came.
    """

    source: Source
    qos: int
    messages: list[Received] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)
    size: int = 0
    """Bytes of the payloads."""
    done: bool = False


Read = Callable[[str, bytes], Message]
"""Function from topic and payload to the message. It raises nothing."""
Handle = Callable[[list[Received]], Awaitable[None]]
Reject = Callable[[Received, Exception], Awaitable[None]]


class Lanes:
    """Lanes to one handler. A free lane passes all messages that wait in it to `handle`, at most `max_batch` at once.

    The messages of one device stay in one lane, and in order. So do the messages without a device.

    If `handle` raises TransientError, it receives the same batch again. If it raises DevicesHeldError, the lane goes on
    with other batches, and `handle` receives the messages of these devices again beside it. After any other error the
    batch is halved until the message at fault is alone. `reject` receives that message, which is then done. If `reject`
    raises TransientError, `handle` receives the message once more.
    """

    def __init__(self, handle: Handle, reject: Reject, max_batch: int) -> None:
        self.max_batch = max_batch
        self.room = 2 * MESSAGE_LANES * max_batch
        """Messages that a source should send before the first is acknowledged: for each lane a batch under way and one
        that waits."""
        self._handle, self._reject = handle, reject
        self._lanes = [_Lane() for _ in range(MESSAGE_LANES)]
        self._failing: set[_Lane] = set()
        self._stopping = asyncio.Event()
        self._works = asyncio.Event()
        """Set when a handler succeeds while lanes fail: the others try again at once."""

    @property
    def waiting(self) -> int:
        """Number of messages that no handler has begun with."""
        return sum(len(batch.messages) for lane in self._lanes for batch in lane.batches)

    @property
    def waiting_bytes(self) -> int:
        return sum(batch.size for lane in self._lanes for batch in lane.batches)

    @property
    def waits_s(self) -> float:
        """Seconds since the oldest message came that is not handled; 0 without one."""
        begun = [lane.under_way or lane.batches[0] for lane in self._lanes if lane.under_way or lane.batches]
        return max((time.monotonic() - batch.since for batch in begun), default=0.0)

    async def run(self) -> None:
        """Run until `stop`. Then finish the batches under way, except those that are being retried."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(self._work(lane, group))

    def stop(self) -> None:
        """Begin no further batch."""
        self._stopping.set()
        for lane in self._lanes:
            lane.wake.set()
        self.retry_now()

    def retry_now(self) -> None:
        """Try the failed batches again now, because what they need works again."""
        self._works.set()

    def put(self, source: Source, received: Received, qos: int) -> Batch:
        """Put a message into its lane. Return the batch that it is now in."""
        lane = self._lanes[_lane_of(received)]
        last = lane.batches[-1] if lane.batches else None
        if last is None or last.qos != qos or len(last.messages) >= self.max_batch or last.source is not source:
            last = Batch(source, qos)
            lane.batches.append(last)
            lane.wake.set()
        last.messages.append(received)
        last.size += len(received.payload)
        return last

    def forget_unacknowledged(self) -> None:
        """Drop the messages that wait and that the broker will send again."""
        for lane in self._lanes:
            lane.batches = deque(batch for batch in lane.batches if batch.qos == 0)

    async def _work(self, lane: _Lane, group: asyncio.TaskGroup) -> None:
        while (batch := await self._next(lane)) is not None:
            lane.under_way = batch
            try:
                handled = await self._deliver(lane, batch.messages)
            except DevicesHeldError as error:
                group.create_task(self._work_held(batch, error.dev_euis))
                handled = False
            lane.under_way = None
            if handled:
                await self._finish(batch)

    async def _work_held(self, batch: Batch, dev_euis: frozenset[str | None]) -> None:
        """Repeat the messages of devices whose rows another program holds, beside the lane, until they are handled."""
        beside = _Lane()
        messages = batch.messages
        while True:
            messages = [m for m in messages if device_of(m.message) in dev_euis]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), HELD_AGAIN_S)
            if self._stopping.is_set():
                return
            try:
                if await self._deliver(beside, messages):
                    await self._finish(batch)
                return
            except DevicesHeldError as error:
                dev_euis = error.dev_euis

    async def _finish(self, batch: Batch) -> None:
        batch.done = True
        await batch.source.acknowledge()

    async def _next(self, lane: _Lane) -> Batch | None:
        while not self._stopping.is_set():
            if lane.batches:
                return lane.batches.popleft()
            lane.wake.clear()
            await lane.wake.wait()
        return None

    async def _deliver(self, lane: _Lane, messages: list[Received]) -> bool:
        """Pass messages to the handler. Return False if the lanes were stopped before the messages were handled."""
        try:
            return await self._until_stopped(lane, lambda: self._handle(messages))
        except DevicesHeldError:
            raise
        except Exception as error:
            _log.error("handler_failed", messages=len(messages), error=repr(error), exc_info=len(messages) == 1)
            if len(messages) == 1:
                return await self._reject_one(lane, messages[0], error)
            return await self._deliver_halves(lane, messages)

    async def _deliver_halves(self, lane: _Lane, messages: list[Received]) -> bool:
        held: frozenset[str | None] = frozenset()
        middle = len(messages) // 2
        for half in (messages[:middle], messages[middle:]):
            try:
                if not await self._deliver(lane, half):
                    return False
            except DevicesHeldError as error:
                held |= error.dev_euis
        if held:
            raise DevicesHeldError(held)
        return True

    async def _reject_one(self, lane: _Lane, message: Received, error: Exception) -> bool:
        """Reject a message. If that fails for now, the message is not at fault, so handle it again first.

        Return False if the lanes were stopped before the message was handled or rejected.
        """
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
            return await self._until_stopped(lane, attempt)
        except DevicesHeldError:
            raise
        except Exception as failure:
            # Only the log can still keep the message.
            kept = base64.b64encode(message.payload[:4096]).decode()
            _log.error("message_not_kept", topic=message.topic, payload=kept, error=repr(failure))
            return True

    async def _until_stopped(self, lane: _Lane, attempt: Callable[[], Awaitable[None]]) -> bool:
        """Repeat `attempt` while it raises TransientError. Return False if stopped before it succeeded.

        Lanes that fail at the same time are reported once, at the beginning of the first and the end of the last.
        """
        backoff = 0.1
        try:
            while True:
                try:
                    await attempt()
                    if self._failing == {lane}:
                        _log.info("handler_works_again")
                    elif self._failing:
                        self.retry_now()
                    return True
                except DevicesHeldError:
                    raise
                except TransientError as error:
                    pause = error.retry_after_s or backoff
                    report = _log.debug if self._failing else _log.warning
                    report("handler_retries", error=error.message, code=error.code, in_s=round(pause, 2))
                    self._failing.add(lane)
                if not self._stopping.is_set():
                    self._works.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._works.wait(), pause * random.uniform(0.5, 1))
                if self._stopping.is_set():
                    return False
                backoff = min(backoff * 2, MAX_BACKOFF_S)
        finally:
            self._failing.discard(lane)


class _Lane:
    def __init__(self) -> None:
        self.batches: deque[Batch] = deque()
        self.under_way: Batch | None = None
        self.wake = asyncio.Event()


def _lane_of(received: Received) -> int:
    """Return the lane of the message's device, or the first lane for a message without a device."""
    dev_eui = device_of(received.message)
    return 0 if dev_eui is None else hash(dev_eui) % MESSAGE_LANES
