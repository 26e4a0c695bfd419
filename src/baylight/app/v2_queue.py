"""Let Baylight's rows follow V2's that wait in the queue, while a V2 database is migrated."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from baylight.log import logger
from baylight.store import beside
from baylight.store.connect import RETRY
from baylight.store.pool import Pool

log = logger("v2_queue")

_INTERVAL_S = 0.25
_PAUSE_S = 0.02
"""Pause between two parts of the queue: as long as V2 may have waited for a row of one part."""
_AFTER_ERROR_S = 60.0


@dataclass(slots=True)
class V2Queue:
    """Loop over the rows that wait. Any number may run at once: each skips the rows that another follows."""

    pool: Pool

    async def run(self) -> None:
        """Do rounds until cancelled."""
        while True:
            pause_s = await self.round()
            await asyncio.sleep(pause_s)

    async def round(self) -> float:
        """Let a part of the rows follow. Return after how many seconds the next round is due."""
        try:
            return _PAUSE_S if await self.pool.fetchval(beside.DRAIN) else _INTERVAL_S
        except RETRY:
            return _INTERVAL_S  # the timer reports a database that is away
        except Exception as error:
            log.error("v2_queue_failed", error=repr(error), exc_info=True)
            return _AFTER_ERROR_S
