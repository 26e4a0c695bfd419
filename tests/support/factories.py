"""Rows to test with, written by plain SQL."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from baylight.codecs.catalogue import load_catalogue
from baylight.domain.ids import DevEui, uuid7
from baylight.inventory import device_types
from baylight.store.pool import Pool

_TYPES = {kind.code: kind for kind in load_catalogue()}
BUSYLIGHT_CODES = dict(_TYPES["kuando_busylight"].default_config["display_codes"])
_numbers = itertools.count(1)
_run = secrets.token_hex(4)


@dataclass(frozen=True)
class Bay:
    space_id: UUID
    code: str
    sensor_id: UUID
    sensor_eui: DevEui
    display_id: UUID
    display_eui: DevEui


def new_eui() -> DevEui:
    return DevEui(f"{_run}{next(_numbers):08x}")


async def add_device_types(pool: Pool) -> None:
    """The shipped types, which the other factories refer to. Idempotent."""
    if not await pool.fetchval("SELECT EXISTS (SELECT FROM device_types WHERE shipped)"):
        async with pool.acquire() as connection:
            await device_types.sync(connection)


async def add_sensor(pool: Pool, *, device_type: str = "browan_tbms100", **columns: Any) -> asyncpg.Record:
    """The new row of sensor_devices."""
    await add_device_types(pool)
    return await _insert(pool, "sensor_devices", {"dev_eui": new_eui(), "device_type": device_type} | columns)


async def add_display(pool: Pool, *, device_type: str = "kuando_busylight", **columns: Any) -> asyncpg.Record:
    """The new row of display_devices."""
    await add_device_types(pool)
    given = {"dev_eui": new_eui(), "device_type": device_type, "fport": 15, "display_codes": BUSYLIGHT_CODES}
    return await _insert(pool, "display_devices", given | columns)


async def add_space(pool: Pool, code: str, **columns: Any) -> asyncpg.Record:
    """The new row of spaces."""
    return await _insert(pool, "spaces", {"code": code, "name": f"Bay {code}"} | columns)


async def add_location(pool: Pool, name: str, *, kind: str = "floor", **columns: Any) -> asyncpg.Record:
    """The new row of locations."""
    return await _insert(pool, "locations", {"name": name, "kind": kind} | columns)


async def add_bay(pool: Pool, code: str, *, sensor_type: str = "browan_tbms100", floor: UUID | None = None) -> Bay:
    """A space with a sensor and a display of its own; `floor` is a location's id."""
    sensor = await add_sensor(pool, device_type=sensor_type)
    display = await add_display(pool)
    space = await add_space(
        pool, code, sensor_device_id=sensor["id"], display_device_id=display["id"], location_id=floor
    )
    return Bay(space["id"], code, sensor["id"], sensor["dev_eui"], display["id"], display["dev_eui"])


async def add_actuation(pool: Pool, bay: Bay, at: datetime, *, status: str = "pending") -> UUID:
    """Add an actuation of a bay that was made at a time; return its id."""
    columns = {
        "id": uuid7(at),
        "space_id": bay.space_id,
        "trigger_type": "sensor_uplink",
        "new_state": "OCCUPIED",
        "display_device_id": bay.display_id,
        "display_deveui": bay.display_eui,
        "display_code": "ff00006400",
        "fport": 15,
        "status": status,
        "created_at": at,
    }
    return (await _insert(pool, "actuations", columns))["id"]


async def _insert(pool: Pool, table: str, columns: dict[str, Any]) -> asyncpg.Record:
    places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    row = await pool.fetchrow(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}) RETURNING *", *columns.values()
    )
    assert row is not None
    return row
