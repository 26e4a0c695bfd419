"""Rows of V2 that Baylight's rows could not follow at once: V2's transaction put them in a queue (ADR 26)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from baylight.store.pool import Connection
from baylight.store.query import Query, Statement
from baylight.v2.session import BUSY

_ENTRIES = 100
_PAUSE_S = 0.05

IS_SET_UP = Query("v2.queue.is_set_up", bool)
WAITING = Query("v2.queue.waiting", int)
FORGET_LATE_STATES = Statement("v2.queue.forget_late_states")
DRAIN = Query("v2.queue.drain", int)


async def drain(connection: Connection, *, patience_s: float, log: Callable[[str], None]) -> None:
    """Let the rows follow that wait. Try those again that others hold, until none waits or `patience_s` is over.

    Rows that still wait then are named by `verify`.
    """
    if not await IS_SET_UP.one(connection):
        return
    give_up = time.monotonic() + patience_s
    reported = False
    while waiting := await WAITING.one(connection):
        with contextlib.suppress(*BUSY):
            if await DRAIN.one(connection, entries=_ENTRIES):
                continue
        if time.monotonic() > give_up:
            log(f"  {waiting} writes of V2 wait for other sessions: `baylight v2 verify` names them")
            return
        if not reported:
            log(f"  {waiting} writes of V2 wait for other sessions")
            reported = True
        await asyncio.sleep(_PAUSE_S)
