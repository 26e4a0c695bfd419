"""Pace of a backfill: its batches have a fixed time, and its pauses depend on their effect on other sessions."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from baylight.errors import TransientError
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement

BATCH_S = 0.02
_MIN_ROWS, _MAX_ROWS = 50, 5000
"""Limits of the rows of a batch. Below 50 rows, about a page, the fixed cost of a batch outweighs the rows."""
_MIN_EASE = 0.1
_LOOK_EVERY_S = 0.25
_MAX_LAG_WAIT_S = 3600


class Look(NamedTuple):
    """Load on the database. `blocked`: number of sessions that wait for ours.

    `written`, `replayed`: positions in the log, in bytes. `replayed` is None without replicas.
    """

    blocked: int
    written: int
    replayed: int | None


LOOK = Query("v2.pace.look", Look)
PROBE = Statement("v2.pace.probe")


@dataclass(slots=True)
class Progress:
    """Progress of a step in batches. `left_s` is None while it is not known."""

    step: str
    done: int
    total: int
    rate: float
    left_s: float | None


@dataclass(slots=True)
class Pace:
    """Pace of a run. `size`: rows of the next batch, chosen so that it lasts BATCH_S.

    `ease`: pause after a batch, as a multiple of its time. It is 0 while no other session is delayed.
    `watch` is a connection of its own. While the other connections (`pids`) work, it measures how many sessions wait
    for them, how long a trivial read lasts, and how far replicas are behind.
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
        """Measure the load while the body works."""
        times = sorted([await self._probe() for _ in range(20)])
        task = asyncio.create_task(self._look(quiet_s=max(times[len(times) // 2], 0.0003)))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def after(self, took_s: float) -> None:
        """Adjust the size after a batch, and pause. Raises TransientError `replica_behind` after an hour."""
        wanted = self.size * min(max(BATCH_S / max(took_s, 0.0005), 0.3), 1.5)
        self.size = int(min(max(wanted, _MIN_ROWS), _MAX_ROWS))
        await asyncio.sleep(min(took_s * self.ease, 2.0))
        give_up = time.monotonic() + _MAX_LAG_WAIT_S
        while self._lag_s > self.lag_limit_s:
            if time.monotonic() > give_up:
                raise TransientError("replica_behind", f"a replica is more than {self.lag_limit_s} s behind")
            await asyncio.sleep(_LOOK_EVERY_S)

    def failed(self) -> None:
        """Slow down: a batch could not get a lock, or was cancelled."""
        self.size = max(self.size // 2, _MIN_ROWS)
        self._harm(2.0)

    def _harm(self, factor: float, max_ease: float = 8.0) -> None:
        self.ease = min(max(self.ease, _MIN_EASE) * factor, max_ease)

    async def _look(self, quiet_s: float) -> None:
        while True:
            seen = await LOOK.one(self.watch, pids=self.pids)
            self._lag_s = self._lag(seen.written, seen.replayed)
            if seen.blocked:
                self._harm(2.0)
            elif await self._probe() > max(10 * quiet_s, 0.02):
                self._harm(1.3, max_ease=2.0)
            else:
                self.ease = self.ease * 0.8 if self.ease > _MIN_EASE else 0.0
            await asyncio.sleep(_LOOK_EVERY_S)

    def _lag(self, written: int, replayed: int | None) -> float:
        """Return for how many seconds the slowest replica has had something to replay; positions are in bytes.

        PostgreSQL's own replay_lag is no use here, since it keeps its value while a replica stands still.
        """
        now = time.monotonic()
        self._written.append((now, written))
        while self._written and (replayed is None or self._written[0][1] <= replayed):
            self._written.popleft()
        return now - self._written[0][0] if self._written else 0.0

    async def _probe(self) -> float:
        began = time.perf_counter()
        await PROBE.run(self.watch)
        return time.perf_counter() - began
