"""Recovery of actuations whose sender ended before it recorded the outcome.

A sender holds a lease. When it is over, recovery asks the network server for the display's queue. If the command is
there, or if a tx_ack proves that it was sent, the actuation is accepted; else it is tried again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from baylight.control import displays
from baylight.control.early_events import apply_early, find_item, find_unmatched
from baylight.domain.display_loop.actuation import SENDING, Actuation, LoopPolicy
from baylight.domain.ids import DevEui
from baylight.errors import BaylightError
from baylight.log import logger
from baylight.ports import Clock, NetworkServer
from baylight.store.connect import RETRY
from baylight.store.pool import Pool
from baylight.store.query import Query

log = logger("relay")

CLAIM_LIMIT = 32
"""Actuations that are claimed, or recovered, at once."""


class _Lost(NamedTuple):
    id: UUID
    display_id: UUID
    dev_eui: DevEui


LOST = Query("control.recovery.lost", _Lost)


@dataclass(slots=True)
class Recovery:
    """Any number may run at once: each actuation is looked at under the lock of its display."""

    pool: Pool
    network_server: NetworkServer
    clock: Clock
    policy: LoopPolicy

    async def run(self) -> None:
        """Recover again and again until cancelled."""
        while True:
            try:
                await self.recover()
            except RETRY as error:
                log.debug("recovery_waits", error=str(error))
            except Exception as error:
                log.error("recovery_failed", error=repr(error), exc_info=True)
            await asyncio.sleep(self.policy.lease.total_seconds() / 6)

    async def recover(self) -> int:
        """Find the outcome of actuations whose lease is over; return how many there were."""
        async with self.pool.acquire() as connection:
            lost = await LOST.all(connection, now=self.clock.now(), limit=CLAIM_LIMIT)
        for actuation in lost:
            await self._recover_one(actuation)
        return len(lost)

    async def _recover_one(self, lost: _Lost) -> None:
        try:
            queue = await self.network_server.queue(lost.dev_eui)
        except BaylightError as error:
            log.info("queue_not_reported", dev_eui=lost.dev_eui, error=error.message)
            return
        now = self.clock.now()
        async with self.pool.acquire() as connection, connection.transaction():
            display = (await displays.load(connection, [lost.display_id], self.policy))[lost.display_id]
            actuation = next((a for a in display.waiting if a.id == lost.id), None)
            if actuation is None or actuation.expires_at is None or not _lease_over(actuation, now):
                return
            found = find_item(queue, actuation.expires_at)
            found = found or await find_unmatched(connection, lost.dev_eui, actuation.expires_at - self.policy.ttl)
            if found:
                display.accepted(lost.id, found, now, recovered=True)
                await apply_early(connection, {found: (display, lost.id)})
            else:
                display.refused(lost.id, "its sender ended before the outcome was known", now, permanent=False)
            await displays.save(connection, [display])


def _lease_over(actuation: Actuation, now: datetime) -> bool:
    return actuation.status is SENDING and actuation.next_attempt_at is not None and actuation.next_attempt_at <= now
