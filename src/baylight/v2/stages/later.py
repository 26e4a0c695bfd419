"""Indexes and constraints that are built after the tables are filled, since that costs less than row by row.

V2 does not wait for them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import asyncpg

from baylight.errors import TransientError
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement
from baylight.v2.migration_run import WRITE_AS_COPY, MigrationRun
from baylight.v2.schema import NEXT, quoted, script

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
_REPLAY_LIMIT = 5_000
_MORE_MEMORY = "maintenance_work_mem = '256MB'"


class Dropped(NamedTuple):
    """Index or constraint that was noted. `kind`: `index`, `key` or `foreign_key`."""

    table_name: str
    name: str
    kind: str


class Postponed(NamedTuple):
    """Index or constraint to be built."""

    id: int
    table_name: str
    name: str
    kind: str
    definition: str


POSTPONE = Query("v2.later.postpone", Dropped)
POSTPONED = Query("v2.later.postponed", Postponed)
POSTPONED_FOREIGN_KEYS = Query("v2.later.postponed_foreign_keys", Postponed)
BUILT = Statement("v2.later.built")
FOREIGN_KEYS_ADDED = Statement("v2.later.foreign_keys_added")
ASSIGNMENTS_LOGGED = Query("v2.later.assignments_logged", bool)
REPLAY_ASSIGNMENTS = Query("v2.later.replay_assignments", int)
ASSIGNMENTS_SHARED = Statement("v2.later.assignments_shared")
DOUBLED_ASSIGNMENTS = Statement("v2.later.doubled_assignments")
ANALYZE_ASSIGNMENTS = Statement("v2.later.analyze_assignments")


async def postpone(connection: Connection) -> None:
    """Note the indexes and constraints, and drop them, inside the caller's transaction."""
    rows = await POSTPONE.all(connection, indexes=list(INDEXES))
    for row in sorted(rows, key=lambda row: row.kind != "foreign_key"):
        if row.kind == "index":
            await connection.execute(f"DROP INDEX {NEXT}.{quoted(row.name)}")
        else:
            await connection.execute(f"ALTER TABLE {NEXT}.{quoted(row.table_name)} DROP CONSTRAINT {quoted(row.name)}")


@asynccontextmanager
async def _patiently(migration: MigrationRun) -> AsyncIterator[None]:
    """Run statements that wait for other sessions, while no other session waits for them.

    Raises TransientError `locked`.
    """
    connection = migration.connection
    await connection.execute(f"SET lock_timeout = {int(migration.patience_s * 1000)}; SET {_MORE_MEMORY}")
    try:
        yield
    except asyncpg.LockNotAvailableError as error:
        raise TransientError(
            "locked",
            f"transactions have been open for longer than {migration.patience_s:g} s: end them, and run it again",
        ) from error
    finally:
        if not connection.is_closed():
            await connection.execute("RESET lock_timeout; RESET maintenance_work_mem")


async def build_indexes(migration: MigrationRun) -> None:
    """Build the indexes one after the other, CONCURRENTLY.

    An index that a killed run left half built is built again.
    """
    for row in await POSTPONED.all(migration.connection, kinds=["index"], of_assignments=False):

        async def build(row: Postponed = row) -> None:
            await migration.connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NEXT}.{quoted(row.name)}")
            # PostgreSQL gives the definition of an index without this word.
            await migration.connection.execute(row.definition.replace(" INDEX ", " INDEX CONCURRENTLY ", 1))
            await BUILT.run(migration.connection, ids=[row.id])

        async with _patiently(migration):
            await migration.retry(build, on=(asyncpg.QueryCanceledError,))


async def build_assignments(migration: MigrationRun) -> None:
    """Build the keys of the history of assignments, then write the logged changes.

    Later changes are written at once.
    """
    connection = migration.connection
    if not await ASSIGNMENTS_LOGGED.one(connection):
        return
    await _replay(migration)
    await _write_as_copy(migration, ASSIGNMENTS_SHARED)
    try:
        await _build_keys(migration)
    except asyncpg.ExclusionViolationError:
        await _write_as_copy(migration, DOUBLED_ASSIGNMENTS)
        await _build_keys(migration)
    await ANALYZE_ASSIGNMENTS.run(connection)
    await _replay(migration)

    async def write_at_once(connection: Connection) -> None:
        while await REPLAY_ASSIGNMENTS.one(connection, limit=_REPLAY_LIMIT):
            pass
        await connection.execute(script("assignments_written_at_once"))

    tables = [f"{NEXT}.spaces", f"{NEXT}.device_assignments"]
    await migration.run_locked(tables, "ACCESS EXCLUSIVE", write_at_once, done="assignments")
    await _write_as_copy(migration, ASSIGNMENTS_SHARED)


async def _replay(migration: MigrationRun) -> None:
    """Write the logged changes, until less than a full batch is left: V2 adds some all the time."""
    while await REPLAY_ASSIGNMENTS.one(migration.connection, limit=_REPLAY_LIMIT) == _REPLAY_LIMIT:
        pass


async def _write_as_copy(migration: MigrationRun, statement: Statement) -> None:
    async with migration.connection.transaction():
        await WRITE_AS_COPY.run(migration.connection)
        await statement.run(migration.connection)


async def _build_keys(migration: MigrationRun) -> None:
    """Build the keys in one transaction. V2's writes do not touch this table now, so its lock may be held so long."""
    rows = await POSTPONED.all(migration.connection, kinds=["key", "index"], of_assignments=True)

    async def build(connection: Connection) -> None:
        await connection.execute(f"SET LOCAL {_MORE_MEMORY}")
        for row in rows:
            if row.kind == "index":
                await connection.execute(row.definition)
            else:
                await connection.execute(f"{_add(row)} {row.definition}")
        await BUILT.run(connection, ids=[row.id for row in rows])

    if rows:
        await migration.run_locked([f"{NEXT}.device_assignments"], "ACCESS EXCLUSIVE", build)


async def build_foreign_keys(migration: MigrationRun) -> None:
    """Add the foreign keys NOT VALID in one short transaction. Validate them one by one, which blocks no writer."""
    connection = migration.connection
    rows = await POSTPONED_FOREIGN_KEYS.all(connection, kind="foreign_key")

    async def add(connection: Connection) -> None:
        for row in rows:
            await connection.execute(f"{_add(row)} {row.definition} NOT VALID")
        await FOREIGN_KEYS_ADDED.run(connection)

    if rows:
        tables = {"locations", "device_types", *(row.table_name for row in rows)}
        names = [f"{NEXT}.{quoted(table)}" for table in sorted(tables)]
        await migration.run_locked(names, "SHARE ROW EXCLUSIVE", add)
    for row in await POSTPONED_FOREIGN_KEYS.all(connection, kind="unvalidated"):

        async def validate(row: Postponed = row) -> None:
            await connection.execute(
                f"ALTER TABLE {NEXT}.{quoted(row.table_name)} VALIDATE CONSTRAINT {quoted(row.name)}"
            )
            await BUILT.run(connection, ids=[row.id])

        async with _patiently(migration):
            await migration.retry(validate, on=(asyncpg.QueryCanceledError,))


def _add(row: Postponed) -> str:
    return f"ALTER TABLE {NEXT}.{quoted(row.table_name)} ADD CONSTRAINT {quoted(row.name)}"
