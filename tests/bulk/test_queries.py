"""Every query of an import against the migrated schema and its temporary tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from baylight.bulk import device_lists, device_types, devices, imports
from baylight.bulk.kinds import SHEETS
from baylight.bulk.sheets import Sheet
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement
from tests.support.queries import constants, in_files, wrong_columns

SHARED = {statement.name: statement for module in (imports, device_lists) for statement in constants(module)}
OF_KIND = {"devices": list(constants(devices)), "device-types": list(constants(device_types))}


def steps(sheet: Sheet) -> Iterator[Statement]:
    """All statements of a kind, in the order of an import."""
    order = ("stage", "stored", "refuse_repeated", "resolve", "set_defaults", "check", "lock", "touch", "note_displays")
    yield SHARED["bulk.imports.make_tables"]
    for name in (*order, "apply", "written", "doubtful", "export"):
        if step := getattr(sheet, name):
            yield step
    yield from OF_KIND.get(sheet.kind, ())
    yield from SHARED.values()


@pytest.mark.parametrize("kind", SHEETS)
async def test_each_query_can_be_prepared_and_has_the_columns_of_its_row_type(db: Connection, kind: str) -> None:
    made = set()
    async with db.transaction():
        for statement in steps(SHEETS[kind]):
            if isinstance(statement, Query):
                assert await wrong_columns(db, [statement]) == []
                continue
            for sql in statement.sql.split(";\n"):
                await db.prepare(sql)
                if "CREATE TEMP TABLE" in sql and sql not in made:
                    await db.execute(sql)
                    made.add(sql)


def test_no_place_of_a_template_is_left_open() -> None:
    for sheet in SHEETS.values():
        for step in steps(sheet):
            for place in ("key", "stored", "same", "kept", "columns", "order", "locations"):
                assert f"{{{place}}}" not in step.sql, (step.name, place)


def test_each_query_of_the_files_is_used() -> None:
    fields = {getattr(sheet, field.name) for sheet in SHEETS.values() for field in dataclasses.fields(sheet)}
    used = {step.name for step in fields if isinstance(step, Statement)} | SHARED.keys()
    used |= {statement.name for statements in OF_KIND.values() for statement in statements}
    assert {name for name in in_files() if name.startswith("bulk.")} == used
