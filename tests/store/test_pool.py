"""Values on their way between Python and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import asyncpg
import pytest

from baylight.store.pool import Pool, array_literal, update_all

INSTANTS = [
    datetime(2000, 1, 1, tzinfo=UTC),
    datetime(1999, 12, 31, 23, 59, 59, 999_999, UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
    datetime(2026, 3, 29, 1, 30, 0, 1, timezone(timedelta(hours=5, minutes=45))),
]


@pytest.mark.parametrize("at", INSTANTS)
async def test_an_instant_comes_back_to_the_microsecond(any_pool: Pool, at: datetime) -> None:
    shown, same = await any_pool.fetchrow("SELECT $1::timestamptz::text, $1::timestamptz", at)
    assert same == at
    assert same.tzinfo is UTC
    assert await any_pool.fetchval("SELECT $1::text::timestamptz", shown) == at
    assert await any_pool.fetchval("SELECT $1::timestamptz[]", [at, None]) == [at, None]
    assert (await any_pool.fetchval("SELECT tstzrange($1, NULL)", at)).lower == at


async def test_postgresql_reads_the_instant_that_was_meant(any_pool: Pool) -> None:
    at = datetime(2026, 11, 25, 2, 45, 15, 123_456, UTC)
    assert await any_pool.fetchval("SELECT $1::timestamptz = '2026-11-25 02:45:15.123456+00'", at) is True


async def test_an_update_that_misses_rows_raises_an_error(any_pool: Pool) -> None:
    sql = """-- Renames.
    UPDATE locations AS l SET name = n.name FROM json_to_recordset($1::json) AS n (id uuid, name text)
    WHERE l.id = n.id"""
    place = await any_pool.fetchval("INSERT INTO locations (kind, name) VALUES ('site', 'A') RETURNING id")
    async with any_pool.acquire() as connection:
        await update_all(connection, sql, [{"id": place, "name": "B"}])
        with pytest.raises(RuntimeError, match="UPDATE 1 of 2 rows: -- Renames"):
            await update_all(connection, sql, [{"id": place, "name": "C"}, {"id": uuid4(), "name": "D"}])


async def test_a_time_without_offset_is_refused(any_pool: Pool) -> None:
    with pytest.raises(asyncpg.DataError, match="offset-naive"):
        await any_pool.fetchval("SELECT $1::timestamptz", datetime(2026, 11, 25))  # noqa: DTZ001


async def test_a_list_travels_as_text(any_pool: Pool) -> None:
    ids = [uuid4(), None, uuid4()]
    assert await any_pool.fetchval("SELECT $1::text::uuid[]", array_literal(ids)) == ids
    assert await any_pool.fetchval("SELECT $1::text::text[]", array_literal([])) == []
    euis = ["58a0cb00000000a1", "202020000000e001"]
    assert await any_pool.fetchval("SELECT $1::text::text[]", array_literal(euis)) == euis
