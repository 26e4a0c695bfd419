"""The loop that time drives: it asks the database what is due. Nothing lives in memory, a restart loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from baylight.access.change import SYSTEM, Change
from baylight.control import displays as shadow_store
from baylight.control import retention
from baylight.domain.policies import Policies
from baylight.inventory import device_tests
from baylight.log import Outage, logger
from baylight.ports import Clock
from baylight.schedule import reservations
from baylight.store.connect import RETRY
from baylight.store.pool import Connection, Pool
from baylight.store.query import queries

log = logger("reconcile")

MOST = 500
EVERY_S = 0.5
HOUSEKEEPING = timedelta(hours=1)


@dataclass(slots=True)
class Reconcile:
    """Any number may run at once: what one holds the others skip."""

    pool: Pool
    clock: Clock
    policies: Policies
    uplink_retention_months: int
    actuation_retention_months: int
    outage: Outage = field(default_factory=lambda: Outage(log, "database"))
    _housekeeping_at: datetime | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.round()
            await asyncio.sleep(EVERY_S)

    async def round(self) -> None:
        parts = (self.spaces, self.displays, self.reservations, self.tests, self.housekeeping)
        if all([await self._guarded(part) for part in parts]):
            self.outage.end()

    async def _guarded(self, part: Callable[[], Awaitable[int]]) -> bool:
        """False if the database does not let it work."""
        try:
            while await part() >= MOST:
                pass
        except RETRY as error:
            self.outage.begin(str(error) or type(error).__name__)
            await asyncio.sleep(1)
            return False
        except Exception as error:
            # Something else than an absent database: told each time, and never the end of the loop.
            log.error("reconcile_failed", part=part.__name__, error=repr(error), exc_info=True)
            await asyncio.sleep(1)
        return True

    async def spaces(self) -> int:
        """Decides spaces anew whose time has come; returns how many."""
        now = self.clock.now()
        async with self.pool.acquire() as connection, connection.transaction():
            due = [row["id"] for row in await connection.fetch(queries("control.spaces")["due_spaces"], now, MOST)]
            if due:
                await self._change(connection).redecide(due, None)
        return len(due)

    def _change(self, connection: Connection) -> Change:
        return Change(connection, SYSTEM, self.clock.now(), self.policies)

    async def displays(self) -> int:
        """Looks at displays whose deadline passed: given-up downlinks, missing reports, the next try."""
        now = self.clock.now()
        sql = queries("control.displays")
        async with self.pool.acquire() as connection, connection.transaction():
            due = [row["id"] for row in await connection.fetch(sql["displays_to_reconcile"], now, MOST)]
            shadows = await shadow_store.load(connection, due, self.policies.loop, free_only=True)
            for shadow in shadows.values():
                shadow.due(now)
            await shadow_store.save(connection, shadows.values())
        return len(shadows)

    async def reservations(self) -> int:
        """Ends reservations whose time is over."""
        async with self.pool.acquire() as connection, connection.transaction():
            return await reservations.expire_due(self._change(connection))

    async def tests(self) -> int:
        """Ends tests of devices whose result is certain."""
        async with self.pool.acquire() as connection:
            await device_tests.end_due(connection, self.clock.now())
        return 0

    async def housekeeping(self) -> int:
        """Hourly: partitions ahead, what is older than its retention."""
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
        self._housekeeping_at = now + HOUSEKEEPING
        return 0
