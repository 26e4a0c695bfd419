"""Lanes between a source of messages and a handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import count
from uuid import uuid4

from structlog.testing import capture_logs

from baylight.domain.events import Ignored, Join
from baylight.domain.ids import DevEui
from baylight.errors import TransientError
from baylight.lns.mqtt.lanes import LANES, Batch, Lanes, Received

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)


class Source:
    """Sends numbered messages of devices, and knows which are done."""

    def __init__(self) -> None:
        self.batches: dict[str, Batch] = {}
        self.told = 0

    async def acknowledge(self) -> None:
        self.told += 1

    def send(self, lanes: Lanes, lane: int, payload: str) -> None:
        eui = next(eui for n in count() if hash(eui := f"{n:016x}") % LANES == lane)
        message = Received("t", payload.encode(), Join(DevEui(eui), str(uuid4()), AT, None))
        self.batches[payload] = lanes.take(self, message, 1)

    def is_done(self, payload: str) -> bool:
        return self.batches[payload].done

    def done(self) -> set[str]:
        return {payload for payload in self.batches if self.is_done(payload)}


async def never(message: Received, error: Exception) -> None:
    raise AssertionError(message, error)


@asynccontextmanager
async def running(handle: Callable[[list[str]], Awaitable[None]], max_batch: int = 10) -> AsyncIterator[Lanes]:
    async def handle_messages(messages: list[Received]) -> None:
        await handle([message.payload.decode() for message in messages])

    lanes = Lanes(handle_messages, never, max_batch)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(lanes.run())
        yield lanes
        lanes.stop()


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - what it waits for tells nobody
        await asyncio.sleep(0.001)


async def turns(many: int = 10) -> None:
    for _ in range(many):
        await asyncio.sleep(0)


async def test_a_lane_that_is_held_up_holds_up_no_other_and_keeps_its_order() -> None:
    free, handled = asyncio.Event(), list[list[str]]()

    async def handle(payloads: list[str]) -> None:
        if payloads == ["a1"]:
            await free.wait()
        handled.append(payloads)

    source = Source()
    async with running(handle) as lanes:
        source.send(lanes, 0, "a1")
        await turns()
        for lane, payload in ((0, "a2"), (1, "b1"), (2, "c1"), (0, "a3"), (1, "b2")):
            source.send(lanes, lane, payload)
        assert lanes.waiting == 5
        await turns()
        assert handled == [["b1", "b2"], ["c1"]]
        assert source.done() == {"b1", "b2", "c1"}
        assert (lanes.waiting, source.told) == (2, 2)
        free.set()
        await turns()
        assert handled[2:] == [["a1"], ["a2", "a3"]]
        assert source.done() == source.batches.keys()


async def test_what_names_no_device_stays_in_order_too() -> None:
    handled: list[str] = []

    async def handle(payloads: list[str]) -> None:
        handled.extend(payloads)
        await turns(3)

    source = Source()
    async with running(handle, max_batch=1) as lanes:
        for n in range(6):
            lanes.take(source, Received("t", str(n).encode(), Ignored("location")), 1)
        await turns(60)
        assert handled == [str(n) for n in range(6)]


async def test_trouble_of_several_lanes_is_told_once_and_its_end_after_the_last() -> None:
    away: set[str] = {"a", "b", "c"}
    seen: list[str] = []

    async def handle(payloads: list[str]) -> None:
        seen.extend(payloads)
        if away.intersection(payloads):
            raise TransientError("database_away", "no database", retry_after_s=0.002)

    source = Source()
    with capture_logs() as lines:
        async with running(handle) as lanes:
            for lane, payload in enumerate("abc"):
                source.send(lanes, lane, payload)
            await until(lambda: min(seen.count(payload) for payload in "abc") >= 3)
            for payload in "abc":
                assert "info" not in {line["log_level"] for line in lines}
                away.discard(payload)
                await until(partial(source.is_done, payload))
    told = [(line["event"], line["log_level"]) for line in lines if line["log_level"] != "debug"]
    assert told == [("handler_retries", "warning"), ("handler_works_again", "info")]


async def test_a_stop_amid_trouble_is_not_its_end() -> None:
    async def handle(payloads: list[str]) -> None:
        raise TransientError("database_away", "no database", retry_after_s=30)

    source = Source()
    with capture_logs() as lines:
        async with running(handle) as lanes:
            source.send(lanes, 0, "a")
            source.send(lanes, 1, "b")
            await turns()
    assert source.done() == set()
    assert [line["log_level"] for line in lines] == ["warning", "debug"]


async def test_forgotten_is_what_will_be_sent_again_and_nobody_has_begun_with() -> None:
    free, handled = asyncio.Event(), list[str]()

    async def handle(payloads: list[str]) -> None:
        await free.wait()
        handled.extend(payloads)

    source = Source()
    async with running(handle) as lanes:
        source.send(lanes, 0, "begun")
        await turns()
        source.send(lanes, 0, "waits")
        lanes.take(source, Received("t", b"qos 0", Ignored("location")), 0)
        lanes.forget_unacknowledged()
        assert lanes.waiting == 1
        free.set()
        await turns()
    assert handled == ["begun", "qos 0"]
