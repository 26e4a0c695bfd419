"""Bulk import and export: a file is staged, checked as a whole, and applied as a whole or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any
from uuid import UUID

from baylight.access.change import Change
from baylight.bulk import csv_file
from baylight.bulk.csv_file import RowError
from baylight.bulk.sheets import SHEETS, Sheet
from baylight.codecs.all import display_driver, sensor_codec
from baylight.codecs.ts013 import PREFIX
from baylight.domain.downlink import TriggerType
from baylight.domain.lifecycle import LIFECYCLE
from baylight.errors import InputError, NotFoundError
from baylight.inventory.display_codes import check_codes
from baylight.store.pool import Connection
from baylight.store.query import queries

SHOWN = 100
"""Errors that a report tells one by one; the others are counted."""
_CHUNK = 1000
_DECIDED_AT_ONCE = 500
"""Small enough for what else runs in this process: uplinks wait for as long as one such batch is computed."""
_TIMEOUT_S = 3600
Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how many are done, and of how many (None: not known)."""
Rows = Iterable[tuple[int, dict[str, str]]]
_OBJECT_TYPE = {
    "locations": "'location'",
    "spaces": "'space'",
    "device-types": "'device_type'",
    "devices": "n.role",
    "assignments": "'space'",
}
_ADDED = {"devices": "'.register'"}
_CHANGED = {"assignments": "'.assign'"}
"""The audit log has one word for one thing, whether a command did it or an import."""
_WRITTEN = {
    "locations": "locations",
    "spaces": "spaces",
    "device-types": "device_types",
    "devices": "sensor_devices, display_devices",
    "assignments": "spaces, device_assignments",
}
_MANY = 1000
"""Rows that make what the planner knew of a table, and plans that sessions have kept, wrong."""


@dataclass(slots=True)
class Report:
    """`errors` of them were found, by code in `by_code`, the first in `first`; with any nothing was changed.

    `applied` False and no errors: a dry run. `left_out`: of a device list, how many of each profile were not taken.
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

    def add(self, error: RowError) -> None:
        self.errors += 1
        self.by_code[error.code] = self.by_code.get(error.code, 0) + 1
        if len(self.first) < SHOWN:
            self.first.append(error)


def sheet_of(kind: str) -> Sheet:
    """Raises NotFoundError `unknown_kind`."""
    if kind not in SHEETS:
        raise NotFoundError("unknown_kind", f"{kind!r} is none of {', '.join(SHEETS)}", kind=kind)
    return SHEETS[kind]


async def export(connection: Connection, kind: str) -> AsyncIterator[bytes]:
    """The CSV file, piece by piece, of one moment. Raises NotFoundError `unknown_kind`."""
    sheet = sheet_of(kind)
    columns = ", ".join(f"o.{column.name}" for column in sheet.columns)
    order = ", ".join(f'o.{name} COLLATE "C"' for name in sheet.key)
    sql = f"SELECT {columns} FROM ({_sql(sheet, f'rows_{sheet.group}')}) AS o ORDER BY {order}"  # noqa: S608 constants
    yield csv_file.head(sheet)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        cursor = await connection.cursor(sql, timeout=_TIMEOUT_S)
        while records := await cursor.fetch(_CHUNK, timeout=_TIMEOUT_S):
            yield csv_file.rows(sheet, [tuple(record.values()) for record in records])


async def import_csv(
    change: Change, kind: str, source: IO[bytes], *, dry_run: bool = False, progress: Progress | None = None
) -> Report:
    """Imports a CSV file of a kind; see `import_rows`. Raises InputError if it is no such file."""
    rows = csv_file.read(sheet_of(kind), source)
    return await import_rows(change, kind, rows, dry_run=dry_run, progress=progress)


async def import_rows(
    change: Change, kind: str, rows: Rows, *, dry_run: bool = False, progress: Progress | None = None
) -> Report:
    """Imports rows (number, cells by column): all of them, or with any error none. Idempotent.

    Imports go one after the other. Reads `rows` while it goes, in memory that does not grow with them.
    """
    sheet = sheet_of(kind)
    report = Report(kind)
    tell = progress or (lambda stage, done, of: None)
    async with change.transaction(reason="import"):
        await change.connection.execute(_sql(sheet, "begin"), timeout=_TIMEOUT_S)
        await _stage(change.connection, sheet, rows, report, tell)
        tell("checking", 0, None)
        await _check(change.connection, sheet, report)
        if not report.errors and not dry_run and report.added + report.changed:
            await _write(change.connection, sheet, report, tell)
            await _decide(change, sheet, tell)
            await _record(change, sheet, report)
    report.applied = not report.errors and not dry_run
    return report


async def _stage(connection: Connection, sheet: Sheet, rows: Rows, report: Report, tell: Progress) -> None:
    await _run(connection, sheet, "common")
    await _run(connection, sheet, f"stage_{sheet.group}")
    names = ["line", "kept", *(column.name for column in sheet.columns)]
    given = iter(rows)
    while chunk := list(islice(given, _CHUNK)):
        records = list(_parsed(sheet, chunk, report))
        await connection.copy_records_to_table(sheet.table, records=records, columns=names, timeout=_TIMEOUT_S)
        report.rows += len(chunk)
        tell("reading", report.rows, None)
    await _analyze(connection, sheet)


async def _analyze(connection: Connection, sheet: Sheet) -> None:
    """Nobody else does it for a temporary table; with what was known before, a plan may join each row with each."""
    await connection.execute(f"ANALYZE {sheet.table}", timeout=_TIMEOUT_S)


def _parsed(sheet: Sheet, chunk: Rows, report: Report) -> Iterator[tuple[object, ...]]:
    for row, cells in chunk:
        (values, kept), errors = csv_file.parse(sheet, row, cells)
        for error in errors:
            report.add(error)
        if not errors:
            yield (row, kept, *values)


async def _check(connection: Connection, sheet: Sheet, report: Report) -> None:
    for name in ("twice", "resolve", f"default_{sheet.group}"):
        await _run(connection, sheet, name)
    if sheet.kind == "devices":
        await _check_codes(connection, sheet)
    await _run(connection, sheet, "compare")
    await _analyze(connection, sheet)
    if sheet.kind == "device-types":
        await _check_types(connection, sheet)
    steps = [(before, after) for before, afters in LIFECYCLE.items() for after in afters]
    args = ([step[0] for step in steps], [step[1] for step in steps]) if sheet.kind == "devices" else ()
    await connection.execute(_sql(sheet, f"check_{sheet.group}"), *args, timeout=_TIMEOUT_S)
    for row in await connection.fetch(_sql(sheet, "errors_by_code")):
        report.errors += row["times"]
        report.by_code[row["code"]] = report.by_code.get(row["code"], 0) + row["times"]
    found = [RowError(**row) for row in await connection.fetch(_sql(sheet, "first_errors"), SHOWN)]
    report.first = sorted([*report.first, *found], key=lambda error: error.row)[:SHOWN]
    counts = await connection.fetchrow(_sql(sheet, "counts"), timeout=_TIMEOUT_S)
    assert counts is not None
    report.added, report.changed = counts["added"], counts["changed"]
    report.unchanged = counts["rows"] - report.added - report.changed


async def _check_codes(connection: Connection, sheet: Sheet) -> None:
    cursor = await connection.cursor(_sql(sheet, "display_codes"), timeout=_TIMEOUT_S)
    while found := await cursor.fetch(_CHUNK, timeout=_TIMEOUT_S):
        for row in found:
            try:
                codes = check_codes(row["codec"], row["codes"], row["of_type"])
            except InputError as error:
                await connection.execute(_sql(sheet, "codes_error"), row["lines"], error.message)
            else:
                if codes != row["codes"]:
                    await connection.execute(_sql(sheet, "set_codes"), row["lines"], codes)


async def _check_types(connection: Connection, sheet: Sheet) -> None:
    cursor = await connection.cursor(_sql(sheet, "changed_types"), timeout=_TIMEOUT_S)
    while found := await cursor.fetch(_CHUNK, timeout=_TIMEOUT_S):
        for row in found:
            scripted = row["codec"].startswith(PREFIX)
            if scripted and not row["active"]:
                wrong = iter([("codec", "unknown_codec", f"no version of the codec {row['codec']} is active")])
            else:
                wrong = _wrong_type(row["category"], row["codec"], row["default_config"])
            for column, code, message in wrong:
                await connection.execute(_sql(sheet, "add_error"), row["line"], column, code, message)


def _wrong_type(category: str, codec: str, config: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    if not codec.startswith(PREFIX) and (sensor_codec if category == "sensor" else display_driver)(codec) is None:
        yield "codec", "unknown_codec", f"there is no codec {codec!r} for a {category}"
    elif category == "display":
        f_port, confirmed, codes = (
            config.get("f_port", 1),
            config.get("confirmed_downlinks", False),
            config.get("display_codes", {}),
        )
        if type(f_port) is not int or not 1 <= f_port <= 223 or type(confirmed) is not bool:
            yield "default_config", "bad_config", "f_port is 1 to 223, confirmed_downlinks true or false"
        if not isinstance(codes, dict) or not all(isinstance(code, str) for code in codes.values()):
            yield "default_config", "bad_config", "display_codes is an object: state to hex"
            return
        try:
            if check_codes(codec, codes, codes) != codes:
                yield "default_config", "bad_display_code", "display_codes of a type are lower-case hex, no colours"
        except InputError as error:
            yield "default_config", "bad_display_code", error.message


async def _write(connection: Connection, sheet: Sheet, report: Report, tell: Progress) -> None:
    tell("writing", 0, None)
    await _run(connection, sheet, f"lock_{sheet.group}")
    if sheet.kind != "spaces":  # the new ones are not there yet
        await _run(connection, sheet, f"touch_{sheet.group}")
    await _run(
        connection, sheet, f"displays_{sheet.group}" if sheet.kind in ("devices", "assignments") else "displays_none"
    )
    await _run(connection, sheet, "lock_touched")
    await _run(connection, sheet, f"apply_{sheet.group}")
    if sheet.kind == "spaces":
        await _run(connection, sheet, "touch_spaces")
    await _run(connection, sheet, "still_serving")
    if report.added + report.changed >= _MANY:
        await connection.execute(f"ANALYZE bulk_touched, {_WRITTEN[sheet.kind]}", timeout=_TIMEOUT_S)


async def _decide(change: Change, sheet: Sheet, tell: Progress) -> None:
    total = await change.connection.fetchval("SELECT count(*) FROM bulk_touched")
    done, after = 0, UUID(int=0)
    while page := await change.connection.fetch(_sql(sheet, "touched"), after, _DECIDED_AT_ONCE, timeout=_TIMEOUT_S):
        ids: list[UUID] = [row["id"] for row in page]
        released = [row["released"] for row in page if row["released"]]
        await change.redecide(ids, TriggerType.ASSIGNMENT, released=released)
        done, after = done + len(ids), ids[-1]
        tell("deciding", done, total)


async def _record(change: Change, sheet: Sheet, report: Report) -> None:
    await change.connection.execute(_sql(sheet, "record"), change.actor, timeout=_TIMEOUT_S)
    counts: dict[str, Any] = {"rows": report.rows, "added": report.added, "changed": report.changed}
    await change.record("import", "import", sheet.kind, after=counts)


async def _run(connection: Connection, sheet: Sheet, name: str) -> None:
    """Several statements at once."""
    await connection.execute(_sql(sheet, name), timeout=_TIMEOUT_S)


def _sql(sheet: Sheet, name: str) -> str:
    group = queries("bulk.imports")
    kept = [column.name for column in sheet.columns if column.name not in sheet.key]
    places = {
        "{rows}": group[f"rows_{sheet.group}"],
        "{locations}": group["rows_locations"],
        "{table}": sheet.table,
        "{key}": ", ".join(sheet.key),
        "{first_key}": f"'{sheet.key[-1]}'",
        "{same}": " AND ".join(f"o.{name} = n.{name}" for name in sheet.key),
        "{set}": ", ".join(
            f"{name} = CASE WHEN '{name}' = ANY (n.kept) THEN o.{name} ELSE n.{name} END" for name in kept
        ),
        "{object_type}": _OBJECT_TYPE[sheet.kind],
        "{added}": _ADDED.get(sheet.kind, "'.create'"),
        "{changed}": _CHANGED.get(sheet.kind, "'.change'"),
        "{object_id}": "n.code" if sheet.kind == "device-types" else "n.id::text",
    }
    sql = group[name]
    for place, text in places.items():
        sql = sql.replace(place, text)
    return sql
