"""Way back from the contract stage: V2's tables catch up, then both sides exchange their names again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

import asyncpg

from baylight.errors import ConflictError
from baylight.store.migrate import statements
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement
from baylight.v2.migration_run import FORGET_STAGE, Bar, MigrationRun
from baylight.v2.schema import (
    ARCHIVE,
    CARRY,
    CREATE_QUIET_TRIGGERS,
    LEGACY_TABLES,
    NEXT,
    SCHEMA_EXISTS,
    in_archive,
    quoted,
    script,
)
from baylight.v2.session import BUSY
from baylight.v2.stages.contract import DROP_TRIGGERS, MOVE_LEGACY_FUNCTIONS, MOVE_TABLES, bare, move_functions

_REFLECTED = ("spaces", "locations", "reservations", "state_changes", "api_keys")
_READ = [*_REFLECTED, "sensor_readings"]
"""Tables that V2's views read, or that have a trigger of V2's names."""
_ROWS_PER_CALL = 2000
_LISTED = 20


class Aside(NamedTuple):
    """Space, deleted, that gave up its code or its sensor in V2's table, and what became of it."""

    code: str
    detail: str


class ToReflect(NamedTuple):
    """Row of V2 that must follow Baylight's. `name`: what an error calls it."""

    id: UUID
    name: str


class IdRange(NamedTuple):
    """Range of ids. Both are None if there are none."""

    first: int | None
    last: int | None


SET_ASIDE = Query("v2.back.set_aside", Aside)
MAKE_ROOM = Statement("v2.back.make_room")
SPACES_TO_REFLECT = Query("v2.back.spaces_to_reflect", ToReflect)
REFLECT_SPACES = Query("v2.back.reflect_spaces", int)
TOO_LONG = Query("v2.back.too_long", str)
RESERVATIONS_TO_REFLECT = Query("v2.back.reservations_to_reflect", ToReflect)
REFLECT_RESERVATIONS = Query("v2.back.reflect_reservations", int)
STATE_CHANGES_TO_REFLECT = Query("v2.back.state_changes_to_reflect", IdRange)
REFLECT_STATE_CHANGES = Query("v2.back.reflect_state_changes", int)
REVOKE_KEYS = Statement("v2.back.revoke_keys")
OWN_TABLES = Query("v2.back.own_tables", str)
USERS_OF_OWN = Query("v2.back.users_of_own", str)
OWN_FUNCTIONS = Query("v2.back.own_functions", str)
DROP_VIEWS = Query("v2.back.drop_views", str)
DROP_VIEW_SCHEMAS = Query("v2.back.drop_view_schemas", str)


def undo_contract_sql() -> list[str]:
    """Return the statements of `undo_contract`; `<each>` stands for what the catalogue lists."""
    catch_up = (SET_ASIDE, MAKE_ROOM, REFLECT_SPACES, REFLECT_RESERVATIONS, REFLECT_STATE_CHANGES, REVOKE_KEYS)
    return [
        *statements(in_archive("reflect", "back", "reflect_triggers")),
        *(query.sql for query in catch_up),
        "DROP VIEW <role of V2>.<each of V2's names>",
        f"CREATE SCHEMA {NEXT}",
        f"ALTER TABLE public.<each of Baylight's> SET SCHEMA {NEXT}",
        f"ALTER FUNCTION public.<each of Baylight's> SET SCHEMA {NEXT}",
        *statements(script("unarchive")),
        *statements(script("capture_triggers")),
        *statements(script("reflect_triggers")),
    ]


async def undo_contract(migration: MigrationRun) -> None:
    """Let V2's tables catch up, in the archive, then exchange the names back. Idempotent.

    V2's tables catch up twice: first while Baylight does not notice it, so that what V2 cannot hold is known before
    anything is changed; then from the instant on at which they follow each write.
    Raises ConflictError `cannot_go_back` that names the rows. Then nothing has changed.
    """
    connection = migration.connection
    if not await SCHEMA_EXISTS.one(connection, schema=ARCHIVE):
        return
    await drop_left_over(migration)
    await _catch_up(migration)

    async def follow_again(connection: Connection) -> None:
        await connection.execute(in_archive("reflect", "reflect_triggers"))

    followed = [f"public.{table}" for table in (*_REFLECTED, "actuations")]
    await migration.run_locked(followed, "SHARE ROW EXCLUSIVE", follow_again)
    try:
        await _catch_up(migration)
    except ConflictError:
        await drop_left_over(migration)
        raise
    await _exchange(migration)


async def _exchange(migration: MigrationRun) -> None:
    connection = migration.connection
    early, late = await _backward(connection)
    ours = await OWN_TABLES.all(connection)

    async def prepare(connection: Connection) -> None:
        await connection.execute(";\n".join(early))
        await connection.execute("SET LOCAL check_function_bodies = off")  # V2's tables are not in public yet
        for name in (*CARRY, "capture"):
            await connection.execute(script(name))

    async def swap(connection: Connection) -> None:
        await connection.execute(";\n".join(late))
        for name in ("reflect", "back", "capture_triggers", "reflect_triggers"):
            await connection.execute(script(name))
        await FORGET_STAGE.run(connection, stage="contract")

    unread = [f"public.{quoted(table)}" for table in ours if table not in _READ]
    read = [f"public.{quoted(table)}" for table in ours if table in _READ]
    archived = [f"{ARCHIVE}.{table}" for table in LEGACY_TABLES]
    await migration.run_locked([*archived, *read], "ACCESS EXCLUSIVE", swap, first=(unread, prepare))


async def drop_left_over(migration: MigrationRun) -> None:
    """Drop the triggers that an interrupted way back left on Baylight's tables after the contract. Idempotent."""
    if not await SCHEMA_EXISTS.one(migration.connection, schema=ARCHIVE):
        return
    drops = await DROP_TRIGGERS.all(migration.connection, schema="public", names=None, but=[])
    if not drops:
        return

    async def drop(connection: Connection) -> None:
        await connection.execute(";\n".join(drops))

    followed = [f"public.{table}" for table in (*_REFLECTED, "actuations")]
    await migration.run_locked(followed, "ACCESS EXCLUSIVE", drop)


async def check_unused(connection: Connection) -> None:
    """Check that nothing of other people's hangs on Baylight's tables, which the undo of `expand` deletes.

    Raises ConflictError `in_use` that names each thing.
    """
    contracted = await SCHEMA_EXISTS.one(connection, schema=ARCHIVE)
    own = await OWN_TABLES.all(connection) if contracted else []
    if users := await USERS_OF_OWN.all(connection, names=own):
        raise ConflictError(
            "in_use",
            f"Baylight's tables would be deleted, and these need them: {'; '.join(users)}. Drop or move them first, "
            "then run the same command again. Nothing was changed",
            users=users,
        )


async def _catch_up(migration: MigrationRun) -> None:
    """Bring V2's rows that differ up to date, and create those that V2 never had: all of them in one transaction.

    No other session waits for V2's rows meanwhile. Raises ConflictError `cannot_go_back`, and nothing is changed.
    """

    async def work() -> list[Aside]:
        connection = migration.connection
        async with connection.transaction():
            await connection.execute(in_archive("reflect", "back"))
            aside = await SET_ASIDE.all(connection)
            problems: list[str] = []
            if error := await _attempt(connection, partial(MAKE_ROOM.run, connection)):
                problems.append(f"spaces that exchanged their codes or sensors: {error}")
            spaces = await SPACES_TO_REFLECT.all(connection)
            reservations = await RESERVATIONS_TO_REFLECT.all(connection)
            bar = Bar(migration, "V2 catches up", len(spaces) + len(reservations))
            bar.start()
            problems += await _reflect(connection, REFLECT_SPACES, spaces, bar)
            problems += await _reflect(connection, REFLECT_RESERVATIONS, reservations, bar)
            if not problems:
                await _reflect_history(connection, problems)
                await REVOKE_KEYS.run(connection)
            if problems:
                raise _cannot_go_back(problems)
            bar.end()
            return aside

    for code, detail in await migration.retry(work):
        migration.log(f"  {code}, {detail}")


async def _reflect(connection: Connection, query: Query[int], rows: Sequence[ToReflect], bar: Bar) -> list[str]:
    """Run `query` on all rows; return what V2's table refuses, one sentence for each row."""
    problems = []
    for first in range(0, len(rows), _ROWS_PER_CALL):
        part = rows[first : first + _ROWS_PER_CALL]
        if await _attempt(connection, partial(query.one, connection, ids=[row.id for row in part])):
            for row in part:
                if error := await _attempt(connection, partial(query.one, connection, ids=[row.id])):
                    longer = await TOO_LONG.first(connection, id=row.id) if query is REFLECT_SPACES else None
                    problems.append(f"{row.name}: {longer or error}")
        bar.move(bar.done + len(part))
    return problems


async def _reflect_history(connection: Connection, problems: list[str]) -> None:
    low, high = await STATE_CHANGES_TO_REFLECT.one(connection)
    if low is not None and high is not None:
        error = await _attempt(connection, partial(REFLECT_STATE_CHANGES.one, connection, first=low, last=high))
        if error:
            problems.append(f"the history of states: {error}")


async def _attempt(connection: Connection, work: Callable[[], Awaitable[object]]) -> str | None:
    """Run `work` in a savepoint; return the error if V2's tables refuse what it writes."""
    try:
        async with connection.transaction():
            await work()
    except BUSY:
        raise
    except asyncpg.PostgresError as error:
        return str(error)
    return None


def _cannot_go_back(problems: list[str]) -> ConflictError:
    more = f"; and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
    return ConflictError(
        "cannot_go_back",
        f"V2's tables refuse {len(problems)} rows: {'; '.join(problems[:_LISTED])}{more}. Change them in Baylight, "
        "then run the same command again. Nothing was changed",
        rows=problems[:_LISTED],
    )


async def _backward(connection: Connection) -> tuple[list[str], list[str]]:
    """Return what can be done before the tables are locked that V2 reads through its views, and what cannot."""
    own = await OWN_TABLES.all(connection)
    early = [
        f"CREATE SCHEMA {NEXT}",
        *await DROP_TRIGGERS.all(connection, schema="public", names=None, but=_READ),
        *await MOVE_TABLES.all(connection, before="public", after=NEXT, names=own, but=_READ),
        *await move_functions(connection, "public", NEXT, await OWN_FUNCTIONS.all(connection)),
    ]
    late = [
        *await DROP_VIEWS.all(connection),
        *await DROP_VIEW_SCHEMAS.all(connection),
        *await DROP_TRIGGERS.all(connection, schema="public", names=_READ, but=[]),
        *await MOVE_TABLES.all(connection, before="public", after=NEXT, names=[n for n in own if n in _READ], but=[]),
        *await CREATE_QUIET_TRIGGERS.all(connection, quiet=True),
        *bare(script("unarchive")),
        *await MOVE_LEGACY_FUNCTIONS.all(connection, before=ARCHIVE, after="public"),
        f"DROP SCHEMA {ARCHIVE}",
    ]
    return early, late
