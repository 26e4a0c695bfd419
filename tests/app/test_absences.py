"""Absences of network servers: which sensors may have lost their newest uplink."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from baylight.app.absences import Absences
from baylight.domain.conditions import Condition, ConditionKind
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.clock import RealClock
from tests.support.eventually import eventually
from tests.support.factories import Bay

AWAY_S = 60


async def seen(pool: Pool, table: str, dev_eui: str, before_s: float) -> None:
    await pool.execute(
        f"UPDATE {table} SET heard_network_at = clock_timestamp() - $2::interval WHERE dev_eui = $1",
        dev_eui,
        timedelta(seconds=before_s),
    )


@pytest.fixture
async def bays(pool: Pool) -> list[Bay]:
    """Return two bays whose sensors reported, the last time before an absence that ends now."""
    found = [await factories.add_bay(pool, code) for code in ("A-1", "A-2")]
    await pool.execute("UPDATE sensor_devices SET occupancy = 'FREE', occupancy_at = now() - interval '5 min'")
    for bay in found:
        await seen(pool, "sensor_devices", bay.sensor_eui, 300)
    return found


async def marked_after(pool: Pool, kind: ConditionKind, service: str = "chirpstack") -> list[str]:
    """End a condition that lasted AWAY_S; return which sensors that marks."""
    clock = RealClock()
    since = clock.now() - timedelta(seconds=AWAY_S)
    absences = Absences(pool, clock, list)
    absences.ended(Condition(kind, service, since, "refused"))
    running = asyncio.create_task(absences.run())
    try:
        await asyncio.wait_for(absences.settled(), 10)
    finally:
        running.cancel()
    rows = await pool.fetch(
        "SELECT dev_eui, unproven_reason, unproven_since FROM sensor_devices WHERE unproven_since IS NOT NULL"
    )
    assert {(row["unproven_reason"], row["unproven_since"]) for row in rows} <= {("network_server_away", since)}
    return sorted(row["dev_eui"] for row in rows)


async def test_i18_after_an_absence_each_sensor_may_have_lost_its_newest_uplink(pool: Pool, bays: list[Bay]) -> None:
    assert await marked_after(pool, ConditionKind.NETWORK_SERVER_AWAY) == sorted(bay.sensor_eui for bay in bays)


async def test_i18_a_sensor_that_was_received_since_the_return_is_left_out(pool: Pool, bays: list[Bay]) -> None:
    await seen(pool, "sensor_devices", bays[0].sensor_eui, 1)
    assert await marked_after(pool, ConditionKind.NETWORK_SERVER_AWAY) == [bays[1].sensor_eui]


@pytest.mark.parametrize("table", ["sensor_devices", "display_devices"])
async def test_i18_a_network_server_that_received_uplinks_meanwhile_was_there(
    pool: Pool, bays: list[Bay], table: str
) -> None:
    eui = bays[0].sensor_eui if table == "sensor_devices" else bays[0].display_eui
    await seen(pool, table, eui, AWAY_S / 2)
    assert await marked_after(pool, ConditionKind.NETWORK_SERVER_AWAY) == []


async def test_i18_another_network_server_and_a_refused_key_lose_nothing(pool: Pool, bays: list[Bay]) -> None:
    assert await marked_after(pool, ConditionKind.NETWORK_SERVER_AWAY, "tts") == []
    assert await marked_after(pool, ConditionKind.NETWORK_SERVER_KEY_REFUSED) == []


async def test_i18_an_absence_that_lasts_marks_the_sensors_once(pool: Pool, bays: list[Bay]) -> None:
    clock = RealClock()
    since = clock.now() - timedelta(seconds=AWAY_S)
    lasting = [Condition(ConditionKind.NETWORK_SERVER_AWAY, "chirpstack", since, "no answer")]
    running = asyncio.create_task(Absences(pool, clock, lambda: lasting).run())
    marks = "SELECT count(*) FROM sensor_devices WHERE unproven_reason = 'network_server_away'"
    try:
        await eventually(pool, marks, equals=2)
    finally:
        running.cancel()
