"""Every query, compared with the migrated schema (columns, parameters) and with its calls; the loader of queries."""

from __future__ import annotations

import ast
import re
import typing
from enum import Enum
from typing import Any, NamedTuple

import pytest

from baylight.store.pool import Connection, Pool
from baylight.store.query import Copy, Query, RowsStatement, Statement, members, numbered
from tests.support.queries import SOURCE, SQL_NAMES, constants, fits, in_files, modules, wrong_columns
from tests.support.queries import statements as all_statements

OTHER_SCHEMA = ("v2.", "bulk.")
"""Packages whose queries need tables that only they create. Their own tests prepare these queries."""


def statements() -> dict[str, Statement]:
    return {name: s for name, s in all_statements().items() if not name.startswith(OTHER_SCHEMA)}


def copies() -> dict[str, Copy[Any]]:
    return {c.table: c for m in modules().values() for c in constants(m) if isinstance(c, Copy)}


@pytest.fixture(scope="module")
def calls() -> dict[tuple[str, str], list[tuple[str, set[str]]]]:
    """Return the place and the keywords of each call, by module and constant."""
    found: dict[tuple[str, str], list[tuple[str, set[str]]]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        module = ".".join(("baylight", *path.relative_to(SOURCE).with_suffix("").parts))
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = node.func.value
            if isinstance(owner, ast.Subscript):  # one of a dict of constants
                owner = owner.value
            if isinstance(owner, ast.Name) and node.func.attr in ("run", "run_all", "all", "first", "one"):
                keywords = {keyword.arg or "**" for keyword in node.keywords}
                found.setdefault((module, owner.id), []).append((f"{path.name}:{node.lineno}", keywords))
    return found


async def test_each_query_has_the_columns_of_its_row_type(db: Connection) -> None:
    wrong = await wrong_columns(db, statements().values())
    assert not wrong, "\n".join(wrong)


async def test_each_list_of_json_rows_has_the_fields_of_its_struct() -> None:
    wrong = []
    for name, statement in statements().items():
        if isinstance(statement, RowsStatement):
            lists = re.findall(r"json_to_recordset\(\$\d+::json\) AS \w+ \((.*?)\n\)", statement.sql, re.DOTALL)
            assert len(lists) == 1, f"{name}: json_to_recordset(:rows::json) AS n ( … ) is expected once"
            listed = dict(re.findall(r"(\w+) ([\w ]+?)\s*(?:,|$)", lists[0]))
            fields = typing.get_type_hints(statement.row)
            wrong += [f"{name}: {listed.keys() ^ fields.keys()}"] if listed.keys() != fields.keys() else []
            wrong += [
                f"{name}.{field}: {listed[field]} does not fit {type_}"
                for field, type_ in fields.items()
                if field in listed and not fits(type_, SQL_NAMES.get(listed[field], listed[field]))
            ]
    assert not wrong, "\n".join(wrong)


async def test_each_copy_fills_columns_that_exist(db: Connection) -> None:
    wrong = []
    for table, copy in copies().items():
        rows = await db.fetch(
            "SELECT attname, format_type(atttypid, NULL) AS type FROM pg_attribute WHERE attrelid = $1::regclass", table
        )
        types = {row["attname"]: SQL_NAMES.get(row["type"], row["type"].split(" ")[0]) for row in rows}
        types = {name: {"character": "varchar", "timestamp": "timestamptz"}.get(t, t) for name, t in types.items()}
        for column, type_ in typing.get_type_hints(copy.row).items():
            text_of_uuid = type_ is str and types.get(column) == "uuid"  # asyncpg writes it as well as a UUID
            if column not in types or not (text_of_uuid or fits(type_, types[column])):
                wrong.append(f"{table}.{column}: {types.get(column)} does not fit {type_}")
    assert not wrong, "\n".join(wrong)


def test_each_call_names_the_parameters_of_its_query(calls: dict[tuple[str, str], list[tuple[str, set[str]]]]) -> None:
    wrong = []
    for module_name, module in modules().items():
        for constant, value in vars(module).items():
            members_of = list(value.values()) if isinstance(value, dict) else [value]
            for statement in members_of:
                if isinstance(statement, Statement):
                    for place, keywords in calls.get((module_name, constant), []):
                        wanted = set(statement.parameters) - (
                            {"rows"} if isinstance(statement, RowsStatement) else set()
                        )
                        if "**" not in keywords and keywords - {"rows"} != wanted - {"rows"}:
                            wrong.append(
                                f"{place}: {statement.name} has {sorted(wanted)}, given are {sorted(keywords)}"
                            )
    assert not wrong, "\n".join(wrong)


def test_each_query_of_the_files_is_named_in_the_code() -> None:
    code = "".join(path.read_text("utf-8") for path in SOURCE.rglob("*.py"))
    assert [name for name in in_files() if f'"{name}"' not in code] == []


def test_parameters_are_numbered_in_the_order_of_their_first_use() -> None:
    sql = "SELECT :b::uuid[], :a, :b, ':no', x[1:2] -- :neither\nWHERE c = :a"
    numbers = "SELECT $1::uuid[], $2, $1, ':no', x[1:2] -- :neither\nWHERE c = $2"
    assert numbered(sql) == (numbers, ("b", "a"))


def test_a_query_that_does_not_exist_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match=r"there is no query inventory\.spaces\.nothing"):
        Statement("inventory.spaces.nothing")


class Light(Enum):
    RED = "red"


class Lamp(NamedTuple):
    id: int
    light: Light | None
    note: str = "none"


@pytest.fixture
def lamp(monkeypatch: pytest.MonkeyPatch) -> Query[Lamp]:
    sql = "SELECT n::integer AS id, :light::text AS light FROM generate_series(1, :count::integer) AS n"
    monkeypatch.setattr("baylight.store.query.queries", lambda _: {"lamps": sql})
    return Query("tests.lamps", Lamp)


async def test_rows_are_built_by_position_and_text_becomes_members(pool: Pool, lamp: Query[Lamp]) -> None:
    async with pool.acquire() as connection:
        assert await lamp.all(connection, light="red", count=2) == [Lamp(1, Light.RED), Lamp(2, Light.RED)]
        assert await lamp.first(connection, light=None, count=1) == Lamp(1, None)
        assert await lamp.first(connection, light=None, count=0) is None
        with pytest.raises(LookupError, match=r"tests\.lamps returned no row"):
            await lamp.one(connection, light=None, count=0)
        with pytest.raises(KeyError):
            await lamp.first(connection, light="green", count=1)


async def test_parameters_that_are_missing_or_unknown_are_refused(pool: Pool, lamp: Query[Lamp]) -> None:
    async with pool.acquire() as connection:
        for given in ({"light": None}, {"light": None, "number": 1}, {"light": None, "count": 1, "more": 1}):
            with pytest.raises(TypeError, match=r"tests\.lamps needs light, count"):
                await lamp.all(connection, **given)


def test_members_of_an_enum_are_found_in_a_union() -> None:
    assert members(Light | None) == {None: None, "red": Light.RED}
    assert members(str | None) is None
