"""Everybody at once: ingest, operators, bookings and the loop of time keep one order of locks, and the invariants."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from baylight.app.timer import Reconcile
from baylight.control.ingest import Ingest
from baylight.domain.actuation import LoopPolicy
from baylight.domain.state import Policy
from baylight.errors import ConflictError, TransientError
from baylight.insight import doctor
from baylight.inventory import device_changes, devices, locations, space_changes, spaces
from baylight.schedule import overrides, reservations
from baylight.store.pool import Connection, Pool
from tests.insight.test_why import EMPTY, GREEN_REPORT, TAKEN, uplink

SENSORS = [f"58a0cb00000000a{n}" for n in range(6)]
DISPLAYS = [f"202000000000000{n}" for n in range(6)]
CODES = [f"A-{n}" for n in range(6)]
ROUNDS = 12
EXPECTED = {"device_in_use", "assignment_race", "space_taken", "reservation_over"}
WATCHED = {"work in time", "devices never heard", "displays"}
"""What doctor may find here: nobody sends downlinks, and not every device spoke."""


class Now:
    def now(self) -> datetime:
        return datetime.now(UTC)


async def test_everybody_at_once_keeps_the_invariants_without_a_deadlock(db: Connection, pool: Pool) -> None:
    clock, policy = Now(), Policy()
    by = {"actor": "ann", "policy": policy}
    for place in ("Garage/Floor 1", "Yard"):
        await locations.create(db, place, actor="ann")
    for code, sensor, display in zip(CODES, SENSORS, DISPLAYS, strict=True):
        await devices.register_sensor(db, sensor, actor="ann")
        await devices.register_display(db, display, actor="ann", device_type="kuando_busylight")
        await spaces.create(db, code, location="Garage/Floor 1", sensor=sensor, display=display, now=clock.now(), **by)

    dice = random.Random(1)
    ingests = [Ingest(pool, clock, policy, LoopPolicy()) for _ in range(2)]
    loop = Reconcile(pool, clock, policy, LoopPolicy(), 25, 37)
    met: Counter[str] = Counter()

    async def hear(connection: Connection) -> None:
        at = clock.now()
        batch = [uplink(dice.choice((TAKEN, EMPTY)), at, dev_eui=eui) for eui in dice.sample(SENSORS, 4)]
        batch += [uplink(GREEN_REPORT, at, dev_eui=eui, f_port=15) for eui in dice.sample(DISPLAYS, 3)]
        await dice.choice(ingests).take(batch)

    async def swap(connection: Connection) -> None:
        code = dice.choice(CODES)
        await spaces.unassign(connection, code, "sensor", now=clock.now(), **by)
        await spaces.unassign(connection, code, "display", now=clock.now(), **by)
        sensor, display = dice.choice(SENSORS), dice.choice(DISPLAYS)
        await spaces.assign(connection, code, sensor=sensor, display=display, reason="swap", now=clock.now(), **by)

    async def fix(connection: Connection) -> None:
        target = dice.choice(({"location": "Garage"}, {"space": dice.choice(CODES)}))
        fixed = await overrides.set_override(connection, "RESERVED", now=clock.now(), **target, **by)
        await overrides.end(connection, fixed.id, now=clock.now(), **by)

    async def book(connection: Connection) -> None:
        start = clock.now()
        length = timedelta(milliseconds=dice.randint(5, 60_000))
        booked, _ = await reservations.create(connection, dice.choice(CODES), start, start + length, now=start, **by)
        if dice.random() < 0.5:
            await reservations.cancel(connection, booked.id, now=clock.now(), **by)

    async def close(connection: Connection) -> None:
        for on in (True, False):
            await locations.set_maintenance(connection, "Garage", on, now=clock.now(), **by)

    async def move(connection: Connection) -> None:
        place = dice.choice(({"location": "Garage/Floor 1"}, {"location": "Yard"}, {"clear": ["location"]}))
        await space_changes.change(connection, dice.choice(CODES), now=clock.now(), **place, **by)

    async def recolour(connection: Connection) -> None:
        codes = {"FREE": f"#00{dice.randint(100, 255):02x}00"}
        await device_changes.set_display_codes(connection, dice.choice(DISPLAYS), codes, now=clock.now(), **by)

    async def time_passes(connection: Connection) -> None:
        for part in (loop.spaces, loop.displays, loop.reservations):
            await part()

    async def repeat(work: Callable[[Connection], Awaitable[None]]) -> None:
        for _ in range(ROUNDS):
            async with pool.acquire() as connection:
                try:
                    await work(connection)
                    met[work.__name__] += 1
                except (ConflictError, TransientError) as error:
                    met[error.code] += 1

    works = (hear, hear, swap, swap, fix, book, close, move, recolour, time_passes)
    await asyncio.gather(*(repeat(work) for work in works))

    assert met.keys() <= EXPECTED | {work.__name__ for work in works}
    assert met["move"] == ROUNDS
    assert met["hear"] == 2 * ROUNDS
    await time_passes(db)
    found = await doctor.examine(db, now=clock.now(), policy=policy)
    assert [finding for finding in found if not finding.ok and finding.check not in WATCHED] == []
