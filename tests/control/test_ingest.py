"""Uplinks on a real database: what is stored, what it changes, what it must not change."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from baylight.app.timer import Timer
from baylight.control.events.ingest import Ingest
from baylight.domain.events import Ack, DeviceStatus, Ignored, Join, Log, Rejected, TxAck
from baylight.domain.policies import Policies
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.clock import T0, Clock
from tests.support.eventually import SOMEONE_WAITS, eventually
from tests.support.uplinks import FREE, OCCUPIED, uplink


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ingest(pool: Pool, clock: Clock) -> Ingest:
    return Ingest(pool, clock, Policies())


async def state(pool: Pool, space_id: UUID) -> str:
    return str(await pool.fetchval("SELECT current_state FROM spaces WHERE id = $1", space_id))


async def outcomes(pool: Pool) -> list[str]:
    return [r["outcome"] for r in await pool.fetch("SELECT outcome FROM uplinks ORDER BY received_at")]


async def test_a_car_makes_one_uplink_one_change_and_one_actuation(pool: Pool, ingest: Ingest, clock: Clock) -> None:
    bay = await factories.add_bay(pool, "A-01")
    sent = uplink(bay.sensor_eui, clock.now())
    await ingest.store_batch([sent])
    assert await state(pool, bay.space_id) == "OCCUPIED"
    row = await pool.fetchrow("SELECT * FROM uplinks")
    assert (row["outcome"], row["occupancy"], row["data"]) == ("state_changed", "OCCUPIED", OCCUPIED)
    assert row["reading"]["battery_v"] == 3.6
    change = await pool.fetchrow("SELECT * FROM state_changes")
    assert (change["previous_state"], change["new_state"], change["reason"]) == ("UNKNOWN", "OCCUPIED", "sensor")
    assert change["trigger_source"] == sent.deduplication_id
    actuation = await pool.fetchrow("SELECT * FROM actuations")
    assert (actuation["status"], actuation["display_code"], actuation["fport"]) == ("pending", "ff00006400", 15)
    display = await pool.fetchrow("SELECT * FROM display_devices")
    assert (display["desired_state"], display["sync_status"]) == ("OCCUPIED", "pending")
    sensor = await pool.fetchrow("SELECT * FROM sensor_devices")
    assert (sensor["last_seen_at"], sensor["rssi_dbm"], sensor["battery_v"]) == (T0, -100, pytest.approx(3.6))


async def test_a_redelivered_uplink_changes_nothing(pool: Pool, ingest: Ingest, clock: Clock) -> None:
    bay = await factories.add_bay(pool, "A-01")
    first, second = (
        uplink(bay.sensor_eui, clock.now()),
        uplink(bay.sensor_eui, clock.now() + timedelta(minutes=1), FREE),
    )
    clock.tick(90)
    await ingest.store_batch([first, second, first])
    await ingest.store_batch([second])
    await ingest.store_batch([first, second])
    assert await state(pool, bay.space_id) == "FREE"
    assert await outcomes(pool) == ["state_changed", "state_changed"]
    assert await pool.fetchval("SELECT count(*) FROM state_changes") == 2
    assert ingest.counts["uplink", "redelivered"] == 4


async def test_copies_that_arrive_at_once_in_two_processes_are_stored_once(pool: Pool, clock: Clock) -> None:
    bay = await factories.add_bay(pool, "A-01")
    events = [uplink(bay.sensor_eui, T0 + timedelta(seconds=n), (OCCUPIED, FREE)[n % 2]) for n in range(40)]
    clock.tick(100)
    both = [Ingest(pool, clock, Policies()) for _ in range(2)]
    await asyncio.gather(*(taker.store_batch(events[n : n + 10]) for n in range(0, 40, 10) for taker in both))
    assert await pool.fetchval("SELECT count(*) FROM uplinks") == 40
    assert await state(pool, bay.space_id) == "FREE"


async def test_rows_that_somebody_changed_while_a_batch_waited_are_found(any_pool: Pool, clock: Clock) -> None:
    """A row that was updated lies elsewhere, and elsewhere again for each time it was."""
    bays = [await factories.add_bay(any_pool, f"A-{n:02}") for n in range(8)]
    clock.tick(60)
    taker = Ingest(any_pool, clock, Policies())
    for table in ("sensor_devices", "spaces"):
        code = (FREE, OCCUPIED)[table == "sensor_devices"]
        async with any_pool.acquire() as other:
            async with other.transaction():
                for _ in range(3):
                    await other.execute(f"UPDATE {table} SET created_at = created_at - interval '1 day'")
                batch = [uplink(bay.sensor_eui, clock.tick(1), code) for bay in bays]
                taking = asyncio.create_task(taker.store_batch(batch))
                await eventually(any_pool, SOMEONE_WAITS)
            await taking
        said = "OCCUPIED" if code == OCCUPIED else "FREE"
        assert [await state(any_pool, bay.space_id) for bay in bays] == [said] * 8
        kept = f"SELECT count(*) FROM {table} WHERE created_at < now() - interval '2 days'"
        assert await any_pool.fetchval(kept) == 8
        heard = await any_pool.fetch("SELECT DISTINCT last_seen_at, occupancy FROM sensor_devices")
        assert [tuple(row) for row in heard] == [(clock.now(), said)]


async def test_b1_only_a_positive_reading_changes_a_state(pool: Pool, ingest: Ingest, clock: Clock) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await ingest.store_batch([uplink(bay.sensor_eui, clock.now())])
    for f_port, data in [(0, b""), (None, b""), (102, b""), (204, bytes(16)), (99, FREE), (102, FREE[:7]), (1, b"\0")]:
        at = clock.tick(10)
        await ingest.store_batch([uplink(bay.sensor_eui, at, data, f_port=f_port)])
    await ingest.store_batch([Join(bay.sensor_eui, str(uuid4()), clock.tick(1), "01020305")])
    assert await state(pool, bay.space_id) == "OCCUPIED"
    assert set((await outcomes(pool))[1:]) == {"not_occupancy", "not_decodable"}
    assert await pool.fetchval("SELECT count(*) FROM state_changes") == 1


async def test_b6_a_repeated_reading_is_unchanged(pool: Pool, ingest: Ingest, clock: Clock) -> None:
    bay = await factories.add_bay(pool, "A-01")
    for f_cnt in range(10589, 10592):
        await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(60), f_cnt=f_cnt)])
    assert await outcomes(pool) == ["state_changed", "unchanged", "unchanged"]
    assert await pool.fetchval("SELECT count(*) FROM actuations") == 1


async def test_b6_a_repeated_reading_waits_for_nobody_at_its_space(pool: Pool, ingest: Ingest, clock: Clock) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await ingest.store_batch([uplink(bay.sensor_eui, clock.now())])
    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM spaces WHERE id = $1 FOR UPDATE", bay.space_id)
        await asyncio.wait_for(ingest.store_batch([uplink(bay.sensor_eui, clock.tick(60), f_cnt=2)]), 20)
    assert await outcomes(pool) == ["state_changed", "unchanged"]


async def test_a_reading_that_repeats_after_long_silence_is_decided(pool: Pool, ingest: Ingest, clock: Clock) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await ingest.store_batch([uplink(bay.sensor_eui, clock.now())])
    deadline_s = await pool.fetchval(
        "SELECT uplink_interval_s * silent_after_intervals FROM device_types WHERE code = 'browan_tbms100'"
    )
    clock.tick(deadline_s)
    reconcile = Timer(pool, clock, Policies(), 24, 24)
    await reconcile.spaces()
    assert await state(pool, bay.space_id) == "UNKNOWN"
    await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(1), f_cnt=2)])
    assert await state(pool, bay.space_id) == "OCCUPIED"
    await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(deadline_s * 0.6), f_cnt=3)])
    due_at = await pool.fetchval("SELECT occupancy_at FROM sensor_devices") + timedelta(seconds=deadline_s)
    clock.tick(deadline_s * 0.6)
    await reconcile.spaces()
    assert await state(pool, bay.space_id) == "OCCUPIED"
    assert await pool.fetchval("SELECT recompute_at FROM spaces") == due_at


async def test_a_repeated_reading_that_waited_long_in_the_broker_is_decided(
    pool: Pool, ingest: Ingest, clock: Clock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await ingest.store_batch([uplink(bay.sensor_eui, T0)])
    clock.tick(3.5 * 3600)
    await Timer(pool, clock, Policies(), 24, 24).spaces()
    assert await state(pool, bay.space_id) == "UNKNOWN"
    await ingest.store_batch([uplink(bay.sensor_eui, T0 + timedelta(hours=1), f_cnt=2)])
    assert await state(pool, bay.space_id) == "OCCUPIED"


async def test_a_frame_of_an_earlier_session_that_is_delivered_again_changes_nothing(
    pool: Pool, ingest: Ingest, clock: Clock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    before = uplink(bay.sensor_eui, clock.now(), f_cnt=7)
    new_session = uplink(bay.sensor_eui, clock.tick(60), FREE, f_cnt=0, dev_addr="01020399")
    await ingest.store_batch([before])
    await ingest.store_batch([new_session])
    # It went on in the new session: nothing tells that the frame of the earlier one is known, but the table itself.
    late = uplink(bay.sensor_eui, clock.now() - timedelta(seconds=50), FREE, f_cnt=9)
    clock.tick(80)
    await ingest.store_batch([late])
    next_one = uplink(bay.sensor_eui, clock.now(), f_cnt=1, dev_addr="01020399")
    await ingest.store_batch([next_one, before, late, new_session])
    assert await outcomes(pool) == ["state_changed", "state_changed", "stale", "state_changed"]
    assert ingest.counts["uplink", "redelivered"] == 3


async def test_a_stored_frame_that_seems_new_is_found_when_it_is_delivered_again(
    pool: Pool, ingest: Ingest, clock: Clock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await ingest.store_batch([uplink(bay.sensor_eui, clock.now(), f_cnt=7)])
    ahead = uplink(bay.sensor_eui, T0, f_cnt=90)
    await ingest.store_batch([ahead])
    # The counter restarts: nothing tells that the frame ahead is known, but the table itself.
    await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(60), FREE, f_cnt=8), ahead])
    assert await outcomes(pool) == ["state_changed", "unchanged", "state_changed"]
    assert ingest.counts["uplink", "redelivered"] == 1


async def test_b7_frame_counters_that_restart_after_a_rejoin_drop_nothing(
    pool: Pool, ingest: Ingest, clock: Clock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(1), f_cnt=7)])
    await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(60), FREE, f_cnt=7, dev_addr="0a0b0c0d")])
    assert await outcomes(pool) == ["state_changed", "state_changed"]


async def test_b19_gateway_time_far_ahead_neither_orders_nor_ages(pool: Pool, ingest: Ingest, clock: Clock) -> None:
    bay = await factories.add_bay(pool, "A-01")
    now = clock.tick(5)
    ahead = uplink(bay.sensor_eui, now + timedelta(seconds=131), network_at=now)
    await ingest.store_batch([ahead])
    await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(5), FREE)])
    assert await state(pool, bay.space_id) == "FREE"
    occupied_at = await pool.fetchval("SELECT occupancy_at FROM sensor_devices")
    assert occupied_at == clock.now()


async def test_what_comes_together_in_the_wrong_order_is_taken_in_the_network_server_s(
    pool: Pool, ingest: Ingest, clock: Clock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    clock.tick(60)
    later, earlier = (
        uplink(bay.sensor_eui, T0 + timedelta(seconds=s), said) for s, said in ((50, FREE), (10, OCCUPIED))
    )
    await ingest.store_batch([later, earlier])
    assert await state(pool, bay.space_id) == "FREE"
    assert await outcomes(pool) == ["state_changed", "state_changed"]


async def test_an_older_reading_is_stale_and_turns_nothing_back(pool: Pool, ingest: Ingest, clock: Clock) -> None:
    bay = await factories.add_bay(pool, "A-01")
    clock.tick(60)
    await ingest.store_batch([uplink(bay.sensor_eui, T0 + timedelta(seconds=50), FREE)])
    await ingest.store_batch([uplink(bay.sensor_eui, T0 + timedelta(seconds=10), OCCUPIED)])
    assert await state(pool, bay.space_id) == "FREE"
    assert await outcomes(pool) == ["state_changed", "stale"]


async def test_a_late_reading_still_counts_when_only_an_empty_frame_overtook_it(
    pool: Pool, ingest: Ingest, clock: Clock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    clock.tick(60)
    await ingest.store_batch([uplink(bay.sensor_eui, T0 + timedelta(seconds=31), b"", f_port=0)])
    await ingest.store_batch([uplink(bay.sensor_eui, T0 + timedelta(seconds=30), OCCUPIED)])
    assert await state(pool, bay.space_id) == "OCCUPIED"


async def test_a_frame_without_occupancy_makes_what_is_known_no_younger(
    pool: Pool, ingest: Ingest, clock: Clock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    read_at, empty_at = clock.now(), clock.tick(60)
    await ingest.store_batch([uplink(bay.sensor_eui, read_at)])
    await ingest.store_batch([uplink(bay.sensor_eui, empty_at, b"", f_cnt=2)])
    sensor = await pool.fetchrow("SELECT occupancy, occupancy_at, heard_network_at FROM sensor_devices")
    assert tuple(sensor) == ("OCCUPIED", read_at, empty_at)


async def test_unknown_unassigned_and_disabled_devices_are_stored_and_drive_nothing(
    pool: Pool, ingest: Ingest, clock: Clock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    lone = await factories.add_sensor(pool)
    await pool.execute("UPDATE sensor_devices SET enabled = false WHERE id = $1", bay.sensor_id)
    stranger = uplink(factories.new_eui(), clock.tick(1))
    await ingest.store_batch([stranger, uplink(lone["dev_eui"], clock.tick(1)), uplink(bay.sensor_eui, clock.tick(1))])
    await ingest.store_batch([stranger])
    assert sorted(await outcomes(pool)) == ["device_disabled", "unassigned", "unknown_device"]
    assert await state(pool, bay.space_id) == "UNKNOWN"


async def test_what_cannot_be_read_is_kept_once_with_its_number(pool: Pool, ingest: Ingest) -> None:
    bad = Rejected("application/1/device/\x00/event/up", b"{\xff" * 5000, "bad_json", "no JSON")
    await ingest.store_batch([bad, Ignored("location"), bad])
    row = await pool.fetchrow("SELECT * FROM rejected_messages")
    assert (row["times"], row["payload_bytes"], len(row["payload"]), row["reason"]) == (2, 10000, 4096, "bad_json")
    assert ingest.counts["ignored", "location"] == 1


@pytest.mark.parametrize("year", [1970, 2019, 2090])
async def test_an_absurd_time_is_replaced_by_the_network_servers(
    pool: Pool, ingest: Ingest, clock: Clock, year: int
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    absurd = datetime(year, 1, 1, tzinfo=UTC)
    await ingest.store_batch([uplink(bay.sensor_eui, absurd, network_at=clock.now())])
    assert await pool.fetchval("SELECT observed_at FROM uplinks") == clock.now()
    assert await pool.fetchval("SELECT count(*) FROM rejected_messages") == 0
    assert await pool.fetchval("SELECT count(*) FROM uplinks_default") == 0


async def test_b20_an_unknown_battery_level_is_absent(pool: Pool, ingest: Ingest, clock: Clock) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await ingest.store_batch([DeviceStatus(bay.sensor_eui, str(uuid4()), clock.now(), None, False, 7)])
    assert await pool.fetchval("SELECT battery_pct FROM sensor_devices") is None
    await ingest.store_batch([DeviceStatus(bay.sensor_eui, str(uuid4()), clock.now(), 42.0, False, 7)])
    assert await pool.fetchval("SELECT battery_pct FROM sensor_devices") == 42.0


async def test_b10_newest_wins_when_a_bay_changes_faster_than_it_is_sent(
    pool: Pool, ingest: Ingest, clock: Clock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    events = [uplink(bay.sensor_eui, clock.tick(1), data) for data in (FREE, OCCUPIED, FREE)]
    await ingest.store_batch(events)
    rows = await pool.fetch("SELECT status, new_state FROM actuations ORDER BY id")
    assert [tuple(r) for r in rows] == [("superseded", "FREE"), ("superseded", "OCCUPIED"), ("pending", "FREE")]


async def test_a_space_without_display_gets_a_failed_actuation_that_says_so(
    pool: Pool, ingest: Ingest, clock: Clock
) -> None:
    sensor = await factories.add_sensor(pool)
    await factories.add_space(pool, "A-01", sensor_device_id=sensor["id"])
    await ingest.store_batch([uplink(sensor["dev_eui"], clock.now())])
    row = await pool.fetchrow("SELECT status, downlink_error, display_code FROM actuations")
    assert tuple(row) == ("failed", "the space has no display", None)


async def test_b14_a_missing_code_is_an_explicit_failure(pool: Pool, ingest: Ingest, clock: Clock) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await pool.execute("UPDATE display_devices SET display_codes = display_codes - 'OCCUPIED'")
    await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(1), FREE), uplink(bay.sensor_eui, clock.tick(1))])
    rows = await pool.fetch("SELECT status, display_code, downlink_error FROM actuations ORDER BY id")
    assert [r["status"] for r in rows] == ["superseded", "failed"]
    assert "no code for OCCUPIED" in rows[1]["downlink_error"]
    assert await pool.fetchval("SELECT sync_status FROM display_devices") == "misconfigured"


async def test_events_about_downlinks_of_strangers_change_nothing(pool: Pool, ingest: Ingest, clock: Clock) -> None:
    bay = await factories.add_bay(pool, "A-01")
    now = clock.now()
    for eui in (bay.display_eui, factories.new_eui(), bay.sensor_eui):
        await ingest.store_batch([
            TxAck(eui, "other", 1, 1, None, now),
            Ack(eui, "other", False, 1, now),
            Log(eui, "ERROR", "EXPIRED", "expired", "other", now),
            Log(eui, "ERROR", "DOWNLINK_GATEWAY", "TOO_LATE", None, now),
            Log(eui, "WARNING", "UPLINK_F_CNT_RETRANSMISSION", "", None, now),
        ])  # fmt: skip
    assert await pool.fetchval("SELECT count(*) FROM actuations") == 0
    assert await pool.fetchval("SELECT count(*) FROM actuation_events WHERE actuation_id IS NULL") == 3


async def test_a_partition_that_retention_dropped_is_made_again(pool: Pool, ingest: Ingest, clock: Clock) -> None:
    bay = await factories.add_bay(pool, "A-01")
    old = T0 - timedelta(days=300)
    await ingest.store_batch([uplink(bay.sensor_eui, old, network_at=clock.now())])
    await pool.execute("DROP TABLE uplinks_y2025m05")
    await ingest.store_batch([uplink(bay.sensor_eui, old, network_at=clock.tick(1))])
    assert await pool.fetchval("SELECT count(*) FROM uplinks_y2025m05") == 1
    assert await pool.fetchval("SELECT count(*) FROM uplinks_default") == 0
