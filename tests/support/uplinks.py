"""Uplinks that arrive while a command-line test runs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from baylight.control.ingest import Ingest
from baylight.domain.events import Uplink
from baylight.domain.ids import parse_dev_eui
from baylight.domain.policies import Policies
from baylight.store.pool import open_pool


class Clock:
    """Clock of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def receive(dsn: str, dev_eui: str, f_port: int, f_cnt: int, data: bytes) -> None:
    """Store an uplink that was received now, and decide the space that its device serves."""
    asyncio.run(_receive(dsn, dev_eui, f_port, f_cnt, data))


async def _receive(dsn: str, dev_eui: str, f_port: int, f_cnt: int, data: bytes) -> None:
    pool = await open_pool(dsn)
    now = Clock().now()
    uplink = Uplink(parse_dev_eui(dev_eui), str(uuid4()), now, now, "01020304", f_cnt, f_port, data)
    await Ingest(pool, Clock(), Policies()).store_batch([uplink])
    await pool.close()
