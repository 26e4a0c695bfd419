"""How fast a backfill may go: batches of a fixed time, pauses by what it does to others."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from baylight.errors import TransientError
from baylight.store.pool import Connection

BATCH_S = 0.02
_SMALLEST, _LARGEST = 50, 5000
"""Rows. Fewer than a page has are no quicker to carry: what a batch costs whatever its size outweighs them."""
_LEAST_EASE = 0.1
_LOOK_EVERY_S = 0.25
_LOOK = """
SELECT (SELECT count(*) FROM pg_stat_activity AS a
        WHERE a.wait_event_type = 'Lock' AND $1::integer[] && pg_blocking_pids(a.pid) AND a.pid <> ALL ($1)) AS blocked,
       pg_current_wal_lsn() - '0/0'::pg_lsn AS written,
       (SELECT min(replay_lsn) - '0/0'::pg_lsn FROM pg_stat_replication) AS replayed
"""
_PROBE = "SELECT FROM public.spaces LIMIT 1"


@dataclass(slots=True)
class Progress:
    """`left_s` is None while nothing is known yet."""

    step: str
    done: int
    total: int
    rate: float
    left_s: float | None


@dataclass(slots=True)
class Pace:
    """`size`: rows of the next batch, steered to BATCH_S. `ease`: pause after a batch, as a multiple of its time; none
    while nobody is the worse for it.

    `watch` is a connection of its own, which looks on while the others (`pids`) work: who waits for it, how long a
    trivial read takes, how far replicas are behind.
    """

    watch: Connection
    pids: list[int]
    on_progress: Callable[[Progress], None]
    lag_limit_s: float
    size: int = 50
    ease: float = 0.0
    _written: deque[tuple[float, int]] = field(default_factory=deque)
    _lag_s: float = 0.0

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        times = sorted([await self._probe() for _ in range(20)])
        task = asyncio.create_task(self._look(quiet_s=max(times[len(times) // 2], 0.0003)))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def after(self, took_s: float) -> None:
        """After each batch: adjusts the size, and pauses. Raises TransientError `replica_behind` after an hour."""
        wanted = self.size * min(max(BATCH_S / max(took_s, 0.0005), 0.3), 1.5)
        self.size = int(min(max(wanted, _SMALLEST), _LARGEST))
        await asyncio.sleep(min(took_s * self.ease, 2.0))
        give_up = time.monotonic() + 3600
        while self._lag_s > self.lag_limit_s:
            if time.monotonic() > give_up:
                raise TransientError("replica_behind", f"a replica is more than {self.lag_limit_s} s behind")
            await asyncio.sleep(_LOOK_EVERY_S)

    def failed(self) -> None:
        """A batch could not get a lock, or was cancelled."""
        self.size = max(self.size // 2, _SMALLEST)
        self._harm(2.0)

    def _harm(self, factor: float, most: float = 8.0) -> None:
        self.ease = min(max(self.ease, _LEAST_EASE) * factor, most)

    async def _look(self, quiet_s: float) -> None:
        while True:
            row = await self.watch.fetchrow(_LOOK, self.pids)
            assert row is not None
            self._lag_s = self._lag(row["written"], row["replayed"])
            if row["blocked"]:
                self._harm(2.0)
            elif await self._probe() > max(10 * quiet_s, 0.02):
                self._harm(1.3, most=2.0)
            else:
                self.ease = self.ease * 0.8 if self.ease > _LEAST_EASE else 0.0
            await asyncio.sleep(_LOOK_EVERY_S)

    def _lag(self, written: int, replayed: int | None) -> float:
        """Seconds since there was something that the slowest replica has not replayed yet; positions are in bytes.

        Not PostgreSQL's own replay_lag: that stays as it was while a replica stands still.
        """
        now = time.monotonic()
        self._written.append((now, int(written)))
        while self._written and (replayed is None or self._written[0][1] <= replayed):
            self._written.popleft()
        return now - self._written[0][0] if self._written else 0.0

    async def _probe(self) -> float:
        began = time.perf_counter()
        await self.watch.execute(_PROBE)
        return time.perf_counter() - began
