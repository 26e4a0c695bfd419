"""Backfill of V2's rows in batches that do not disturb V2. Each batch and its place are one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import asyncpg

from baylight.store.query import Query, Statement
from baylight.v2.migration_run import WRITE_AS_COPY, WRITE_IN_BULK, Bar, MigrationRun, mark_started, place_of

_DATA_ERRORS = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    asyncpg.RaiseError,
    asyncpg.exceptions.ProgramLimitExceededError,
)
OTHER_HALF = "spaces, other half"
"""Name under which the place of the second walk over the spaces is noted, as if the walk were a step."""
_FETCH_LIMIT = 20_000

FORGET_CONTESTED = Statement("v2.backfill.forget_contested")
CONTESTED_SENSORS = Statement("v2.backfill.contested_sensors")
CONTESTED_ROLES = Statement("v2.backfill.contested_roles")
CONTESTED_DISPLAYS = Statement("v2.backfill.contested_displays")
CARRY_PAGES = Query("v2.backfill.carry_pages", int)
SPACES_OF_PAGES = Query("v2.backfill.spaces_of_pages", list[UUID])
CARRY_SPACES = Query("v2.backfill.carry_spaces", int)
CARRY_SPACES_ONE_BY_ONE = Query("v2.backfill.carry_spaces_one_by_one", int)
SPACES_LEFT = Query("v2.backfill.spaces_left", UUID)
CARRY_RESERVATIONS = Query("v2.backfill.carry_reservations", int)
ACTIVE_RESERVATIONS_LEFT = Query("v2.backfill.active_reservations_left", UUID)
RESERVATIONS_LEFT = Query("v2.backfill.reservations_left", UUID)
LAST_STATE_CHANGE = Query("v2.backfill.last_state_change", int)
CARRY_STATE_CHANGES = Query("v2.backfill.carry_state_changes", int)
STATE_CHANGES_LEFT = Statement("v2.backfill.state_changes_left")
API_KEYS = Query("v2.backfill.api_keys", UUID)
HOLD_API_KEYS = Statement("v2.backfill.hold_api_keys")
CARRY_API_KEYS = Query("v2.backfill.carry_api_keys", int)
ESTIMATE_SPACES = Query("v2.backfill.estimate_spaces", int)
ESTIMATE_RESERVATIONS = Query("v2.backfill.estimate_reservations", int)
PAGES_OF_SPACES = Query("v2.backfill.pages_of_spaces", int)
SPACES_CARRIED = Query("v2.backfill.spaces_carried", int)
ANALYZE_SPACES = Statement("v2.backfill.analyze_spaces")
ANALYZE_RESERVATIONS = Statement("v2.backfill.analyze_reservations")
ANALYZE_STATE_CHANGES = Statement("v2.backfill.analyze_state_changes")


async def find_contested(migration: MigrationRun) -> None:
    """Note which space gets a device that several ask for, by the operator's choices."""
    connection, choices = migration.connection, migration.choices
    async with connection.transaction():
        await FORGET_CONTESTED.run(connection)
        await CONTESTED_SENSORS.run(connection, rule=choices.of("contested_sensor"))
        await CONTESTED_ROLES.run(connection, rule=choices.of("both_roles"))
        await CONTESTED_DISPLAYS.run(connection, rule=choices.of("shared_display"))


async def carry_spaces(migration: MigrationRun) -> None:
    """Carry the spaces page by page, in two walks at once.

    Then carry the rows that V2 was writing, until none is left.
    """
    pages = await PAGES_OF_SPACES.one(migration.connection)
    bar = Bar(migration, "spaces", await ESTIMATE_SPACES.one(migration.connection))
    bar.start(await SPACES_CARRIED.one(migration.connection))
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
    await ANALYZE_SPACES.run(migration.connection)
    bar.end()


@dataclass(slots=True)
class _Walk:
    """Walk over the pages from `page` to `end`, by a connection of its own."""

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
                await ANALYZE_SPACES.run(self.migration.connection)
            if self.page // 200 != until // 200:
                await self.migration.check_quarantine()
            self.page = until


async def _carry_pages(migration: MigrationRun, step: str, page: int, until: int) -> int:
    first, after, place = f"({page},0)", f"({until},0)", str(until)
    try:
        return await migration.carry(CARRY_PAGES, step=step, place=place, first=first, after=after)
    except _DATA_ERRORS:
        ids = await SPACES_OF_PAGES.first(migration.connection, first=first, after=after)
        return await migration.carry(CARRY_SPACES_ONE_BY_ONE, step=step, place=place, ids=ids)


async def _carry_spaces(migration: MigrationRun, ids: Sequence[UUID]) -> int:
    place = await place_of(migration.connection, "spaces") or "0"
    try:
        return await migration.carry(CARRY_SPACES, step="spaces", place=place, ids=ids)
    except _DATA_ERRORS:
        return await migration.carry(CARRY_SPACES_ONE_BY_ONE, step="spaces", place=place, ids=ids)


async def _sweep(migration: MigrationRun) -> None:
    """Carry the rows that the walks missed, because V2 locked or moved them at that moment."""
    while ids := await SPACES_LEFT.all(migration.connection, limit=_FETCH_LIMIT):
        for first in range(0, len(ids), migration.pace.size):
            part = ids[first : first + migration.pace.size]
            if not await _carry_spaces(migration, part):
                migration.pace.failed()  # other sessions hold these rows, so slow down
                await migration.pace.after(0.05)


async def carry_reservations(migration: MigrationRun) -> None:
    """Carry active reservations first, in the order of their creation. Of two that overlap, the earlier one stays."""
    bar = Bar(migration, "reservations", await ESTIMATE_RESERVATIONS.one(migration.connection))
    bar.start()
    for query in (ACTIVE_RESERVATIONS_LEFT, RESERVATIONS_LEFT):
        waiting: list[UUID] = []
        while True:
            waiting = waiting or await query.all(migration.connection, limit=_FETCH_LIMIT)
            if not waiting:
                break
            ids, waiting = waiting[: migration.pace.size], waiting[migration.pace.size :]
            count = await migration.carry(CARRY_RESERVATIONS, step="reservations", ids=ids)
            bar.move(bar.done + count)
            if not count:
                migration.pace.failed()
                await migration.pace.after(0.05)
    await migration.check_quarantine()
    await ANALYZE_RESERVATIONS.run(migration.connection)
    bar.end()


async def carry_state_changes(migration: MigrationRun) -> None:
    """Carry the history by id. The trigger carries what V2 adds meanwhile."""
    last = await LAST_STATE_CHANGE.one(migration.connection)
    at = int(await place_of(migration.connection, "state_changes") or 0)
    bar = Bar(migration, "state_changes", last)
    bar.start(at)
    while at < last:
        until = min(at + migration.pace.size, last)
        await migration.carry(CARRY_STATE_CHANGES, step="state_changes", place=str(until), first=at + 1, last=until)
        at = until
        bar.move(at)
    # V2 gives ids before it commits. So a row with a lower id may have come later, when its space was not carried yet.
    async with migration.connection.transaction():
        await WRITE_AS_COPY.run(migration.connection)
        await WRITE_IN_BULK.run(migration.connection)
        await STATE_CHANGES_LEFT.run(migration.connection)
    await ANALYZE_STATE_CHANGES.run(migration.connection)
    bar.end()


async def carry_api_keys(migration: MigrationRun) -> None:
    """Carry all keys in one batch: there are not many."""
    connection = migration.connection
    ids = await API_KEYS.all(connection)

    async def batch() -> int:
        await HOLD_API_KEYS.run(connection, ids=ids)
        return await CARRY_API_KEYS.one(connection, step="api_keys", ids=ids)

    await migration.run_batch(batch)
