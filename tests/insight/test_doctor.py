from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from baylight.control import retention
from baylight.domain.state import Policy
from baylight.insight import doctor
from baylight.inventory import device_settings, devices, spaces
from baylight.schedule import overrides, reservations
from baylight.store.pool import Connection, Pool
from tests.support.change import NOW, by
from tests.support.uplinks import FREE, OCCUPIED, receive_at, uplink

SENSOR, DISPLAY = "58a0cb00000000a1", "2020000000000001"
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
async def bay(db: Connection) -> None:
    await retention.run(db, NOW, uplink_months=25, actuation_months=37)
    await devices.register_sensor(by(db), SENSOR)
    await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight")
    await spaces.create_space(by(db, now=NOW - timedelta(seconds=1)), "A-1", sensor=SENSOR, display=DISPLAY)


async def failed(db: Connection) -> dict[str, str]:
    return {f.check: f.detail for f in await doctor.examine(db, now=NOW, policy=Policy()) if not f.ok}


async def unguarded(db: Connection, statement: str, *arguments: object) -> None:
    """Change a table past its triggers."""
    await db.execute("SET session_replication_role = replica")
    await db.execute(statement, *arguments)
    await db.execute("RESET session_replication_role")


async def test_a_working_installation_is_healthy(db: Connection, pool: Pool) -> None:
    await receive_at(pool, [uplink(SENSOR, NOW, OCCUPIED)], NOW)
    await reservations.create_reservation(by(db), reservations.NewReservation("A-1", NOW, NOW + HOUR))
    await overrides.set_override(by(db), "RESERVED", space="A-1")
    await db.execute("UPDATE display_devices SET last_seen_at = $1", NOW)
    assert await failed(db) == {}


async def test_a_device_without_uplinks_is_found(db: Connection) -> None:
    assert await failed(db) == {"devices without uplinks": f"2: A-1 (display {DISPLAY}), A-1 (sensor {SENSOR})"}


async def test_invariant_1_a_wrong_copy_is_found(db: Connection) -> None:
    await unguarded(db, "UPDATE spaces SET sensor_deveui = '00000000000000ff'")
    assert "A-1" in (await failed(db))["copies of DevEUIs"]


async def test_invariant_2_a_wrong_assignment_is_found(db: Connection) -> None:
    await unguarded(db, "UPDATE device_assignments SET superseded_at = now() WHERE role = 'display'")
    assert (await failed(db))["assignments"] == "1: A-1 (display)"


async def test_invariant_4_two_outstanding_commands_are_found(db: Connection) -> None:
    await db.execute("UPDATE actuations SET status = 'sending'")
    await db.execute(
        """
        INSERT INTO actuations_default (id, space_id, trigger_type, new_state, display_device_id, display_deveui,
            display_code, fport, status)
        SELECT uuid7('2020-01-01'), space_id, 'reconciliation', 'FREE', display_device_id, display_deveui, display_code,
            fport, 'queued'
        FROM actuations
        """
    )
    found = await failed(db)
    assert DISPLAY in found["outstanding commands"]
    assert found["default partitions"] == "1: actuations: 1 rows"


async def test_invariant_5_in_sync_without_proof_is_found(db: Connection) -> None:
    await db.execute("UPDATE display_devices SET sync_status = 'in_sync', reported_code = '0000ff6400'")
    assert (await failed(db))["displays in sync"] == f"1: {DISPLAY}"
    await db.execute("UPDATE display_devices SET reported_code = desired_code")
    assert "displays in sync" not in await failed(db)


async def test_invariant_6_a_state_without_an_explanation_is_found(db: Connection, pool: Pool) -> None:
    await receive_at(pool, [uplink(SENSOR, NOW, OCCUPIED)], NOW)
    await db.execute("UPDATE spaces SET current_state = 'FREE'")
    assert (await failed(db))["states of spaces"] == "1: A-1: FREE but by the rules OCCUPIED"


async def test_invariant_6_a_reading_without_its_uplink_is_found(db: Connection, pool: Pool) -> None:
    await receive_at(pool, [uplink(SENSOR, NOW, OCCUPIED)], NOW)
    await db.execute("UPDATE sensor_devices SET occupancy = 'FREE'")
    assert (await failed(db))["last readings"] == f"1: {SENSOR}: FREE but the uplinks report OCCUPIED"


async def test_invariant_6_holds_after_a_swap_and_after_a_pause_of_the_sensor(db: Connection, pool: Pool) -> None:
    early = NOW - timedelta(days=365 * 2)
    await db.execute("SELECT ensure_partition('uplinks', $1)", early)
    await db.execute(
        """
        INSERT INTO uplinks (observed_at, received_at, deduplication_id, dev_eui, occupancy, outcome, data)
        VALUES ($1, $1, gen_random_uuid(), $2, 'FREE', 'unchanged', '')
        """,
        early,
        SENSOR,
    )
    await spaces.unassign(by(db), "A-1", "sensor")
    assert "last readings" not in await failed(db)
    await spaces.assign(by(db), "A-1", sensor=SENSOR)
    await device_settings.set_enabled(by(db), "sensor", SENSOR, False)
    assert "last readings" not in await failed(db)


async def test_invariant_7_a_change_without_cause_is_found(db: Connection) -> None:
    space = await spaces.get_space(db, "A-1")
    for source, cause in (("sensor_uplink", uuid4()), ("api_reservation", uuid4()), ("manual_override", uuid4())):
        await db.execute(
            """
            INSERT INTO state_changes (space_id, new_state, source, trigger_source, "timestamp", uplink_observed_at)
            VALUES ($1, 'FREE', $2, $3, $4, $4)
            """,
            space.id, source, str(cause), NOW,
        )  # fmt: skip
    assert (await failed(db))["causes"].startswith("3: ")


async def test_b5_a_high_ratio_of_undecodable_uplinks_is_found(db: Connection, pool: Pool) -> None:
    messages = [uplink(SENSOR, NOW + timedelta(milliseconds=n), b"\x01" * 3, f_cnt=n) for n in range(20)]
    await receive_at(pool, messages, NOW)
    found = {f.check: f for f in await doctor.examine(db, now=NOW + HOUR, policy=Policy())}["decoding"]
    assert (found.ok, found.detail) == (
        False,
        f"20 of 20 uplinks of the last day could not be decoded; at least half of those of {SENSOR}",
    )
    assert found.what_to_do


async def test_unregistered_devices_and_rejected_messages_are_found(db: Connection, pool: Pool) -> None:
    await receive_at(pool, [uplink("00000000000000ff", NOW, FREE)], NOW)
    await db.execute(
        "INSERT INTO rejected_messages VALUES ('\\x00', 'a/b', '\\x00', 1, 'not_json', 'no', 3, $1, $1)", NOW
    )
    found = await failed(db)
    assert found["unregistered devices"] == "1: 00000000000000ff (1 uplinks)"
    assert found["rejected messages"] == "1: not_json: 3 (a/b)"


async def test_b14_a_display_without_a_code_is_found(db: Connection) -> None:
    await device_settings.set_display_codes(by(db), DISPLAY, {"FREE": "0000ff6400"}, replace=True)
    assert (await failed(db))["display codes"] == f"1: A-1 ({DISPLAY}): no code for UNKNOWN"


async def test_overdue_work_is_found(db: Connection) -> None:
    await reservations.create_reservation(by(db), reservations.NewReservation("A-1", NOW, NOW + HOUR))
    late = {f.check: f.detail for f in await doctor.examine(db, now=NOW + 2 * HOUR, policy=Policy()) if not f.ok}
    assert late["work in time"] == "3: decisions: 1, downlinks: 1, reservations: 1"
    assert "states of spaces" in late


async def test_a_database_that_accepts_no_changes_is_found(db: Connection) -> None:
    assert "database" not in {f.check for f in await doctor.examine(db, now=NOW, policy=Policy()) if not f.ok}
    await db.execute("SET default_transaction_read_only = on")
    try:
        [finding] = [f for f in await doctor.examine(db, now=NOW, policy=Policy()) if f.check == "database"]
    finally:
        await db.execute("RESET default_transaction_read_only")
    assert not finding.ok
    assert "standby" in finding.detail


async def test_a_wrong_schema_ends_the_examination(db: Connection) -> None:
    await db.execute("DELETE FROM schema_migrations WHERE name LIKE '0004%'")
    [finding] = await doctor.examine(db, now=NOW, policy=Policy())
    assert (finding.check, finding.ok) == ("schema", False)
    assert "db upgrade" in finding.detail


async def test_retention_makes_partitions_ahead_and_drops_old_ones(db: Connection) -> None:
    for months in (1, 26, 40):
        at = NOW - timedelta(days=30.5 * months)
        await db.execute("SELECT ensure_partition('uplinks', $1), ensure_partition('actuations', $1)", at)
    later = NOW + timedelta(days=62)
    kept = await retention.run(db, later, uplink_months=25, actuation_months=37)
    assert kept.made == 4
    assert [name for name in kept.dropped if name.startswith("uplinks")] == ["uplinks_y2023m07", "uplinks_y2024m09"]
    assert [name for name in kept.dropped if name.startswith("act")] == ["actuations_y2023m07"]
    again = await retention.run(db, later, uplink_months=25, actuation_months=37)
    assert (again.made, again.dropped, again.pruned) == (0, [], 0)


async def test_retention_prunes_steps_and_rejected_messages(db: Connection) -> None:
    old = NOW - timedelta(days=40 * 31)
    for at in (old, NOW):
        await db.execute(
            "INSERT INTO actuation_events (at, received_at, dev_eui, kind) VALUES ($1, $1, $2, 'log')", at, DISPLAY
        )
        await db.execute(
            "INSERT INTO rejected_messages VALUES (uuid_send(gen_random_uuid()), 't', '', 0, 'r', 'd', 1, $1, $1)", at
        )
    assert (await retention.run(db, NOW, uplink_months=25, actuation_months=37)).pruned == 2
    assert await db.fetchval("SELECT min(received_at) FROM actuation_events WHERE kind = 'log'") == NOW
    assert await db.fetchval("SELECT count(*) FROM rejected_messages") == 1


async def test_retention_gives_way_to_those_who_use_the_table(db: Connection, pool: Pool) -> None:
    await db.execute("SELECT ensure_partition('uplinks', $1)", NOW - timedelta(days=100))
    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT count(*) FROM uplinks")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await retention.run(db, NOW, uplink_months=1, actuation_months=1)


@pytest.mark.parametrize("others", [1, 40])
async def test_d6_half_of_the_uplinks_of_one_device_are_not_well(db: Connection, pool: Pool, others: int) -> None:
    await devices.register_sensor(by(db), "58a0cb00000000a2")
    messages = [uplink("58a0cb00000000a2", NOW + timedelta(milliseconds=n), FREE, f_cnt=n) for n in range(others)]
    messages += [uplink(SENSOR, NOW, FREE, f_cnt=1), uplink(SENSOR, NOW + timedelta(seconds=1), b"\1" * 3, f_cnt=2)]
    await receive_at(pool, messages, NOW)
    [found] = [f for f in await doctor.examine(db, now=NOW + HOUR, policy=Policy()) if f.check == "decoding"]
    assert (found.ok, found.detail.rsplit(" ", 1)[1]) == (False, SENSOR)


async def test_d6_low_batteries_and_bad_signals_are_named(db: Connection, pool: Pool) -> None:
    await receive_at(pool, [uplink(SENSOR, NOW, FREE)], NOW)
    assert not {"batteries", "signal"} & (await failed(db)).keys()
    await db.execute("UPDATE sensor_devices SET battery_v = 2.6")
    await db.execute("UPDATE display_devices SET battery_pct = 12")
    assert (await failed(db))["batteries"] == f"2: {DISPLAY} (12 %), {SENSOR} (2.60 V, 100 %)"
    await db.execute("UPDATE sensor_devices SET snr_db = -17, rssi_dbm = -120")
    assert "signal" not in await failed(db), "one bad frame"
    await unguarded(db, "UPDATE uplinks SET snr_db = -17, rssi_dbm = -120")
    assert (await failed(db))["signal"] == f"1: {SENSOR} (SNR -17.0 dB, -120 dBm)"
