"""What every step works with, and how a step is recorded."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import asyncpg

from baylight.errors import InputError, TransientError
from baylight.store.pool import Connection
from baylight.v2.choices import Choices
from baylight.v2.pace import Pace, Progress
from baylight.v2.schema import OWN
from baylight.v2.session import BUSY, with_short_lock

STAGES = ("expand", "backfill", "verify", "switch", "contract")
BATCH_TRIES = 200

Work = Callable[[Connection], Awaitable[None]]
T = TypeVar("T")


@dataclass(slots=True)
class MigrationRun:
    """One run of the migration. `second` is for what can be done in two halves at once.

    `patience_s`: how long a lock is asked for before it gives up. `verified`: by this run.
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
        step: str,
        tables: Sequence[str],
        mode: str,
        work: Work,
        *,
        done: bool = True,
        first: tuple[Sequence[str], Work] | None = None,
    ) -> None:
        """Work and its mark in one transaction that holds these tables, with_short_lock; `first` as in session.with_short_lock."""

        async def both() -> None:
            await work(self.connection)
            if done:
                await mark_done(self.connection, step)

        before = (first[0], partial(first[1], self.connection)) if first else None
        tries = await with_short_lock(
            self.connection, tables, mode, both, patience_s=self.patience_s, log=self.log, first=before
        )
        if tries > 1 and done:
            await self.connection.execute(f"UPDATE {OWN}.steps SET tries = $2 WHERE name = $1", step, tries)

    async def run_batch(self, work: Callable[[], Awaitable[int]]) -> int:
        """One batch in a transaction of its own, tried again while others hold what it needs."""

        async def whole() -> int:
            async with self.connection.transaction():
                return await work()

        return await self._paced(whole)

    async def _paced(self, work: Callable[[], Awaitable[int]]) -> int:
        async def timed() -> tuple[int, float]:
            began = time.perf_counter()
            return await work(), time.perf_counter() - began

        count, took_s = await self.retry(timed)
        await self.pace.after(took_s)
        return count

    async def retry(self, work: Callable[[], Awaitable[T]], again: tuple[type[Exception], ...] = BUSY) -> T:
        """Tries again after these errors. Raises TransientError `batch_locked`."""
        for attempt in range(BATCH_TRIES):
            try:
                return await work()
            except again:
                self.pace.failed()
                await asyncio.sleep(random.uniform(0.5, 1.0) * min(0.05 * 1.2**attempt, 2.0))
        raise TransientError("batch_locked", f"a batch got no lock in {BATCH_TRIES} tries; run the same command again")

    async def carry(self, step: str, place: str, expression: str, *arguments: object) -> int:
        """As `batch`, in one round trip: an SQL expression that does it and counts, and the note of the place.

        The expression's arguments begin with $3.
        """
        query = (
            f"WITH c AS MATERIALIZED (SELECT ({expression})::bigint AS n) UPDATE {OWN}.steps AS s"
            " SET place = $2, rows = s.rows + c.n FROM c WHERE s.name = $1 RETURNING c.n"
        )

        async def work() -> int:
            return int(await self.connection.fetchval(query, step, place, *arguments) or 0)

        return await self._paced(work)

    async def check_quarantine(self) -> None:
        """Raises InputError `quarantine_full`."""
        count = await self.connection.fetchval(f"SELECT count(*) FROM {OWN}.quarantine")
        if count > self.choices.quarantine_limit:
            raise InputError(
                "quarantine_full",
                f"{count} values could not be carried over, more than the limit of {self.choices.quarantine_limit}. "
                "Look at them with `baylight v2 status --quarantine`, then correct them in V2 or raise "
                "[limits] quarantine, and run the same command again",
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
    _told: float = 0.0
    _first: int = 0

    def start(self, done: int = 0) -> None:
        self._began, self.done, self._first = time.monotonic(), done, done

    def move(self, to: int) -> None:
        """`total` is an estimate: only `end` says that it is all."""
        self.done = to
        now = time.monotonic()
        if now - self._told > 0.2 and to < self.total:
            self._told = now
            rate = self._rate(now)
            self.migration.pace.on_progress(
                Progress(self.step, to, self.total, rate, (self.total - to) / rate if rate else None)
            )

    def end(self) -> None:
        """Once, when all is done."""
        self.migration.pace.on_progress(Progress(self.step, self.done, self.done, self._rate(time.monotonic()), 0.0))

    def _rate(self, now: float) -> float:
        return (self.done - self._first) / max(now - self._began, 0.001)


async def mark_started(connection: Connection, step: str, stage: str) -> None:
    await connection.execute(
        f"INSERT INTO {OWN}.steps (name, stage) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        step,
        stage,
    )


async def mark_done(connection: Connection, step: str) -> None:
    await connection.execute(f"UPDATE {OWN}.steps SET done_at = clock_timestamp() WHERE name = $1", step)


async def mark_place(connection: Connection, step: str, place: str, rows: int) -> None:
    await connection.execute(
        f"UPDATE {OWN}.steps SET place = $2, rows = rows + $3 WHERE name = $1",
        step,
        place,
        rows,
    )


async def place_of(connection: Connection, step: str) -> str | None:
    place: str | None = await connection.fetchval(f"SELECT place FROM {OWN}.steps WHERE name = $1", step)
    return place


async def done_steps(connection: Connection) -> dict[str, asyncpg.Record]:
    """By name; empty before the first step."""
    if await connection.fetchval("SELECT to_regclass($1)", f"{OWN}.steps") is None:
        return {}
    rows = await connection.fetch(f"SELECT * FROM {OWN}.steps ORDER BY started_at")
    return {row["name"]: row for row in rows}
