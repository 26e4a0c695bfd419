"""Functions behind `apply`, `rollback` and `status`, which choose the next steps. Only one run works at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from baylight.errors import InputError
from baylight.store.pool import Connection
from baylight.store.query import Query
from baylight.v2 import choices as choices_of
from baylight.v2.choices import Choices
from baylight.v2.inspection.findings import check_choices, later_obstacles, require_no_obstacle
from baylight.v2.inspection.obstacles import UNSAFE
from baylight.v2.inspection.recognize import require_v2
from baylight.v2.migration_run import FORGET_STAGE, STAGES, MigrationRun, mark_done, mark_started, recorded_steps
from baylight.v2.pace import Pace, Progress
from baylight.v2.schema import script
from baylight.v2.session import alone, connected
from baylight.v2.stages import back
from baylight.v2.stages.backfill import OTHER_HALF
from baylight.v2.stages.queue import drain
from baylight.v2.stages.steps import STEPS, Step

PATIENCE_S = 600.0
_DRAIN_S = 10.0
"""Seconds for which a run waits for the queue where nothing depends on it."""
UNDOING = "undo expand"
"""Name that is recorded before the first trigger is dropped. V2's writes are missed from then on, so the undo must be
finished."""

Log = Callable[[str], None]
OnProgress = Callable[[Progress], None]


class Standing(NamedTuple):
    """Standing of the migration. `owner`: the side that decides.

    `ignored_writes`: number of states that V2 wrote after the switch.
    """

    owner: str
    ignored_writes: int


class QuarantineCount(NamedTuple):
    """Number of values that could not be carried over for one reason."""

    reason: str
    values: int


LAG_HIDDEN = Query("v2.run.lag_hidden", bool)
STANDING = Query("v2.run.standing", Standing)
QUARANTINED = Query("v2.run.quarantined", QuarantineCount)


def _ignore(_: object) -> None:
    pass


async def apply(
    dsn: str,
    *,
    to: str = "contract",
    choices: Choices | None = None,
    log: Log = _ignore,
    on_progress: OnProgress = _ignore,
    patience_s: float = PATIENCE_S,
) -> None:
    """Run the steps that are left, up to and with the stage `to`. Idempotent. After a crash the next call continues.

    Raises InputError `wrong_account`, `unknown_stage`, `not_v2`, `blocked`, `needs_choices`, `choices_too_late`,
    `quarantine_full`, `spaces_without`, `database_refuses`; ConflictError `not_verified`; TransientError `locked`,
    `batch_locked`, `replica_behind`, `busy`, `database_away`.
    """
    stages = _stages_to(to)
    async with _migration_run(dsn, choices, log, on_progress, patience_s) as migration:
        if UNDOING in await recorded_steps(migration.connection):
            log("expand: an undoing was interrupted and is finished first")
            await _undo(migration, "expand")
        recorded = await recorded_steps(migration.connection)
        if "contract" not in recorded:
            await require_v2(migration.connection)
        if not recorded:
            for warning in (await check_choices(migration.connection, migration.choices)).warnings():
                log(warning)
            await migration.connection.execute(script("control"))
        await _keep_choices(migration)
        if "contract" in stages:
            require_no_obstacle(await later_obstacles(migration.connection, migration.choices))
        for step in STEPS:
            if step.stage in stages:
                await _run(migration, step)
        await drain(migration.connection, patience_s=_DRAIN_S, log=log)
        if to == "contract":
            await back.drop_left_over(migration)
        log(f"{to}: done")


async def _keep_choices(migration: MigrationRun) -> None:
    """Store the choices. Raises InputError `choices_too_late` if a step has used other ones."""
    connection = migration.connection
    before = await choices_of.stored(connection)
    done = {step.name for step in (await recorded_steps(connection)).values() if step.done_at}
    refused, late = choices_of.changed_too_late(before or migration.choices, migration.choices, done)
    if refused:
        raise InputError("choices_too_late", f"these changes of the choices come too late: {'; '.join(refused)}")
    for line in late:
        migration.log(line)
    await choices_of.store(connection, migration.choices)


async def _run(migration: MigrationRun, step: Step, *, again: bool = False) -> None:
    """Run a step, unless it is done, and mark it done. With `again` it runs in any case."""
    recorded = (await recorded_steps(migration.connection)).get(step.name)
    if recorded and recorded.done_at and not again:
        return
    if step.requires_fresh_verify and not migration.verified:
        await _run(migration, next(s for s in STEPS if s.name == "verify"), again=True)
    await mark_started(migration.connection, step.name, step.stage)
    migration.log(f"{step.stage}: {'Once more, since this run has not done it.' if again else step.does}")
    async with migration.pace.watching():
        await step.run(migration)
    await mark_done(migration.connection, step.name)


async def rollback(
    dsn: str,
    *,
    to: str | None = None,
    log: Log = _ignore,
    on_progress: OnProgress = _ignore,
    patience_s: float = PATIENCE_S,
) -> list[str]:
    """Undo stages, the last first, down to `to`, which stays. `start` undoes all; without `to` only the last is undone.

    Return the stages that were undone. Idempotent. Raises InputError `unknown_stage`, and TransientError as `apply`
    does.
    """
    if to is not None and to != "start":
        _stages_to(to)
    undone: list[str] = []
    async with _migration_run(dsn, None, log, on_progress, patience_s) as migration:
        begun = {step.stage for step in (await recorded_steps(migration.connection)).values()}
        entered = [stage for stage in STAGES if stage in begun]
        keep = entered[:-1] if to is None else [] if to == "start" else _stages_to(to)
        if "expand" in entered and "expand" not in keep:
            await back.check_unused(migration.connection)
        await drain(migration.connection, patience_s=_DRAIN_S, log=log)
        for stage in reversed([stage for stage in entered if stage not in keep]):
            log(f"{stage}: being undone")
            async with migration.pace.watching():
                await _undo(migration, stage)
            undone.append(stage)
    return undone


async def _undo(migration: MigrationRun, stage: str) -> None:
    """Undo the steps of a stage that have begun, the last first, and forget them. Idempotent."""
    connection = migration.connection
    if stage == "expand":
        await migration.run_locked([], "", lambda connection: mark_started(connection, UNDOING, "expand"))
    recorded = await recorded_steps(connection)
    for step in reversed([step for step in STEPS if step.stage == stage and step.name in recorded]):
        if step.undo:
            await step.undo(migration)
    if await recorded_steps(connection):  # none are left after `expand`
        await FORGET_STAGE.run(connection, stage=stage)


def _stages_to(stage: str) -> list[str]:
    if stage not in STAGES:
        raise InputError("unknown_stage", f"{stage!r} is none of {', '.join(STAGES)}")
    return list(STAGES[: STAGES.index(stage) + 1])


@asynccontextmanager
async def _migration_run(
    dsn: str, choices: Choices | None, log: Log, on_progress: OnProgress, patience_s: float
) -> AsyncIterator[MigrationRun]:
    def waiting() -> None:
        log("another run is at work: waiting for its end")

    async with (
        connected(dsn) as connection,
        connected(dsn) as second,
        connected(dsn) as watch,
        alone(connection, waiting),
    ):
        if reason := await UNSAFE.first(connection):
            raise InputError(
                "wrong_account", f"{reason}: run the migration as the account that owns V2's tables, and these schemas"
            )
        known = choices or await choices_of.stored(connection) or Choices()
        pids = [connection.get_server_pid(), second.get_server_pid()]
        pace = Pace(watch, pids, on_progress, known.replication_lag_s)
        if await LAG_HIDDEN.one(watch):
            log("this account cannot see how far replicas are behind, so it does not wait for them: GRANT pg_monitor")
        yield MigrationRun(connection, second, pace, known, patience_s, log)


@dataclass(frozen=True, slots=True)
class StepStatus:
    """Step that has begun. `rows`: rows of a step in batches. `tries`: number of tries for its lock."""

    name: str
    stage: str
    done_at: datetime | None
    rows: int
    tries: int


@dataclass(frozen=True, slots=True)
class Status:
    """Status of the migration. `stage`: the last stage that is done, or None.

    `ignored_writes`: number of states that V2 wrote after the switch.
    """

    stage: str | None
    owner: str
    steps: list[StepStatus]
    quarantined: dict[str, int]
    ignored_writes: int


async def status(connection: Connection) -> Status:
    """Return the status of the migration. This only reads."""
    recorded = await recorded_steps(connection)
    if not recorded:
        return Status(None, "v2", [], {}, 0)
    half = recorded.pop(OTHER_HALF, None)
    half_rows = {"spaces": half.rows} if half else {}
    steps = [
        StepStatus(row.name, row.stage, row.done_at, row.rows + half_rows.get(row.name, 0), row.tries)
        for row in recorded.values()
    ]
    done = {row.name for row in recorded.values() if row.done_at}
    finished = [stage for stage in STAGES if done.issuperset(step.name for step in STEPS if step.stage == stage)]
    standing = await STANDING.one(connection)
    return Status(
        finished[-1] if finished else None,
        standing.owner,
        steps,
        {row.reason: row.values for row in await QUARANTINED.all(connection)},
        standing.ignored_writes,
    )
