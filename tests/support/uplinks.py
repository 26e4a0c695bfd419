"""Uplinks of sensors and displays, and their way into the database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from baylight.control.events.ingest import Ingest
from baylight.domain.events import Message, Uplink
from baylight.domain.ids import DevEui
from baylight.domain.policies import Policies
from baylight.store.pool import Pool, open_pool
from tests.support.clock import T0, Clock, RealClock

OCCUPIED, FREE = bytes.fromhex("01fb3a0000280400"), bytes.fromhex("00fb3a0000280400")
"""Frames of browan_tbms100, on port 102."""
GREEN_REPORT = bytes.fromhex("c4ffffff2100000004000000030000000000ff64003d0f01")
RED_REPORT = bytes.fromhex("c4ffffff210000000400000003000000ff000064003d0f01")
"""Frame of kuando_busylight, on port 15."""


def uplink(dev_eui: str, at: datetime = T0, data: bytes = OCCUPIED, **more: Any) -> Uplink:
    """Return a new uplink; `more` are fields of Uplink."""
    given: dict[str, Any] = {
        "dev_eui": DevEui(dev_eui),
        "deduplication_id": str(uuid4()),
        "observed_at": at,
        "network_at": at,
        "dev_addr": "01020304",
        "f_cnt": 1,
        "f_port": 102,
        "data": data,
        "rssi_dbm": -100,
        "snr_db": 5.5,
        "gateway_id": "0016c001ff10a235",
    }
    return Uplink(**given | more)


async def receive_at(pool: Pool, uplinks: Sequence[Uplink], at: datetime) -> None:
    """Store uplinks that were received at a time, and decide the spaces that their devices serve."""
    await Ingest(pool, Clock(at), Policies()).store_batch(uplinks)


def receive_now(dsn: str, dev_eui: str, f_port: int, f_cnt: int, data: bytes) -> None:
    """Receive an uplink while a command-line test runs."""
    asyncio.run(_receive_now(dsn, dev_eui, f_port, f_cnt, data))


async def receive_events(dsn: str, events: Sequence[Message]) -> None:
    """Receive events of network servers while a command-line test runs."""
    pool = await open_pool(dsn)
    await Ingest(pool, RealClock(), Policies()).store_batch(events)
    await pool.close()


async def _receive_now(dsn: str, dev_eui: str, f_port: int, f_cnt: int, data: bytes) -> None:
    pool, now = await open_pool(dsn), RealClock().now()
    await receive_at(pool, [uplink(dev_eui, now, data, f_port=f_port, f_cnt=f_cnt)], now)
    await pool.close()
