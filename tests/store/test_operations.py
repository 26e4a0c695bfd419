"""Rows of reservations, overrides and API keys that the schema itself refuses."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from baylight.store.pool import Pool
from tests.support.factories import add_location, add_space

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def reserve(pool: Pool, space: Any, start: datetime, end: datetime, status: str = "active") -> None:
    await pool.execute(
        "INSERT INTO reservations (space_id, start_time, end_time, status) VALUES ($1, $2, $3, $4)",
        space["id"],
        start,
        end,
        status,
    )


async def test_b12_of_two_overlapping_reservations_made_at_once_one_is_stored(any_pool: Pool) -> None:
    space = await add_space(any_pool, "A1")
    outcomes = await asyncio.gather(
        *(reserve(any_pool, space, NOON + n * HOUR / 10, NOON + HOUR) for n in range(5)), return_exceptions=True
    )
    refused = [o for o in outcomes if o is not None]
    assert len(refused) == 4
    for error in refused:
        # Two sessions that wait for each other's exclusion constraint may deadlock. The one that PostgreSQL ends tries
        # again, and is then refused.
        assert isinstance(error, (asyncpg.ExclusionViolationError, asyncpg.DeadlockDetectedError))
    assert await any_pool.fetchval("SELECT count(*) FROM reservations") == 1


async def test_reservations_may_touch_and_may_overlap_ones_that_are_not_active(any_pool: Pool) -> None:
    space, other = await add_space(any_pool, "A1"), await add_space(any_pool, "A2")
    await reserve(any_pool, space, NOON, NOON + HOUR)
    await reserve(any_pool, space, NOON + HOUR, NOON + 2 * HOUR)
    await reserve(any_pool, other, NOON, NOON + HOUR)
    for status in ("cancelled", "no_show", "completed"):
        await reserve(any_pool, space, NOON, NOON + HOUR, status)
    with pytest.raises(asyncpg.ExclusionViolationError) as caught:
        await any_pool.execute("UPDATE reservations SET status = 'active' WHERE status = 'cancelled'")
    assert caught.value.constraint_name == "reservations_no_overlap"


@pytest.mark.parametrize(
    ("start", "end", "constraint"),
    [
        (NOON, NOON, "valid_times"),
        (NOON, NOON + 27 * HOUR + timedelta(microseconds=1), "valid_duration"),
    ],
)
async def test_a_reservation_lasts_more_than_0_s_and_at_most_the_longest_day_of_any_zone(
    any_pool: Pool, start: datetime, end: datetime, constraint: str
) -> None:
    space = await add_space(any_pool, "A1")
    await reserve(any_pool, space, NOON, NOON + 27 * HOUR)
    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await reserve(any_pool, space, start, end, "cancelled")
    assert caught.value.constraint_name == constraint


@pytest.mark.parametrize(
    ("target", "constraint"), [("space_id", "overrides_one_per_space"), ("location_id", "overrides_one_per_location")]
)
async def test_a_target_has_one_override_at_a_time(any_pool: Pool, target: str, constraint: str) -> None:
    row = await (add_space(any_pool, "A1") if target == "space_id" else add_location(any_pool, "P1"))
    insert = (
        f"INSERT INTO overrides ({target}, state, valid, actor) VALUES ($1, 'OUT_OF_ORDER', tstzrange($2, $3), 'me')"
    )
    await any_pool.execute(insert, row["id"], NOON, NOON + HOUR)
    await any_pool.execute(insert, row["id"], NOON + HOUR, None)
    with pytest.raises(asyncpg.ExclusionViolationError) as caught:
        await any_pool.execute(insert, row["id"], NOON + 5 * HOUR, NOON + 6 * HOUR)
    assert caught.value.constraint_name == constraint


async def test_an_override_belongs_to_a_space_or_to_a_location(any_pool: Pool) -> None:
    space, floor = await add_space(any_pool, "A1"), await add_location(any_pool, "P1")
    for ids in ((None, None), (space["id"], floor["id"])):
        with pytest.raises(asyncpg.CheckViolationError) as caught:
            await any_pool.execute(
                "INSERT INTO overrides (space_id, location_id, state, valid, actor) "
                "VALUES ($1, $2, 'FREE', tstzrange(now(), NULL), 'me')",
                *ids,
            )
        assert caught.value.constraint_name == "overrides_one_target"


async def test_a_key_is_an_admin_key_in_both_columns_or_in_neither(any_pool: Pool) -> None:
    insert = "INSERT INTO api_keys (key_hash, scopes, is_admin) VALUES ($1, $2, $3)"
    await any_pool.execute(insert, "a", ["admin"], True)
    for scopes, is_admin in ((["read"], True), (["admin"], False), ([], False), (["root"], False)):
        with pytest.raises(asyncpg.CheckViolationError):
            await any_pool.execute(insert, "b", scopes, is_admin)
