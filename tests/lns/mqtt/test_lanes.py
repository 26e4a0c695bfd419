"""Lanes between a source of messages and a handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import count
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from baylight.domain.events import Ignored, Join
from baylight.domain.ids import DevEui
from baylight.errors import DevicesHeldError, TransientError
from baylight.lns.mqtt.lanes import MESSAGE_LANES, Batch, Lanes, Received
from tests.support import eventually

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)


class Source:
    """Source of messages of devices. It knows which messages are done."""

    def __init__(self) -> None:
        self.batches: dict[str, Batch] = {}
        self.calls = 0

    async def acknowledge(self) -> None:
        self.calls += 1

    def eui(self, device: str = "", lane: int = 0) -> str:
        """Return the DevEUI of a device whose messages come into a lane."""
        first = sum(device.encode()) * 1000
        return next(eui for n in count(first) if hash(eui := f"{n:016x}") % MESSAGE_LANES == lane)

    def send(self, lanes: Lanes, lane: int, payload: str, device: str = "") -> None:
        eui = self.eui(device, lane)
        received = Received("t", payload.encode(), Join(DevEui(eui), str(uuid4()), AT, None))
        self.batches[payload] = lanes.put(self, received, 1)

    def is_done(self, payload: str) -> bool:
        return self.batches[payload].done

    def done(self) -> set[str]:
        return {payload for payload in self.batches if self.is_done(payload)}


async def never(message: Received, error: Exception) -> None:
    raise AssertionError(message, error)


@asynccontextmanager
async def running(
    handle: Callable[[list[str]], Awaitable[None]],
    max_batch: int = 10,
    reject: Callable[[Received, Exception], Awaitable[None]] = never,
) -> AsyncIterator[Lanes]:
    async def handle_messages(messages: list[Received]) -> None:
        await handle([message.payload.decode() for message in messages])

    lanes = Lanes(handle_messages, reject, max_batch)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(lanes.run())
        yield lanes
        lanes.stop()


until = partial(eventually.until, every_s=0.001)


async def turns(many: int = 10) -> None:
    for _ in range(many):
        await asyncio.sleep(0)  # no time passes: the other tasks have their turns


async def test_a_lane_that_waits_delays_no_other_lane_and_keeps_its_order() -> None:
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
        assert (lanes.waiting, source.calls) == (2, 2)
        free.set()
        await turns()
        assert handled[2:] == [["a1"], ["a2", "a3"]]
        assert source.done() == source.batches.keys()


async def test_h12_messages_of_a_device_whose_row_is_held_wait_beside_their_lane(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("baylight.lns.mqtt.lanes.HELD_AGAIN_S", 0.001)
    held, stored = {"held"}, set[str]()
    source = Source()

    async def handle(payloads: list[str]) -> None:
        if "bad" in payloads:
            raise RuntimeError  # a batch with such a message is halved
        stored.update(set(payloads) - held)
        if held.intersection(payloads):
            raise DevicesHeldError(frozenset({source.eui("held")}))

    rejected: list[str] = []

    async def reject(message: Received, error: Exception) -> None:
        rejected.append(message.payload.decode())

    async with running(handle, reject=reject) as lanes:
        for payload in ("held", "a", "bad", "b"):
            source.send(lanes, 0, payload, device=payload)
        await until(lambda: stored == {"a", "b"} and rejected == ["bad"])
        source.send(lanes, 0, "later", device="later")
        await until(lambda: source.is_done("later"))
        assert not source.is_done("held")
        held.clear()
        await until(lambda: source.is_done("held"))
        assert (stored, rejected) == ({"a", "b", "later", "held"}, ["bad"])


async def test_the_oldest_message_that_is_not_handled_is_timed() -> None:
    free = asyncio.Event()

    async def handle(payloads: list[str]) -> None:
        await free.wait()

    async with running(handle) as lanes:
        assert lanes.waits_s == 0.0
        source = Source()
        source.send(lanes, 0, "a")
        await turns()
        await asyncio.sleep(0.02)
        source.send(lanes, 0, "b")
        assert 0.02 <= lanes.waits_s < 5
        free.set()
        await until(lambda: source.done() == {"a", "b"})
        assert lanes.waits_s == 0.0


async def test_messages_without_a_device_stay_in_order() -> None:
    handled: list[str] = []

    async def handle(payloads: list[str]) -> None:
        handled.extend(payloads)
        await turns(3)

    source = Source()
    async with running(handle, max_batch=1) as lanes:
        for n in range(6):
            lanes.put(source, Received("t", str(n).encode(), Ignored("location")), 1)
        await turns(60)
        assert handled == [str(n) for n in range(6)]


async def test_an_outage_of_several_lanes_is_logged_once_and_its_end_after_the_last_lane() -> None:
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
    logged = [(line["event"], line["log_level"]) for line in lines if line["log_level"] != "debug"]
    assert logged == [("handler_retries", "warning"), ("handler_works_again", "info")]


async def test_b10_the_first_lane_that_works_again_wakes_the_others() -> None:
    away, seen = {"a", "b"}, list[str]()

    async def handle(payloads: list[str]) -> None:
        seen.extend(payloads)
        if away.intersection(payloads):
            raise TransientError("database_away", "no database", retry_after_s=30)

    source = Source()
    async with running(handle) as lanes:
        for lane, payload in enumerate("ab"):
            source.send(lanes, lane, payload)
        await until(lambda: seen == ["a", "b"])
        away.clear()
        await turns()
        assert source.done() == set()
        source.send(lanes, 2, "c")
        await until(lambda: source.done() == {"a", "b", "c"})


async def test_a_stop_during_an_outage_is_not_logged_as_its_end() -> None:
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


async def test_messages_that_the_broker_will_send_again_are_dropped_unless_their_batch_has_begun() -> None:
    free, handled = asyncio.Event(), list[str]()

    async def handle(payloads: list[str]) -> None:
        await free.wait()
        handled.extend(payloads)

    source = Source()
    async with running(handle) as lanes:
        source.send(lanes, 0, "begun")
        await turns()
        source.send(lanes, 0, "waits")
        lanes.put(source, Received("t", b"qos 0", Ignored("location")), 0)
        lanes.forget_unacknowledged()
        assert lanes.waiting == 1
        free.set()
        await turns()
    assert handled == ["begun", "qos 0"]
