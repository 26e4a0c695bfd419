"""Absences of network servers: the uplinks that they may have lost."""

from __future__ import annotations

import asyncio
from datetime import datetime

from baylight.control.sensors import mark_sensors
from baylight.domain.conditions import Condition, ConditionKind
from baylight.domain.unproven import UnprovenReason
from baylight.insight import services
from baylight.log import logger
from baylight.ports import Clock
from baylight.store.connect import RETRY
from baylight.store.pool import Pool

log = logger("services")

RETRY_S = 1.0


class Absences:
    """Absences that have ended. Sensors are marked after each, for a lost uplink may be their newest one.

    A network server that received uplinks meanwhile was there: only its API was away, and nothing is marked. Sensors
    that it has received since its return are left out. `ended` is a listener of `ServiceConditions.on_end`.
    """

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool, self._clock = pool, clock
        self._ended: asyncio.Queue[tuple[Condition, datetime]] = asyncio.Queue()

    def ended(self, condition: Condition) -> None:
        if condition.kind is ConditionKind.NETWORK_SERVER_AWAY:
            self._ended.put_nowait((condition, self._clock.now()))

    async def run(self) -> None:
        """Mark after each absence until cancelled."""
        while True:
            condition, at = await self._ended.get()
            if not await self._marked(condition, at):
                await asyncio.sleep(RETRY_S)
                self._ended.put_nowait((condition, at))
            self._ended.task_done()

    async def settled(self) -> None:
        """Return when the absences that have ended are marked."""
        await self._ended.join()

    async def _marked(self, condition: Condition, at: datetime) -> bool:
        """Mark what may be missing. Return False if the database is away."""
        name, since = condition.subject_id, condition.since
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                dev_euis = await services.list_sensors_not_received(connection, name, since, at)
                await mark_sensors(connection, UnprovenReason.NETWORK_SERVER_AWAY, since, dev_euis)
        except RETRY:
            return False
        except Exception as error:
            # An error must not end the loop.
            log.error("absence_not_marked", service=name, error=repr(error), exc_info=True)
        else:
            log.info("absence_marked", service=name, sensors=len(dev_euis))
        return True
