"""Do what is due by time alone. The database holds all deadlines, so a restart loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from baylight.access.change import SYSTEM, Change
from baylight.control import displays, gateways, retention, sensors, spaces
from baylight.domain.display_loop.due import due as apply_time
from baylight.domain.policies import Policies
from baylight.inventory import device_tests
from baylight.log import Outage, logger
from baylight.ports import Clock
from baylight.schedule import reservations
from baylight.store.connect import RETRY
from baylight.store.pool import Connection, Pool

log = logger("reconcile")

MAX_DUE = 500
"""Spaces or displays handled in one transaction."""
INTERVAL_S = 0.5
HOUSEKEEPING_INTERVAL = timedelta(hours=1)
GATEWAYS_INTERVAL = timedelta(seconds=2)


@dataclass(slots=True)
class Timer:
    """Loop over all that is due. Any number may run at once: each skips the rows that another has locked."""

    pool: Pool
    clock: Clock
    policies: Policies
    uplink_retention_months: int
    actuation_retention_months: int
    outage: Outage = field(default_factory=lambda: Outage(log, "database"))
    may_act: Callable[[], bool] = lambda: True
    """Return False while news that came before waits to be stored: then no sensor is silent, and no report missing."""
    _housekeeping_at: datetime | None = None
    _gateways_at: datetime | None = None

    async def run(self) -> None:
        """Do rounds until cancelled."""
        while True:
            await self.round()
            await asyncio.sleep(INTERVAL_S)

    async def round(self) -> None:
        """Do each part once."""
        parts = [self.reservations, self.tests, self.gateways, self.housekeeping]
        if self.may_act():
            parts = [self.spaces, self.displays, *parts]
        if all([await self._guarded(part) for part in parts]):
            self.outage.end()

    async def _guarded(self, part: Callable[[], Awaitable[int]]) -> bool:
        """Do one part until nothing is due. Return False if the database is away or too busy."""
        try:
            while await part() >= MAX_DUE:
                pass
        except RETRY as error:
            self.outage.begin(str(error) or type(error).__name__)
            await asyncio.sleep(1)
            return False
        except Exception as error:
            # An error must not end the loop: the other parts depend on it.
            log.error("reconcile_failed", part=part.__name__, error=repr(error), exc_info=True)
            await asyncio.sleep(1)
        return True

    async def spaces(self) -> int:
        """Decide the spaces whose time has come; return how many there were."""
        async with self.pool.acquire() as connection, connection.transaction():
            change = self._change(connection)
            due = await spaces.LOCK_DUE.all(connection, now=change.now, limit=MAX_DUE)
            if due and not await self._decide(change, due):
                for one in due:
                    await self._decide(change, [one])
        return len(due)

    async def _decide(self, change: Change, due: list[UUID]) -> bool:
        """Decide spaces. Return False, and decide none, if another program holds one of their rows."""
        try:
            async with change.connection.transaction():
                await change.redecide(due, None)
                await sensors.begin_silent(change.connection, due, change.now)
        except asyncpg.LockNotAvailableError:
            return False
        return True

    def _change(self, connection: Connection) -> Change:
        return Change(connection, SYSTEM, self.clock.now(), self.policies)

    async def displays(self) -> int:
        """Look at displays whose deadline has passed: expired downlinks, missing reports, the next try."""
        now = self.clock.now()
        async with self.pool.acquire() as connection, connection.transaction():
            due = await displays.LOCK_DUE.all(connection, now=now, limit=MAX_DUE)
            loaded = await displays.load(connection, due, self.policies.loop)
            for display in loaded.values():
                apply_time(display, now)
            await displays.save(connection, loaded.values())
        return len(due)

    async def reservations(self) -> int:
        """End the reservations whose time is over."""
        async with self.pool.acquire() as connection, connection.transaction():
            return await reservations.expire_due(self._change(connection))

    async def tests(self) -> int:
        """End the device tests whose result is certain."""
        async with self.pool.acquire() as connection:
            await device_tests.end_due(connection, self.clock.now())
        return 0

    async def gateways(self) -> int:
        """Review the conditions of gateways, every 2 s."""
        now = self.clock.now()
        if self._gateways_at is not None and self._gateways_at <= now < self._gateways_at + GATEWAYS_INTERVAL:
            return 0
        async with self.pool.acquire() as connection, connection.transaction():
            await gateways.review(connection, now)
        self._gateways_at = now
        return 0

    async def housekeeping(self) -> int:
        """Make partitions ahead and remove old rows, once an hour."""
        now = self.clock.now()
        if self._housekeeping_at is not None and now < self._housekeeping_at:
            return 0
        async with self.pool.acquire() as connection:
            await retention.run(
                connection,
                now,
                uplink_months=self.uplink_retention_months,
                actuation_months=self.actuation_retention_months,
            )
        self._housekeeping_at = now + HOUSEKEEPING_INTERVAL
        return 0
