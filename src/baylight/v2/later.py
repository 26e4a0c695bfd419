"""What is dear to keep row by row while tables are filled: built when the rows are there; V2 does not wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from baylight.errors import TransientError
from baylight.store.pool import Connection
from baylight.store.query import queries
from baylight.v2.schema import NEXT, OWN
from baylight.v2.tool import Tool, mark_done

INDEXES = (
    "spaces_location",
    "sensor_devices_device_type",
    "display_devices_device_type",
    "idx_sensor_devices_deveui",
    "idx_display_devices_deveui",
    "device_lifecycle_events_device",
    "idx_state_changes_space",
)
"""Indexes that neither V2's writes nor a Baylight beside it need before all is carried over."""
_REPLAYED_AT_ONCE = 5_000
_MEMORY = "SET maintenance_work_mem = '256MB'"


async def postpone(connection: Connection) -> None:
    """Inside the caller's transaction: notes and drops them."""
    rows = await connection.fetch(queries("v2.later")["postpone"], INDEXES)
    for row in sorted(rows, key=lambda row: row["kind"] != "foreign_key"):
        if row["kind"] == "index":
            await connection.execute(f"DROP INDEX {NEXT}.{row['name']}")
        else:
            await connection.execute(f"ALTER TABLE {NEXT}.{row['table_name']} DROP CONSTRAINT {row['name']}")


async def _waiting(connection: Connection, *kinds: str, of_assignments: bool) -> list[asyncpg.Record]:
    return await connection.fetch(
        f"SELECT * FROM {OWN}.postponed WHERE kind = ANY($1) AND (table_name = 'device_assignments') = $2 ORDER BY id",
        kinds,
        of_assignments,
    )


@asynccontextmanager
async def _patiently(tool: Tool) -> AsyncIterator[None]:
    """For statements that wait for others, while no one waits for them. Raises TransientError `locked`."""
    await tool.connection.execute(f"SET lock_timeout = {int(tool.patience_s * 1000)}; {_MEMORY}")
    try:
        yield
    except asyncpg.LockNotAvailableError as error:
        raise TransientError(
            "locked", f"transactions have been open for longer than {tool.patience_s:g} s: end them, and run it again"
        ) from error
    finally:
        if not tool.connection.is_closed():
            await tool.connection.execute("RESET lock_timeout; RESET maintenance_work_mem")


async def build_indexes(tool: Tool) -> None:
    """One after the other, CONCURRENTLY. Of a run that was killed one may be left half built: it is made anew."""
    for row in await _waiting(tool.connection, "index", of_assignments=False):

        async def build(row: asyncpg.Record = row) -> int:
            await tool.connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NEXT}.{row['name']}")
            await tool.connection.execute(row["definition"].replace(" INDEX ", " INDEX CONCURRENTLY ", 1))
            await tool.connection.execute(f"DELETE FROM {OWN}.postponed WHERE id = $1", row["id"])
            return 1

        async with _patiently(tool):
            await tool.tried(build, again=(asyncpg.QueryCanceledError,))
    await mark_done(tool.connection, "indexes")


async def build_assignments(tool: Tool) -> None:
    """The keys of the history of assignments; then what was logged meanwhile; from then on it is written at once."""
    if not await tool.connection.fetchval(f"SELECT assignments_logged FROM {OWN}.control"):
        return
    await _replay(tool)
    await _in_sync(tool, "assignments_shared")
    try:
        await _build_keys(tool)
    except asyncpg.ExclusionViolationError:
        await _in_sync(tool, "doubled_assignments")
        await _build_keys(tool)
    await tool.connection.execute(f"ANALYZE (SKIP_LOCKED) {NEXT}.device_assignments")
    await _replay(tool)

    async def written_at_once(connection: Connection) -> None:
        while await connection.fetchval(f"SELECT {OWN}.replay_assignments($1)", _REPLAYED_AT_ONCE):
            pass
        await connection.execute(f"DROP TRIGGER v2_log_assignments ON {NEXT}.spaces")
        await connection.execute(f"DROP TRIGGER v2_refuse_assignments ON {NEXT}.device_assignments")
        await connection.execute(f"ALTER TABLE {NEXT}.spaces ENABLE TRIGGER spaces_assignments_recorded")
        await connection.execute(f"UPDATE {OWN}.control SET assignments_logged = false")

    tables = [f"{NEXT}.spaces", f"{NEXT}.device_assignments"]
    await tool.locked("assignments", tables, "ACCESS EXCLUSIVE", written_at_once)
    await _in_sync(tool, "assignments_shared")


async def _replay(tool: Tool) -> None:
    """What has been logged, but for the last few, to which V2 adds all the time."""
    while (
        await tool.connection.fetchval(f"SELECT {OWN}.replay_assignments($1)", _REPLAYED_AT_ONCE) == _REPLAYED_AT_ONCE
    ):
        pass


async def _in_sync(tool: Tool, query: str) -> None:
    async with tool.connection.transaction():
        await tool.connection.execute("SELECT set_config('baylight.v2_sync', 'on', true)")
        await tool.connection.execute(queries("v2.later")[query])


async def _build_keys(tool: Tool) -> None:
    """V2's writes do not touch this table now, so its lock may be held for as long as it takes."""
    rows = await _waiting(tool.connection, "key", "index", of_assignments=True)

    async def build(connection: Connection) -> None:
        await connection.execute(_MEMORY.replace("SET", "SET LOCAL"))
        for row in rows:
            if row["kind"] == "index":
                await connection.execute(row["definition"])
            else:
                await connection.execute(
                    f"ALTER TABLE {NEXT}.device_assignments ADD CONSTRAINT {row['name']} {row['definition']}"
                )
        await connection.execute(f"DELETE FROM {OWN}.postponed WHERE id = ANY($1)", [row["id"] for row in rows])

    if rows:
        await tool.locked("assignments", [f"{NEXT}.device_assignments"], "ACCESS EXCLUSIVE", build, done=False)


async def build_foreign_keys(tool: Tool) -> None:
    """NOT VALID in one short transaction, then validated one by one, which holds up nobody."""
    connection = tool.connection
    rows = await connection.fetch(f"SELECT * FROM {OWN}.postponed WHERE kind = 'foreign_key' ORDER BY id")

    async def add(connection: Connection) -> None:
        for row in rows:
            await connection.execute(
                f"ALTER TABLE {NEXT}.{row['table_name']} ADD CONSTRAINT {row['name']} {row['definition']} NOT VALID"
            )
        await connection.execute(f"UPDATE {OWN}.postponed SET kind = 'unvalidated' WHERE kind = 'foreign_key'")

    if rows:
        tables = {"locations", "device_types", *(row["table_name"] for row in rows)}
        names = [f"{NEXT}.{table}" for table in sorted(tables)]
        await tool.locked("foreign keys", names, "SHARE ROW EXCLUSIVE", add, done=False)
    for row in await connection.fetch(f"SELECT * FROM {OWN}.postponed WHERE kind = 'unvalidated' ORDER BY id"):

        async def validate(row: asyncpg.Record = row) -> int:
            await connection.execute(f"ALTER TABLE {NEXT}.{row['table_name']} VALIDATE CONSTRAINT {row['name']}")
            await connection.execute(f"DELETE FROM {OWN}.postponed WHERE id = $1", row["id"])
            return 1

        async with _patiently(tool):
            await tool.tried(validate, again=(asyncpg.QueryCanceledError,))
    await mark_done(connection, "foreign keys")
