"""Backfill of V2's rows in batches that do not disturb V2. Each batch and its place are one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID

import asyncpg

from baylight.store.query import Query, Statement
from baylight.v2.migration_run import NOTE_PLACE, Bar, MigrationRun, mark_started, place_of

_DATA_ERRORS = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    asyncpg.RaiseError,
    asyncpg.exceptions.ProgramLimitExceededError,
)
OTHER_HALF = "spaces, other half"
"""Name under which the place of the second walk over the spaces is noted, as if the walk were a step."""
_FETCH_LIMIT = 20_000
_MAX_ONE_BY_ONE = 20

Id = TypeVar("Id", UUID, str)

FORGET_CONTESTED = Statement("v2.backfill.forget_contested")
CONTESTED_SENSORS = Statement("v2.backfill.contested_sensors")
CONTESTED_ROLES = Statement("v2.backfill.contested_roles")
CONTESTED_DISPLAYS = Statement("v2.backfill.contested_displays")
CARRY_LOSERS = Query("v2.backfill.carry_losers", int)
CARRY_PAGES = Query("v2.backfill.carry_pages", int)
SPACES_OF_PAGES = Query("v2.backfill.spaces_of_pages", list[UUID])
CARRY_SPACES = Query("v2.backfill.carry_spaces", int)
FOLLOW_EACH = Query("v2.backfill.follow_each", int)
SPACES_LEFT = Query("v2.backfill.spaces_left", UUID)
CARRY_RESERVATIONS = Query("v2.backfill.carry_reservations", int)
ACTIVE_RESERVATIONS_LEFT = Query("v2.backfill.active_reservations_left", UUID)
RESERVATIONS_LEFT = Query("v2.backfill.reservations_left", UUID)
NEXT_STATE_CHANGES = Query("v2.backfill.next_state_changes", int)
CARRY_STATE_CHANGES = Query("v2.backfill.carry_state_changes", int)
STATE_CHANGES_BETWEEN = Query("v2.backfill.state_changes_between", str)
STATE_CHANGES_LEFT = Query("v2.backfill.state_changes_left", str)
API_KEYS_LEFT = Query("v2.backfill.api_keys_left", UUID)
ESTIMATE_SPACES = Query("v2.backfill.estimate_spaces", int)
ESTIMATE_RESERVATIONS = Query("v2.backfill.estimate_reservations", int)
ESTIMATE_STATE_CHANGES = Query("v2.backfill.estimate_state_changes", int)
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
        await CARRY_LOSERS.first(connection)


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
        carried = await _carry_spaces(migration, ids or [], step)
        await NOTE_PLACE.run(migration.connection, step=step, place=place, rows=0)
        return carried


async def _carry_spaces(migration: MigrationRun, ids: Sequence[UUID], step: str = "spaces") -> int:
    async def carry(part: Sequence[UUID]) -> int:
        return await migration.carry(CARRY_SPACES, step=step, ids=part)

    return await _carry_or_split(migration, "spaces", ids, carry)


async def _carry_or_split(
    migration: MigrationRun, table: str, ids: Sequence[Id], carry: Callable[[Sequence[Id]], Awaitable[int]]
) -> int:
    """Carry rows at once. If the new schema refuses one of them, try parts, at last row by row with a quarantine.

    Parts are small, since V2 waits for the end of the transaction that holds the row which it wants to write.
    """
    try:
        return await carry(ids)
    except _DATA_ERRORS:
        if len(ids) > _MAX_ONE_BY_ONE:
            half = len(ids) // 2
            carried = await _carry_or_split(migration, table, ids[:half], carry)
            return carried + await _carry_or_split(migration, table, ids[half:], carry)
        return await migration.carry(FOLLOW_EACH, step=table, table=table, ids=[str(id_) for id_ in ids])


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

    async def carry(part: Sequence[UUID]) -> int:
        return await migration.carry(CARRY_RESERVATIONS, step="reservations", ids=part)

    for query in (ACTIVE_RESERVATIONS_LEFT, RESERVATIONS_LEFT):
        waiting: list[UUID] = []
        while True:
            waiting = waiting or await query.all(migration.connection, limit=_FETCH_LIMIT)
            if not waiting:
                break
            ids, waiting = waiting[: migration.pace.size], waiting[migration.pace.size :]
            count = await _carry_or_split(migration, "reservations", ids, carry)
            bar.move(bar.done + count)
            if not count:
                migration.pace.failed()
                await migration.pace.after(0.05)
    await migration.check_quarantine()
    await ANALYZE_RESERVATIONS.run(migration.connection)
    bar.end()


async def carry_state_changes(migration: MigrationRun) -> None:
    """Carry the history by id, as many rows at once as there are, however far apart their ids lie.

    The trigger carries what V2 adds meanwhile.
    """
    connection = migration.connection
    bar = Bar(migration, "state_changes", await ESTIMATE_STATE_CHANGES.one(connection))
    bar.start()
    at = int(await place_of(connection, "state_changes") or 0)
    while until := await NEXT_STATE_CHANGES.one(connection, after=at, limit=migration.pace.size):
        bar.move(bar.done + await _carry_state_changes(migration, at + 1, until))
        at = until
    # V2 gives ids before it commits. So a row with a lower id may have come later, when its space was not carried yet.
    while ids := await STATE_CHANGES_LEFT.all(connection, limit=migration.pace.size):
        await migration.carry(FOLLOW_EACH, step="state_changes", table="state_changes", ids=ids)
    await migration.check_quarantine()
    await ANALYZE_STATE_CHANGES.run(connection)
    bar.end()


async def _carry_state_changes(migration: MigrationRun, first: int, last: int) -> int:
    async def carry(ids: Sequence[str]) -> int:
        bounds = {"first": int(ids[0]), "last": int(ids[-1])}
        return await migration.carry(CARRY_STATE_CHANGES, step="state_changes", place=ids[-1], **bounds)

    try:
        return await migration.carry(CARRY_STATE_CHANGES, step="state_changes", place=str(last), first=first, last=last)
    except _DATA_ERRORS:
        ids = await STATE_CHANGES_BETWEEN.all(migration.connection, first=first, last=last)
        return await _carry_or_split(migration, "state_changes", ids, carry)


async def carry_api_keys(migration: MigrationRun) -> None:
    """Carry the keys one by one: there are not many."""
    while ids := await API_KEYS_LEFT.all(migration.connection):
        if not await migration.carry(FOLLOW_EACH, step="api_keys", table="api_keys", ids=[str(id_) for id_ in ids]):
            migration.pace.failed()
            await migration.pace.after(0.05)
