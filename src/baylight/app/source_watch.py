"""Watch what a process receives: messages that are refused, and a silence that is longer than usual."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from baylight.app.refusals import Refusals
from baylight.app.service_conditions import Key, ServiceConditions
from baylight.control import losses, silence
from baylight.domain.conditions import ConditionKind
from baylight.log import logger
from baylight.ports import Clock
from baylight.store.connect import RETRY
from baylight.store.pool import Pool

log = logger("sources")
INTERVAL_S = 15
EVENTS = "events"
"""Service of the condition `no_events`."""
LOSS_SHOWN = timedelta(minutes=1), timedelta(hours=24)
"""Shortest and longest time for which the loss of a session is shown. Between them it ends with the last sensor's
report; after them a sensor without a report counts as silent."""
_K = ConditionKind
_OF_BROKERS = (
    _K.BROKER_FORBIDS_PUBLISHING,
    _K.BROKER_SESSION_LOST,
    _K.BROKER_CLIENT_ID_SHARED,
    _K.BROKER_QOS_0,
)


class SourceWatch:
    """Watch of one process. `refusals`: of each source. `brokers`: names of the connections. `ways`: how events come,
    in words."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        conditions: ServiceConditions,
        refusals: Mapping[str, Refusals],
        *,
        brokers: Collection[str],
        ways: str,
    ) -> None:
        self._pool, self._clock, self._conditions = pool, clock, conditions
        self._refusals, self._brokers, self._ways = refusals, brokers, ways
        self._started_at: datetime = clock.now()

    async def run(self) -> None:
        """Look at intervals until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(INTERVAL_S)

    async def look(self) -> None:
        """Begin and end conditions by what is known now."""
        for refusals in self._refusals.values():
            refusals.judge()
        now = self._clock.now()
        try:
            async with self._pool.acquire() as connection:
                found = await silence.find(connection, now, self._started_at)
                losses_open = await losses.are_open(connection)
        except RETRY as error:
            log.debug("silence_not_known", error=str(error))
        except Exception as error:
            # An error must not end the loop: the conditions of this process depend on it.
            log.error("watch_failed", error=repr(error), exc_info=True)
        else:
            self._conditions.set(_K.NO_EVENTS, EVENTS, found and self._in_words(found))
            self._end_losses(now, LOSS_SHOWN[losses_open])

    def _end_losses(self, now: datetime, shown: timedelta) -> None:
        for broker in self._brokers:
            loss = self._conditions.find(_K.BROKER_SESSION_LOST, broker)
            if loss is not None and now - loss.since > shown:
                self._conditions.end(_K.BROKER_SESSION_LOST, broker)

    def _in_words(self, found: silence.Silence) -> str:
        since = f"since {found.since:%Y-%m-%d %H:%M:%S} UTC" if found.since else "yet"
        return f"no uplink came {since}; at this site one comes within {found.limit}; events must come by {self._ways}"


def watched(brokers: Iterable[str], sources: Iterable[str]) -> set[Key]:
    """Return the conditions whose beginning and end the watch and the consumers see."""
    return {
        (_K.NO_EVENTS, EVENTS),
        *((kind, broker) for broker in brokers for kind in _OF_BROKERS),
        *((_K.MESSAGES_REFUSED, source) for source in sources),
    }
