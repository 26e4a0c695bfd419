"""One bound for JSON that people fill: in the program and in the database; rows of earlier versions beyond it."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baylight.domain.bounded_json import MAX_BYTES, MAX_DEPTH, MAX_KEYS, check_json
from baylight.errors import InputError
from baylight.store import migrate
from baylight.store.connect import connect
from baylight.store.pool import Connection, Pool
from tests.support.factories import add_bay, add_location
from tests.support.migrations import upgrade_before
from tests.support.servers import Server


def nested(depth: int, kind: str = "object") -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value} if kind == "object" else [value]
    return value


AT_THE_BOUND = [
    nested(MAX_DEPTH),
    nested(MAX_DEPTH, "array"),
    {str(n): n for n in range(MAX_KEYS)},
    [{"": n} for n in range(MAX_KEYS)],
    {"text": "x" * (MAX_BYTES - len('{"text": ""}'))},
    {"text": "ß" * ((MAX_BYTES - len('{"text": ""}')) // 2)},
    {},
    None,
]
BEYOND = [
    nested(MAX_DEPTH + 1),
    nested(MAX_DEPTH + 1, "array"),
    nested(256),
    {"list": nested(MAX_DEPTH, "array")},
    {str(n): n for n in range(MAX_KEYS + 1)},
    [{"": n} for n in range(MAX_KEYS + 1)],
    {"text": "x" * (MAX_BYTES - len('{"text": ""}') + 1)},
    {"text": "ß" * ((MAX_BYTES - len('{"text": ""}')) // 2 + 1)},
]
COLUMNS = [
    ("spaces", "metadata"),
    ("locations", "metadata"),
    ("reservations", "metadata"),
    ("device_types", "default_config"),
    ("device_types", "capabilities"),
    ("sensor_devices", "capabilities"),
    ("display_devices", "display_codes"),
]


async def test_f3_program_and_database_have_the_same_bound(db: Connection) -> None:
    for value in AT_THE_BOUND:
        check_json(value)
        assert await db.fetchval("SELECT coalesce(json_is_bounded($1), true)", value), str(value)[:80]
    for value in BEYOND:
        with pytest.raises(InputError, match="20 levels, 16 KiB and 200 keys") as error:
            check_json(value)
        assert error.value.code == "json_too_big"
        assert not await db.fetchval("SELECT json_is_bounded($1)", value), str(value)[:80]


@given(
    st.recursive(
        st.none() | st.integers(-10, 10) | st.text('aß"\\', max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=1), inner, max_size=3),
        max_leaves=30,
    ),
    st.integers(0, 24),
)
def test_f3_the_program_counts_levels_as_they_are_nested(value: Any, wrapped: int) -> None:
    def levels(item: Any) -> int:
        if not isinstance(item, dict | list):
            return 0
        return 1 + max(map(levels, item.values() if isinstance(item, dict) else item), default=0)

    for _ in range(wrapped):
        value = [value]
    try:
        check_json(value)
        accepted = True
    except InputError:
        accepted = False
    assert accepted == (levels(value) <= MAX_DEPTH)


@pytest.mark.parametrize("value", [{"a": float("inf")}, {"a": float("nan")}, {"a": "\ud800"}, {"a": b"x"}])
def test_f3_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises(InputError) as error:
        check_json(value)
    assert error.value.code == "bad_json"


@pytest.mark.parametrize(("table", "column"), COLUMNS)
async def test_f3_the_database_refuses_it_in_each_column_that_people_fill(pool: Pool, table: str, column: str) -> None:
    bay = await add_bay(pool, "A-1")
    await add_location(pool, "Garage")
    await pool.execute(
        "INSERT INTO reservations (space_id, start_time, end_time) VALUES ($1, now(), now() + interval '1 h')",
        bay.space_id,
    )
    with pytest.raises(asyncpg.CheckViolationError, match="_bounded"):
        await pool.execute(f"UPDATE {table} SET {column} = $1", nested(256))


async def test_f3_each_column_of_json_that_people_fill_has_a_constraint(db: Connection) -> None:
    written_by_the_program = {
        ("uplinks", "reading"), ("state_changes", "metadata"), ("state_changes", "considered"), ("audit_log", "before"),
        ("audit_log", "after"), ("device_swaps", "new_codes_before"), ("metadata_set_aside", "metadata"),
    }  # fmt: skip
    columns = await db.fetch(
        "SELECT c.relname::text, a.attname::text FROM pg_attribute AS a INNER JOIN pg_class AS c ON c.oid = a.attrelid "
        "WHERE a.atttypid = 'jsonb'::regtype AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition "
        "AND c.relkind IN ('r', 'p')"
    )
    checked = await db.fetch(
        "SELECT k.conrelid::regclass::text, a.attname::text FROM pg_constraint AS k "
        "INNER JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY(k.conkey) "
        "WHERE k.conname LIKE '%\\_bounded' AND k.convalidated"
    )
    assert {tuple(row) for row in columns} - written_by_the_program == {tuple(row) for row in checked}
    assert set(COLUMNS) < {tuple(row) for row in checked}


async def test_f3_metadata_of_earlier_versions_beyond_the_bound_is_set_aside(server: Server) -> None:
    async with server.database(migrated=False) as database:
        await upgrade_before(database.dsn, "0019")
        connection = await connect(database.dsn)
        try:
            deep, small = nested(256), {"owner": "x"}
            places = await connection.fetch(
                "INSERT INTO locations (kind, name, metadata) VALUES ('site', 'a', $1), ('site', 'b', $2) RETURNING id",
                deep, small,
            )  # fmt: skip
            spaces = await connection.fetch(
                "INSERT INTO spaces (name, code, metadata) VALUES ('a', 'a', $1), ('b', 'b', $2) RETURNING id",
                deep, small,
            )  # fmt: skip
            reserved = await connection.fetchval(
                "INSERT INTO reservations (space_id, start_time, end_time, metadata) "
                "VALUES ($1, now(), now() + interval '1 h', $2) RETURNING id", spaces[0]["id"], deep,
            )  # fmt: skip
            await migrate.upgrade(connection)
            aside = await connection.fetch("SELECT object_type, object_id, metadata FROM metadata_set_aside")
            assert sorted(tuple(row) for row in aside) == sorted(
                [
                    ("location", places[0]["id"], deep),
                    ("reservation", reserved, deep),
                    ("space", spaces[0]["id"], deep),
                ]
            )
            kept = await connection.fetch("SELECT metadata FROM spaces ORDER BY code")
            assert [row["metadata"] for row in kept] == [None, small]
        finally:
            await connection.close()


async def test_f3_configuration_beyond_the_bound_is_named_and_the_upgrade_changes_nothing(server: Server) -> None:
    async with server.database(migrated=False) as database:
        await upgrade_before(database.dsn, "0019")
        connection = await connect(database.dsn)
        try:
            await connection.execute(
                "INSERT INTO device_types (code, category, manufacturer, model, codec, uplink_interval_s, "
                "capabilities) VALUES ('deep_one', 'sensor', 'x', 'y', 'js:z', 60, $1)",
                nested(30),
            )
            with pytest.raises(InputError, match="device type deep_one") as error:
                await migrate.upgrade(connection)
            assert error.value.code == "migration_refused"
            assert await connection.fetchval("SELECT to_regclass('metadata_set_aside')") is None
            await connection.execute("UPDATE device_types SET capabilities = '{}'::jsonb")
            assert "0019_bounded_json" in await migrate.upgrade(connection)
        finally:
            await connection.close()
