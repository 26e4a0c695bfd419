"""Who decides: V2 until the switch, Baylight after it. The other side's copy follows in the same transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from baylight.store.pool import Connection
from baylight.store.query import queries
from baylight.v2.schema import NEXT, OWN, both_sides
from baylight.v2.tool import Bar, Tool, mark_done, mark_place, place_of

_FIRST = "00000000-0000-0000-0000-000000000000"


async def catch_up(tool: Tool) -> None:
    """What V2 heard since the backfill, and what its displays show."""
    sql = queries("v2.migration")
    since = await tool.connection.fetchval(f"SELECT last_reading FROM {OWN}.control")
    until = await tool.connection.fetchval("SELECT coalesce(max(id), 0) FROM public.sensor_readings")
    sensors = [row["id"] for row in await tool.connection.fetch(sql["sensors_read_since"], since)]
    for first in range(0, len(sensors), 200):
        part = sensors[first : first + 200]

        async def batch(part: list[UUID] = part) -> int:
            await tool.connection.execute(sql["take_last_readings"], part)
            return len(part)

        await tool.batch(batch)
    await tool.connection.execute(f"UPDATE {OWN}.control SET last_reading = $1", until)

    async def tidy() -> int:
        await tool.connection.execute(sql["forget_orphans"])
        await tool.connection.execute(sql["supersede_shadow_actuations"])
        return 0

    await tool.batch(tidy)
    await _walk(tool, "catch_up", "next_displays", "display_devices", sql["shown_by_v2"])


async def give_to_baylight(tool: Tool) -> None:
    async def flip(connection: Connection) -> None:
        await connection.execute(queries("v2.migration")["supersede_shadow_actuations"])
        await _owner(connection, "baylight")

    await tool.locked("switch", [], "", flip)


async def decide_anew(tool: Tool) -> None:
    """Every space is decided once by Baylight's rules: by its loop of time, when it runs."""
    await _walk(tool, "decide_anew", "next_spaces", "spaces", queries("v2.migration")["decide_anew"])


async def give_back_to_v2(tool: Tool) -> None:
    """V2's `state` has followed all the time; where it has no word for Baylight's state, its last one counts."""
    sql = queries("v2.migration")

    async def flip(connection: Connection) -> None:
        await connection.execute(sql["supersede_shadow_actuations"])
        await connection.execute(f"DELETE FROM {OWN}.shadow_decisions")
        await _owner(connection, "v2")
        await connection.execute(f"DELETE FROM {OWN}.steps WHERE stage = 'switch'")

    await tool.locked("switch", [], "", flip, done=False)
    await follow_v2(tool)


async def follow_v2(tool: Tool) -> None:
    sql = queries("v2.migration")
    for _ in range(1000):
        ids = [row["id"] for row in await tool.connection.fetch(sql["spaces_not_following"], 500)]
        if not ids:
            return

        async def batch(ids: list[UUID] = ids) -> int:
            await tool.connection.execute("SELECT set_config('baylight.v2_sync', 'on', true)")
            await tool.connection.execute(sql["follow_v2"], ids)
            return len(ids)

        await tool.batch(batch)


async def _owner(connection: Connection, owner: str) -> None:
    await connection.execute(
        f"UPDATE {OWN}.control SET owner = $1, owner_since = clock_timestamp()",
        owner,
    )


async def _walk(tool: Tool, step: str, query: str, table: str, statement: str) -> None:
    sql = queries("v2.migration")
    total = await tool.connection.fetchval(
        "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = $1::text::regclass", f"{NEXT}.{table}"
    )
    bar = Bar(tool, step, total)
    bar.start()
    place = await place_of(tool.connection, step) or _FIRST
    while ids := [r["id"] for r in await tool.connection.fetch(sql[query], UUID(place), tool.pace.size)]:
        place = str(ids[-1])
        await tool.batch(_batch(tool, step, statement, ids, place))
        bar.move(bar.done + len(ids))
    await mark_done(tool.connection, step)
    bar.end()


def _batch(tool: Tool, step: str, statement: str, ids: list[UUID], place: str) -> Callable[[], Awaitable[int]]:
    async def run() -> int:
        # Nothing here is a decision, nor anything that V2 has a column for.
        await tool.connection.execute("SELECT set_config('baylight.v2_sync', 'on', true)")
        await tool.connection.execute(statement, ids)
        await mark_place(tool.connection, step, place, len(ids))
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
class ShadowReport:
    """`summary`: (V2's state, Baylight's, its reason, in how many spaces)."""

    summary: list[tuple[str, str, str | None, int]]
    spaces: list[Disagreement]


async def shadow_report(connection: Connection, *, grace_s: float = 60.0, most: int = 50) -> ShadowReport:
    """Where a Baylight that ran beside V2 would have decided otherwise, for longer than `grace_s`.

    Raises InputError `not_beside`.
    """
    await both_sides(connection)
    sql = queries("v2.migration")
    summary = await connection.fetch(sql["shadow_summary"], grace_s)
    rows = await connection.fetch(sql["shadow_report"], grace_s, most)
    return ShadowReport([tuple(row) for row in summary], [Disagreement(**row) for row in rows])
