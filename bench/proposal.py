"""The proposal's application code, on its tables: one uplink at a time, a statement for each thing, autocommit."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

import asyncpg

from baylight.store.connect import install_codecs
from baylight.store.pool import Pool

TASKS = 10


async def open_pool(dsn: str) -> Pool:
    """Open asyncpg's pool with its defaults."""
    return await asyncpg.create_pool(dsn, min_size=TASKS, max_size=TASKS, init=install_codecs)


async def take_uplink(pool: Pool, payload: bytes) -> None:
    """Process an uplink as the proposal's "New Code" does, with the steps of this project where it has none."""
    event = json.loads(payload)
    data = base64.b64decode(event["data"])
    new_state = "OCCUPIED" if data[0] & 1 else "FREE"
    now = datetime.now(UTC)
    sensor = await pool.fetchrow(
        "SELECT id, dev_eui FROM sensor_devices WHERE dev_eui = $1 AND enabled = true", event["deviceInfo"]["devEui"]
    )
    space = await pool.fetchrow(
        "SELECT id, current_state, display_device_id FROM spaces WHERE sensor_deveui = $1 AND deleted_at IS NULL",
        sensor["dev_eui"],
    )
    reading = {"battery_v": (25 + (data[1] & 15)) / 10, "temperature_c": (data[2] & 127) - 32}
    changed = space["current_state"] != new_state
    await pool.execute(
        """
        INSERT INTO uplinks (dev_eui, deduplication_id, observed_at, received_at, f_cnt, f_port, data, reading,
                             occupancy, rssi_dbm, snr_db, gateway_id, outcome)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        """,
        sensor["dev_eui"],
        uuid.UUID(event["deduplicationId"]),
        datetime.fromisoformat(event["time"]),
        now,
        event["fCnt"],
        event["fPort"],
        data,
        reading,
        new_state,
        event["rxInfo"][0]["rssi"],
        event["rxInfo"][0].get("snr", 0),
        event["rxInfo"][0]["gatewayId"],
        "state_changed" if changed else "unchanged",
    )
    await pool.execute("UPDATE sensor_devices SET last_seen_at = $2 WHERE id = $1", sensor["id"], now)
    if not changed:
        return
    await pool.execute(
        "UPDATE spaces SET current_state = $2, current_state_at = $3 WHERE id = $1", space["id"], new_state, now
    )
    await pool.execute(
        "INSERT INTO state_changes (space_id, previous_state, new_state, source) VALUES ($1, $2, $3, 'sensor_uplink')",
        space["id"],
        space["current_state"],
        new_state,
    )
    display = await pool.fetchrow(
        "SELECT dev_eui, display_codes, fport FROM display_devices WHERE id = $1", space["display_device_id"]
    )
    await pool.execute(
        """
        INSERT INTO actuations (space_id, trigger_type, previous_state, new_state, display_device_id, display_deveui,
                                display_code, fport, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NOW())
        """,
        space["id"],
        "sensor_uplink",
        space["current_state"],
        new_state,
        space["display_device_id"],
        display["dev_eui"],
        display["display_codes"][new_state],
        display["fport"],
    )


async def take_all(pool: Pool, messages: Iterable[tuple[str, bytes]], tasks: int = TASKS) -> None:
    """Process uplinks, `tasks` at a time. Uplinks of one sensor stay in order, as they would at one car a minute."""
    lanes: list[asyncio.Queue[bytes | None]] = [asyncio.Queue() for _ in range(tasks)]
    for topic, payload in messages:
        lanes[hash(topic) % tasks].put_nowait(payload)

    async def work(lane: asyncio.Queue[bytes | None]) -> None:
        while (payload := await lane.get()) is not None:
            await take_uplink(pool, payload)

    for lane in lanes:
        lane.put_nowait(None)
    await asyncio.gather(*(work(lane) for lane in lanes))
