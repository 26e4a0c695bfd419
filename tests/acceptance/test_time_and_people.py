"""Effects of time and people on a bay: silence, reservations, overrides, maintenance."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from baylight.access import keys
from baylight.domain.policies import Policies
from baylight.domain.state import Policy
from baylight.inventory import spaces
from baylight.schedule import reservations
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.change import by
from tests.support.eventually import eventually
from tests.support.stage import FLASHING_BLUE, GREEN, ORANGE, PINK, PURPLE, RED, Stage

POLICY = Policy(reserved_soon=timedelta())


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client with an admin key. The test sets its base address to that of its program."""
    async with stage.pool.acquire() as connection:
        _, text = await keys.create_key(by(connection, actor="tests"), "tests", ["admin"])
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {text}"}, timeout=10) as client:
        yield client


async def hasten(pool: Pool, dev_eui: str, deadline_s: int) -> None:
    """Give a sensor a type of its own whose readings are valid for `deadline_s` seconds only."""
    await pool.execute(
        """
        INSERT INTO device_types (code, category, manufacturer, model, codec, uplink_interval_s,
                                  silent_after_intervals, default_config)
        SELECT 'hasty_' || t.code, t.category, t.manufacturer, t.model || ' (hasty)', t.codec, $2, 1, t.default_config
        FROM device_types AS t INNER JOIN sensor_devices AS s ON s.device_type = t.code WHERE s.dev_eui = $1
        """,
        dev_eui,
        deadline_s,
    )
    await pool.execute("UPDATE sensor_devices SET device_type = 'hasty_' || device_type WHERE dev_eui = $1", dev_eui)


async def test_b9_a_sensor_that_becomes_silent_makes_its_bay_unknown_not_free(stage: Stage) -> None:
    bay, other = stage.bays
    async with stage.program():
        await hasten(stage.pool, bay.sensor_eui, 2)
        await stage.begin()
        assert bay.light.code == GREEN
        await stage.shows(bay, FLASHING_BLUE)
        await stage.all_proven()
        row = await stage.pool.fetchrow(
            "SELECT previous_state, new_state, source, reason FROM state_changes ORDER BY id DESC LIMIT 1"
        )
        assert row is not None
        assert tuple(row) == ("FREE", "UNKNOWN", "sensor_silent", "sensor_silent")
        assert other.light.code == GREEN
        await stage.park.arrive(bay.code)
        await stage.shows(bay, RED)


async def test_b9_a_frame_without_occupancy_does_not_extend_the_life_of_a_reading(stage: Stage) -> None:
    bay = stage.bays[1]
    async with stage.program():
        await hasten(stage.pool, bay.sensor_eui, 2)
        await stage.begin()
        for _ in range(5):
            await stage.fake.uplink(bay.sensor_eui, 0, b"")
        await stage.shows(bay, FLASHING_BLUE)
        assert await stage.state(bay) == "UNKNOWN"


async def test_b11_a_reservation_begins_and_ends_without_a_request_and_then_the_sensor_decides(stage: Stage) -> None:
    occupied, empty = stage.bays
    async with stage.program(reserved_soon_s=0):
        await stage.begin()
        now = datetime.now(UTC)
        async with stage.pool.acquire() as connection:
            for bay in stage.bays:
                start_at, end_at = now + timedelta(seconds=1.5), now + timedelta(seconds=4)
                new = reservations.NewReservation(bay.code, start_at, end_at)
                await reservations.create_reservation(by(connection, now=now, policies=Policies(POLICY)), new)
        assert (occupied.light.code, empty.light.code) == (GREEN, GREEN)
        await stage.shows(occupied, PURPLE)
        await stage.shows(empty, PURPLE)
        await stage.park.arrive(occupied.code)
        await stage.shows(occupied, RED)
        await stage.shows(empty, GREEN)
        await stage.all_proven()
        assert occupied.light.code == RED
    assert await stage.pool.fetchval("SELECT bool_and(status = 'completed') FROM reservations")
    causes = await stage.pool.fetch(
        "SELECT source, new_state FROM state_changes WHERE space_id = $1 ORDER BY id", stage.spaces[empty.code]
    )
    assert [tuple(c) for c in causes][1:] == [("reservation_started", "RESERVED"), ("reservation_expired", "FREE")]


async def test_b11_a_reservation_that_ended_while_no_program_ran_is_ended_at_the_start(stage: Stage) -> None:
    bay = stage.bays[0]
    async with stage.program(reserved_soon_s=0):
        await stage.begin()
        now = datetime.now(UTC)
        async with stage.pool.acquire() as connection:
            await reservations.create_reservation(
                by(connection, now=now, policies=Policies(POLICY)),
                reservations.NewReservation(bay.code, now, now + timedelta(seconds=2)),
            )
        await stage.shows(bay, PURPLE)
    await eventually(stage.pool, "SELECT now() > max(end_time) FROM reservations")
    assert bay.light.code == PURPLE
    async with stage.program(reserved_soon_s=0):
        await stage.shows(bay, GREEN)
        await stage.all_proven()


async def test_an_operator_closes_a_bay_and_opens_it_again_by_the_api(stage: Stage, api: httpx.AsyncClient) -> None:
    bay = stage.bays[0]
    async with stage.program() as program:
        api.base_url = httpx.URL(f"http://127.0.0.1:{program.http_port}")
        await stage.begin()
        answer = await api.post("/api/v1/overrides", json={"space": bay.code, "state": "OUT_OF_ORDER"})
        assert answer.status_code == 201, answer.text
        await stage.shows(bay, PINK)
        await stage.park.arrive(bay.code)  # the override counts, whatever the sensor reports
        await stage.all_proven()
        assert bay.light.code == PINK
        ended = await api.delete(f"/api/v1/overrides/{answer.json()['id']}")
        assert ended.status_code in (200, 204), ended.text
        await stage.shows(bay, RED)
        await stage.all_proven()


async def test_an_override_ends_without_a_request(stage: Stage, api: httpx.AsyncClient) -> None:
    bay = stage.bays[0]
    async with stage.program() as program:
        api.base_url = httpx.URL(f"http://127.0.0.1:{program.http_port}")
        await stage.begin()
        until_at = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        answer = await api.post(
            "/api/v1/overrides", json={"space": bay.code, "state": "MAINTENANCE", "until": until_at}
        )
        assert answer.status_code == 201, answer.text
        await stage.shows(bay, ORANGE)
        await stage.shows(bay, GREEN)
        await stage.all_proven()


async def test_b14_a_missing_display_code_is_recorded_and_the_light_stays(stage: Stage) -> None:
    bay = stage.bays[0]
    codes = {k: v for k, v in factories.BUSYLIGHT_CODES.items() if k != "OCCUPIED"}
    await stage.pool.execute("UPDATE display_devices SET display_codes = $1 WHERE dev_eui = $2", codes, bay.display_eui)
    async with stage.program():
        await stage.begin()
        await stage.park.arrive(bay.code)
        await stage.becomes(bay, "sync_status", "misconfigured")
        assert bay.light.code == GREEN
        sql = "SELECT downlink_error FROM actuations WHERE status = 'failed'"
        assert "no code for OCCUPIED" in await stage.pool.fetchval(sql)
        await stage.park.leave(bay.code)
        await stage.all_proven()


async def test_a_bay_with_a_new_sensor_shows_the_reading_of_that_sensor(stage: Stage) -> None:
    first, second = stage.bays
    async with stage.program() as program:
        await stage.park.arrive(first.code)
        await stage.begin()
        now = datetime.now(UTC)
        async with stage.pool.acquire() as connection:
            await spaces.delete_space(by(connection, now=now, policies=program.policies), second.code)
            await spaces.assign(
                by(connection, now=now, policies=program.policies),
                first.code,
                sensor=second.sensor_eui,
                reason="swap",
            )
        await stage.shows(first, FLASHING_BLUE)  # the sensor's reading of the bay that it left no longer counts
        second.sensor.heartbeat()
        await stage.shows(first, GREEN)
        await stage.becomes(second, "sync_status", "unknown")
