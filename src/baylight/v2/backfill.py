"""Brings V2's rows over, in batches that nobody notices. Each batch and its place are one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import asyncpg

from baylight.store.query import queries
from baylight.v2.migration_run import Bar, MigrationRun, mark_done, mark_place, mark_started, place_of
from baylight.v2.schema import LEGACY_TABLES, NEXT, OWN

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


async def find_contested(migration: MigrationRun) -> None:
    """Who gets a device that several ask for, by the operator's choices."""
    sql = queries("v2.migration")
    async with migration.connection.transaction():
        await migration.connection.execute(f"DELETE FROM {OWN}.contested")
        await migration.connection.execute(sql["contested_sensors"], migration.choices.of("contested_sensor"))
        await migration.connection.execute(sql["contested_roles"], migration.choices.of("both_roles"))
        await migration.connection.execute(sql["contested_displays"], migration.choices.of("shared_display"))
        await mark_done(migration.connection, "contested")


async def carry_spaces(migration: MigrationRun) -> None:
    """Page by page, two walks at once; then what was being written at that moment, until nothing is left."""
    pages = await migration.connection.fetchval("SELECT pg_relation_size('public.spaces') / 8192")
    bar = Bar(migration, "spaces", await _estimate(migration, "spaces"))
    bar.start(await migration.connection.fetchval(f"SELECT sum(rows)::bigint FROM {OWN}.steps WHERE name ~ '^spaces'"))
    per_page = max(bar.total / max(pages, 1), 1.0)
    walks = [
        _Walk(migration, "spaces", 0, pages // 2),
        _Walk(replace(migration, connection=migration.second), OTHER_HALF, pages // 2, pages),
    ]
    await mark_started(migration.connection, OTHER_HALF, "backfill")
    tasks = [asyncio.create_task(walk.run(bar, per_page)) for walk in walks]
    try:
        await asyncio.gather(*tasks)  # not a TaskGroup: callers look for the error itself, not for a group of them
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await migration.check_quarantine()
    await _sweep(migration)
    await migration.connection.execute(_STATISTICS)
    await mark_done(migration.connection, OTHER_HALF)
    await mark_done(migration.connection, "spaces")
    bar.end()


@dataclass(slots=True)
class _Walk:
    """Over the pages from `page` to `end`, by a connection of its own."""

    migration: MigrationRun
    step: str
    page: int
    end: int

    async def run(self, bar: Bar, per_page: float) -> None:
        self.page = int(await place_of(self.migration.connection, self.step) or self.page)
        analyzed = max(bar.done, 100)
        while self.page < self.end:
            until = min(self.page + max(int(self.migration.pace.size / per_page), 1), self.end)
            bar.move(bar.done + await _carry_pages(self.migration, self.step, self.page, until))
            if bar.done >= analyzed * 3 and self.step == "spaces":
                analyzed = bar.done
                await self.migration.connection.execute(_STATISTICS)  # plans made for small tables are made anew
            if self.page // 200 != until // 200:
                await self.migration.check_quarantine()
            self.page = until


async def _carry_pages(migration: MigrationRun, step: str, page: int, until: int) -> int:
    pages = queries("v2.migration")["spaces_of_pages"].replace("$1", "$3").replace("$2", "$4")
    expression = f"{OWN}.carry_new_spaces(({pages}))"
    try:
        return await migration.carry(step, str(until), expression, f"({page},0)", f"({until},0)")
    except _DATA:
        ids = await migration.connection.fetchval(
            queries("v2.migration")["spaces_of_pages"], f"({page},0)", f"({until},0)"
        )
        return await migration.carry(step, str(until), f"{OWN}.carry_one_by_one($3)", ids)


async def _carry_spaces(migration: MigrationRun, ids: Sequence[UUID]) -> int:
    place = await place_of(migration.connection, "spaces") or "0"
    try:
        return await migration.carry("spaces", place, f"{OWN}.carry_new_spaces($3)", ids)
    except _DATA:
        return await migration.carry("spaces", place, f"{OWN}.carry_one_by_one($3)", ids)


async def _sweep(migration: MigrationRun) -> None:
    """What the walk has missed: rows that were locked or moved at that moment."""
    while ids := [
        row["id"] for row in await migration.connection.fetch(queries("v2.migration")["spaces_left"], _FETCH)
    ]:
        for first in range(0, len(ids), migration.pace.size):
            part = ids[first : first + migration.pace.size]
            if not await _carry_spaces(migration, part):
                migration.pace.failed()  # somebody holds them: less haste
                await migration.pace.after(0.05)


async def carry_reservations(migration: MigrationRun) -> None:
    """Active ones first, the earliest made first: of two that overlap, that one stays."""
    bar = Bar(migration, "reservations", await _estimate(migration, "reservations"))
    bar.start()
    for query in ("active_reservations_left", "reservations_left"):
        waiting: list[UUID] = []
        while True:
            waiting = waiting or [
                r["id"] for r in await migration.connection.fetch(queries("v2.migration")[query], _FETCH)
            ]
            if not waiting:
                break
            ids, waiting = waiting[: migration.pace.size], waiting[migration.pace.size :]

            count = await migration.carry("reservations", "", f"{OWN}.carry_new_reservations($3)", ids)
            bar.move(bar.done + count)
            if not count:
                migration.pace.failed()
                await migration.pace.after(0.05)
    await migration.check_quarantine()
    await migration.connection.execute(f"ANALYZE (SKIP_LOCKED) {NEXT}.reservations")
    await mark_done(migration.connection, "reservations")
    bar.end()


async def carry_state_changes(migration: MigrationRun) -> None:
    """By id. What V2 adds meanwhile comes by the trigger."""
    last = await migration.connection.fetchval(
        "SELECT coalesce(max(id), 0) FROM public.state_changes WHERE id < $1", 1 << 62
    )
    at = int(await place_of(migration.connection, "state_changes") or 0)
    bar = Bar(migration, "state_changes", last)
    bar.start(at)
    while at < last:
        until = min(at + migration.pace.size, last)

        await migration.carry("state_changes", str(until), f"{OWN}.carry_state_changes($3, $4)", at + 1, until)
        at = until
        bar.move(at)
    # Ids are given before commit: a lower one may have come later, when its space was not there yet.
    async with migration.connection.transaction():
        await migration.connection.execute(
            "SELECT set_config('baylight.v2_sync', 'on', true), set_config('baylight.v2_bulk', 'on', true)"
        )
        await migration.connection.execute(queries("v2.migration")["state_changes_left"])
    await migration.connection.execute(f"ANALYZE (SKIP_LOCKED) {NEXT}.state_changes")
    await mark_done(migration.connection, "state_changes")
    bar.end()


async def carry_api_keys(migration: MigrationRun) -> None:
    ids = [r["id"] for r in await migration.connection.fetch("SELECT id FROM public.api_keys")]

    async def batch() -> int:
        await migration.connection.execute("SELECT FROM public.api_keys WHERE id = ANY($1) FOR SHARE", ids)
        count = int(await migration.connection.fetchval(f"SELECT {OWN}.carry_api_keys($1)", ids))
        await mark_place(migration.connection, "api_keys", "", count)
        await mark_done(migration.connection, "api_keys")
        return count

    await migration.run_batch(batch)


async def _estimate(migration: MigrationRun, table: str) -> int:
    assert table in LEGACY_TABLES
    rows = await migration.connection.fetchval(
        "SELECT reltuples::bigint FROM pg_class WHERE oid = $1::text::regclass", f"public.{table}"
    )
    if rows <= 0:
        rows = await migration.connection.fetchval(f"SELECT count(*) FROM public.{table}")
    return int(rows)
