"""apply, rollback and status: which steps come next, one tool at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from baylight.errors import InputError
from baylight.store.pool import Connection
from baylight.v2 import choices as choices_of
from baylight.v2.backfill import OTHER_HALF
from baylight.v2.choices import Choices
from baylight.v2.findings import check_choices, is_v2
from baylight.v2.migration_run import STAGES, MigrationRun, done_steps, mark_done, mark_started
from baylight.v2.pace import Pace, Progress
from baylight.v2.schema import OWN, script
from baylight.v2.session import alone, connected
from baylight.v2.steps import STEPS, UNDOING, Step, undo

PATIENCE_S = 600.0
_LAG_UNSEEN = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state IS NULL)"

Log = Callable[[str], None]
OnProgress = Callable[[Progress], None]


def _silent(_: object) -> None:
    pass


async def apply(
    dsn: str,
    *,
    to: str = "contract",
    choices: Choices | None = None,
    log: Log = _silent,
    on_progress: OnProgress = _silent,
    patience_s: float = PATIENCE_S,
) -> None:
    """Runs what is left up to and with the stage `to`. Idempotent; after a crash the next call goes on where it ended.

    Raises InputError `unknown_stage`, `not_v2`, `needs_choices`, `quarantine_full`, `spaces_without`;
    ConflictError `not_verified`; TransientError `locked`, `batch_locked`, `replica_behind`, `database_away`.
    """
    wanted = _stages_to(to)
    async with _migration_run(dsn, choices, log, on_progress, patience_s) as migration:
        if UNDOING in await done_steps(migration.connection):
            log("expand: its undoing, which was broken off, is brought to its end")
            await undo(migration, "expand")
        if not await done_steps(migration.connection):
            await is_v2(migration.connection)
            await check_choices(migration.connection, migration.choices)
            await migration.connection.execute(script("control"))
        await choices_of.store(migration.connection, migration.choices)
        for stage in wanted:
            for step in (s for s in STEPS if s.stage == stage):
                await _run(migration, step)
        log(f"{to}: done")


async def _run(migration: MigrationRun, step: Step) -> None:
    found = (await done_steps(migration.connection)).get(step.name)
    if found and found["done_at"]:
        return
    if step.name == "catch_up" and not migration.verified:
        migration.log("verify: Once more, since this run has not done it.")
        await next(s for s in STEPS if s.name == "verify").run(migration)
    await mark_started(migration.connection, step.name, step.stage)
    migration.log(f"{step.stage}: {step.does}")
    async with migration.pace.watching():
        await step.run(migration)
    await mark_done(migration.connection, step.name)
    migration.verified |= step.name == "verify"


async def rollback(
    dsn: str,
    *,
    to: str | None = None,
    log: Log = _silent,
    on_progress: OnProgress = _silent,
    patience_s: float = PATIENCE_S,
) -> list[str]:
    """Takes stages back, the last first, down to `to`, which stays; `start` takes all back; without, only the last one.

    Returns the stages that were undone. Idempotent. Raises InputError `unknown_stage`, TransientError as `apply`.
    """
    if to is not None and to != "start":
        _stages_to(to)
    undone: list[str] = []
    async with _migration_run(dsn, None, log, on_progress, patience_s) as migration:
        entered = [s for s in STAGES if any(r["stage"] == s for r in (await done_steps(migration.connection)).values())]
        keep = entered[:-1] if to is None else [] if to == "start" else _stages_to(to)
        for stage in reversed([s for s in entered if s not in keep]):
            log(f"{stage}: being undone")
            async with migration.pace.watching():
                await undo(migration, stage)
            undone.append(stage)
    return undone


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
        known = choices or await choices_of.stored(connection) or Choices()
        pids = [connection.get_server_pid(), second.get_server_pid()]
        pace = Pace(watch, pids, on_progress, known.replication_lag_s)
        if await watch.fetchval(_LAG_UNSEEN):
            log("this account cannot see how far the replicas are behind, so they are not waited for: GRANT pg_monitor")
        yield MigrationRun(connection, second, pace, known, patience_s, log)


@dataclass(frozen=True, slots=True)
class StepStatus:
    """`rows` of steps in batches; `tries`: how often its lock was asked for."""

    name: str
    stage: str
    done_at: datetime | None
    rows: int
    tries: int


@dataclass(frozen=True, slots=True)
class Status:
    """`stage`: the last one that is done, or None. `ignored_writes`: states that V2 wrote after the switch."""

    stage: str | None
    owner: str
    steps: list[StepStatus]
    quarantined: dict[str, int]
    ignored_writes: int


async def status(connection: Connection) -> Status:
    """Where the migration stands. Reads only."""
    rows = await done_steps(connection)
    half = rows.pop(OTHER_HALF, None)
    steps = [
        StepStatus(r["name"], r["stage"], r["done_at"], r["rows"] + (half["rows"] if half and name == "spaces" else 0),
                   r["tries"])
        for name, r in rows.items()
    ]  # fmt: skip
    finished = [
        s for s in STAGES if all(step.name in rows and rows[step.name]["done_at"] for step in STEPS if step.stage == s)
    ]
    if not rows:
        return Status(None, "v2", [], {}, 0)
    quarantined = await connection.fetch(f"SELECT reason, count(*) FROM {OWN}.quarantine GROUP BY 1 ORDER BY 2 DESC")
    return Status(
        finished[-1] if finished else None,
        await connection.fetchval(f"SELECT owner FROM {OWN}.control"),
        steps,
        {row["reason"]: row["count"] for row in quarantined},
        await connection.fetchval(f"SELECT coalesce(sum(times), 0)::bigint FROM {OWN}.ignored_writes"),
    )
