"""Table of all steps of the migration, in order, with the statements, the lock and the undo of each."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from baylight.errors import ConflictError
from baylight.store.beside import placed
from baylight.store.migrate import statements
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement
from baylight.v2.migration_run import MigrationRun
from baylight.v2.schema import ARCHIVE, CARRY, NEXT, OWN, create, migrations, script
from baylight.v2.session import MAX_LOCK_WAIT_MS
from baylight.v2.stages import back, backfill, contract, later, switch
from baylight.v2.stages.queue import drain
from baylight.v2.stages.verify import CHECKS, COUNTS, verify

_FUNCTIONS = (*CARRY, "capture", "views", "reflect", "back", "reflect_triggers", "assignments")
EXTENSION_LEFT = Query("v2.steps.extension_left", str)
NOTE_LAST_READING = Statement("v2.steps.note_last_reading")
NO_LOCK = "none on V2's tables"
_ROWS_STAY = "nothing: the rows stay and go on following; undoing `expand` removes them"
_VERIFY_LOOKS = 3

Work = Callable[[MigrationRun], Awaitable[None]]
Sql = Callable[[], list[str]]


class Waits(NamedTuple):
    """Sessions that can wait for a step, and for how long at most."""

    who: str
    longest: str

    def sentence(self) -> str:
        """Return both, or `nothing`."""
        return f"{self.who}: {self.longest}" if self.longest else "nothing"


_NONE = Waits("", "")
_BRIEF = Waits("writers of the table", f"{MAX_LOCK_WAIT_MS} ms for the lock, then some ms")
_BATCH = Waits("writers of a row in its batch", "about 20 ms")


@dataclass(frozen=True, slots=True)
class Step:
    """Step of the migration, with its undo.

    `sql` and `undo_sql` return the statements of `run` and `undo`, for `plan`. `lock` is the strongest lock on a
    table of V2. `undo` is idempotent; without one there is nothing to undo, and `undo_note` says why.
    `requires_fresh_verify`: the same run must have verified before.
    """

    name: str
    stage: str
    does: str
    sql: Sql
    lock: str
    waits: Waits
    run: Work
    undo_note: str
    undo: Work | None = None
    undo_sql: Sql = list
    requires_fresh_verify: bool = False


def _statements(*names: str) -> Sql:
    return lambda: [found for name in names for found in statements(script(name))]


def _sql(*queries: Statement) -> Sql:
    return lambda: [query.sql for query in queries]


async def _control(migration: MigrationRun) -> None:
    await migration.connection.execute(script("control"))


async def _drop_control(migration: MigrationRun) -> None:
    await _run_script(migration, "drop_control")


def _tables_sql() -> list[str]:
    return [s for text in (script("tables"), *migrations().values()) for s in statements(placed(text))]


async def _tables(migration: MigrationRun) -> None:
    async def work(connection: Connection) -> None:
        await create(connection)
        await later.postpone(connection)
        await NOTE_LAST_READING.run(connection)

    await migration.run_locked([], "", work, done="tables")


async def _drop_tables(migration: MigrationRun) -> None:
    await _run_script(migration, "drop_tables")
    if reason := await EXTENSION_LEFT.first(migration.connection):
        migration.log(f"expand: the extension btree_gist stays, since {reason}")


async def _run_script(migration: MigrationRun, name: str) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute(script(name))

    await migration.run_locked([], "", work)


async def _functions(migration: MigrationRun) -> None:
    async def work(connection: Connection) -> None:
        for name in _FUNCTIONS:
            await connection.execute(script(name))

    await migration.run_locked([], "", work, done="functions")


def _capture(table: str) -> Step:
    """Return the step that creates the triggers on one table. Each step is a transaction, so no two tables are locked
    at once."""
    name, locked = f"capture {table}", [f"public.{table}"]

    def triggers(file: str) -> list[str]:
        return [s for s in statements(script(file)) if re.search(rf"ON public\.{table}\b", s)]

    async def execute(connection: Connection, file: str) -> None:
        for statement in triggers(file):
            await connection.execute(statement)

    async def run(migration: MigrationRun) -> None:
        await migration.run_locked(
            locked, "SHARE ROW EXCLUSIVE", lambda connection: execute(connection, "capture_triggers"), done=name
        )

    async def undo(migration: MigrationRun) -> None:
        await migration.run_locked(
            locked, "ACCESS EXCLUSIVE", lambda connection: execute(connection, "drop_capture_triggers")
        )

    return Step(
        name, "expand", f"What V2 writes to {table} is carried over in its own transaction from now on, or queued.",
        lambda: triggers("capture_triggers"), f"SHARE ROW EXCLUSIVE on {table}", _BRIEF, run,
        "under ACCESS EXCLUSIVE for some ms", undo, lambda: triggers("drop_capture_triggers"),
    )  # fmt: skip


async def _verify(migration: MigrationRun) -> None:
    for _ in range(_VERIFY_LOOKS):  # what V2 adds to the queue between the two lines is no difference yet
        await drain(migration.connection, patience_s=migration.patience_s, log=migration.log)
        verdict = await verify(migration.connection)
        if not verdict.waits:
            break
    if not verdict.green:
        shown = "; ".join(f"{d.check} {d.id}: {d.detail}" for d in verdict.differences[:5])
        raise ConflictError(
            "not_verified", f"{len(verdict.differences)} differences: {shown}. See `baylight v2 verify`"
        )
    migration.verified = True


def _rows(name: str, does: str, sql: Sql, lock: str, run: Work) -> Step:
    return Step(name, "backfill", does, sql, lock, _BATCH if "ROW" in lock else _NONE, run, _ROWS_STAY)


def _later(name: str, does: str, sql: list[str], waits: Waits, run: Work) -> Step:
    return Step(name, "backfill", does, lambda: sql, NO_LOCK, waits, run, _ROWS_STAY)


STEPS: tuple[Step, ...] = (
    Step(
        "control", "expand", "Create the migration's own tables.", _statements("control"), NO_LOCK, _NONE, _control,
        "deletes what the migration has noted", _drop_control, _statements("drop_control"),
    ),
    Step(
        "tables", "expand", f"Create Baylight's tables, empty, in the schema {NEXT}.", _tables_sql, NO_LOCK, _NONE,
        _tables, "deletes what only Baylight has", _drop_tables, _statements("drop_tables"),
    ),
    Step(
        "functions", "expand", "Create the functions that turn V2's rows into Baylight's, and the other way round.",
        _statements(*_FUNCTIONS), NO_LOCK, _NONE, _functions, f"nothing: they go with {OWN} and {NEXT}",
    ),
    _capture("spaces"),
    _capture("reservations"),
    _capture("state_changes"),
    _capture("api_keys"),
    _rows("contested", "Note which space gets a device that several ask for.",
          _sql(backfill.CONTESTED_SENSORS, backfill.CONTESTED_ROLES, backfill.CONTESTED_DISPLAYS), "ACCESS SHARE",
          backfill.find_contested),
    _rows("spaces", "Carry spaces, devices, locations and assignments, in batches.", _sql(backfill.CARRY_PAGES),
          "ROW SHARE, FOR SHARE SKIP LOCKED on the batch's rows", backfill.carry_spaces),
    _rows("reservations", "Carry reservations, in batches.", _sql(backfill.CARRY_RESERVATIONS),
          "ROW SHARE, FOR SHARE SKIP LOCKED on the batch's rows", backfill.carry_reservations),
    _rows("state_changes", "Carry the history of states, in batches.",
          _sql(backfill.CARRY_STATE_CHANGES, backfill.STATE_CHANGES_LEFT), "ACCESS SHARE",
          backfill.carry_state_changes),
    _rows("api_keys", "Carry API keys.", _sql(backfill.API_KEYS_LEFT, backfill.FOLLOW_EACH),
          "ROW SHARE, FOR NO KEY UPDATE SKIP LOCKED on the rows", backfill.carry_api_keys),
    _later("indexes", "Build the indexes that the filling of the tables did not need.",
           [f"CREATE INDEX CONCURRENTLY {name} …" for name in later.INDEXES], _NONE, later.build_indexes),
    _later("assignments", "Build the keys of the history of assignments, then write what changed meanwhile.",
           [f"ALTER TABLE {NEXT}.device_assignments ADD CONSTRAINT …", later.REPLAY_ASSIGNMENTS.sql,
            *statements(script("assignments_written_at_once"))],
           Waits("readers of Baylight's history of assignments", "while its keys are built"), later.build_assignments),
    _later("foreign keys", "Add the foreign keys of the tables that were filled.",
           [f"ALTER TABLE {NEXT}.… ADD CONSTRAINT … FOREIGN KEY … NOT VALID", "ALTER TABLE … VALIDATE CONSTRAINT …"],
           _BRIEF, later.build_foreign_keys),
    Step(
        "verify", "verify", "Compare both sides in one snapshot; nothing goes on unless they agree.",
        _sql(*CHECKS.values(), COUNTS), "ACCESS SHARE", _NONE, _verify, "nothing",
    ),
    Step(
        "catch_up", "switch", "Copy what V2 received since the backfill, and what its displays show.",
        _sql(switch.COPY_LAST_READINGS, switch.FORGET_ORPHANS, switch.SHOWN_BY_V2), "ACCESS SHARE", _NONE,
        switch.catch_up, "nothing", requires_fresh_verify=True,
    ),
    Step(
        "switch", "switch", "Let Baylight decide and send from now on; V2's `state` follows.",
        _sql(*switch.GIVE_SQL), NO_LOCK, _NONE, switch.give_to_baylight,
        "V2 decides again; then each space gets V2's state, in batches", switch.give_back_to_v2,
        _sql(*switch.GIVE_BACK_SQL),
    ),
    Step(
        "redecide", "switch", "Mark every space to be decided once by Baylight's rules.", _sql(switch.REDECIDE),
        NO_LOCK, _NONE, switch.redecide, "nothing: undoing `switch` gives each space V2's state",
    ),
    Step(
        "contract", "contract", f"Give Baylight's tables their names in public; V2's go to {ARCHIVE}.",
        contract.contract_sql, "ACCESS EXCLUSIVE on V2's five tables",
        Waits("all statements", f"{MAX_LOCK_WAIT_MS} ms for the locks, then about 30 ms"),
        contract.contract, "V2's tables catch up, then the names are exchanged back as above",
        back.undo_contract, back.undo_contract_sql,
    ),
    Step(
        "require", "contract", "Require of live spaces the devices that were chosen, if any.", contract.require_sql,
        "none on V2's tables (it is Baylight's by then)", _NONE, contract.require_devices,
        "under ACCESS EXCLUSIVE on Baylight's spaces for some ms", contract.require_nothing,
        _statements("require_nothing"),
    ),
)  # fmt: skip
