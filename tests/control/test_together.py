"""Everybody at once: ingest, operators, bookings and the loop of time keep one order of locks, and the invariants."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

from baylight.app.timer import Timer
from baylight.control.events.ingest import Ingest
from baylight.domain.policies import Policies
from baylight.domain.state import Policy
from baylight.errors import ConflictError, TransientError
from baylight.insight import doctor
from baylight.inventory import device_settings, devices, locations, spaces
from baylight.schedule import overrides, reservations
from baylight.store.pool import Connection, Pool
from tests.support.change import by
from tests.support.clock import RealClock
from tests.support.uplinks import FREE, GREEN_REPORT, OCCUPIED, uplink

SENSORS = [f"58a0cb00000000a{n}" for n in range(6)]
DISPLAYS = [f"202000000000000{n}" for n in range(6)]
CODES = [f"A-{n}" for n in range(6)]
ROUNDS = 12
EXPECTED = {"device_in_use", "assignment_race", "space_taken", "reservation_over"}
WATCHED = {"work in time", "devices without uplinks", "displays"}
"""What doctor may find here: nobody sends downlinks, and not every device spoke."""


async def test_everybody_at_once_keeps_the_invariants_without_a_deadlock(db: Connection, pool: Pool) -> None:
    clock, policy = RealClock(), Policy()
    for place in ("Garage/Floor 1", "Yard"):
        await locations.create_location(by(db), place)
    for code, sensor, display in zip(CODES, SENSORS, DISPLAYS, strict=True):
        await devices.register_sensor(by(db), sensor)
        await devices.register_display(by(db), display, device_type="kuando_busylight")
        await spaces.create_space(
            by(db, now=clock.now()), code, location="Garage/Floor 1", sensor=sensor, display=display
        )

    dice = random.Random(1)
    ingests = [Ingest(pool, clock, Policies()) for _ in range(2)]
    loop = Timer(pool, clock, Policies(), 25, 37)
    met: Counter[str] = Counter()

    async def hear(connection: Connection) -> None:
        at = clock.now()
        batch = [uplink(eui, at, dice.choice((OCCUPIED, FREE))) for eui in dice.sample(SENSORS, 4)]
        batch += [uplink(eui, at, GREEN_REPORT, f_port=15) for eui in dice.sample(DISPLAYS, 3)]
        await dice.choice(ingests).store_batch(batch)

    async def swap(connection: Connection) -> None:
        code = dice.choice(CODES)
        await spaces.unassign(by(connection, now=clock.now()), code, "sensor")
        await spaces.unassign(by(connection, now=clock.now()), code, "display")
        sensor, display = dice.choice(SENSORS), dice.choice(DISPLAYS)
        await spaces.assign(by(connection, now=clock.now()), code, sensor=sensor, display=display, reason="swap")

    async def fix(connection: Connection) -> None:
        target = dice.choice(({"location": "Garage"}, {"space": dice.choice(CODES)}))
        fixed = await overrides.set_override(by(connection, now=clock.now()), "RESERVED", **target)
        await overrides.end_override(by(connection, now=clock.now()), fixed.id)

    async def book(connection: Connection) -> None:
        start = clock.now()
        length = timedelta(milliseconds=dice.randint(5, 60_000))
        booked, _ = await reservations.create_reservation(
            by(connection, now=start), reservations.NewReservation(dice.choice(CODES), start, start + length)
        )
        if dice.random() < 0.5:
            await reservations.cancel_reservation(by(connection, now=clock.now()), booked.id)

    async def close(connection: Connection) -> None:
        for on in (True, False):
            await locations.set_maintenance(by(connection, now=clock.now()), "Garage", on)

    async def move(connection: Connection) -> None:
        place = dice.choice(({"location": "Garage/Floor 1"}, {"location": "Yard"}, {"clear": ["location"]}))
        await spaces.change_space(by(connection, now=clock.now()), dice.choice(CODES), **place)

    async def recolour(connection: Connection) -> None:
        codes = {"FREE": f"#00{dice.randint(100, 255):02x}00"}
        await device_settings.set_display_codes(by(connection, now=clock.now()), dice.choice(DISPLAYS), codes)

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
