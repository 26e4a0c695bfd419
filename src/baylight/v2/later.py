"""What is dear to keep row by row while tables are filled: built when the rows are there; V2 does not wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from baylight.errors import TransientError
from baylight.store.pool import Connection
from baylight.store.query import queries
from baylight.v2.migration_run import MigrationRun, mark_done
from baylight.v2.schema import NEXT, OWN

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
async def _patiently(migration: MigrationRun) -> AsyncIterator[None]:
    """For statements that wait for others, while no one waits for them. Raises TransientError `locked`."""
    await migration.connection.execute(f"SET lock_timeout = {int(migration.patience_s * 1000)}; {_MEMORY}")
    try:
        yield
    except asyncpg.LockNotAvailableError as error:
        raise TransientError(
            "locked",
            f"transactions have been open for longer than {migration.patience_s:g} s: end them, and run it again",
        ) from error
    finally:
        if not migration.connection.is_closed():
            await migration.connection.execute("RESET lock_timeout; RESET maintenance_work_mem")


async def build_indexes(migration: MigrationRun) -> None:
    """One after the other, CONCURRENTLY. Of a run that was killed one may be left half built: it is made anew."""
    for row in await _waiting(migration.connection, "index", of_assignments=False):

        async def build(row: asyncpg.Record = row) -> int:
            await migration.connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NEXT}.{row['name']}")
            await migration.connection.execute(row["definition"].replace(" INDEX ", " INDEX CONCURRENTLY ", 1))
            await migration.connection.execute(f"DELETE FROM {OWN}.postponed WHERE id = $1", row["id"])
            return 1

        async with _patiently(migration):
            await migration.retry(build, again=(asyncpg.QueryCanceledError,))
    await mark_done(migration.connection, "indexes")


async def build_assignments(migration: MigrationRun) -> None:
    """The keys of the history of assignments; then what was logged meanwhile; from then on it is written at once."""
    if not await migration.connection.fetchval(f"SELECT assignments_logged FROM {OWN}.control"):
        return
    await _replay(migration)
    await _in_sync(migration, "assignments_shared")
    try:
        await _build_keys(migration)
    except asyncpg.ExclusionViolationError:
        await _in_sync(migration, "doubled_assignments")
        await _build_keys(migration)
    await migration.connection.execute(f"ANALYZE (SKIP_LOCKED) {NEXT}.device_assignments")
    await _replay(migration)

    async def written_at_once(connection: Connection) -> None:
        while await connection.fetchval(f"SELECT {OWN}.replay_assignments($1)", _REPLAYED_AT_ONCE):
            pass
        await connection.execute(f"DROP TRIGGER v2_log_assignments ON {NEXT}.spaces")
        await connection.execute(f"DROP TRIGGER v2_refuse_assignments ON {NEXT}.device_assignments")
        await connection.execute(f"ALTER TABLE {NEXT}.spaces ENABLE TRIGGER spaces_assignments_recorded")
        await connection.execute(f"UPDATE {OWN}.control SET assignments_logged = false")

    tables = [f"{NEXT}.spaces", f"{NEXT}.device_assignments"]
    await migration.run_locked("assignments", tables, "ACCESS EXCLUSIVE", written_at_once)
    await _in_sync(migration, "assignments_shared")


async def _replay(migration: MigrationRun) -> None:
    """What has been logged, but for the last few, to which V2 adds all the time."""
    while (
        await migration.connection.fetchval(f"SELECT {OWN}.replay_assignments($1)", _REPLAYED_AT_ONCE)
        == _REPLAYED_AT_ONCE
    ):
        pass


async def _in_sync(migration: MigrationRun, query: str) -> None:
    async with migration.connection.transaction():
        await migration.connection.execute("SELECT set_config('baylight.v2_sync', 'on', true)")
        await migration.connection.execute(queries("v2.later")[query])


async def _build_keys(migration: MigrationRun) -> None:
    """V2's writes do not touch this table now, so its lock may be held for as long as it takes."""
    rows = await _waiting(migration.connection, "key", "index", of_assignments=True)

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
        await migration.run_locked("assignments", [f"{NEXT}.device_assignments"], "ACCESS EXCLUSIVE", build, done=False)


async def build_foreign_keys(migration: MigrationRun) -> None:
    """NOT VALID in one short transaction, then validated one by one, which holds up nobody."""
    connection = migration.connection
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
        await migration.run_locked("foreign keys", names, "SHARE ROW EXCLUSIVE", add, done=False)
    for row in await connection.fetch(f"SELECT * FROM {OWN}.postponed WHERE kind = 'unvalidated' ORDER BY id"):

        async def validate(row: asyncpg.Record = row) -> int:
            await connection.execute(f"ALTER TABLE {NEXT}.{row['table_name']} VALIDATE CONSTRAINT {row['name']}")
            await connection.execute(f"DELETE FROM {OWN}.postponed WHERE id = $1", row["id"])
            return 1

        async with _patiently(migration):
            await migration.retry(validate, again=(asyncpg.QueryCanceledError,))
    await mark_done(connection, "foreign keys")
