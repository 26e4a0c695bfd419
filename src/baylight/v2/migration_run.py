"""Run of the migration, with the connections, pace and choices of its steps, and the record of each step."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple, TypeVar

from baylight.errors import InputError, TransientError
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement
from baylight.v2.choices import Choices
from baylight.v2.pace import Pace, Progress
from baylight.v2.schema import OWN, relation_exists
from baylight.v2.session import BUSY, with_short_lock

STAGES = ("expand", "backfill", "verify", "switch", "contract")
MAX_BATCH_TRIES = 200

Work = Callable[[Connection], Awaitable[None]]
T = TypeVar("T")


class RecordedStep(NamedTuple):
    """Step that has begun. `place`: where a step in batches stands. `tries`: number of tries for its lock."""

    name: str
    stage: str
    done_at: datetime | None
    place: str | None
    rows: int
    tries: int


RECORDED = Query("v2.migration_run.recorded", RecordedStep)
MARK_STARTED = Statement("v2.migration_run.mark_started")
MARK_DONE = Statement("v2.migration_run.mark_done")
NOTE_TRIES = Statement("v2.migration_run.note_tries")
NOTE_PLACE = Statement("v2.migration_run.note_place")
PLACE = Query("v2.migration_run.place", str)
FORGET_STAGE = Statement("v2.migration_run.forget_stage")
FORGET_STEP = Statement("v2.migration_run.forget_step")
COUNT_QUARANTINE = Query("v2.migration_run.count_quarantine", int)
WRITE_AS_COPY = Statement("v2.migration_run.write_as_copy")
WRITE_IN_BULK = Statement("v2.migration_run.write_in_bulk")


@dataclass(slots=True)
class MigrationRun:
    """Run of the migration, which each step receives. `second` is a connection for work that is done in two halves.

    `patience_s`: seconds that the run asks for a lock before it gives up. `verified`: this run has verified.
    """

    connection: Connection
    second: Connection
    pace: Pace
    choices: Choices
    patience_s: float
    log: Callable[[str], None]
    verified: bool = False

    async def run_locked(
        self,
        tables: Sequence[str],
        mode: str,
        work: Work,
        *,
        done: str | None = None,
        first: tuple[Sequence[str], Work] | None = None,
    ) -> None:
        """Run `work` in one short transaction that holds these tables. `first` is that of session.with_short_lock.

        `done`: the step that this transaction completes. It is marked done in the same transaction.
        """

        async def work_and_mark() -> None:
            await work(self.connection)
            if done:
                await mark_done(self.connection, done)

        before = (first[0], partial(first[1], self.connection)) if first else None
        tries = await with_short_lock(
            self.connection, tables, mode, work_and_mark, patience_s=self.patience_s, log=self.log, first=before
        )
        if tries > 1 and done:
            await NOTE_TRIES.run(self.connection, step=done, tries=tries)

    async def run_batch(self, work: Callable[[], Awaitable[int]]) -> int:
        """Run one batch in a transaction of its own. Try again while other sessions hold the rows that it needs."""

        async def in_transaction() -> int:
            async with self.connection.transaction():
                return await work()

        return await self._run_paced(in_transaction)

    async def carry(self, query: Query[int], **parameters: object) -> int:
        """Run a query that carries a batch, notes its place and returns the count. This is one round trip."""
        return await self._run_paced(lambda: query.one(self.connection, **parameters))

    async def _run_paced(self, work: Callable[[], Awaitable[int]]) -> int:
        async def timed() -> tuple[int, float]:
            began = time.perf_counter()
            return await work(), time.perf_counter() - began

        count, took_s = await self.retry(timed)
        await self.pace.after(took_s)
        return count

    async def retry(self, work: Callable[[], Awaitable[T]], on: tuple[type[Exception], ...] = BUSY) -> T:
        """Try again after these errors. Raises TransientError `batch_locked`."""
        for attempt in range(MAX_BATCH_TRIES):
            try:
                return await work()
            except on:
                self.pace.failed()
                await asyncio.sleep(random.uniform(0.5, 1.0) * min(0.05 * 1.2**attempt, 2.0))
        raise TransientError(
            "batch_locked", f"a batch got no lock in {MAX_BATCH_TRIES} tries; run the same command again"
        )

    async def check_quarantine(self) -> None:
        """Check the number of values in quarantine. Raises InputError `quarantine_full` if it is over the limit."""
        count = await COUNT_QUARANTINE.one(self.connection)
        if count > self.choices.quarantine_limit:
            raise InputError(
                "quarantine_full",
                f"{count} values could not be carried over, more than the limit of {self.choices.quarantine_limit}. "
                "Look at them with `baylight v2 quarantine list`, then correct them in V2, leave them behind with "
                "`baylight v2 quarantine drop`, or raise [limits] quarantine, and run the same command again",
                count=count,
            )


@dataclass(slots=True)
class Bar:
    """Progress of one step in batches."""

    migration: MigrationRun
    step: str
    total: int
    done: int = 0
    _began: float = 0.0
    _reported: float = 0.0
    _first: int = 0

    def start(self, done: int = 0) -> None:
        """Begin with what earlier runs have done."""
        self._began, self.done, self._first = time.monotonic(), done, done

    def move(self, to: int) -> None:
        """Report at most five times a second. Only `end` reports that all is done, since `total` is an estimate."""
        self.done = to
        now = time.monotonic()
        if now - self._reported > 0.2 and to < self.total:
            self._reported = now
            rate = self._rate(now)
            left_s = (self.total - to) / rate if rate else None
            self.migration.pace.on_progress(Progress(self.step, to, self.total, rate, left_s))

    def end(self) -> None:
        """Report once that all is done."""
        rate = self._rate(time.monotonic())
        self.migration.pace.on_progress(Progress(self.step, self.done, self.done, rate, 0.0))

    def _rate(self, now: float) -> float:
        return (self.done - self._first) / max(now - self._began, 0.001)


async def mark_started(connection: Connection, step: str, stage: str) -> None:
    """Record that a step has begun. Idempotent."""
    await MARK_STARTED.run(connection, step=step, stage=stage)


async def mark_done(connection: Connection, step: str) -> None:
    """Record that a step is done.

    Only the runner (`run._run`) marks steps, each after it has run. A step whose last work is one locked transaction is
    marked in that transaction, by `MigrationRun.run_locked(done=…)`.
    """
    await MARK_DONE.run(connection, step=step)


async def place_of(connection: Connection, step: str) -> str | None:
    """Return where a step in batches stands, or None at its start."""
    return await PLACE.first(connection, step=step)


async def recorded_steps(connection: Connection) -> dict[str, RecordedStep]:
    """Return the steps that have begun, by name; none before the first one."""
    if not await relation_exists(connection, f"{OWN}.steps"):
        return {}
    return {row.name: row for row in await RECORDED.all(connection)}
