"""Read and write the CSV of a sheet: RFC 4180 in UTF-8, one title line, one line of column names, rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO

from baylight.bulk.cells import CellError, unquote, write, write_codes
from baylight.bulk.sheets import CLEAR, Column, Sheet
from baylight.errors import InputError

MAX_LINE_BYTES = 1024 * 1024
MAX_LINES = 1_200_000
"""Limits of a file. Blank lines count."""


@dataclass(frozen=True, slots=True)
class RowError:
    """An error in a row. `row` counts as a spreadsheet does: the title is row 1. `column` None: the whole row."""

    row: int
    column: str | None
    code: str
    message: str


Parsed = tuple[list[object], list[str]]
"""Values in the order of the sheet's columns, and the names of the columns whose cells were empty."""


def read(sheet: Sheet, source: IO[bytes]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield number and cells of each row that is not empty. Columns are separated by `,`, `;` or tab, as in line 2.

    Raises InputError `bad_csv`, `not_utf8`, `too_many_lines`, `wrong_kind`, `wrong_version`, `bad_header`, and for a
    row of wrong length `bad_row`.
    """
    lines = _lines(source)
    first = list(islice(lines, 2))
    delimiter = max(",;\t", key=first[-1].count) if first else ","
    rows = csv.reader(chain(first, lines), delimiter=delimiter, strict=True)
    try:
        _check_title(sheet, next(rows, []))
        names = _check_header(sheet, next(rows, []))
        for row, cells in enumerate(rows, 3):
            if any(cells):
                if len(cells) != len(names):
                    raise InputError(
                        "bad_row", f"row {row} has {len(cells)} cells, the header has {len(names)} columns", row=row
                    )
                yield row, dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise InputError("bad_csv", f"line {rows.line_num}: {error}", line=rows.line_num) from error


def _lines(source: IO[bytes]) -> Iterator[str]:
    number = 0
    while line := source.readline(MAX_LINE_BYTES):
        number += 1
        if number > MAX_LINES:
            raise InputError("too_many_lines", f"a file may have at most {MAX_LINES} lines: split it")
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            raise InputError("bad_csv", f"line {number} is longer than {MAX_LINE_BYTES} bytes", line=number)
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError("not_utf8", f"line {number} is not UTF-8: save the file as CSV UTF-8") from error


def _check_title(sheet: Sheet, cells: Sequence[str]) -> None:
    title = cells[0].strip() if cells else ""
    words = title.split()
    if not (len(words) == 4 and words[:2] == ["#", "baylight"]) or any(cell.strip() for cell in cells[1:]):
        raise InputError("bad_header", f"the first line must be {sheet.title!r}, it is {title[:60]!r}")
    if words[2] != sheet.kind:
        raise InputError("wrong_kind", f"this file contains {words[2]}, not {sheet.kind}")
    if words[3] != f"v{sheet.version}":
        raise InputError("wrong_version", f"this file has version {words[3]}, this release reads v{sheet.version}")


def _check_header(sheet: Sheet, cells: Sequence[str]) -> list[str]:
    new_names = {column.old_name: column.name for column in sheet.columns}
    names = [new_names.get(cell.strip(), cell.strip()) for cell in cells]
    known = [column.name for column in sheet.columns]
    wrong = [
        (word, found)
        for word, found in (
            ("missing", [name for name in known if name not in names]),
            ("unknown", sorted({name for name in names if name not in known})),
            ("twice", sorted({name for name in names if names.count(name) > 1})),
        )
        if found
    ]
    if wrong:
        found_wrong = "; ".join(f"{word}: {', '.join(repr(name) for name in found[:20])}" for word, found in wrong)
        hint = " (columns are separated by commas, semicolons or tabs)" if len(names) == 1 else ""
        raise InputError("bad_header", f"columns of line 2: {found_wrong}{hint}", **dict(wrong))
    return names


def parse(sheet: Sheet, row: int, cells: dict[str, str]) -> tuple[Parsed, list[RowError]]:
    """Return the values of a row, and all that is wrong with its cells."""
    values: list[object] = []
    kept: list[str] = []
    errors: list[RowError] = []
    for column in sheet.columns:
        cell = cells[column.name].strip()
        value: object = None
        try:
            if not cell:
                if column.required:
                    raise CellError("missing", "this cell must not be empty")
                kept.append(column.name)
            elif not (cell == CLEAR and column.clearable):
                value = _value(column, cells[column.name] if column.exact else cell)
        except InputError as error:
            errors.append(RowError(row, column.name, error.code, error.message))
        values.append(value)
    return (values, kept), errors


def _value(column: Column, cell: str) -> object:
    if "\x00" in cell:
        raise CellError("bad_text", "a NUL character cannot be stored")
    return column.parse(unquote(cell))


def head(sheet: Sheet) -> bytes:
    """Return the title line and the line of column names."""
    return f"{sheet.title}\r\n{','.join(column.name for column in sheet.columns)}\r\n".encode()


def rows(sheet: Sheet, records: Iterable[Sequence[object]]) -> bytes:
    """Return the lines of rows whose values are in the order of the sheet's columns."""
    out = io.StringIO(newline="")
    codes = next((n for n, column in enumerate(sheet.columns) if column.name == "display_codes"), None)
    writer = csv.writer(out)
    for record in records:
        writer.writerow([write_codes(value) if n == codes else write(value) for n, value in enumerate(record)])
    return out.getvalue().encode()
