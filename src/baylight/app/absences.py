"""Absences of network servers: the uplinks that they may have lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

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
INTERVAL_S = 1.0
DURING_AFTER = timedelta(seconds=3)
"""Events that arrive so soon after the beginning of an absence may have been sent before it."""


class Absences:
    """Absences of network servers. Sensors are marked during each and after it, for a lost uplink may be their newest.

    A network server that received uplinks meanwhile was there: only its API was away, and nothing is marked. Sensors
    that it has received since its return are left out. `ended` is a listener of `ServiceConditions.on_end`.
    """

    def __init__(self, pool: Pool, clock: Clock, lasting: Callable[[], Iterable[Condition]]) -> None:
        """`lasting`: returns the conditions of services that last."""
        self._pool, self._clock, self._lasting = pool, clock, lasting
        self._ended: asyncio.Queue[tuple[Condition, datetime]] = asyncio.Queue()
        self._marked_during: set[tuple[str, datetime]] = set()

    def ended(self, condition: Condition) -> None:
        if condition.kind is ConditionKind.NETWORK_SERVER_AWAY:
            self._ended.put_nowait((condition, self._clock.now()))

    async def run(self) -> None:
        """Mark after each absence until cancelled."""
        while True:
            await self._mark_lasting()
            try:
                condition, at = await asyncio.wait_for(self._ended.get(), INTERVAL_S)
            except TimeoutError:
                continue
            if not await self._marked(condition, at):
                await asyncio.sleep(RETRY_S)
                self._ended.put_nowait((condition, at))
            self._ended.task_done()

    async def _mark_lasting(self) -> None:
        """Mark once during each absence that lasts for DURING_AFTER, if no uplink has come in it."""
        now = self._clock.now()
        for condition in self._lasting():
            key = condition.subject_id, condition.since
            if (
                condition.kind is ConditionKind.NETWORK_SERVER_AWAY
                and key not in self._marked_during
                and now - condition.since >= DURING_AFTER
                and await self._marked(condition, now)
            ):
                self._marked_during = {key}

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
