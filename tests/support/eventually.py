"""Waiting for what comes true in a while: the only place where tests sleep, but for those whose subject is a delay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

DEADLINE_S = 20.0
SOMEONE_WAITS = """
    SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
"""Query for `eventually`: whether a session of this database waits for a lock.

A transaction sees what its first such query saw: ask outside of one.
"""


class Fetches(Protocol):
    """Pool or connection."""

    async def fetchval(self, query: str, *args: object) -> object: ...


async def until(
    condition: Callable[[], object | Awaitable[object]],
    what: str | Callable[[], str] = "it did not come true",
    *,
    deadline_s: float = DEADLINE_S,
    every_s: float = 0.01,
) -> None:
    """Wait until a condition, a function or a coroutine function, is true. `what` describes what is so instead."""
    deadline = time.monotonic() + deadline_s
    while True:
        found = condition()
        if await found if isinstance(found, Awaitable) else found:
            return
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        await asyncio.sleep(every_s)


async def eventually(db: Fetches, sql: str, *args: object, equals: object = True) -> None:
    """Wait until a query gives this one value."""
    found: object = None

    async def gives() -> bool:
        nonlocal found
        found = await db.fetchval(sql, *args)
        return found == equals

    await until(gives, lambda: f"{found!r}, not {equals!r}, after {DEADLINE_S:.0f} s: {sql}", every_s=0.02)
