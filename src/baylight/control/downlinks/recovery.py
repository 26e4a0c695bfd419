"""Recovery: ask the network server what became of commands that nothing is known of.

A sender holds a lease; if it ended before it recorded the outcome, the lease runs out. A command that was accepted is
asked for if no tx_ack comes in time. If the network server's queue has the command, it stays the only one; if it was
sent, a tx_ack says so; else it is lost, and what is desired now is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from baylight.control import displays
from baylight.control.downlinks.early_events import apply_early, find_item, find_unmatched
from baylight.domain.display_loop import sending
from baylight.domain.display_loop.actuation import QUEUED, SENDING, Actuation, LoopPolicy
from baylight.domain.display_loop.display import Display
from baylight.domain.downlink import DeviceFacts, QueueItem
from baylight.domain.ids import DevEui
from baylight.errors import BaylightError
from baylight.log import logger
from baylight.ports import Clock, NetworkServer
from baylight.store.connect import RETRY
from baylight.store.pool import Connection, Pool
from baylight.store.query import Query

log = logger("relay")

CLAIM_LIMIT = 32
"""Actuations that are claimed, or recovered, at once."""
INTERVAL_S = 1.0


class _ToAsk(NamedTuple):
    id: UUID
    display_id: UUID
    dev_eui: DevEui


TO_ASK = Query("control.recovery.to_ask", _ToAsk)


@dataclass(slots=True)
class Recovery:
    """Any number may run at once: each actuation is looked at under the lock of its display.

    `wake`: called after something may be sent again. `may_act`: False while news that came before waits to be stored.
    """

    pool: Pool
    network_server: NetworkServer
    clock: Clock
    policy: LoopPolicy
    wake: Callable[[], None] = lambda: None
    may_act: Callable[[], bool] = lambda: True

    async def run(self) -> None:
        """Recover again and again until cancelled."""
        while True:
            try:
                if self.may_act():
                    await self.recover()
            except RETRY as error:
                log.debug("recovery_waits", error=str(error))
            except Exception as error:
                log.error("recovery_failed", error=repr(error), exc_info=True)
            await asyncio.sleep(min(INTERVAL_S, self.policy.ask_after.total_seconds() / 2))

    async def recover(self) -> int:
        """Ask for the commands that are due; return how many there were."""
        async with self.pool.acquire() as connection:
            due = await TO_ASK.all(connection, now=self.clock.now(), limit=CLAIM_LIMIT)
        await asyncio.gather(*(self._recover_one(command) for command in due))
        if due:
            self.wake()
        return len(due)

    async def _recover_one(self, command: _ToAsk) -> None:
        try:
            queue = await self.network_server.queue(command.dev_eui)
            facts = await self.network_server.device(command.dev_eui) if queue else None
        except BaylightError as error:
            log.info("queue_not_reported", dev_eui=command.dev_eui, error=error.message)
            return
        now = self.clock.now()
        async with self.pool.acquire() as connection, connection.transaction():
            display = (await displays.load(connection, [command.display_id], self.policy))[command.display_id]
            actuation = display.deliveries.find(command.id)
            if actuation is None or actuation.next_attempt_at is None or actuation.next_attempt_at > now:
                return
            if actuation.status is SENDING:
                await self._recover_sending(connection, display, actuation, queue, now)
            elif actuation.status is QUEUED:
                _apply_queue(display, actuation, queue, facts, now)
            await displays.save(connection, [display])

    async def _recover_sending(
        self,
        connection: Connection,
        display: Display,
        actuation: Actuation,
        queue: list[QueueItem] | None,
        now: datetime,
    ) -> None:
        assert actuation.expires_at is not None
        found = find_item(queue, actuation.expires_at)
        since = actuation.claimed_at or actuation.created_at
        found = found or await find_unmatched(connection, display.dev_eui, since)
        if found:
            sending.accepted(display, actuation.id, found, now, recovered=True)
            await apply_early(connection, {found: (display, actuation.id)})
        else:
            lost = "its sender ended before the outcome was known"
            sending.refused(display, actuation.id, lost, now, permanent=False)


def _apply_queue(
    display: Display, actuation: Actuation, queue: list[QueueItem] | None, facts: DeviceFacts | None, now: datetime
) -> None:
    """Apply the network server's queue to a command that it accepted, and of which no transmission is known."""
    if queue is None:
        sending.expired_unseen(display, actuation.id, now)
        return
    item = next((item for item in queue if item.id == actuation.queue_id), None)
    if item is None:
        sending.not_found_in_queue(display, actuation.id, now)
        return
    disabled = facts is not None and not facts.enabled
    without_uplink = facts is not None and facts.last_seen_at is None
    if disabled:
        evidence = "the device is disabled in the network server"
    elif without_uplink:
        evidence = "the network server received no uplink of the device since its activation"
    elif item.f_cnt_down:
        evidence = "the network server sent the command to a gateway, and has no acknowledgement of it"
    else:
        evidence = "the network server has not tried to send the command"
    sending.still_queued(display, actuation.id, evidence, now, disabled=disabled, without_uplink=without_uplink)
