"""Notifications of PostgreSQL as an asynchronous stream that survives the loss of its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg

from baylight.store.connect import AWAY, SESSION

STATE_CHANNEL = "baylight_state"
"""Channel of state changes. Payload: `<lowest id>-<highest id>` of the state_changes rows of one statement."""
ACTUATIONS_CHANNEL = "baylight_actuations"
"""Channel of actuations that are to be sent. Empty payload."""
DISPLAYS_CHANNEL = "baylight_displays"
"""Channel of displays whose desired, commanded or reported state has changed. Empty payload."""
RETRY_S = 1.0


async def notifications(dsn: str, *channels: str) -> AsyncIterator[tuple[str, str] | None]:
    """Yield (channel, payload) of each notification.

    Yield None when the connection is lost, and when there is a connection again. Notifications in between are lost.
    """
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
