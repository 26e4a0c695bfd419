"""Obstacles that the catalogue shows: things of the customer's that the migration meets, and rights that it lacks.

Each is carried along or refused before `expand`. Nothing here reads V2's rows.
"""

from __future__ import annotations

from typing import NamedTuple

from baylight.store.pool import Connection
from baylight.store.query import Query
from baylight.v2.choices import Choices
from baylight.v2.inspection.finding import Finding
from baylight.v2.inspection.rehearsal import Name
from baylight.v2.schema import LEGACY_TABLES, V2_COLUMNS
from baylight.v2.stages.contract import role_of_v2


class Obstacle(NamedTuple):
    """Thing that the migration meets. `blocks`: the migration cannot begin. `total`: number of all of this kind."""

    id: str
    detail: str
    total: int
    blocks: bool


_MEANING = {
    "customer_trigger": "triggers and rules that are not V2's: they also run when Baylight writes V2's rows",
    "customer_object": "things that depend on V2's tables: they stay, and read the archive after the contract stage",
    "row_security": "row-level security on V2's tables",
    "inherits": "tables that inherit from V2's, or from which V2's inherit",
    "partitioned": "tables of V2's that are no plain tables",
    "publication": "publications for logical replication",
    "extra_column": "columns that V2 itself does not have",
    "other_type": "columns and checks that differ from V2's own",
    "extension": "an extension that Baylight needs",
    "search_path": "settings that hide V2's names from V2 after the contract stage",
    "privilege": "rights that this account needs for a later stage",
    "name_taken": "names that Baylight's things need in a later stage",
    "wrong_account": "an account that must not run the migration",
}

CUSTOMER_TRIGGER = Query("v2.obstacles.customer_trigger", Obstacle)
CUSTOMER_OBJECT = Query("v2.obstacles.customer_object", Obstacle)
ROW_SECURITY = Query("v2.obstacles.row_security", Obstacle)
INHERITS = Query("v2.obstacles.inherits", Obstacle)
PARTITIONED = Query("v2.obstacles.partitioned", Obstacle)
PUBLICATION = Query("v2.obstacles.publication", Obstacle)
EXTRA_COLUMN = Query("v2.obstacles.extra_column", Obstacle)
OTHER_TYPE = Query("v2.obstacles.other_type", Obstacle)
EXTENSION = Query("v2.obstacles.extension", Obstacle)
SEARCH_PATH = Query("v2.obstacles.search_path", Obstacle)
PRIVILEGE = Query("v2.obstacles.privilege", Obstacle)
NAME_TAKEN = Query("v2.obstacles.name_taken", Obstacle)
UNSAFE = Query("v2.run.unsafe", str)


async def obstacles(connection: Connection, choices: Choices) -> list[Finding]:
    """Return what the catalogue shows before the first step."""
    tables = list(LEGACY_TABLES)
    views = choices.legacy_names == "views"
    role = choices.legacy_role or await role_of_v2(connection)
    of = [(table, column) for table, columns in V2_COLUMNS.items() for column in columns]
    columns = {"tables": [table for table, _ in of], "columns": [column for _, column in of]}
    found = {
        "customer_trigger": await CUSTOMER_TRIGGER.all(connection, tables=tables),
        "customer_object": await CUSTOMER_OBJECT.all(connection, tables=tables),
        "row_security": await ROW_SECURITY.all(connection, tables=tables, views=views),
        "inherits": await INHERITS.all(connection, tables=tables),
        "partitioned": await PARTITIONED.all(connection, tables=tables),
        "publication": await PUBLICATION.all(connection, tables=tables),
        "extra_column": await EXTRA_COLUMN.all(connection, **columns),
        "other_type": await OTHER_TYPE.all(connection, **columns, types=[V2_COLUMNS[t][c] for t, c in of]),
        "extension": await EXTENSION.all(connection),
        "search_path": await SEARCH_PATH.all(connection, role=role, views=views),
        "privilege": await PRIVILEGE.all(connection, tables=tables, role=role if views else None),
    }
    if reason := await UNSAFE.first(connection):
        owner = "run the migration as the account that owns V2's tables, and these schemas"
        found["wrong_account"] = [Obstacle("account", f"{reason}: {owner}", 1, True)]
    return [_finding(kind, rows) for kind, rows in found.items() if rows]


async def obstacles_to_contract(connection: Connection, choices: Choices, names: list[Name]) -> list[Finding]:
    """Return what is in the way of the contract stage: names that Baylight's things get, and rights to move V2's."""
    tables = list(LEGACY_TABLES)
    role = (choices.legacy_role or await role_of_v2(connection)) if choices.legacy_names == "views" else None
    found = {
        "name_taken": await NAME_TAKEN.all(
            connection,
            kinds=[name.kind for name in names],
            names=[name.name for name in names],
            arguments=[name.arguments for name in names],
            tables=tables,
            role=role,
        ),
        "privilege": await PRIVILEGE.all(connection, tables=tables, role=role),
    }
    return [_finding(kind, rows) for kind, rows in found.items() if rows]


def _finding(kind: str, rows: list[Obstacle]) -> Finding:
    examples = [(row.id, row.detail) for row in rows]
    return Finding(kind, _MEANING[kind], rows[0].total, examples, blocks=any(row.blocks for row in rows))
