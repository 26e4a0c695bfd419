"""Last stage: Baylight's tables move to `public`, V2's to an archive. `back.py` undoes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from baylight.errors import ConflictError, InputError
from baylight.store.beside import placed
from baylight.store.migrate import statements
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement
from baylight.v2.migration_run import FORGET_STEP, MigrationRun
from baylight.v2.schema import (
    ARCHIVE,
    CARRY,
    CREATE_QUIET_TRIGGERS,
    LEGACY_TABLES,
    NEXT,
    V2_COLUMNS,
    in_archive,
    quoted,
    script,
)
from baylight.v2.stages.queue import DRAIN, FORGET_LATE_STATES, WAITING, drain

_RULES = {"sensor": "require_sensor", "display": "require_display"}
"""Files of sql/v2, by the role that live spaces must have a device in."""
_LISTED_SPACES_LIMIT = 1000
_DRAIN_S = 1.0
"""Seconds for which `contract` waits for the queue. What waits longer follows while V2's tables are locked."""


class SpaceCode(NamedTuple):
    """Space as an error names it."""

    id: UUID
    code: str


class ColumnOfV2(NamedTuple):
    """Column of a table of V2, and the type that a view must have."""

    table: str
    name: str
    type: str


class Function(NamedTuple):
    """Function of the database, as PostgreSQL's catalogue has it."""

    name: str
    arguments: str
    definition: str


SPACES_WITHOUT = Query("v2.contract.spaces_without", SpaceCode)
REMEMBER_OWN = Statement("v2.contract.remember_own")
REMEMBER_VIEW_SCHEMA = Statement("v2.contract.remember_view_schema")
ROLE_OF_V2 = Query("v2.contract.role_of_v2", str)
TABLES = Query("v2.contract.tables", str)
DROP_TRIGGERS = Query("v2.contract.drop_triggers", str)
MOVE_TABLES = Query("v2.contract.move_tables", str)
FUNCTIONS = Query("v2.contract.functions", Function)
MOVE_LEGACY_FUNCTIONS = Query("v2.contract.move_legacy_functions", str)
COLUMNS_OF_V2 = Query("v2.contract.columns_of_v2", ColumnOfV2)


def contract_sql() -> list[str]:
    """Return the statements of `contract`; `<each>` stands for what the catalogue lists."""
    return [
        *statements(script("archive")),
        f"ALTER TABLE {NEXT}.<each> SET SCHEMA public",
        f"ALTER FUNCTION {NEXT}.<each> SET SCHEMA public",
        "CREATE VIEW <role of V2>.<each of V2's names>, if so chosen",
    ]


async def contract(migration: MigrationRun) -> None:
    """Exchange the names in one short transaction.

    Raises InputError `spaces_without` if a required device is missing.
    """
    connection, choices = migration.connection, migration.choices
    await drain(connection, patience_s=_DRAIN_S, log=migration.log)
    for role in choices.require:
        await _check_devices(connection, role)
    view_role = choices.legacy_role or await role_of_v2(connection)
    early, late = await _forward(connection, view_role if choices.legacy_names == "views" else None)
    ours = await TABLES.all(connection, schema=NEXT)

    async def prepare(connection: Connection) -> None:
        await connection.execute(";\n".join(early))

    async def swap(connection: Connection) -> None:
        await connection.execute(";\n".join(late))
        await _follow_last(connection)

    await REMEMBER_OWN.run(connection)
    if choices.legacy_names == "views":
        await REMEMBER_VIEW_SCHEMA.run(connection, role=view_role)
    theirs = [f"public.{table}" for table in LEGACY_TABLES]
    await migration.run_locked(theirs, "ACCESS EXCLUSIVE", swap, done="contract", first=(ours, prepare))


async def _follow_last(connection: Connection) -> None:
    """Let the rows follow that still wait, where both sides lie now. No other session can write them any more.

    V2's states in the archive do not follow: the way back makes all of them equal.
    """
    await FORGET_LATE_STATES.run(connection)
    if not await WAITING.one(connection):
        return
    await connection.execute(in_archive(*CARRY, "reflect"))
    while await WAITING.one(connection):
        if not await DRAIN.one(connection, entries=1000):
            raise ConflictError("not_verified", "rows of V2 cannot follow: see `baylight v2 verify`")


async def _forward(connection: Connection, view_role: str | None) -> tuple[list[str], list[str]]:
    """Return what can be done before V2's tables are locked, and what cannot."""
    legacy = list(LEGACY_TABLES)
    early = [
        *await DROP_TRIGGERS.all(connection, schema=NEXT, names=None, but=[]),
        *await CREATE_QUIET_TRIGGERS.all(connection, quiet=False),
        *await MOVE_TABLES.all(connection, before=NEXT, after="public", names=None, but=legacy),
        *await move_functions(connection, NEXT, "public"),
    ]
    late = [
        *await DROP_TRIGGERS.all(connection, schema="public", names=None, but=[]),
        *bare(script("archive")),
        *await MOVE_LEGACY_FUNCTIONS.all(connection, before="public", after=ARCHIVE),
        *await MOVE_TABLES.all(connection, before=NEXT, after="public", names=legacy, but=[]),
        f"DROP SCHEMA {NEXT}",
    ]
    if view_role:
        late += legacy_views(view_role, await COLUMNS_OF_V2.all(connection, tables=legacy))
    return early, late


_QUARANTINED = """EXISTS (
    SELECT FROM v2_migration.quarantine AS q
    WHERE q.source_table = '{of}' AND q.field = '*' AND q.source_id = a.{id}::text
)"""
_IS_ACTIVE = "a.is_active AND coalesce((SELECT k.is_active FROM public.api_keys AS k WHERE k.id = a.id), true)"
_SOURCES = {
    "spaces": ("v2_migration.old_spaces", _QUARANTINED.format(of="spaces", id="id")),
    "reservations": (
        "public.reservations",
        " OR ".join([_QUARANTINED.format(of="reservations", id="id"), _QUARANTINED.format(of="spaces", id="space_id")]),
    ),
    "state_changes": (
        "public.state_changes",
        " OR ".join(
            [_QUARANTINED.format(of="state_changes", id="id"), _QUARANTINED.format(of="spaces", id="space_id")]
        ),
    ),
}
"""Sources of the views: where the rows of Baylight are, and which rows of the archive are added as not carried over."""


def legacy_views(role: str, columns: Sequence[ColumnOfV2]) -> list[str]:
    """Return the statements that create V2's names as views in the schema of V2's role, where PostgreSQL looks first.

    Each column has its old type. Columns that the customer added are read from the archive. V2 may note the last use of
    a key, as its check of keys does; a key that Baylight revoked is not active.
    """
    schema = quoted(role)
    created = [f"CREATE SCHEMA IF NOT EXISTS {schema}", f"GRANT USAGE ON SCHEMA {schema} TO {schema}"]
    for table in LEGACY_TABLES:
        of_table = [c for c in columns if c.table == table]
        archived = ", ".join(f"a.{quoted(c.name)}" for c in of_table)
        archive = f"{ARCHIVE}.{table} AS a"
        if table in _SOURCES:
            source, others = _SOURCES[table]
            own = V2_COLUMNS[table]
            listed = ", ".join(
                f"{'s' if c.name in own else 'a'}.{quoted(c.name)}::{c.type} AS {quoted(c.name)}" for c in of_table
            )
            join = ["LEFT JOIN", archive, "ON a.id = s.id"] if len(of_table) > len(own) else []
            parts = [
                *("SELECT", listed, "FROM", source, "AS s", *join),
                *("UNION ALL SELECT", archived, "FROM", archive, "WHERE (", others, ")"),
                f"AND NOT EXISTS (SELECT FROM public.{table} AS b WHERE b.id = a.id)",
            ]
        else:
            listed = archived.replace('a."is_active"', f'({_IS_ACTIVE}) AS "is_active"')
            parts = ["SELECT", listed, "FROM", archive]
        created += [
            f"CREATE VIEW {schema}.{table} AS {' '.join(parts)}",
            f"GRANT SELECT ON {schema}.{table} TO {schema}",
        ]
    return [*created, f"GRANT UPDATE (last_used_at) ON {schema}.api_keys TO {schema}"]


async def move_functions(connection: Connection, before: str, after: str, names: list[str] | None = None) -> list[str]:
    """Return the statements that move functions, and make those that name their schema name the new one."""
    found = []
    for function in await FUNCTIONS.all(connection, schema=before, names=names):
        found.append(f"ALTER FUNCTION {before}.{function.name}({function.arguments}) SET SCHEMA {after}")
        definition = placed(function.definition, before=before, after=after)
        if definition != function.definition:
            found.append(
                definition.replace(f"FUNCTION {before}.{function.name}(", f"FUNCTION {after}.{function.name}(", 1)
            )
    return found


def bare(text: str) -> list[str]:
    """Return the statements of a script without the semicolons at their ends."""
    return [statement.rstrip(";") for statement in statements(text)]


def require_sql() -> list[str]:
    """Return the statements of `require_devices`, for both roles."""
    return [statement for name in _RULES.values() for statement in statements(script(name))]


async def require_devices(migration: MigrationRun) -> None:
    """Refuse live spaces without the required devices. The check of existing rows blocks no writer."""
    for role in migration.choices.require:
        *add, validate = statements(script(_RULES[role]))

        async def work(connection: Connection, add: list[str] = add) -> None:
            for statement in add:
                await connection.execute(statement)

        await migration.run_locked(["public.spaces"], "ACCESS EXCLUSIVE", work)
        await migration.connection.execute(validate)


async def require_nothing(migration: MigrationRun) -> None:
    """Drop these rules. Idempotent."""

    async def drop(connection: Connection) -> None:
        await connection.execute(script("require_nothing"))
        await FORGET_STEP.run(connection, step="require")

    await migration.run_locked(["public.spaces"], "ACCESS EXCLUSIVE", drop)


async def _check_devices(connection: Connection, role: str) -> None:
    rows = await SPACES_WITHOUT.all(connection, role=role, limit=_LISTED_SPACES_LIMIT)
    if rows:
        raise InputError(
            "spaces_without",
            f"{len(rows)} spaces have no {role}, so none can be required: {', '.join(row.code for row in rows[:20])}",
            ids=[str(row.id) for row in rows],
        )


async def role_of_v2(connection: Connection) -> str:
    """Return the role that the V2 application logs in as."""
    return await ROLE_OF_V2.one(connection)
