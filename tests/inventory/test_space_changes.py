"""A space's name, location and position: what a change decides, refuses and records."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from baylight.errors import InputError, NotFoundError
from baylight.inventory import devices, locations, spaces
from baylight.schedule import overrides
from baylight.store.pool import Connection, Pool
from tests.support.change import by
from tests.support.eventually import SOMEONE_WAITS, eventually

DISPLAY = "2020000000000001"


@pytest.fixture(autouse=True)
async def garage(db: Connection) -> None:
    for path in ("Garage/Floor 1", "Garage/Floor 2"):
        await locations.create_location(by(db), path)
    await spaces.create_space(by(db), "A-1", location="Garage/Floor 1", default_state="FREE")


async def test_what_is_given_changes_and_the_rest_stays(db: Connection) -> None:
    named = await spaces.change_space(by(db), "A-1", name="By the ramp")
    assert (named.name, named.location, named.latitude) == ("By the ramp", "Garage/Floor 1", None)
    placed = await spaces.change_space(by(db), "A-1", latitude=52.123456789, longitude=0)
    assert (placed.name, placed.latitude, placed.longitude) == ("By the ramp", Decimal("52.12345679"), 0)
    await spaces.change_space(by(db), "A-1", latitude=52.123456789, longitude=0)
    cleared = await spaces.change_space(by(db), "A-1", clear=["location", "position"])
    assert (cleared.location, cleared.latitude, cleared.longitude) == (None, None, None)
    rows = await db.fetch("SELECT before, after FROM audit_log WHERE action = 'space.change' ORDER BY id")
    assert [{k: v for k, v in row["after"].items() if v != row["before"][k]} for row in rows] == [
        {"name": "By the ramp"},
        {"latitude": 52.12345679, "longitude": 0.0},
        {"location": None, "latitude": None, "longitude": None},
    ]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({}, "nothing_given"),
        ({"name": ""}, "bad_name"),
        ({"name": "x" * 101}, "bad_name"),
        ({"location": ""}, "bad_path"),
        ({"location": "Garage/Roof"}, "unknown_location"),
        ({"latitude": 52.5}, "bad_position"),
        ({"longitude": 13.4}, "bad_position"),
        ({"latitude": 91.0, "longitude": 13.4}, "bad_position"),
        ({"latitude": 1e9, "longitude": 13.4}, "bad_position"),
        ({"latitude": float("nan"), "longitude": 13.4}, "bad_position"),
        ({"latitude": 52.5, "longitude": 13.4, "clear": ["position"]}, "given_and_cleared"),
    ],
)
async def test_what_makes_no_sense_changes_nothing(db: Connection, wanted: dict[str, Any], code: str) -> None:
    before = await spaces.get_space(db, "A-1")
    with pytest.raises(InputError) as refused:
        await spaces.change_space(by(db), "A-1", **wanted)
    assert refused.value.code == code
    assert await spaces.get_space(db, "A-1") == before


async def test_a_space_that_is_not_there_is_refused(db: Connection) -> None:
    with pytest.raises(NotFoundError, match="no space 'X-9'"):
        await spaces.change_space(by(db), "X-9", name="x")


async def test_a_new_space_far_outside_the_world_is_refused(db: Connection) -> None:
    with pytest.raises(InputError, match="latitude and longitude"):
        await spaces.create_space(by(db), "A-2", latitude=1e9, longitude=0)


async def test_a_space_is_what_its_new_location_makes_of_it_and_its_light_follows(db: Connection) -> None:
    await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight")
    await spaces.assign(by(db), "A-1", display=DISPLAY)
    await overrides.set_override(by(db), "OUT_OF_ORDER", location="Garage/Floor 2")
    moved = await spaces.change_space(by(db), "A-1", location="Garage/Floor 2")
    assert (moved.state, moved.state_reason, moved.desired_state) == (
        "OUT_OF_ORDER",
        "override",
        "OUT_OF_ORDER",
    )
    assert (await spaces.change_space(by(db), "A-1", clear=["location"])).state == "FREE"
    await locations.set_maintenance(by(db), "Garage", True)
    assert (await spaces.change_space(by(db), "A-1", location="Garage/Floor 1")).state == "MAINTENANCE"


@pytest.mark.parametrize("mover_first", [True, False])
async def test_a_location_that_is_closed_meanwhile_closes_the_space_that_comes(
    db: Connection, pool: Pool, mover_first: bool
) -> None:
    await locations.create_location(by(db), "Yard")

    async def move(connection: Connection) -> None:
        await spaces.change_space(by(connection), "A-1", location="Garage/Floor 2")

    async def close(connection: Connection) -> None:
        await locations.set_maintenance(by(connection), "Garage", True)

    await spaces.change_space(by(db), "A-1", location="Yard")
    first, second = (move, close) if mover_first else (close, move)
    async with pool.acquire() as other:
        async with other.transaction():
            await first(other)
            waiting = asyncio.create_task(second(db))
            await eventually(pool, SOMEONE_WAITS)
            assert not waiting.done()
        await waiting
    assert (await spaces.get_space(db, "A-1")).state == "MAINTENANCE"
