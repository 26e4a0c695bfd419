"""Bulk import and export: a file is staged, checked as a whole, and applied as a whole or not at all."""

from __future__ import annotations

import asyncio
from codecs import BOM_UTF8
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, NamedTuple
from uuid import UUID

from baylight.access.change import Change
from baylight.bulk import csv_file
from baylight.bulk.csv_file import RowError
from baylight.bulk.kinds import sheet_of
from baylight.bulk.sheets import Sheet
from baylight.bulk.steps import PAGE, PAGE_CHARS, TIMEOUT_S, Step
from baylight.domain.downlink import TriggerType
from baylight.store.pool import Connection
from baylight.store.query import Query

MAX_SHOWN_ERRORS = 100
"""Errors that a report contains one by one; the others are counted."""
DECIDED_TOGETHER = 500
"""Spaces that are decided in one batch: small, because uplinks of this process wait while it is computed."""
ANALYZE_ROWS = 1000
"""Number of changed rows from which on table statistics, and the plans that sessions keep, are stale."""
Progress = Callable[[str, int, int | None], None]
"""Function that shows progress: what is being done, how many are done, and of how many (None: unknown)."""
Rows = Iterable[tuple[int, dict[str, str]]]
"""Row number, and cells by column."""


class Counts(NamedTuple):
    """Number of rows, and how many of them add or change an object."""

    rows: int
    added: int
    changed: int


class CodeCount(NamedTuple):
    """Number of errors of one code."""

    code: str
    times: int


class Touched(NamedTuple):
    """A space to decide. `released`: the display that it loses, if that serves no space any more."""

    id: UUID
    released: UUID | None


BEGIN = Step("bulk.imports.begin")
MAKE_TABLES = Step("bulk.imports.make_tables")
COMPARE = Step("bulk.imports.compare")
ANALYZE = Step("bulk.imports.analyze")
ERRORS_BY_CODE = Query("bulk.imports.errors_by_code", CodeCount)
FIRST_ERRORS = Query("bulk.imports.first_errors", RowError)
COUNTS = Query("bulk.imports.counts", Counts)
LOCK_TOUCHED = Step("bulk.imports.lock_touched")
KEEP_SERVING = Step("bulk.imports.keep_serving")
COUNT_TOUCHED = Query("bulk.imports.count_touched", int)
TOUCHED = Query("bulk.imports.touched", Touched)
RECORD = Step("bulk.imports.record")


@dataclass(slots=True)
class Report:
    """Result of an import. With any of `errors` nothing was changed; `by_code` counts them, `first` has the first ones.

    `applied` False without errors: a dry run. `left_out`: how many devices of each profile of a device list were not
    imported. `notes`: what a person should know, though nothing is refused for it.
    """

    kind: str
    rows: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    errors: int = 0
    by_code: dict[str, int] = field(default_factory=dict)
    first: list[RowError] = field(default_factory=list)
    applied: bool = False
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, error: RowError) -> None:
        self.count(error.code, 1)
        if len(self.first) < MAX_SHOWN_ERRORS:
            self.first.append(error)

    def count(self, code: str, times: int) -> None:
        self.errors += times
        self.by_code[code] = self.by_code.get(code, 0) + times


async def export(connection: Connection, kind: str, *, bom: bool = False) -> AsyncIterator[bytes]:
    """Yield the parts of a CSV file, all of one moment. `bom`: begin with a byte order mark, for Excel.

    Raises NotFoundError `unknown_kind`.
    """
    sheet = sheet_of(kind)
    yield BOM_UTF8 * bom + csv_file.head(sheet)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        cursor = await connection.cursor(sheet.export.sql, timeout=TIMEOUT_S)
        while records := await cursor.fetch(PAGE, timeout=TIMEOUT_S):
            yield csv_file.rows(sheet, [tuple(record.values()) for record in records])


async def import_csv(
    change: Change, kind: str, source: IO[bytes], *, dry_run: bool = False, progress: Progress | None = None
) -> Report:
    """Import a CSV file of a kind; see `import_rows`. Raises InputError if it is no such file."""
    rows = csv_file.read(sheet_of(kind), source)
    return await import_rows(change, kind, rows, dry_run=dry_run, progress=progress)


async def import_rows(
    change: Change, kind: str, rows: Rows, *, dry_run: bool = False, progress: Progress | None = None
) -> Report:
    """Import all rows, or none if one has an error. Idempotent.

    One import runs at a time. `rows` are read step by step, so that memory does not grow with their number.
    """
    sheet = sheet_of(kind)
    report = Report(kind)
    show = progress or (lambda stage, done, of: None)
    async with change.transaction(reason="import"):
        await BEGIN.run(change.connection)
        await _stage(change.connection, sheet, rows, report, show)
        show("checking", 0, None)
        await _check(change.connection, sheet, report)
        if not report.errors and not dry_run and report.added + report.changed:
            show("writing", 0, None)
            await _write(change.connection, sheet, many=report.added + report.changed >= ANALYZE_ROWS)
            await _decide(change, show)
            await _record(change, sheet, report)
    report.applied = not report.errors and not dry_run
    return report


async def _stage(connection: Connection, sheet: Sheet, rows: Rows, report: Report, show: Progress) -> None:
    await MAKE_TABLES.run(connection)
    await sheet.stage.run(connection)
    names = ["line", "kept", *(column.name for column in sheet.columns)]
    given = iter(rows)
    while (page := await asyncio.to_thread(_page, sheet, given, report)) is not None:
        await connection.copy_records_to_table("bulk_rows", records=page, columns=names, timeout=TIMEOUT_S)
        show("reading", report.rows, None)
    await ANALYZE.run(connection)


def _page(sheet: Sheet, rows: Iterator[tuple[int, dict[str, str]]], report: Report) -> list[tuple[object, ...]] | None:
    """Return the records of the next rows, at most PAGE and about PAGE_CHARS; None after the last row.

    It runs beside the event loop, which serves webhooks meanwhile.
    """
    records: list[tuple[object, ...]] = []
    read = size = 0
    for row, cells in rows:
        (values, kept), errors = csv_file.parse(sheet, row, cells)
        for error in errors:
            report.add(error)
        if not errors:
            records.append((row, kept, *values))
        read += 1
        size += sum(map(len, cells.values()))
        if read == PAGE or size >= PAGE_CHARS:
            break
    report.rows += read
    return records if read else None


async def _check(connection: Connection, sheet: Sheet, report: Report) -> None:
    await sheet.refuse_repeated.run(connection, column=sheet.key[-1])
    await sheet.resolve.run(connection)
    if sheet.set_defaults:
        await sheet.set_defaults.run(connection)
    if sheet.prepare:
        await sheet.prepare(connection)
    await COMPARE.run(connection)
    await ANALYZE.run(connection)
    await sheet.check.run(connection)
    if sheet.inspect:
        await sheet.inspect(connection)
    if sheet.doubtful:
        report.notes = [f"row {d.row}: {d.cell} {d.reason}" for d in await sheet.doubtful.all(connection)]
    for found in await ERRORS_BY_CODE.all(connection):
        report.count(found.code, found.times)
    first = [*report.first, *await FIRST_ERRORS.all(connection, count=MAX_SHOWN_ERRORS)]
    report.first = sorted(first, key=lambda error: error.row)[:MAX_SHOWN_ERRORS]
    counts = await COUNTS.one(connection)
    report.added, report.changed = counts.added, counts.changed
    report.unchanged = counts.rows - counts.added - counts.changed


async def _write(connection: Connection, sheet: Sheet, *, many: bool) -> None:
    if sheet.lock:
        await sheet.lock.run(connection)
    if not sheet.touch_new:
        await sheet.touch.run(connection)
    if sheet.note_displays:
        await sheet.note_displays.run(connection)
    await LOCK_TOUCHED.run(connection)
    await sheet.apply.run(connection)
    if sheet.touch_new:
        await sheet.touch.run(connection)
    await KEEP_SERVING.run(connection)
    if many:
        await sheet.written.run(connection)


async def _decide(change: Change, show: Progress) -> None:
    total = await COUNT_TOUCHED.one(change.connection)
    done, after = 0, UUID(int=0)
    while page := await TOUCHED.all(change.connection, after=after, count=DECIDED_TOGETHER):
        released = [row.released for row in page if row.released]
        await change.redecide([row.id for row in page], TriggerType.ASSIGNMENT, released=released)
        done, after = done + len(page), page[-1].id
        show("deciding", done, total)


async def _record(change: Change, sheet: Sheet, report: Report) -> None:
    await RECORD.run(
        change.connection,
        actor=change.actor,
        object_type=sheet.object_type,
        named_by=sheet.named_by,
        added=sheet.added,
        changed=sheet.changed,
    )
    counts = {"rows": report.rows, "added": report.added, "changed": report.changed}
    await change.record("import", "import", sheet.kind, after=counts)
