"""Last stage, and its undo: Baylight's tables move to `public`, V2's to an archive."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from baylight.errors import InputError
from baylight.store.beside import placed
from baylight.store.migrate import statements
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement
from baylight.v2.migration_run import FORGET_STAGE, FORGET_STEP, Bar, MigrationRun
from baylight.v2.schema import ARCHIVE, CARRY, CREATE_QUIET_TRIGGERS, LEGACY_TABLES, NEXT, SCHEMA_EXISTS, quoted, script

_REFLECTED = ("spaces", "locations", "reservations", "state_changes", "api_keys")
_READ = [*_REFLECTED, "sensor_readings"]
"""Tables that V2's views read, or that have a trigger of V2's names."""
_RULES = {"sensor": "require_sensor", "display": "require_display"}
"""Files of sql/v2, by the role that live spaces must have a device in."""
_LISTED_SPACES_LIMIT = 1000


class SpaceCode(NamedTuple):
    """Space as an error names it."""

    id: UUID
    code: str


class Function(NamedTuple):
    """Function of the database, as PostgreSQL's catalogue has it."""

    name: str
    arguments: str
    definition: str


class IdRange(NamedTuple):
    """Range of ids. Both are None if there are none."""

    first: int | None
    last: int | None


SPACES_WITHOUT = Query("v2.contract.spaces_without", SpaceCode)
REMEMBER_OWN = Statement("v2.contract.remember_own")
REMEMBER_VIEW_SCHEMA = Statement("v2.contract.remember_view_schema")
ROLE_OF_V2 = Query("v2.contract.role_of_v2", str)
TABLES = Query("v2.contract.tables", str)
DROP_TRIGGERS = Query("v2.contract.drop_triggers", str)
MOVE_TABLES = Query("v2.contract.move_tables", str)
FUNCTIONS = Query("v2.contract.functions", Function)
MOVE_LEGACY_FUNCTIONS = Query("v2.contract.move_legacy_functions", str)
CREATE_VIEWS = Query("v2.contract.create_views", str)
ESTIMATE_SPACES = Query("v2.back.estimate_spaces", int)
NEXT_SPACES = Query("v2.back.next_spaces", UUID)
REFLECT_SPACES = Query("v2.back.reflect_spaces", int)
NEXT_RESERVATIONS = Query("v2.back.next_reservations", UUID)
REFLECT_RESERVATIONS = Query("v2.back.reflect_reservations", int)
STATE_CHANGES_TO_REFLECT = Query("v2.back.state_changes_to_reflect", IdRange)
REFLECT_STATE_CHANGES = Query("v2.back.reflect_state_changes", int)
REVOKE_KEYS = Statement("v2.back.revoke_keys")
OWN_TABLES = Query("v2.back.own_tables", str)
OWN_FUNCTIONS = Query("v2.back.own_functions", str)
DROP_VIEWS = Query("v2.back.drop_views", str)
DROP_VIEW_SCHEMAS = Query("v2.back.drop_view_schemas", str)


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
    for role in choices.require:
        await _check_devices(connection, role)
    view_role = choices.legacy_role or await role_of_v2(connection)
    early, late = await _forward(connection, view_role if choices.legacy_names == "views" else None)
    ours = await TABLES.all(connection, schema=NEXT)

    async def prepare(connection: Connection) -> None:
        await connection.execute(";\n".join(early))

    async def swap(connection: Connection) -> None:
        await connection.execute(";\n".join(late))

    await REMEMBER_OWN.run(connection)
    if choices.legacy_names == "views":
        await REMEMBER_VIEW_SCHEMA.run(connection, role=view_role)
    theirs = [f"public.{table}" for table in LEGACY_TABLES]
    await migration.run_locked(theirs, "ACCESS EXCLUSIVE", swap, done="contract", first=(ours, prepare))


async def _forward(connection: Connection, view_role: str | None) -> tuple[list[str], list[str]]:
    """Return what can be done before V2's tables are locked, and what cannot."""
    legacy = list(LEGACY_TABLES)
    early = [
        *await DROP_TRIGGERS.all(connection, schema=NEXT, names=None, but=[]),
        *await CREATE_QUIET_TRIGGERS.all(connection, quiet=False),
        *await MOVE_TABLES.all(connection, before=NEXT, after="public", names=None, but=legacy),
        *await _move_functions(connection, NEXT, "public"),
    ]
    late = [
        *await DROP_TRIGGERS.all(connection, schema="public", names=None, but=[]),
        *_bare(script("archive")),
        *await MOVE_LEGACY_FUNCTIONS.all(connection, before="public", after=ARCHIVE),
        *await MOVE_TABLES.all(connection, before=NEXT, after="public", names=legacy, but=[]),
        f"DROP SCHEMA {NEXT}",
    ]
    if view_role:
        late += await CREATE_VIEWS.all(connection, role=view_role)
    return early, late


def undo_contract_sql() -> list[str]:
    """Return the statements of `undo_contract`; `<each>` stands for what the catalogue lists."""
    return [
        *_follow_again_sql(),
        *(query.sql for query in (REFLECT_SPACES, REFLECT_RESERVATIONS, REFLECT_STATE_CHANGES, REVOKE_KEYS)),
        "DROP VIEW <role of V2>.<each of V2's names>",
        f"CREATE SCHEMA {NEXT}",
        f"ALTER TABLE public.<each of Baylight's> SET SCHEMA {NEXT}",
        f"ALTER FUNCTION public.<each of Baylight's> SET SCHEMA {NEXT}",
        *statements(script("unarchive")),
        *statements(script("capture_triggers")),
        *statements(script("reflect_triggers")),
    ]


async def undo_contract(migration: MigrationRun) -> None:
    """Make V2's tables follow again, let them catch up in batches, then exchange the names back. Idempotent."""
    connection = migration.connection
    if not await SCHEMA_EXISTS.one(connection, schema=ARCHIVE):
        return

    async def follow_again(connection: Connection) -> None:
        await connection.execute("\n".join(_follow_again_sql()))

    followed = [f"public.{table}" for table in (*_REFLECTED, "actuations")]
    await migration.run_locked(followed, "SHARE ROW EXCLUSIVE", follow_again)
    await _catch_up(migration)
    early, late = await _backward(connection)
    ours = await OWN_TABLES.all(connection)

    async def prepare(connection: Connection) -> None:
        await connection.execute(";\n".join(early))
        await connection.execute("SET LOCAL check_function_bodies = off")  # V2's tables are not in public yet
        for name in (*CARRY, "capture"):
            await connection.execute(script(name))

    async def swap(connection: Connection) -> None:
        await connection.execute(";\n".join(late))
        for name in ("reflect", "capture_triggers", "reflect_triggers"):
            await connection.execute(script(name))
        await FORGET_STAGE.run(connection, stage="contract")

    unread = [f"public.{quoted(table)}" for table in ours if table not in _READ]
    read = [f"public.{quoted(table)}" for table in ours if table in _READ]
    archived = [f"{ARCHIVE}.{table}" for table in LEGACY_TABLES]
    await migration.run_locked([*archived, *read], "ACCESS EXCLUSIVE", swap, first=(unread, prepare))


def _follow_again_sql() -> list[str]:
    """Return the triggers of `expand` by which V2's tables follow, for the schemas in which both sides lie now."""
    text = script("reflect") + script("reflect_triggers")
    return statements(text.replace("public.", f"{ARCHIVE}.").replace(f"{NEXT}.", "public."))


async def _catch_up(migration: MigrationRun) -> None:
    """Bring V2's rows that differ from Baylight's up to date, and create those that V2 never had."""
    connection = migration.connection
    bar = Bar(migration, "V2 catches up", await ESTIMATE_SPACES.one(connection))
    bar.start()
    for next_ids, reflect in ((NEXT_SPACES, REFLECT_SPACES), (NEXT_RESERVATIONS, REFLECT_RESERVATIONS)):
        place = UUID(int=0)
        while ids := await next_ids.all(connection, after=place, limit=migration.pace.size):
            place = ids[-1]

            async def batch(ids: list[UUID] = ids, reflect: Query[int] = reflect) -> int:
                return await reflect.one(connection, ids=ids)

            await migration.run_batch(batch)
            bar.move(bar.done + len(ids))
    low, high = await STATE_CHANGES_TO_REFLECT.one(connection)
    while low is not None and high is not None and low <= high:
        until = min(low + migration.pace.size, high)

        async def changes(low: int = low, until: int = until) -> int:
            return await REFLECT_STATE_CHANGES.one(connection, first=low, last=until)

        await migration.run_batch(changes)
        low = until + 1
    await REVOKE_KEYS.run(connection)
    bar.end()


async def _backward(connection: Connection) -> tuple[list[str], list[str]]:
    """Return what can be done before the tables are locked that V2 reads through its views, and what cannot."""
    own = await OWN_TABLES.all(connection)
    early = [
        f"CREATE SCHEMA {NEXT}",
        *await DROP_TRIGGERS.all(connection, schema="public", names=None, but=_READ),
        *await MOVE_TABLES.all(connection, before="public", after=NEXT, names=own, but=_READ),
        *await _move_functions(connection, "public", NEXT, await OWN_FUNCTIONS.all(connection)),
    ]
    late = [
        *await DROP_VIEWS.all(connection),
        *await DROP_VIEW_SCHEMAS.all(connection),
        *await DROP_TRIGGERS.all(connection, schema="public", names=_READ, but=[]),
        *await MOVE_TABLES.all(connection, before="public", after=NEXT, names=[n for n in own if n in _READ], but=[]),
        *await CREATE_QUIET_TRIGGERS.all(connection, quiet=True),
        *_bare(script("unarchive")),
        *await MOVE_LEGACY_FUNCTIONS.all(connection, before=ARCHIVE, after="public"),
        f"DROP SCHEMA {ARCHIVE}",
    ]
    return early, late


async def _move_functions(connection: Connection, before: str, after: str, names: list[str] | None = None) -> list[str]:
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


def _bare(text: str) -> list[str]:
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
