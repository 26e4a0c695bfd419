"""Swaps of motion sensors, whose OCCUPIED ends by time alone: recorded late and undone, the end is the right one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta

import pytest

from baylight.app.timer import Timer
from baylight.control.events.ingest import Ingest
from baylight.domain.ids import DevEui
from baylight.domain.policies import Policies
from baylight.inventory import assignments, devices, spaces, swaps
from baylight.js_codecs import versions
from baylight.sandbox.pool import Sandbox
from baylight.store.pool import Connection, Pool
from tests.support import bay_eye
from tests.support.bay_eye import FREE, MAPPING, uplink
from tests.support.change import by
from tests.support.clock import Clock

MOTION = bay_eye.OCCUPIED
S1, S2 = DevEui("70b3d57ed0000001"), DevEui("70b3d57ed0000002")
TIMEOUT_S = 600
Look = Callable[[float], Awaitable[str]]


@pytest.fixture
async def engine() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(workers=1)
    yield sandbox
    await sandbox.close()


@pytest.fixture
async def clock(db: Connection) -> Clock:
    """Some hours behind the database's own clock, which dates everything that has no date of its own."""
    return Clock(await db.fetchval("SELECT clock_timestamp()") - timedelta(hours=12))


@pytest.fixture
async def start(db: Connection, engine: Sandbox, clock: Clock) -> datetime:
    """A bay with one motion sensor, and another in the van."""
    await bay_eye.add(db, mapping=MAPPING | {"motion_timeout_s": TIMEOUT_S})
    await versions.activate_codec(by(db, now=clock.now()), engine, "bay_eye", 1)
    await bay_eye.add_type(db)
    for eui in (S1, S2):
        await devices.register_sensor(by(db), eui, device_type="acme_bay_eye")
    await spaces.create_space(by(db, now=clock.now()), "A-13")
    await assignments.install(by(db, now=clock.now()), "A-13", S1, at=clock.now())
    return clock.now()


@pytest.fixture
def look(pool: Pool, clock: Clock, start: datetime) -> Look:
    """The bay at so many seconds from the start, after what time alone decides."""
    reconcile = Timer(pool, clock, Policies(), 25, 37)

    async def at(seconds: float) -> str:
        clock.at = start + timedelta(seconds=seconds)
        await reconcile.spaces()
        return str(await pool.fetchval("SELECT current_state FROM spaces WHERE code = 'A-13'"))

    return at


@pytest.fixture
def send(pool: Pool, clock: Clock, engine: Sandbox, look: Look) -> Callable[[float, DevEui, bytes], Awaitable[None]]:
    ingest = Ingest(pool, clock, Policies(), engine)

    async def send_at(seconds: float, eui: DevEui, data: bytes) -> None:
        await look(seconds)
        await ingest.store_batch([uplink(eui, clock.now(), data)])

    return send_at


async def test_an_undone_swap_leaves_the_end_of_the_motion_where_it_was(
    db: Connection, clock: Clock, look: Look, send: Callable[..., Awaitable[None]]
) -> None:
    await send(0, S1, MOTION)
    assert await look(10) == "OCCUPIED"
    done = await swaps.swap(by(db, now=clock.now()), S1, S2)
    assert await look(20) == "UNKNOWN"
    await swaps.undo_swap(by(db, now=clock.now()), done.id)
    assert await look(TIMEOUT_S - 1) == "OCCUPIED"
    assert await look(TIMEOUT_S) == "FREE"


async def test_b1_no_motion_reported_too_soon_while_out_does_not_free_the_bay_by_an_undo(
    db: Connection, clock: Clock, look: Look, send: Callable[..., Awaitable[None]]
) -> None:
    await send(0, S1, MOTION)
    await look(10)
    done = await swaps.swap(by(db, now=clock.now()), S1, S2)
    await send(15, S1, FREE)
    await look(20)
    await swaps.undo_swap(by(db, now=clock.now()), done.id)
    assert await look(TIMEOUT_S - 1) == "OCCUPIED"
    assert await look(TIMEOUT_S) == "FREE"


async def test_motion_seen_while_out_counts_after_an_undo(
    db: Connection, clock: Clock, look: Look, send: Callable[..., Awaitable[None]]
) -> None:
    await send(0, S1, MOTION)
    await look(10)
    done = await swaps.swap(by(db, now=clock.now()), S1, S2)
    await send(50, S1, MOTION)
    await send(60, S2, MOTION)
    await look(700)
    await swaps.undo_swap(by(db, now=clock.now()), done.id)
    assert await look(700) == "FREE"
    assert await look(3 * 3600 + 49) == "FREE"
    assert await look(3 * 3600 + 50) == "UNKNOWN"


@pytest.mark.parametrize(
    ("recorded_s", "state"), [(100, "OCCUPIED"), (10 + TIMEOUT_S, "FREE"), (3 * 3600 + 10, "UNKNOWN")]
)
async def test_a_swap_recorded_late_counts_motion_from_when_it_was(
    db: Connection,
    clock: Clock,
    look: Look,
    send: Callable[..., Awaitable[None]],
    start: datetime,
    recorded_s: int,
    state: str,
) -> None:
    await send(10, S2, MOTION)
    await look(recorded_s)
    await swaps.swap(by(db, now=clock.now()), S1, S2, at=start + timedelta(seconds=5))
    assert await look(recorded_s) == state
    assert await look(max(recorded_s, 9 + TIMEOUT_S)) == state
    assert await look(max(recorded_s, 10 + TIMEOUT_S)) == ("FREE" if recorded_s < 3600 else "UNKNOWN")


async def test_motion_in_the_van_neither_occupies_the_bay_nor_frees_it(
    db: Connection, clock: Clock, look: Look, send: Callable[..., Awaitable[None]], start: datetime
) -> None:
    await send(0, S1, MOTION)
    await send(5, S2, MOTION)
    await look(20)
    await swaps.swap(by(db, now=clock.now()), S1, S2, at=start + timedelta(seconds=10))
    assert await look(20) == "UNKNOWN"
    assert await look(5 + TIMEOUT_S) == "UNKNOWN"
    await send(1000, S2, FREE)
    assert await look(1000) == "FREE"
    assert (await db.fetchval("SELECT free_from FROM sensor_devices WHERE dev_eui = $1", S2)) is None


async def test_motion_that_ended_elsewhere_frees_nothing_at_the_next_place(
    db: Connection, clock: Clock, look: Look, send: Callable[..., Awaitable[None]]
) -> None:
    await send(0, S1, MOTION)
    await look(10)
    await swaps.swap(by(db, now=clock.now()), S1, S2)
    await spaces.create_space(by(db, now=clock.now()), "B-1", sensor=S1)
    await look(TIMEOUT_S + 1)
    assert (await spaces.get_space(db, "B-1")).state == "UNKNOWN"
