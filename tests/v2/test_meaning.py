"""What V2 meant survives the switch, and the customer's own triggers go on working."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from baylight.app.timer import Timer
from baylight.domain.policies import Policies
from baylight.domain.state import Policy
from baylight.store.pool import open_pool
from baylight.v2.inspection import findings
from baylight.v2.observe import observe_report
from tests.support.clock import RealClock
from tests.support.v2 import CHOICES, V2Database, display, sensor


async def decide(v2: V2Database) -> None:
    """Decide every space that is due, as the timer of `baylight serve` does."""
    pool = await open_pool(v2.dsn, size=2)
    timer = Timer(pool, RealClock(), Policies(Policy(reserved_soon=timedelta())), 25, 37)
    while await timer.spaces():
        pass
    await pool.close()


async def test_h2_a_bay_that_people_closed_in_v2_stays_closed(v2: V2Database) -> None:
    space = await v2.add("C1", sensor_eui=sensor(1), display_eui=display(1), state="MAINTENANCE")
    await v2.insert(
        "sensor_readings",
        {"device_eui": sensor(1), "space_id": space, "occupancy_state": "FREE", "timestamp": datetime.now(UTC)},
    )
    report = await findings.inspect(v2.admin)
    assert next(f for f in report.findings if f.kind == "closed_by_hand").proposed == "keep"
    await v2.apply("verify")
    other = "UPDATE spaces SET current_state = 'FREE', state_reason = 'sensor' WHERE id = $1"
    await v2.baylight.execute(other, space)  # what an observing Baylight decides
    assert (await observe_report(v2.admin, grace_s=0)).summary == []
    await v2.admin.execute(
        "UPDATE v2_migration.control SET choices = jsonb_set(choices, '{resolve,closed_by_hand}', '\"open\"')"
    )
    assert (await observe_report(v2.admin, grace_s=0)).summary == [("MAINTENANCE", "FREE", "sensor", 1)]
    await v2.apply("switch")
    await decide(v2)
    row = await v2.new(space)
    assert (row["current_state"], row["maintenance"], row["state_reason"]) == ("MAINTENANCE", True, "maintenance")
    await v2.rollback("verify")
    assert (await v2.old(space))["state"] == "MAINTENANCE"
    assert (await v2.new(space))["maintenance"] is False, "V2's state is the only word again"
    await v2.apply("switch")
    assert (await v2.new(space))["maintenance"] is True


async def test_h2_closed_bays_can_be_opened_by_choice(v2: V2Database) -> None:
    space = await v2.add("C1", sensor_eui=sensor(1), state="MAINTENANCE")
    await v2.apply("switch", resolve={**CHOICES.resolve, "closed_by_hand": "open"})
    assert (await v2.new(space))["maintenance"] is False


async def test_h2_reserved_by_hand_is_told_from_reserved_by_a_reservation(v2: V2Database) -> None:
    by_hand = await v2.add("R1", sensor_eui=sensor(1), state="RESERVED")
    booked = await v2.add("R2", sensor_eui=sensor(2), state="RESERVED")
    now = datetime.now(UTC)
    await v2.insert(
        "reservations",
        {"space_id": booked, "start_time": now - timedelta(minutes=5), "end_time": now + timedelta(hours=1)},
    )
    report = await findings.inspect(v2.admin)
    assert [e[1] for e in next(f for f in report.findings if f.kind == "reserved_by_hand").examples] == ["R1"]
    await v2.apply("switch")
    overrides = await v2.baylight.fetch("SELECT space_id, state FROM overrides WHERE upper_inf(valid)")
    assert [tuple(row) for row in overrides] == [(by_hand, "RESERVED")]
    await decide(v2)
    assert (await v2.new(by_hand))["state_reason"] == "override"
    assert (await v2.new(booked))["state_reason"] == "reservation"
    await v2.rollback("verify")
    assert await v2.baylight.fetchval("SELECT count(*) FROM overrides WHERE upper_inf(valid)") == 0


async def test_unknown_is_one_word_in_v2s_views_before_and_after_contract_and_going_back_restores_v2s_own(
    v2: V2Database,
) -> None:
    space = await v2.add("U1", sensor_eui=sensor(1))
    await v2.apply("switch")
    await decide(v2)
    assert (await v2.new(space))["current_state"] == "UNKNOWN"
    assert (await v2.old(space))["state"] == "OCCUPIED"
    await v2.apply("contract")
    assert (await v2.old(space))["state"] == "OCCUPIED"
    await v2.rollback("switch")
    assert (await v2.old(space))["state"] == "OCCUPIED"
    assert (await v2.verify()).differences == []
    await v2.rollback("verify")
    assert (await v2.old(space))["state"] == "FREE"


async def test_h9_a_reading_from_the_future_freezes_no_space(v2: V2Database) -> None:
    space = await v2.add("F1", sensor_eui=sensor(1))
    now = datetime.now(UTC)
    for at, state in ((now + timedelta(days=3650), "FREE"), (now - timedelta(minutes=1), "OCCUPIED")):
        await v2.insert(
            "sensor_readings",
            {"device_eui": sensor(1), "space_id": space, "occupancy_state": state, "timestamp": at},
        )
    await v2.legacy.execute(
        "INSERT INTO sensor_readings (device_eui, occupancy_state, timestamp)"
        " VALUES ($1, 'FREE', 'infinity'), ($1, 'FREE', '-infinity'), ($1, 'FREE', '0044-03-15 BC')",
        sensor(1),
    )
    await v2.apply("switch")
    row = await v2.baylight.fetchrow("SELECT occupancy, last_seen_at FROM sensor_devices WHERE dev_eui = $1", sensor(1))
    assert row is not None
    assert (row["occupancy"], row["last_seen_at"]) == ("OCCUPIED", now - timedelta(minutes=1))


AUDIT = """
CREATE TABLE spaces_audit (id bigserial PRIMARY KEY, at timestamptz DEFAULT now(), op text, new_row jsonb);
GRANT ALL ON spaces_audit TO parking;
GRANT ALL ON SEQUENCE spaces_audit_id_seq TO parking;
CREATE FUNCTION audit_spaces() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO spaces_audit (op, new_row) VALUES (TG_OP, to_jsonb(NEW)); RETURN NULL; END $$;
CREATE TRIGGER customer_audit AFTER INSERT OR UPDATE ON spaces FOR EACH ROW EXECUTE FUNCTION audit_spaces();
"""


async def test_h3_an_audit_trigger_of_the_customer_goes_on_working_when_baylight_writes(v2: V2Database) -> None:
    await v2.admin.execute(AUDIT)
    space = await v2.add("P1", sensor_eui=sensor(1))
    await v2.apply("switch")
    await v2.baylight.execute("UPDATE spaces SET current_state = 'OCCUPIED' WHERE id = $1", space)
    await v2.baylight.execute("UPDATE spaces SET name = 'renamed' WHERE id = $1", space)
    seen = await v2.admin.fetch("SELECT new_row ->> 'state' AS state, new_row ->> 'name' AS name FROM spaces_audit")
    assert [tuple(row) for row in seen][-2:] == [("OCCUPIED", "Bay P1"), ("OCCUPIED", "renamed")]
    await v2.apply("contract")
    await v2.baylight.execute("UPDATE spaces SET name = 'again' WHERE id = $1", space)
    await v2.rollback("switch")
    assert (await v2.old(space))["name"] == "again"
    await v2.rollback("start")
    await v2.legacy.execute("UPDATE spaces SET name = 'v2' WHERE id = $1", space)
    assert await v2.admin.fetchval("SELECT new_row ->> 'name' FROM spaces_audit ORDER BY id DESC LIMIT 1") == "v2"


async def test_h10_v2_may_note_the_last_use_of_a_key_after_contract_and_a_revoked_key_is_refused(
    v2: V2Database,
) -> None:
    key = await v2.insert("api_keys", {"key_hash": "$2b$12$x", "key_name": "gate"})
    await v2.apply("contract")
    await v2.legacy.execute("UPDATE api_keys SET last_used_at = now() WHERE id = $1", key)
    assert await v2.legacy.fetchval("SELECT last_used_at IS NOT NULL FROM api_keys WHERE id = $1", key)
    with pytest.raises(Exception, match="permission denied"):
        await v2.legacy.execute("UPDATE api_keys SET is_admin = true WHERE id = $1", key)
    await v2.baylight.execute("UPDATE api_keys SET is_active = false, revoked_at = now() WHERE id = $1", key)
    assert await v2.legacy.fetchval("SELECT is_active FROM api_keys WHERE id = $1", key) is False


async def test_h10_a_space_that_could_not_be_carried_and_its_reservations_are_in_the_views(v2: V2Database) -> None:
    await v2.admin.execute("ALTER TABLE spaces DROP CONSTRAINT valid_gps")
    space = await v2.add("FAR", gps_latitude=95, gps_longitude=95)
    now = datetime.now(UTC)
    await v2.insert("reservations", {"space_id": space, "start_time": now, "end_time": now + timedelta(hours=1)})
    await v2.insert("state_changes", {"space_id": space, "new_state": "FREE", "source": "x"})
    before = await v2.legacy.fetch("SELECT * FROM spaces ORDER BY id")
    await v2.apply("contract")
    assert await v2.baylight.fetchval("SELECT count(*) FROM spaces WHERE id = $1", space) == 0
    assert await v2.legacy.fetch("SELECT * FROM spaces ORDER BY id") == before
    assert await v2.legacy.fetchval("SELECT count(*) FROM reservations WHERE space_id = $1", space) == 1
    assert await v2.legacy.fetchval("SELECT count(*) FROM state_changes WHERE space_id = $1", space) == 1
    await v2.rollback("switch")
    assert await v2.legacy.fetch("SELECT * FROM spaces ORDER BY id") == before


async def test_v2s_spelling_of_a_display_holds_though_the_space_gets_another_sensor(v2: V2Database) -> None:
    empty = await v2.add("E1", sensor_eui=sensor(1), display_eui="")
    upper = await v2.add("E2", sensor_eui=sensor(2).upper(), display_eui=display(2).upper())
    await v2.apply("contract")
    for space, n in ((empty, 11), (upper, 12)):
        await v2.baylight.execute(
            "INSERT INTO sensor_devices (dev_eui, device_type) VALUES ($1, 'browan_tbms100')", sensor(n)
        )
        await v2.baylight.execute("UPDATE spaces SET sensor_deveui = $2 WHERE id = $1", space, sensor(n))
    for _ in range(2):
        rows = {s: await v2.old(s) for s in (empty, upper)}
        assert (rows[empty]["sensor_eui"], rows[empty]["display_eui"]) == (sensor(11), "")
        assert (rows[upper]["sensor_eui"], rows[upper]["display_eui"]) == (sensor(12), display(2).upper())
        await v2.rollback("switch")


async def test_h7_columns_of_the_customer_are_carried_through_the_views(v2: V2Database) -> None:
    await v2.admin.execute(
        "ALTER TABLE spaces ADD COLUMN price numeric, ADD COLUMN label text GENERATED ALWAYS AS (code || '!') STORED;"
        "ALTER TABLE reservations ADD COLUMN plate text; ALTER TABLE state_changes ADD COLUMN who text"
    )
    space = await v2.add("P1", price=3, sensor_eui=sensor(1))
    now = datetime.now(UTC)
    booked = await v2.insert(
        "reservations", {"space_id": space, "start_time": now, "end_time": now + timedelta(hours=1), "plate": "B-A 1"}
    )
    await v2.insert("state_changes", {"space_id": space, "new_state": "FREE", "source": "x", "who": "anna"})
    await v2.apply("contract")
    row = await v2.old(space)
    assert (row["price"], row["label"]) == (3, "P1!")
    assert await v2.legacy.fetchval("SELECT plate FROM reservations WHERE id = $1", booked) == "B-A 1"
    assert await v2.legacy.fetchval("SELECT who FROM state_changes") == "anna"
    await v2.baylight.execute("INSERT INTO spaces (name, code) VALUES ('new', 'NEW')")
    assert await v2.legacy.fetchval("SELECT price FROM spaces WHERE code = 'NEW'") is None
    await v2.rollback("switch")
    assert (await v2.old(space))["price"] == 3


async def test_observe_says_when_nothing_was_observed(v2: V2Database) -> None:
    await v2.add("P1", sensor_eui=sensor(1), display_eui=display(1))
    await v2.apply("verify")
    report = await observe_report(v2.admin, grace_s=0)
    assert (report.observed.uplinks, report.observed.sensors, report.observed.sensors_received) == (0, 1, 0)
    assert [(d.dev_eui, d.spaces) for d in report.unreachable] == [(display(1), "P1")]
    await v2.baylight.execute(
        "INSERT INTO uplinks (observed_at, received_at, deduplication_id, dev_eui, outcome, data)"
        " VALUES (now(), now(), gen_random_uuid(), $1, 'unchanged', '')",
        sensor(1),
    )
    await v2.baylight.execute("UPDATE display_devices SET last_seen_at = now(), application_id = 'a'")
    report = await observe_report(v2.admin, grace_s=0)
    assert (report.observed.uplinks, report.observed.sensors_received, report.unreachable) == (1, 1, [])


async def test_a_reservation_that_ends_between_the_stop_of_v2s_timers_and_the_switch_is_not_kept_by_hand(
    v2: V2Database,
) -> None:
    space = await v2.add("E1", sensor_eui=sensor(1), display_eui=display(1))
    await v2.apply("verify")
    now = datetime.now(UTC)
    await v2.insert(
        "reservations",
        {"space_id": space, "start_time": now - timedelta(hours=1), "end_time": now + timedelta(milliseconds=50)},
    )
    await v2.legacy.execute("UPDATE spaces SET state = 'RESERVED' WHERE id = $1", space)
    await v2.apply("switch")
    assert datetime.now(UTC) > now + timedelta(milliseconds=50), "the reservation has ended before the switch"
    assert await v2.baylight.fetchval("SELECT count(*) FROM overrides WHERE upper_inf(valid)") == 0


async def test_v2s_own_commands_are_no_condition_of_a_display_until_the_switch(v2: V2Database) -> None:
    await v2.add("E1", sensor_eui=sensor(1), display_eui=display(1))
    await v2.apply("verify")
    begin = (
        "INSERT INTO conditions (kind, subject_id, since, evidence)"
        " SELECT kind, id::text, now(), 'a downlink of V2' FROM display_devices, unnest($1::text[]) AS kind"
    )
    seen = ["display_commanded_by_other", "display_wrong", "display_silent"]
    kinds = "SELECT array_agg(kind::text ORDER BY kind::text) FROM conditions"
    await v2.baylight.execute(begin, seen)
    assert await v2.baylight.fetchval(kinds) == ["display_silent"]
    await v2.apply("switch")
    await v2.baylight.execute(begin, seen[:2])
    assert await v2.baylight.fetchval(kinds) == sorted(seen)


async def test_a_baylight_that_observes_leaves_the_end_of_reservations_to_v2s_timers(v2: V2Database) -> None:
    space = await v2.add("E1", sensor_eui=sensor(1), display_eui=display(1))
    await v2.apply("verify")
    now = datetime.now(UTC)
    times = {"start_time": now - timedelta(hours=2), "end_time": now - timedelta(hours=1)}
    reservation = await v2.insert("reservations", {"space_id": space, **times})
    pool = await open_pool(v2.dsn, size=2)
    timer = Timer(pool, RealClock(), Policies(), 25, 37)
    status = "SELECT status FROM reservations WHERE id = $1"
    await timer.reservations()
    assert await v2.legacy.fetchval(status, reservation) == "active"
    await v2.apply("switch")
    await timer.reservations()
    assert await v2.legacy.fetchval(status, reservation) == "completed"
    await pool.close()
