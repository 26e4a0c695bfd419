"""Rehearsal of all stages and of their undo, on a copy of V2's tables that V2 does not see.

The steps of `stages/steps.py` run as they are, between them a little of the life of both sides. What fails here would
fail later, weeks after the switch perhaps. `scratch.py` has the copy. Triggers of the customer are not rehearsed, since
their effects are not known. Neither are names and rights, which the catalogue shows (`obstacles.py`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import asyncpg

from baylight.errors import BaylightError
from baylight.store.connect import AWAY
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement
from baylight.v2 import choices as choices_of
from baylight.v2.choices import Choices
from baylight.v2.inspection.scratch import back, scratch
from baylight.v2.migration_run import STAGES, MigrationRun, mark_done, mark_started
from baylight.v2.pace import Pace
from baylight.v2.schema import script
from baylight.v2.sentences import sentence
from baylight.v2.stages.steps import STEPS

_MAX_S = 60.0


class Name(NamedTuple):
    """Name that the contract stage gives to something in the schema `public`. `arguments`: those of a function."""

    kind: str
    name: str
    arguments: str


OUR_NAMES = Query("v2.rehearsal.our_names", Name)
V2_LIVES = {
    "adds": Statement("v2.rehearsal.v2_adds_a_space"),
    "changes": Statement("v2.rehearsal.v2_changes_spaces"),
    "reserves": Statement("v2.rehearsal.v2_reserves"),
    "notes": Statement("v2.rehearsal.v2_notes_a_state"),
}
BAYLIGHT_LIVES = {
    "adds": Statement("v2.rehearsal.baylight_adds_a_space"),
    "changes": Statement("v2.rehearsal.baylight_changes_spaces"),
    "cancels": Statement("v2.rehearsal.baylight_cancels"),
    "notes": Statement("v2.rehearsal.baylight_notes_a_state"),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Step that cannot run, and why. `undo`: it is the undo of the step that cannot."""

    stage: str
    step: str
    undo: bool
    reason: str

    @property
    def where(self) -> str:
        return f"{'the undo of ' if self.undo else ''}{self.step} (stage {self.stage})"


@dataclass(slots=True)
class Rehearsal:
    """Result of a rehearsal. `names`: what Baylight's things will be called in `public`."""

    failure: Failure | None = None
    names: list[Name] = field(default_factory=list)


async def rehearse(real: Connection, choices: Choices) -> Rehearsal:
    """Run all stages forth and back on a copy, in one transaction that is rolled back. It lasts some seconds.

    On V2's tables it acquires no lock but ACCESS SHARE.
    """
    result = Rehearsal()
    at = [STAGES[0], "copy of V2's tables", False]
    try:
        async with asyncio.timeout(_MAX_S), scratch(real) as (connection, second):
            migration = _run_on(connection, second, choices)
            await _forth(migration, at, result)
            await _back(migration, at)
    except AWAY as error:
        if isinstance(error, TimeoutError):
            result.failure = Failure(str(at[0]), str(at[1]), bool(at[2]), f"the rehearsal needs more than {_MAX_S:g} s")
        else:
            raise
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        raise  # another session has a table of V2, or rehearses at this moment
    except asyncpg.PostgresError as error:
        result.failure = Failure(str(at[0]), str(at[1]), bool(at[2]), back(sentence(error)))
    except BaylightError as error:
        result.failure = Failure(str(at[0]), str(at[1]), bool(at[2]), error.message)
    return result


def _run_on(connection: Connection, second: Connection, choices: Choices) -> MigrationRun:
    def ignore(_: object) -> None:
        pass

    pace = Pace(connection, [], ignore, choices.replication_lag_s)
    # The limit and the required devices are about all rows, not about the sample.
    choices = replace(choices, require=(), quarantine_limit=1_000_000)
    return MigrationRun(connection, second, pace, choices, 1.0, ignore)


async def _forth(migration: MigrationRun, at: list[object], result: Rehearsal) -> None:
    connection = migration.connection
    refused: set[str] = set()
    for step in STEPS:
        at[:] = step.stage, step.name, False
        if step.name == "control":
            await connection.execute(script("control"))
            await choices_of.store(connection, migration.choices)
        if step.name == "contract":
            result.names = await OUR_NAMES.all(connection)
        await mark_started(connection, step.name, step.stage)
        await step.run(migration)
        await mark_done(connection, step.name)
        if step.name in ("capture api_keys", "redecide"):  # both sides follow each other from here on
            await _live(connection, V2_LIVES, refused)
        if step.name in ("redecide", "require"):
            await _live(connection, BAYLIGHT_LIVES, refused)


async def _back(migration: MigrationRun, at: list[object]) -> None:
    for stage in reversed(STAGES):
        for step in reversed([step for step in STEPS if step.stage == stage]):
            at[:] = stage, step.name, True
            if step.undo:
                await step.undo(migration)
        if stage == "contract":
            await _live(migration.connection, V2_LIVES, set())


async def _live(connection: Connection, statements: dict[str, Statement], refused: set[str]) -> None:
    """Write as a side does. A rule or a type of the customer's may refuse these rows, which are none of its own.

    What was refused is not tried again: after the contract stage only its undo would find the rule.
    """
    for statement in statements.values():
        if statement.name in refused:
            continue
        try:
            async with connection.transaction():
                await statement.run(connection)
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError) as error:
            if isinstance(error, asyncpg.NotNullViolationError):
                raise
            refused.add(statement.name)
