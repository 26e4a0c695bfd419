"""Every step of the migration, in order: what it runs, what it locks, how it is undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from baylight.errors import ConflictError, InputError
from baylight.store.beside import placed
from baylight.store.migrate import statements
from baylight.store.pool import Connection
from baylight.store.query import queries
from baylight.v2 import backfill, contract, later, switch
from baylight.v2.migration_run import STAGES, MigrationRun, mark_done, mark_started
from baylight.v2.schema import ARCHIVE, CARRY, NEXT, OWN, create, migrations, script
from baylight.v2.session import LONGEST_WAIT_MS
from baylight.v2.verify import verify

_FUNCTIONS = (*CARRY, "capture", "reflect", "reflect_triggers", "assignments")
NO_LOCK = "none on a table of V2"
_BRIEF = f"writers wait at most {LONGEST_WAIT_MS} ms for the lock to be had, and then some ms for its few statements"
_BATCH = "a writer of one of these rows waits for the end of its batch, about 20 ms"


@dataclass(frozen=True, slots=True)
class Step:
    """`sql` gives the statements, for `plan`; `lock` is the strongest lock on a table of V2."""

    name: str
    stage: str
    does: str
    sql: Callable[[], list[str]]
    lock: str
    blocks: str
    undo: str
    run: Callable[[MigrationRun], Awaitable[None]]


def _statements(*names: str) -> list[str]:
    return [found for name in names for found in statements(script(name))]


def _triggers_on(table: str) -> list[str]:
    return [s for s in _statements("capture_triggers") if f"ON public.{table}\n" in s]


async def _control(migration: MigrationRun) -> None:
    await migration.connection.execute(script("control"))


async def _tables(migration: MigrationRun) -> None:
    async def work(connection: Connection) -> None:
        await create(connection)
        await later.postpone(connection)
        await connection.execute(queries("v2.migration")["note_last_reading"])

    await migration.run_locked("tables", [], "", work)


async def _functions(migration: MigrationRun) -> None:
    async def work(connection: Connection) -> None:
        for name in _FUNCTIONS:
            await connection.execute(script(name))

    await migration.run_locked("functions", [], "", work)


def _capture(table: str) -> Step:
    name = f"capture {table}"

    async def run(migration: MigrationRun) -> None:
        async def work(connection: Connection) -> None:
            for statement in _triggers_on(table):
                await connection.execute(statement)

        await migration.run_locked(name, [f"public.{table}"], "SHARE ROW EXCLUSIVE", work)

    return Step(
        name, "expand", f"From now on what V2 writes to {table} is carried over in its own transaction.",
        lambda: _triggers_on(table), f"SHARE ROW EXCLUSIVE on {table}", _BRIEF,
        "DROP TRIGGER, under ACCESS EXCLUSIVE for some ms", run,
    )  # fmt: skip


async def _verify(migration: MigrationRun) -> None:
    verdict = await verify(migration.connection)
    if not verdict.green:
        shown = "; ".join(f"{d.check} {d.id}: {d.detail}" for d in verdict.differences[:5])
        raise ConflictError(
            "not_verified", f"{len(verdict.differences)} differences: {shown}. See `baylight v2 verify`"
        )
    await mark_done(migration.connection, "verify")


def _rows(name: str, does: str, sql: str, lock: str, run: Callable[[MigrationRun], Awaitable[None]]) -> Step:
    undo = "nothing to undo: the rows stay and go on following; undoing `expand` removes them"
    return Step(name, "backfill", does, lambda: [sql], lock, _BATCH if "ROW" in lock else "nothing", undo, run)


def _later(name: str, does: str, sql: list[str], blocks: str, run: Callable[[MigrationRun], Awaitable[None]]) -> Step:
    return Step(name, "backfill", does, lambda: sql, NO_LOCK, blocks, "nothing to undo, as above", run)


STEPS: tuple[Step, ...] = (
    Step(
        "control", "expand", "The migration's own tables.", lambda: _statements("control"), NO_LOCK, "nothing",
        f"DROP SCHEMA {OWN} CASCADE", _control,
    ),
    Step(
        "tables", "expand", f"Baylight's tables, empty, in the schema {NEXT}.",
        lambda: [s for text in migrations().values() for s in statements(placed(text))], NO_LOCK, "nothing",
        f"DROP SCHEMA {NEXT} CASCADE", _tables,
    ),
    Step(
        "functions", "expand", "How a row of V2's becomes one of Baylight's, and the other way round.",
        lambda: _statements(*_FUNCTIONS), NO_LOCK, "nothing",
        f"with {OWN} and {NEXT}", _functions,
    ),
    _capture("spaces"),
    _capture("reservations"),
    _capture("state_changes"),
    _capture("api_keys"),
    _rows("contested", "Who gets a device that several ask for.", "three INSERT … SELECT over spaces", "ACCESS SHARE",
          backfill.find_contested),
    _rows("spaces", "Spaces, devices, locations and assignments, in batches.",
          f"SELECT {OWN}.carry_new_spaces(ids)", "ROW SHARE, FOR SHARE SKIP LOCKED on the batch's rows",
          backfill.carry_spaces),
    _rows("reservations", "Reservations, in batches.", f"SELECT {OWN}.carry_new_reservations(ids)",
          "ROW SHARE, FOR SHARE SKIP LOCKED on the batch's rows", backfill.carry_reservations),
    _rows("state_changes", "The history of states, in batches.", f"SELECT {OWN}.carry_state_changes(first, last)",
          "ACCESS SHARE", backfill.carry_state_changes),
    _rows("api_keys", "API keys.", f"SELECT {OWN}.carry_api_keys(ids)", "ROW SHARE, FOR SHARE on the rows",
          backfill.carry_api_keys),
    _later("indexes", "Indexes that the filling of the tables did not need.",
           [f"CREATE INDEX CONCURRENTLY {name} …" for name in later.INDEXES], "nothing", later.build_indexes),
    _later("assignments", "The keys of the history of assignments, then its changes of the meantime.",
           [f"ALTER TABLE {NEXT}.device_assignments ADD CONSTRAINT …", f"SELECT {OWN}.replay_assignments(5000)"],
           f"Baylight's history of assignments while its keys are built; at the end {_BRIEF}", later.build_assignments),
    _later("foreign keys", "Foreign keys of the tables that were filled.",
           [f"ALTER TABLE {NEXT}.… ADD CONSTRAINT … FOREIGN KEY … NOT VALID", "ALTER TABLE … VALIDATE CONSTRAINT …"],
           _BRIEF, later.build_foreign_keys),
    Step("verify", "verify", "Compares both sides in one snapshot; nothing goes on unless they agree.",
         lambda: ["SELECT … (see `baylight v2 verify`)"], "ACCESS SHARE", "nothing", "nothing to undo", _verify),
    Step("catch_up", "switch", "What V2 heard since the backfill, and what its displays show.",
         lambda: [f"UPDATE {NEXT}.sensor_devices …", f"UPDATE {NEXT}.display_devices …"], "ACCESS SHARE", "nothing",
         "nothing to undo", switch.catch_up),
    Step("switch", "switch", "Baylight decides and sends from now on; V2's `state` follows.",
         lambda: [f"UPDATE {OWN}.control SET owner = 'baylight'"], NO_LOCK, "nothing",
         f"UPDATE {OWN}.control SET owner = 'v2'", switch.give_to_baylight),
    Step("redecide", "switch", "Marks every space to be decided once by Baylight's rules.",
         lambda: [f"UPDATE {NEXT}.spaces SET recompute_at = now(), in batches"], NO_LOCK, "nothing",
         "each space takes V2's state again, in batches", switch.redecide),
    Step("contract", "contract", f"Baylight's tables take their names in public, V2's go to {ARCHIVE}.",
         lambda: [f"ALTER TABLE public.<each of V2's> SET SCHEMA {ARCHIVE}",
                  f"ALTER TABLE {NEXT}.<each> SET SCHEMA public",
                  "CREATE VIEW <role of V2>.<each of V2's names>, if so chosen"],
         "ACCESS EXCLUSIVE on V2's five tables",
         f"all statements: at most {LONGEST_WAIT_MS} ms until the locks are had, then about 30 ms",
         "V2's tables catch up in batches, then the names are swapped back", contract.contract),
    Step("require", "contract", "The rule that live spaces have the devices that were demanded, if any.",
         lambda: ["ALTER TABLE public.spaces ADD CONSTRAINT … CHECK … NOT VALID", "VALIDATE CONSTRAINT"],
         "none on a table of V2 (it is Baylight's by then)", "nothing", "DROP CONSTRAINT", contract.require_devices),
)  # fmt: skip


async def undo(migration: MigrationRun, stage: str) -> None:
    """Takes a whole stage back, and forgets its steps. Idempotent."""
    if stage == "contract":
        await contract.undo_contract(migration)
    elif stage == "switch":
        await switch.give_back_to_v2(migration)
    elif stage in ("verify", "backfill"):
        await migration.connection.execute(f"DELETE FROM {OWN}.steps WHERE stage = $1", stage)
    elif stage == "expand":
        await _undo_expand(migration)
    else:
        raise InputError("unknown_stage", f"{stage!r} is none of {', '.join(STAGES)}")


UNDOING = "undo expand"
"""Noted before the first trigger is dropped: from then on V2's writes are missed, so there is no way but to its end."""


async def _undo_expand(migration: MigrationRun) -> None:
    """V2's tables are as they were; what is Baylight's alone is gone."""
    await migration.run_locked(
        UNDOING, [], "", lambda connection: mark_started(connection, UNDOING, "expand"), done=False
    )
    for table in ("spaces", "reservations", "state_changes", "api_keys"):

        async def drop(connection: Connection, table: str = table) -> None:
            await connection.execute(f"DROP TRIGGER IF EXISTS baylight_capture ON public.{table}")
            if table == "spaces":
                await connection.execute("DROP TRIGGER IF EXISTS baylight_keep_state ON public.spaces")

        await migration.run_locked(f"capture {table}", [f"public.{table}"], "ACCESS EXCLUSIVE", drop, done=False)

    async def remove(connection: Connection) -> None:
        made_gist = await connection.fetchval(f"SELECT made_btree_gist FROM {OWN}.control")
        await connection.execute(f"DROP SCHEMA IF EXISTS {NEXT} CASCADE")
        await connection.execute(f"DROP SCHEMA {OWN} CASCADE")
        if made_gist:
            await connection.execute("DROP EXTENSION IF EXISTS btree_gist")

    await migration.run_locked("control", [], "", remove, done=False)
