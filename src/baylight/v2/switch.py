"""Who decides: V2 until the switch, Baylight after it. The other side's copy follows in the same transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from baylight.store.pool import Connection
from baylight.store.query import queries
from baylight.v2.migration_run import Bar, MigrationRun, mark_done, mark_place, place_of
from baylight.v2.schema import NEXT, OWN, require_both_schemas

_FIRST = "00000000-0000-0000-0000-000000000000"


async def catch_up(migration: MigrationRun) -> None:
    """What V2 heard since the backfill, and what its displays show."""
    sql = queries("v2.migration")
    since = await migration.connection.fetchval(f"SELECT last_reading FROM {OWN}.control")
    until = await migration.connection.fetchval("SELECT coalesce(max(id), 0) FROM public.sensor_readings")
    sensors = [row["id"] for row in await migration.connection.fetch(sql["sensors_read_since"], since)]
    for first in range(0, len(sensors), 200):
        part = sensors[first : first + 200]

        async def batch(part: list[UUID] = part) -> int:
            await migration.connection.execute(sql["take_last_readings"], part)
            return len(part)

        await migration.run_batch(batch)
    await migration.connection.execute(f"UPDATE {OWN}.control SET last_reading = $1", until)

    async def tidy() -> int:
        await migration.connection.execute(sql["forget_orphans"])
        await migration.connection.execute(sql["supersede_observed_actuations"])
        return 0

    await migration.run_batch(tidy)
    await _walk(migration, "catch_up", "next_displays", "display_devices", sql["shown_by_v2"])


async def give_to_baylight(migration: MigrationRun) -> None:
    async def flip(connection: Connection) -> None:
        await connection.execute(queries("v2.migration")["supersede_observed_actuations"])
        await _owner(connection, "baylight")

    await migration.run_locked("switch", [], "", flip)


async def redecide(migration: MigrationRun) -> None:
    """Every space is decided once by Baylight's rules: by its loop of time, when it runs."""
    await _walk(migration, "redecide", "next_spaces", "spaces", queries("v2.migration")["redecide"])


async def give_back_to_v2(migration: MigrationRun) -> None:
    """V2's `state` has followed all the time; where it has no word for Baylight's state, its last one counts."""
    sql = queries("v2.migration")

    async def flip(connection: Connection) -> None:
        await connection.execute(sql["supersede_observed_actuations"])
        await connection.execute(f"DELETE FROM {OWN}.observed_decisions")
        await _owner(connection, "v2")
        await connection.execute(f"DELETE FROM {OWN}.steps WHERE stage = 'switch'")

    await migration.run_locked("switch", [], "", flip, done=False)
    await follow_v2(migration)


async def follow_v2(migration: MigrationRun) -> None:
    sql = queries("v2.migration")
    for _ in range(1000):
        ids = [row["id"] for row in await migration.connection.fetch(sql["spaces_not_following"], 500)]
        if not ids:
            return

        async def batch(ids: list[UUID] = ids) -> int:
            await migration.connection.execute("SELECT set_config('baylight.v2_sync', 'on', true)")
            await migration.connection.execute(sql["follow_v2"], ids)
            return len(ids)

        await migration.run_batch(batch)


async def _owner(connection: Connection, owner: str) -> None:
    await connection.execute(
        f"UPDATE {OWN}.control SET owner = $1, owner_since = clock_timestamp()",
        owner,
    )


async def _walk(migration: MigrationRun, step: str, query: str, table: str, statement: str) -> None:
    sql = queries("v2.migration")
    total = await migration.connection.fetchval(
        "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = $1::text::regclass", f"{NEXT}.{table}"
    )
    bar = Bar(migration, step, total)
    bar.start()
    place = await place_of(migration.connection, step) or _FIRST
    while ids := [r["id"] for r in await migration.connection.fetch(sql[query], UUID(place), migration.pace.size)]:
        place = str(ids[-1])
        await migration.run_batch(_batch(migration, step, statement, ids, place))
        bar.move(bar.done + len(ids))
    await mark_done(migration.connection, step)
    bar.end()


def _batch(
    migration: MigrationRun, step: str, statement: str, ids: list[UUID], place: str
) -> Callable[[], Awaitable[int]]:
    async def run() -> int:
        # Nothing here is a decision, nor anything that V2 has a column for.
        await migration.connection.execute("SELECT set_config('baylight.v2_sync', 'on', true)")
        await migration.connection.execute(statement, ids)
        await mark_place(migration.connection, step, place, len(ids))
        return len(ids)

    return run


@dataclass(frozen=True, slots=True)
class Disagreement:
    """`v2_since` and `decided_at`: since when either side has thought so."""

    id: UUID
    code: str
    v2_state: str
    v2_since: datetime
    state: str
    reason: str | None
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class ObserveReport:
    """`summary`: (V2's state, Baylight's, its reason, in how many spaces)."""

    summary: list[tuple[str, str, str | None, int]]
    spaces: list[Disagreement]


async def observe_report(connection: Connection, *, grace_s: float = 60.0, most: int = 50) -> ObserveReport:
    """Where a Baylight that ran beside V2 would have decided otherwise, for longer than `grace_s`.

    Raises InputError `not_beside`.
    """
    await require_both_schemas(connection)
    sql = queries("v2.migration")
    summary = await connection.fetch(sql["observe_summary"], grace_s)
    rows = await connection.fetch(sql["observe_report"], grace_s, most)
    return ObserveReport([tuple(row) for row in summary], [Disagreement(**row) for row in rows])
