"""Places on a real database: what is made, renamed, closed and deleted."""

from __future__ import annotations

import asyncio

import pytest

from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.inventory import locations, spaces
from baylight.schedule import overrides
from baylight.store.pool import Connection, Pool
from tests.support.change import by
from tests.support.eventually import SOMEONE_WAITS, eventually


async def test_locations_are_made_once_with_what_lies_above(db: Connection) -> None:
    made = await locations.create_location(by(db), "Garage/Floor 1", timezone="Europe/Berlin")
    again = await locations.create_location(by(db, actor="bob"), " Garage / Floor 1")
    assert made == again
    tree = [(place.path, place.kind, place.timezone) for place in await locations.list_locations(db)]
    assert tree == [("Garage", "site", "Europe/Berlin"), ("Garage/Floor 1", "floor", None)]
    with pytest.raises(ConflictError, match="is a floor"):
        await locations.create_location(by(db), "Garage/Floor 1", kinds=["site", "building"])
    with pytest.raises(InputError, match="not a path"):
        await locations.create_location(by(db), "Garage//Floor")


@pytest.mark.parametrize(
    ("path", "timezone", "message"),
    [
        ("Garage", "Mars/X", "not a time zone"),
        ("Garage", "Asia/Tokyo", "Europe/Berlin: an import"),
        ("G", "", "not a time"),
    ],
)
async def test_a_time_zone_that_would_not_count_is_refused(
    db: Connection, path: str, timezone: str, message: str
) -> None:
    await locations.create_location(by(db), "Garage", timezone="Europe/Berlin")
    with pytest.raises((InputError, ConflictError), match=message):
        await locations.create_location(by(db), path, timezone=timezone)
    with pytest.raises(InputError, match="only a site"):
        await locations.create_location(by(db), "Ramp", kinds=["zone"], timezone="Europe/Berlin")
    assert [place.path for place in await locations.list_locations(db)] == ["Garage"]


async def test_a_location_is_renamed_and_deleted_once_it_holds_nothing(db: Connection) -> None:
    await locations.create_location(by(db), "Garage/Flor")
    await locations.create_location(by(db), "Garage/Ramp")
    await spaces.create_space(by(db), "A-1", location="Garage/Flor")
    for _ in range(2):
        made = await locations.rename_location(by(db, actor="bob"), "Garage/Flor", " Floor ")
        assert (made.path, made.spaces) == ("Garage/Floor", 1)
        with pytest.raises(NotFoundError):
            await locations.get_location(db, "Garage/Flor")
        await locations.rename_location(by(db, actor="bob"), "Garage/Floor", "Flor")
    with pytest.raises(ConflictError, match="there is already a location"):
        await locations.rename_location(by(db, actor="bob"), "Garage/Flor", "Ramp")
    with pytest.raises(InputError, match="not the name of one"):
        await locations.rename_location(by(db, actor="bob"), "Garage/Flor", "a/b")
    for path, holds in (("Garage", "contains Flor"), ("Garage/Flor", "contains 1 spaces")):
        with pytest.raises(ConflictError, match=holds):
            await locations.delete_location(by(db, actor="bob"), path)
    await overrides.set_override(by(db), "OUT_OF_ORDER", location="Garage/Ramp")
    with pytest.raises(ConflictError, match="overrides were set"):
        await locations.delete_location(by(db, actor="bob"), "Garage/Ramp")
    await spaces.delete_space(by(db), "A-1")
    await locations.delete_location(by(db, actor="bob"), "Garage/Flor")
    assert [place.path for place in await locations.list_locations(db)] == ["Garage", "Garage/Ramp"]
    actions = await db.fetch("SELECT action, actor FROM audit_log WHERE actor = 'bob' ORDER BY id")
    assert [row["action"] for row in actions] == ["location.rename"] * 4 + ["location.delete"]


async def test_the_same_location_made_by_two_at_once_is_one(db: Connection, pool: Pool) -> None:
    async def make() -> str:
        async with pool.acquire() as connection:
            return str((await locations.create_location(by(connection), "Garage/Floor 1")).id)

    assert len(set(await asyncio.gather(*(make() for _ in range(4))))) == 1
    assert len(await locations.list_locations(db)) == 2


@pytest.mark.parametrize("mover_first", [True, False])
async def test_a_location_that_is_closed_meanwhile_closes_the_space_that_comes(
    db: Connection, pool: Pool, mover_first: bool
) -> None:
    for path in ("Garage/Floor 2", "Yard"):
        await locations.create_location(by(db), path)

    async def move(connection: Connection) -> None:
        await spaces.change_space(by(connection), "A-1", location="Garage/Floor 2")

    async def close(connection: Connection) -> None:
        await locations.set_maintenance(by(connection), "Garage", True)

    await spaces.create_space(by(db), "A-1", location="Yard", default_state="FREE")
    first, second = (move, close) if mover_first else (close, move)
    async with pool.acquire() as other:
        async with other.transaction():
            await first(other)
            waiting = asyncio.create_task(second(db))
            await eventually(pool, SOMEONE_WAITS)
            assert not waiting.done()
        await waiting
    assert (await spaces.get_space(db, "A-1")).state == "MAINTENANCE"
