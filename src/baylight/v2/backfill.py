"""Brings V2's rows over, in batches that nobody notices. Each batch and its place are one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import asyncpg

from baylight.store.query import queries
from baylight.v2.schema import LEGACY_TABLES, NEXT, OWN
from baylight.v2.tool import Bar, Tool, mark_done, mark_place, mark_started, place_of

_DATA = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    asyncpg.RaiseError,
    asyncpg.exceptions.ProgramLimitExceededError,
)
OTHER_HALF = "spaces, other half"
"""Where the place of the second walk over the spaces is noted: as a step, which it is not."""
_FETCH = 20_000
_STATISTICS = f"ANALYZE (SKIP_LOCKED) {NEXT}.spaces, {NEXT}.sensor_devices, {NEXT}.display_devices, {NEXT}.locations"


async def find_contested(tool: Tool) -> None:
    """Who gets a device that several ask for, by the operator's choices."""
    sql = queries("v2.migration")
    async with tool.connection.transaction():
        await tool.connection.execute(f"DELETE FROM {OWN}.contested")
        await tool.connection.execute(sql["contested_sensors"], tool.choices.of("contested_sensor"))
        await tool.connection.execute(sql["contested_roles"], tool.choices.of("both_roles"))
        await tool.connection.execute(sql["contested_displays"], tool.choices.of("shared_display"))
        await mark_done(tool.connection, "contested")


async def carry_spaces(tool: Tool) -> None:
    """Page by page, two walks at once; then what was being written at that moment, until nothing is left."""
    pages = await tool.connection.fetchval("SELECT pg_relation_size('public.spaces') / 8192")
    bar = Bar(tool, "spaces", await _estimate(tool, "spaces"))
    bar.start(await tool.connection.fetchval(f"SELECT sum(rows)::bigint FROM {OWN}.steps WHERE name ~ '^spaces'"))
    per_page = max(bar.total / max(pages, 1), 1.0)
    walks = [
        _Walk(tool, "spaces", 0, pages // 2),
        _Walk(replace(tool, connection=tool.second), OTHER_HALF, pages // 2, pages),
    ]
    await mark_started(tool.connection, OTHER_HALF, "backfill")
    tasks = [asyncio.create_task(walk.run(bar, per_page)) for walk in walks]
    try:
        await asyncio.gather(*tasks)  # not a TaskGroup: callers look for the error itself, not for a group of them
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await tool.check_quarantine()
    await _sweep(tool)
    await tool.connection.execute(_STATISTICS)
    await mark_done(tool.connection, OTHER_HALF)
    await mark_done(tool.connection, "spaces")
    bar.end()


@dataclass(slots=True)
class _Walk:
    """Over the pages from `page` to `end`, by a connection of its own."""

    tool: Tool
    step: str
    page: int
    end: int

    async def run(self, bar: Bar, per_page: float) -> None:
        self.page = int(await place_of(self.tool.connection, self.step) or self.page)
        analyzed = max(bar.done, 100)
        while self.page < self.end:
            until = min(self.page + max(int(self.tool.pace.size / per_page), 1), self.end)
            bar.move(bar.done + await _carry_pages(self.tool, self.step, self.page, until))
            if bar.done >= analyzed * 3 and self.step == "spaces":
                analyzed = bar.done
                await self.tool.connection.execute(_STATISTICS)  # plans made for small tables are made anew
            if self.page // 200 != until // 200:
                await self.tool.check_quarantine()
            self.page = until


async def _carry_pages(tool: Tool, step: str, page: int, until: int) -> int:
    pages = queries("v2.migration")["spaces_of_pages"].replace("$1", "$3").replace("$2", "$4")
    expression = f"{OWN}.carry_new_spaces(({pages}))"
    try:
        return await tool.call(step, str(until), expression, f"({page},0)", f"({until},0)")
    except _DATA:
        ids = await tool.connection.fetchval(queries("v2.migration")["spaces_of_pages"], f"({page},0)", f"({until},0)")
        return await tool.call(step, str(until), f"{OWN}.carry_one_by_one($3)", ids)


async def _carry_spaces(tool: Tool, ids: Sequence[UUID]) -> int:
    place = await place_of(tool.connection, "spaces") or "0"
    try:
        return await tool.call("spaces", place, f"{OWN}.carry_new_spaces($3)", ids)
    except _DATA:
        return await tool.call("spaces", place, f"{OWN}.carry_one_by_one($3)", ids)


async def _sweep(tool: Tool) -> None:
    """What the walk has missed: rows that were locked or moved at that moment."""
    while ids := [row["id"] for row in await tool.connection.fetch(queries("v2.migration")["spaces_left"], _FETCH)]:
        for first in range(0, len(ids), tool.pace.size):
            part = ids[first : first + tool.pace.size]
            if not await _carry_spaces(tool, part):
                tool.pace.failed()  # somebody holds them: less haste
                await tool.pace.after(0.05)


async def carry_reservations(tool: Tool) -> None:
    """Active ones first, the earliest made first: of two that overlap, that one stays."""
    bar = Bar(tool, "reservations", await _estimate(tool, "reservations"))
    bar.start()
    for query in ("active_reservations_left", "reservations_left"):
        waiting: list[UUID] = []
        while True:
            waiting = waiting or [r["id"] for r in await tool.connection.fetch(queries("v2.migration")[query], _FETCH)]
            if not waiting:
                break
            ids, waiting = waiting[: tool.pace.size], waiting[tool.pace.size :]

            count = await tool.call("reservations", "", f"{OWN}.carry_new_reservations($3)", ids)
            bar.move(bar.done + count)
            if not count:
                tool.pace.failed()
                await tool.pace.after(0.05)
    await tool.check_quarantine()
    await tool.connection.execute(f"ANALYZE (SKIP_LOCKED) {NEXT}.reservations")
    await mark_done(tool.connection, "reservations")
    bar.end()


async def carry_state_changes(tool: Tool) -> None:
    """By id. What V2 adds meanwhile comes by the trigger."""
    last = await tool.connection.fetchval(
        "SELECT coalesce(max(id), 0) FROM public.state_changes WHERE id < $1", 1 << 62
    )
    at = int(await place_of(tool.connection, "state_changes") or 0)
    bar = Bar(tool, "state_changes", last)
    bar.start(at)
    while at < last:
        until = min(at + tool.pace.size, last)

        await tool.call("state_changes", str(until), f"{OWN}.carry_state_changes($3, $4)", at + 1, until)
        at = until
        bar.move(at)
    # Ids are given before commit: a lower one may have come later, when its space was not there yet.
    async with tool.connection.transaction():
        await tool.connection.execute(
            "SELECT set_config('baylight.v2_sync', 'on', true), set_config('baylight.v2_bulk', 'on', true)"
        )
        await tool.connection.execute(queries("v2.migration")["state_changes_left"])
    await tool.connection.execute(f"ANALYZE (SKIP_LOCKED) {NEXT}.state_changes")
    await mark_done(tool.connection, "state_changes")
    bar.end()


async def carry_api_keys(tool: Tool) -> None:
    ids = [r["id"] for r in await tool.connection.fetch("SELECT id FROM public.api_keys")]

    async def batch() -> int:
        await tool.connection.execute("SELECT FROM public.api_keys WHERE id = ANY($1) FOR SHARE", ids)
        count = int(await tool.connection.fetchval(f"SELECT {OWN}.carry_api_keys($1)", ids))
        await mark_place(tool.connection, "api_keys", "", count)
        await mark_done(tool.connection, "api_keys")
        return count

    await tool.batch(batch)


async def _estimate(tool: Tool, table: str) -> int:
    assert table in LEGACY_TABLES
    rows = await tool.connection.fetchval(
        "SELECT reltuples::bigint FROM pg_class WHERE oid = $1::text::regclass", f"public.{table}"
    )
    if rows <= 0:
        rows = await tool.connection.fetchval(f"SELECT count(*) FROM public.{table}")
    return int(rows)
