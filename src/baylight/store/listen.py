"""NOTIFY, as an asynchronous stream that survives the loss of its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg

from baylight.store.connect import AWAY, SESSION

STATE_CHANNEL = "baylight_state"
"""Payload `<lowest id>-<highest id>` of the state_changes rows of one statement."""
ACTUATIONS_CHANNEL = "baylight_actuations"
"""Empty payload: there are actuations to send."""
DISPLAYS_CHANNEL = "baylight_displays"
"""Empty payload: what a display must show, was sent or reports has changed."""
RETRY_S = 1.0


async def notifications(dsn: str, *channels: str) -> AsyncIterator[tuple[str, str] | None]:
    """(channel, payload) of each notification; None when the connection is lost and when there is one again: in between
    something may have been missed."""
    while True:
        arrived: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue()
        try:
            connection = await asyncpg.connect(dsn, server_settings=SESSION)
        except (asyncpg.PostgresError, *AWAY):
            await asyncio.sleep(RETRY_S)
            continue
        try:
            connection.add_termination_listener(lambda _, queue=arrived: queue.put_nowait(("", "")))
            for channel in channels:
                await connection.add_listener(
                    channel, lambda _c, _p, name, payload, queue=arrived: queue.put_nowait((name, payload))
                )
            yield None
            while (item := await arrived.get()) != ("", ""):
                yield item
            yield None
        except (asyncpg.PostgresError, *AWAY):
            await asyncio.sleep(RETRY_S)
        finally:
            connection.terminate()
