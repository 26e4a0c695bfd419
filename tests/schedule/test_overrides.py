from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from baylight.errors import InputError, NotFoundError
from baylight.inventory import locations, spaces
from baylight.schedule import overrides
from baylight.store.pool import Connection, Pool
from tests.support.change import NOW, by

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
async def bays(db: Connection) -> None:
    await locations.create_location(by(db), "Garage/Floor 1")
    for code in ("A-1", "A-2"):
        await spaces.create_space(by(db), code, location="Garage/Floor 1", default_state="FREE")


async def states(db: Connection) -> list[str]:
    return [space.state for space in await spaces.list_spaces(db)]


async def test_an_override_holds_until_it_is_ended(db: Connection) -> None:
    fixed = await overrides.set_override(by(db), "out_of_order", space="A-1", reason="pillar")
    assert await states(db) == ["OUT_OF_ORDER", "FREE"]
    assert [o.id for o in await overrides.list_overrides(db, NOW, space="A-1")] == [fixed.id]
    ended = await overrides.end_override(by(db, now=NOW + HOUR), fixed.id)
    assert (ended.until_at, ended.ended_by) == (NOW + HOUR, "ann")
    assert await states(db) == ["FREE", "FREE"]
    assert await overrides.end_override(by(db, now=NOW + 2 * HOUR), fixed.id) == ended
    causes = await db.fetch("SELECT trigger_source FROM state_changes WHERE source = 'manual_override'")
    assert [row["trigger_source"] for row in causes] == [str(fixed.id)] * 2


async def test_an_override_of_a_location_bears_on_its_spaces_and_one_of_a_space_wins(db: Connection) -> None:
    await overrides.set_override(by(db), "MAINTENANCE", location="Garage")
    await overrides.set_override(by(db), "RESERVED", space="A-2", until=NOW + HOUR)
    assert await states(db) == ["MAINTENANCE", "RESERVED"]
    assert (await spaces.get_space(db, "A-2")).recompute_at == NOW + HOUR


async def test_a_new_override_replaces_the_old_even_in_the_same_instant(db: Connection) -> None:
    await overrides.set_override(by(db), "OCCUPIED", space="A-1")
    last = await overrides.set_override(by(db), "RESERVED", space="A-1")
    assert await states(db) == ["RESERVED", "FREE"]
    assert [o.id for o in await overrides.list_overrides(db, NOW + HOUR)] == [last.id]
    await overrides.end_override(by(db), last.id)
    assert await states(db) == ["FREE", "FREE"]


async def test_overrides_set_at_once_leave_one_in_force(db: Connection, pool: Pool) -> None:
    async def fix(state: str, **target: str) -> None:
        async with pool.acquire() as connection:
            await overrides.set_override(by(connection), state, **target)

    await asyncio.gather(*(fix(state, location="Garage") for state in ("OCCUPIED", "RESERVED", "MAINTENANCE")))
    in_force = await overrides.list_overrides(db, NOW + HOUR)
    assert len(in_force) == 1
    assert await states(db) == [in_force[0].state] * 2


async def test_bad_input_is_refused(db: Connection) -> None:
    with pytest.raises(InputError, match="GREEN"):
        await overrides.set_override(by(db), "GREEN", space="A-1")
    with pytest.raises(InputError, match="either"):
        await overrides.set_override(by(db), "FREE")
    with pytest.raises(InputError, match="before it begins"):
        await overrides.set_override(by(db), "FREE", space="A-1", until=NOW)
    with pytest.raises(InputError, match="time zone"):
        await overrides.set_override(by(db), "FREE", space="A-1", until=NOW.replace(tzinfo=None))
    with pytest.raises(NotFoundError, match="X-9"):
        await overrides.set_override(by(db), "FREE", space="X-9")
    with pytest.raises(NotFoundError):
        await overrides.end_override(by(db), (await spaces.get_space(db, "A-1")).id)


@pytest.mark.parametrize("target", [{"space": "A-1"}, {"location": "Garage"}])
async def test_d3_an_override_names_what_it_replaced_and_the_audit_log_keeps_it(
    db: Connection, target: dict[str, str]
) -> None:
    until = NOW + HOUR
    first = await overrides.set_override(by(db), "OCCUPIED", until=until, reason="crane", **target)
    assert first.replaced is None
    last = await overrides.set_override(by(db), "RESERVED", **target)
    assert last.replaced == first
    await overrides.end_override(by(db), last.id)
    records = await db.fetch("SELECT action, before, after FROM audit_log WHERE action LIKE 'override.%' ORDER BY id")
    assert [
        (r["action"], r["before"] and r["before"]["state"], r["after"] and r["after"]["state"]) for r in records
    ] == [
        ("override.set", None, "OCCUPIED"),
        ("override.set", "OCCUPIED", "RESERVED"),
        ("override.end", "RESERVED", None),
    ]
    before = records[1]["before"]
    assert (before["id"], before["actor"], before["reason"]) == (str(first.id), "ann", "crane")
    assert before["until"] == until.isoformat()


async def test_d3_an_override_that_ended_by_itself_is_not_replaced(db: Connection) -> None:
    await overrides.set_override(by(db), "OCCUPIED", space="A-1", until=NOW + HOUR)
    assert (await overrides.set_override(by(db, now=NOW + HOUR), "RESERVED", space="A-1")).replaced is None
