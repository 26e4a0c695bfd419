"""Decode uplinks that wait for their JavaScript codec, as soon as the sandbox answers."""

from __future__ import annotations

import asyncio

from baylight.control import suspensions
from baylight.control.events import later
from baylight.control.events.ingest import Ingest
from baylight.control.events.scripted import Decoders
from baylight.errors import TransientError
from baylight.log import logger
from baylight.ports import Clock
from baylight.store.connect import RETRY
from baylight.store.pool import Pool

log = logger("decoding")

INTERVAL_S = 0.5
QUICK_S = 1.0
"""CPU seconds of a round that codecs may use until they are known as slow."""
MAX_SLOW = 10
"""Uplinks of slow codecs in a round, so that those of quick codecs wait at most a second for them."""
LOOK_INTERVAL = 10
"""Rounds between two looks at the conditions, and between two tries of a suspended codec."""


class Decoding:
    """Loop over the uplinks that wait. Any number of processes may run it: each uplink is decoded once."""

    def __init__(self, pool: Pool, ingest: Ingest, decoders: Decoders, clock: Clock) -> None:
        self._pool = pool
        self._ingest = ingest
        self._decoders = decoders
        self._clock = clock
        self._held: set[str] = set()
        self._rounds = 0

    async def run(self) -> None:
        """Do rounds until cancelled."""
        while True:
            try:
                decoded = await self.round()
            except (TransientError, *RETRY) as error:
                log.debug("decoding_waits", error=str(error))
                decoded = 0
            except Exception as error:
                log.error("decoding_failed", error=repr(error), exc_info=True)
                decoded = 0
            if not decoded:
                await asyncio.sleep(INTERVAL_S)

    async def round(self) -> int:
        """Decode the next uplinks that wait, those of slow codecs apart; return how many were decoded."""
        look = self._rounds % LOOK_INTERVAL == 0
        self._rounds += 1
        if self._held:
            await self._decoders.refresh(self._held)
        held = self._decoders.suspended()
        if look or held.keys() != self._held:
            await self._note_suspensions(held)
        self._held = set(held)
        async with self._pool.acquire() as connection:
            slow = self._decoders.slow() - held.keys()
            quick = await later.list_due(connection, held=slow | held.keys())
            due = await later.list_due(connection, only=slow, limit=MAX_SLOW) if slow else []
            if look and held:
                for codec in held:
                    due += await later.list_due(connection, only=[codec], limit=1)
        decoded = await self._ingest.decode_later(quick, quick_s=QUICK_S) if quick else 0
        return decoded + (await self._ingest.decode_later(due) if due else 0)

    async def _note_suspensions(self, held: dict[str, str]) -> None:
        answered = self._decoders.answered - held.keys()
        async with self._pool.acquire() as connection:
            now = self._clock.now()
            await suspensions.end(connection, answered, now)
            if held:
                await suspensions.begin(connection, held, now)
        self._decoders.answered -= answered
