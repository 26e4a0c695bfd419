"""Queries by name, with named parameters and typed rows.

The queries are in `sql/queries/<package>/<file>.sql`. Each begins with `-- name: <query>`. The comment below that line
describes what the query returns, what it locks, and what its parameters mean. A parameter is `:its_name`.

A query is a constant beside the code that calls it:

    FIND = Query("inventory.locations.find", Location)
    CLOSE = Statement("inventory.locations.close")

    location = await FIND.first(connection, path=["Garage"])
    await CLOSE.run(connection, id=location.id)

`tests/store/test_queries.py` prepares each one on the migrated schema. It compares the columns with the fields of the
row type (names, order, types), and the parameters with the keywords of each call.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import Enum
from functools import cache, cached_property
from importlib import resources
from types import UnionType
from typing import Any, Generic, ParamSpec, TypeVar, cast

import asyncpg
import msgspec

from baylight.store.pool import Connection

Row = TypeVar("Row")
RowTuple = TypeVar("RowTuple", bound=tuple[object, ...])
Fields = ParamSpec("Fields")
_HEAD = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_PARAMETER = re.compile(r"'(?:[^']|'')*'|--[^\n]*|(?<![:\w]):([a-z_]\w*)")


class Statement:
    """SQL statement that returns no rows."""

    def __init__(self, name: str) -> None:
        """Find the query `name`, `<package>.<file>.<query>`. Raises ValueError if there is no such query."""
        self.name = name
        self.sql, self.parameters = _find(name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    async def run(self, connection: Connection, **parameters: object) -> int:
        """Execute the statement; return how many rows it inserted, updated or deleted."""
        status = await connection.execute(self.sql, *self._arguments(parameters))
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def run_many(self, connection: Connection, rows: Iterable[Sequence[object]]) -> None:
        """Execute the statement once for each row; a row holds the parameters in the order of their first use."""
        await connection.executemany(self.sql, rows)

    def _arguments(self, parameters: dict[str, object]) -> list[object]:
        """Return the parameters in the order of the statement. Raises TypeError if one is missing or unknown."""
        if len(parameters) != len(self.parameters) or not parameters.keys() >= set(self.parameters):
            raise TypeError(f"{self.name} needs {', '.join(self.parameters)}; given are {', '.join(parameters)}")
        return [parameters[name] for name in self.parameters]


class RowsStatement(Statement, Generic[Row]):
    """SQL statement over many rows, which are sent as one JSON array, the parameter `rows`.

    `json_to_recordset(:rows)` in the SQL lists the fields of `row`, with their types. A field that is None may be left
    out of the JSON (`omit_defaults=True`).
    """

    def __init__(self, name: str, row: type[Row]) -> None:
        super().__init__(name)
        self.row = row

    async def run_all(self, connection: Connection, rows: Sequence[Row], **parameters: object) -> None:
        """Execute the statement. Raises RuntimeError if the number of changed rows differs from that of `rows`."""
        changed = await self.run(connection, rows=rows, **parameters)
        if changed != len(rows):
            raise RuntimeError(f"{self.name} changed {changed} of {len(rows)} rows")


class Query(Statement, Generic[Row]):
    """SQL statement that returns rows.

    `row` is the type of the only column, or a dataclass, Struct or NamedTuple. The first fields of `row` are the
    columns, in their order, and the fields behind them have defaults. Text becomes a member of an Enum if the type of
    its field is that Enum. A JSON object becomes a dataclass if the type of its field is that dataclass.
    """

    def __init__(self, name: str, row: type[Row]) -> None:
        super().__init__(name)
        self.row = row
        self._build: Callable[[asyncpg.Record], Row] | None = None

    async def all(self, connection: Connection, **parameters: object) -> list[Row]:
        """Return all rows."""
        records = await connection.fetch(self.sql, *self._arguments(parameters))
        if not records:
            return []
        build = self._builder(records[0])
        return [build(record) for record in records]

    async def first(self, connection: Connection, **parameters: object) -> Row | None:
        """Return the first row, or None if there is none. The NULL of a single column is None as well."""
        record = await connection.fetchrow(self.sql, *self._arguments(parameters))
        return None if record is None else self._builder(record)(record)

    async def one(self, connection: Connection, **parameters: object) -> Row:
        """Return the row of a query that always has one. Raises LookupError if there is none."""
        record = await connection.fetchrow(self.sql, *self._arguments(parameters))
        if record is None:
            raise LookupError(f"{self.name} returned no row")
        return self._builder(record)(record)

    @cached_property
    def columns(self) -> dict[str, Any]:
        """Type of each field that a column may fill, by name and in order. Empty for a single column."""
        return _fields(self.row)

    def _builder(self, record: asyncpg.Record) -> Callable[[asyncpg.Record], Row]:
        """Return the function that builds rows. The first record shows how many columns there are."""
        if self._build is None:
            self._build = _row_builder(self.row, list(self.columns.values())[: len(record)])
        return self._build


class Copy(Generic[RowTuple]):
    """COPY of rows into a table. `row`: a NamedTuple whose fields are the columns that are written."""

    def __init__(self, table: str, row: type[RowTuple]) -> None:
        self.table = table
        self.row = row
        self.columns = list(_fields(row))

    async def run(self, connection: Connection, rows: Collection[RowTuple]) -> None:
        await connection.copy_records_to_table(self.table, columns=self.columns, records=rows)


def plain(row: Callable[Fields, RowTuple]) -> Callable[Fields, RowTuple]:
    """Return a function with the positional parameters of a NamedTuple that makes plain tuples, for rows of a Copy.

    A NamedTuple takes four times as long to make, and asyncpg reads its fields more slowly.
    """
    return cast(Callable[Fields, RowTuple], lambda *fields: fields)


@cache
def queries(file: str) -> dict[str, str]:
    """Return the queries of `sql/queries/<package>/<file>.sql`, by name, for `<package>.<file>`.

    Raises ValueError if the file has no name or has a name twice.
    """
    path = resources.files("baylight").joinpath("sql", "queries", *file.split(".")[:-1], f"{file.split('.')[-1]}.sql")
    parts = _HEAD.split(path.read_text(encoding="utf-8"))
    names, bodies = parts[1::2], parts[2::2]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"queries/{file}: no name, or a name twice")
    return {name: body.strip().rstrip(";") for name, body in zip(names, bodies, strict=True)}


def numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """Return SQL with `$1 …` in place of `:name …`, and the names in the order of these numbers.

    Text in quotes and in comments stays as it is.
    """
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return match[0]
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _PARAMETER.sub(number, sql), tuple(names)


def _find(name: str) -> tuple[str, tuple[str, ...]]:
    file, _, query = name.rpartition(".")
    found = queries(file).get(query)
    if found is None:
        raise ValueError(f"there is no query {name}")
    return numbered(found)


def _fields(row: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(row):
        names = [field.name for field in dataclasses.fields(row) if field.init]
    elif isinstance(row, type) and issubclass(row, msgspec.Struct):
        names = list(row.__struct_fields__)
    elif hasattr(row, "_fields"):
        names = list(row._fields)
    else:
        return {}
    hints = typing.get_type_hints(row)
    return {name: hints[name] for name in names}


def members(type_: Any) -> dict[str | None, Enum | None] | None:
    """Return the members of an Enum, or of `Enum | None`, by value, with None for None. Return None for other types."""
    options = typing.get_args(type_) if typing.get_origin(type_) in (UnionType, typing.Union) else (type_,)
    for option in options:
        if isinstance(option, type) and issubclass(option, Enum):
            return {None: None} | {member.value: member for member in option}
    return None


def nested(type_: Any) -> Any:
    """Return the dataclass of a field that is a dataclass or None; None for other types."""
    options = typing.get_args(type_) if typing.get_origin(type_) in (UnionType, typing.Union) else (type_,)
    return next((option for option in options if dataclasses.is_dataclass(option)), None)


def _row_builder(row: Any, types: Sequence[Any]) -> Callable[[asyncpg.Record], Any]:
    """Return the function that builds a row by position (the contract test compares names and types).

    No `types`: `row` is the type of the only column. Text becomes a member by one dict lookup for each Enum, which is
    four times as fast as `State(text)`. Rows with Enums get a generated `lambda r: row(r[0], enums[1][r[1]], …)`: it
    costs no more than code written by hand, and a loop over the Enum columns half as much again (ingest builds
    thousands of rows a second).
    """
    if not types:
        found = members(row)
        return (lambda record: record[0]) if found is None else (lambda record: found[record[0]])
    enums = {place: found for place, type_ in enumerate(types) if (found := members(type_)) is not None}
    objects = {place: type_ for place, type_ in enumerate(types) if nested(type_) is not None}
    if not enums and not objects:
        return lambda record: row(*record)
    values = [f"enum_{place}[r[{place}]]" if place in enums else f"r[{place}]" for place in range(len(types))]
    for place in objects:
        values[place] = f"convert(r[{place}], object_{place})"
    names = {"row": row, "convert": msgspec.convert} | {f"enum_{place}": found for place, found in enums.items()}
    names |= {f"object_{place}": type_ for place, type_ in objects.items()}
    build: Callable[[asyncpg.Record], Any] = eval(f"lambda r: row({', '.join(values)})", names)
    return build
