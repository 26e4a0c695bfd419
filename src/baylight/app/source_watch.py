"""Watch what a process receives: messages that are refused, and a silence that is longer than usual."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime

from baylight.app.refusals import Refusals
from baylight.control import silence
from baylight.domain.conditions import ConditionKind
from baylight.log import logger
from baylight.ports import Clock, Conditions
from baylight.store.connect import RETRY
from baylight.store.pool import Pool

log = logger("sources")
INTERVAL_S = 15


class SourceWatch:
    """Watch of one process. `sources`: where events must come from, in words."""

    def __init__(
        self, pool: Pool, clock: Clock, conditions: Conditions, refusals: Iterable[Refusals], sources: str
    ) -> None:
        self._pool, self._clock, self._conditions = pool, clock, conditions
        self._refusals, self._sources = list(refusals), sources
        self._started_at: datetime = clock.now()

    async def run(self) -> None:
        """Look at intervals until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(INTERVAL_S)

    async def look(self) -> None:
        """Begin and end conditions by what is known now."""
        for refusals in self._refusals:
            refusals.judge()
        try:
            async with self._pool.acquire() as connection:
                found = await silence.find(connection, self._clock.now(), self._started_at)
        except RETRY as error:
            log.debug("silence_not_known", error=str(error))
            return
        except Exception as error:
            # An error must not end the loop: the conditions of this process depend on it.
            log.error("watch_failed", error=repr(error), exc_info=True)
            return
        if found is None:
            self._conditions.end(ConditionKind.NO_EVENTS)
            return
        since = f"since {found.since:%Y-%m-%d %H:%M:%S} UTC" if found.since else "ever"
        self._conditions.begin(
            ConditionKind.NO_EVENTS,
            f"no uplink came {since}; at this site one comes within {found.limit}; expected: {self._sources}",
        )
