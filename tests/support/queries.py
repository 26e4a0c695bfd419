"""Checks of queries against the schema that they are for; `tests/store` and `tests/v2` run them."""

from __future__ import annotations

import importlib
import pkgutil
import re
import typing
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any
from uuid import UUID

import baylight
from baylight.store.pool import Connection
from baylight.store.query import Copy, Query, Statement, nested, queries

SOURCE = Path(baylight.__file__).parent
QUERIES = SOURCE / "sql" / "queries"
PYTHON = {
    "uuid": UUID,
    "text": str,
    "varchar": str,
    "bpchar": str,
    "name": str,
    "int2": int,
    "int4": int,
    "int8": int,
    "float4": float,
    "float8": float,
    "numeric": Decimal,
    "bool": bool,
    "timestamptz": datetime,
    "bytea": bytes,
    "interval": timedelta,
}
SQL_NAMES = {
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
    "boolean": "bool",
    "double precision": "float8",
    "tid": "text",
}


@cache
def modules() -> dict[str, ModuleType]:
    return {
        info.name: importlib.import_module(info.name)
        for info in pkgutil.walk_packages(baylight.__path__, "baylight.")
        if not info.name.endswith("__main__")
    }


def constants(module: ModuleType) -> Iterator[Any]:
    """Statements and copies that a module holds: by itself, or as values of a dict."""
    for value in vars(module).values():
        for found in value.values() if isinstance(value, dict) else (value,):
            if isinstance(found, Statement | Copy):
                yield found


def statements() -> dict[str, Statement]:
    return {s.name: s for m in modules().values() for s in constants(m) if isinstance(s, Statement)}


def fits(type_: Any, sql: str) -> bool:
    """Whether a column or field of an SQL type may fill a Python type."""
    options = typing.get_args(type_) if typing.get_origin(type_) in (UnionType, typing.Union) else (type_,)
    options = tuple(option for option in options if option is not type(None))
    if sql in ("json", "jsonb"):
        plain_json = (dict, list, object)
        return all(typing.get_origin(o) in plain_json or o in plain_json or nested(o) is not None for o in options)
    if sql.endswith("[]"):
        return all(typing.get_origin(o) is list and fits(typing.get_args(o)[0], sql[:-2]) for o in options)
    wanted = PYTHON[sql]
    return all(plain(option) is wanted for option in options)


def plain(type_: Any) -> Any:
    """The type under a NewType, an Enum of text, a Literal of text, or a subclass of str."""
    if typing.get_origin(type_) is typing.Literal:
        return type(typing.get_args(type_)[0])
    type_ = getattr(type_, "__supertype__", type_)
    if isinstance(type_, type) and issubclass(type_, str):
        return str
    if isinstance(type_, type) and issubclass(type_, Enum):
        return type(next(iter(type_)).value)
    return type_


def sql_type(type_: Any) -> str:
    return f"{type_.name.removesuffix('[]')}[]" if type_.kind == "array" else str(type_.name)


async def wrong_columns(db: Connection, statements: Iterable[Statement]) -> list[str]:
    """What differs between the columns of each query and its row type."""
    wrong = []
    for statement in statements:
        name = statement.name
        prepared = await db.prepare(statement.sql)
        got = [(a.name, sql_type(a.type)) for a in prepared.get_attributes()]
        if not isinstance(statement, Query):
            called = re.sub(r"--.*\n", "", statement.sql).startswith("SELECT")  # a function or a lock: no row counts
            wrong += [f"{name}: it returns columns: make it a Query"] if got and not called else []
        elif statement.columns:
            fields = list(statement.columns.items())[: len(got)]
            wrong += [f"{name}: columns {[n for n, _ in got]}, fields {[n for n, _ in fields]}"] * (
                [n for n, _ in got] != [n for n, _ in fields]
            )
            wrong += [
                f"{name}.{c}: {sql} does not fit {t}"
                for (c, sql), (_, t) in zip(got, fields, strict=False)
                if not fits(t, sql)
            ]
        elif len(got) != 1 or not fits(statement.row, got[0][1]):
            wrong.append(f"{name}: {got} does not fit {statement.row}")
    return wrong


def in_files() -> Iterable[str]:
    for path in QUERIES.rglob("*.sql"):
        file = ".".join(path.relative_to(QUERIES).with_suffix("").parts)
        yield from (f"{file}.{name}" for name in queries(file))
