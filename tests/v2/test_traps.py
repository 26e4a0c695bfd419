"""One test for each trap of the proposal's SQL and plan that has been met (A1 to A18)."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import pytest

from baylight.errors import InputError
from baylight.v2 import choices
from baylight.v2.inspection import findings
from baylight.v2.migration_run import STAGES
from baylight.v2.quarantine import fix_colours, flagged_displays
from baylight.v2.stages.steps import STEPS
from tests.support.v2 import V2Database, display, make_dirty, sensor


async def test_a1_there_is_one_order_of_stages_and_running_all_twice_changes_nothing(v2: V2Database) -> None:
    order = [step.stage for step in STEPS]
    assert order == sorted(order, key=STAGES.index)
    await v2.add("P1", sensor_eui=sensor(1))
    for stage in (*STAGES[:4], *STAGES[:4], *STAGES):
        await v2.apply(stage)
    assert await v2.admin.fetchval("SELECT count(*) FROM public.sensor_devices") == 1


async def test_a2_legacy_names_stay_readable_and_writable_until_contract(v2: V2Database) -> None:
    space = await v2.add("P1", sensor_eui=sensor(1), display_eui=display(1))
    for n, stage in enumerate(STAGES[:4]):
        await v2.apply(stage)
        await v2.legacy.execute("UPDATE spaces SET sensor_eui = $2 WHERE id = $1", space, sensor(10 + n))
        assert await v2.legacy.fetchval("SELECT code FROM spaces WHERE sensor_eui = $1", sensor(10 + n)) == "P1"
        assert (await v2.new(space))["sensor_deveui"] == sensor(10 + n) if stage != "expand" else True
    await v2.apply("contract")
    assert await v2.legacy.fetchval("SELECT code FROM spaces WHERE sensor_eui = $1", sensor(13)) == "P1"


async def test_a3_each_side_follows_the_other(v2: V2Database) -> None:
    space = await v2.add("P1", sensor_eui=sensor(1), display_eui=display(1))
    await v2.apply("backfill")
    await v2.legacy.execute("UPDATE spaces SET sensor_eui = $2 WHERE id = $1", space, "58A0CB00000000FF")
    found = await v2.new(space)
    assert found["sensor_deveui"] == "58a0cb00000000ff"
    device = found["sensor_device_id"]
    assert (
        await v2.baylight.fetchval("SELECT device_type FROM sensor_devices WHERE id = $1", device) == "browan_tbms100"
    )

    await v2.baylight.execute("UPDATE sensor_devices SET dev_eui = $2 WHERE id = $1", device, sensor(77))
    assert (await v2.old(space))["sensor_eui"] == sensor(77)
    await v2.baylight.execute("UPDATE spaces SET sensor_device_id = NULL WHERE id = $1", space)
    old = await v2.old(space)
    assert (old["sensor_eui"], old["display_eui"]) == (None, display(1))
    await v2.legacy.execute("UPDATE spaces SET display_eui = NULL WHERE id = $1", space)
    assert (await v2.new(space))["display_device_id"] is None
    assert (await v2.verify()).green


async def test_a3_both_sides_see_the_other_in_the_same_transaction(v2: V2Database) -> None:
    space = await v2.add("P1", sensor_eui=sensor(1))
    await v2.apply("backfill")
    async with v2.legacy.transaction():
        await v2.legacy.execute(
            "UPDATE spaces SET state = 'OCCUPIED', display_eui = $2 WHERE id = $1", space, display(9)
        )
        await v2.legacy.execute("RESET SESSION AUTHORIZATION")
        row = await v2.legacy.fetchrow("SELECT * FROM baylight_next.spaces WHERE id = $1", space)
        assert row is not None
        assert (row["current_state"], row["display_deveui"]) == ("OCCUPIED", display(9))


async def test_a4_an_update_of_state_alone_moves_nothing_else(v2: V2Database) -> None:
    ids = await make_dirty(v2)
    before = {name: dict(await v2.old(space)) for name, space in ids.items()}
    for stage in STAGES[:3]:
        await v2.apply(stage)
        for name, space in ids.items():
            state = "FREE" if before[name]["state"] != "FREE" else "RESERVED"
            await v2.legacy.execute("UPDATE spaces SET state = $2 WHERE id = $1", space, state)
            after = dict(await v2.old(space))
            changed = {key for key in after if after[key] != before[name][key]}
            assert changed == {"state", "updated_at"}, (stage, name)
            before[name] = after
            if stage != "expand":
                assert (await v2.new(space))["current_state"] == state
    assert (await v2.verify()).differences == []


async def test_a5_euis_become_canonical_and_what_cannot_is_quarantined_not_repaired(v2: V2Database) -> None:
    ids = await make_dirty(v2)
    before = await v2.legacy.fetch("SELECT * FROM spaces ORDER BY id")
    await v2.apply("verify")
    assert await v2.legacy.fetch("SELECT * FROM spaces ORDER BY id") == before
    devices = await v2.baylight.fetch("SELECT dev_eui FROM sensor_devices ORDER BY 1")
    assert {row["dev_eui"] for row in devices} == {"2020200000000def", "58a0cb00000000aa", sensor(11)}
    assert (await v2.new(ids["upper"]))["sensor_deveui"] == "58a0cb00000000aa"
    assert (await v2.new(ids["lower"]))["sensor_deveui"] is None
    reasons = await v2.quarantine()
    assert {("sensor_eui", "bad_eui"), ("display_eui", "bad_eui"), ("sensor_eui", "contested_sensor")} <= reasons
    assert await v2.baylight.fetchval("SELECT count(*) FROM spaces") == len(before)


async def test_a5_the_next_gets_a_contested_sensor_once_it_is_free(v2: V2Database) -> None:
    ids = await make_dirty(v2)
    await v2.apply("backfill")
    await v2.legacy.execute("UPDATE spaces SET sensor_eui = NULL WHERE id = $1", ids["upper"])
    await v2.drain()
    assert (await v2.new(ids["lower"]))["sensor_deveui"] == "58a0cb00000000aa"
    assert ("sensor_eui", "contested_sensor") not in await v2.quarantine()
    assert (await v2.verify()).green


async def test_a6_roles_shared_displays_and_deleted_spaces_follow_the_rule_that_was_chosen(v2: V2Database) -> None:
    ids = await make_dirty(v2)
    with pytest.raises(InputError, match="both_roles") as refused:
        await v2.apply("expand", resolve={})
    assert {"bad_eui", "contested_sensor", "shared_display", "overlap"} <= set(refused.value.facts["findings"])  # type: ignore[arg-type]
    await v2.apply("backfill")
    a, b = await v2.new(ids["shared_a"]), await v2.new(ids["shared_b"])
    assert a["display_device_id"] == b["display_device_id"] is not None
    assert await v2.baylight.fetchval("SELECT shared FROM display_devices WHERE id = $1", a["display_device_id"])
    assert (await v2.new(ids["role_a"]))["sensor_deveui"] == (await v2.new(ids["role_b"]))["display_deveui"]
    gone = await v2.new(ids["gone"])
    assert (gone["sensor_device_id"], gone["display_device_id"]) == (None, None)
    assert gone["deleted_at"] is not None
    assert (await v2.verify()).green


async def test_a6_a_display_that_v2_gives_to_a_second_space_becomes_shared(v2: V2Database) -> None:
    await v2.add("P1", display_eui=display(1))
    await v2.apply("backfill")
    second = await v2.add("P2", display_eui=display(1))
    assert (await v2.new(second))["display_deveui"] == display(1)
    assert await v2.baylight.fetchval("SELECT bool_and(shared) FROM device_assignments WHERE role = 'display'")
    assert (await v2.verify()).green


async def test_a6_a_shared_display_of_which_v2_writes_one_space_before_the_backfill(v2: V2Database) -> None:
    first = await v2.add("P1", sensor_eui=sensor(1), display_eui=display(1))
    await v2.add("P2", display_eui=display(1))
    await v2.apply("expand")
    await v2.legacy.execute("UPDATE spaces SET sensor_eui = $2 WHERE id = $1", first, sensor(2))
    await v2.apply("verify")
    assert await v2.baylight.fetchval("SELECT bool_and(shared) FROM device_assignments WHERE role = 'display'")
    assert (await v2.verify()).green


async def test_a7_no_lock_is_waited_for_long_and_nothing_is_done_in_one_statement(v2: V2Database) -> None:
    for n in range(300):
        await v2.add(f"P{n}", sensor_eui=sensor(n), display_eui=display(n))
    await v2.apply("expand")
    holder = v2.admin.transaction()
    await holder.start()
    await v2.admin.execute("SELECT FROM spaces WHERE code = 'P7' FOR UPDATE")
    working = asyncio.create_task(v2.apply("backfill"))
    # The row that another session holds is left out, everything else is carried, and V2 goes on writing meanwhile.
    async with asyncio.timeout(60):
        while not working.done():
            if await v2.baylight.fetchval("SELECT count(*) FROM spaces") == 302:
                break
            began = asyncio.get_running_loop().time()
            await v2.legacy.execute("UPDATE spaces SET state = 'OCCUPIED' WHERE code = 'P8'")
            assert asyncio.get_running_loop().time() - began < 2
        await holder.rollback()
        await working
    assert await v2.baylight.fetchval("SELECT count(*) FROM spaces") == 303
    batches = await v2.admin.fetchval("SELECT sum(rows)::integer FROM v2_migration.steps WHERE name ~ '^spaces'")
    assert batches == 303


async def test_a8_required_devices_are_refused_with_the_list_of_spaces(v2: V2Database) -> None:
    await v2.add("P1", sensor_eui=sensor(1), display_eui=display(1))
    await v2.apply("switch")
    with pytest.raises(InputError, match="A001, A002, B001"):
        await v2.apply("contract", require=("sensor",))
    await v2.legacy.execute("UPDATE spaces SET deleted_at = now() WHERE sensor_eui IS NULL")
    await v2.apply("contract", require=("sensor", "display"))
    with pytest.raises(asyncpg.CheckViolationError):
        await v2.admin.execute("UPDATE public.spaces SET sensor_device_id = NULL WHERE code = 'P1'")
    await v2.admin.execute("UPDATE public.spaces SET deleted_at = now(), sensor_device_id = NULL WHERE code = 'P1'")
    assert await v2.rollback() == ["contract"]
    assert await v2.admin.fetchval("SELECT count(*) FROM pg_constraint WHERE conname ~ '_required$'") == 0
    await v2.apply("contract", require=("sensor",))
    assert await v2.admin.fetchval("SELECT convalidated FROM pg_constraint WHERE conname = 'spaces_sensor_required'")


async def _actuation(v2: V2Database, space: UUID, **columns: object) -> UUID:
    given = {"space_id": space, "trigger_type": "sensor_uplink", "new_state": "FREE"} | columns
    places = ", ".join(f"${n}" for n in range(1, len(given) + 1))
    found: UUID = await v2.baylight.fetchval(
        f"INSERT INTO actuations ({', '.join(given)}) VALUES ({places}) RETURNING id", *given.values()
    )
    return found


async def test_a9_an_attempt_without_display_or_code_can_be_logged_as_failed(v2: V2Database) -> None:
    space = await v2.add("P1")
    await v2.apply("backfill")
    await _actuation(v2, space, status="failed", downlink_error="the space has no display")
    with pytest.raises(asyncpg.CheckViolationError):
        await _actuation(v2, space)


async def test_a10_a_code_may_be_as_long_as_a_payload(v2: V2Database) -> None:
    space = await v2.add("P1", display_eui=display(1))
    await v2.apply("backfill")
    row = await v2.new(space)
    sendable = {"display_device_id": row["display_device_id"], "display_deveui": display(1), "fport": 15}
    await _actuation(v2, space, display_code="ab" * 242, **sendable)
    with pytest.raises(asyncpg.CheckViolationError):
        await _actuation(v2, space, display_code="ab" * 243, **sendable)


async def test_a11_every_trigger_of_the_system_can_be_logged(v2: V2Database) -> None:
    space = await v2.add("P1")
    await v2.apply("backfill")
    for trigger in (
        "sensor_uplink", "api_reservation", "manual_override", "system_cleanup", "reservation_expired",
        "reservation_started", "reconciliation", "rejoin_recovery", "maintenance",
    ):  # fmt: skip
        await _actuation(v2, space, trigger_type=trigger, status="failed", downlink_error="no display")


async def test_a12_the_maintenance_code_is_kept_flagged_and_corrected_by_one_command(v2: V2Database) -> None:
    await v2.add("P1", display_eui=display(1))
    report = await findings.inspect(v2.admin)
    wrong = next(f for f in report.findings if f.kind == "wrong_colour")
    assert "ffa5006400 shows pink" in wrong.examples[0][1] or "#ff00a5" in wrong.examples[0][1]
    await v2.apply("backfill")
    assert await flagged_displays(v2.baylight) == [(display(1), "MAINTENANCE", "ffa5006400", "ff00326400")]
    assert await fix_colours(v2.baylight) == 1
    assert await flagged_displays(v2.baylight) == []
    codes = await v2.baylight.fetchval("SELECT display_codes FROM display_devices")
    assert (codes["MAINTENANCE"], codes["FREE"]) == ("ff00326400", "0000ff6400")


async def test_a5_codes_that_look_like_free_are_reported_and_kept(v2: V2Database) -> None:
    await v2.add("P1", display_eui=display(1))
    alike = choices.parse('[display_codes]\nOCCUPIED = "0000ff6400"\n')
    report = await findings.check_choices(v2.admin, alike)
    found = next(f for f in report.findings if f.kind == "lights_alike")
    assert found.count == 1
    assert "OCCUPIED" in found.examples[0][1]
    assert any("OCCUPIED" in warning for warning in report.warnings())
    assert (await findings.check_choices(v2.admin, choices.parse(""))).warnings() == []


async def test_a13_the_port_comes_from_the_type_and_must_be_one_of_lorawan(v2: V2Database) -> None:
    await v2.add("P1", display_eui=display(1))
    await v2.apply("backfill")
    assert await v2.baylight.fetchval("SELECT fport FROM display_devices") == 15
    for port in (0, 224):
        with pytest.raises(asyncpg.CheckViolationError):
            await v2.baylight.execute("UPDATE display_devices SET fport = $1", port)


async def test_a14_the_type_comes_from_the_prefix_or_the_operator_or_is_unknown(v2: V2Database) -> None:
    await v2.add("P1", sensor_eui=sensor(1))
    await v2.add("P2", sensor_eui="0011223344556677")
    await v2.add("P3", sensor_eui="aabb223344556677")
    types = {"sensor": {"": "unknown_sensor", "58a0cb": "browan_tbms100", "aabb": "bosch_tps110"},
             "display": {"": "kuando_busylight"}}  # fmt: skip
    await v2.apply("backfill", types=types)
    rows = await v2.baylight.fetch("SELECT dev_eui, device_type FROM sensor_devices")
    assert dict(tuple(row) for row in rows) == {
        sensor(1): "browan_tbms100", "0011223344556677": "unknown_sensor", "aabb223344556677": "bosch_tps110",
    }  # fmt: skip


async def test_a15_the_look_ups_of_both_sides_use_an_index_before_and_after_contract(v2: V2Database) -> None:
    await v2.legacy.execute(
        "INSERT INTO spaces (name, code, sensor_eui, display_eui)"
        " SELECT 'x', 'P' || n, '58A0CB' || lpad(n::text, 10, '0'),"
        " '202020' || lpad(n::text, 10, '0') FROM generate_series(1, 3000) AS n"
    )
    await v2.apply("switch")
    await v2.admin.execute("ANALYZE")
    legacy = "EXPLAIN SELECT * FROM spaces WHERE sensor_eui = '58A0CB0000000042'"
    ours = "EXPLAIN SELECT * FROM spaces WHERE sensor_deveui = '58a0cb0000000042' AND deleted_at IS NULL"
    for stage in ("switch", "contract"):
        await v2.apply(stage)
        plan = "\n".join(row[0] for row in await v2.legacy.fetch(legacy))
        assert "Index" in plan
        assert "Seq Scan on spaces" not in plan
        assert "idx_spaces_sensor" in "\n".join(row[0] for row in await v2.baylight.fetch(ours))
    assert await v2.legacy.fetchval("SELECT code FROM spaces WHERE sensor_eui = '58A0CB0000000042'") == "P42"


async def test_a16_half_positions_and_overlaps_are_reported_and_set_aside(v2: V2Database) -> None:
    ids = await make_dirty(v2)
    kinds = {f.kind: f.count for f in (await findings.inspect(v2.admin)).findings}
    assert (kinds["half_position"], kinds["overlap"]) == (1, 1)
    await v2.apply("verify")
    half = await v2.new(ids["half"])
    assert (half["gps_latitude"], half["gps_longitude"]) == (None, None)
    assert {("gps", "half_position"), ("*", "overlap")} <= await v2.quarantine()
    assert await v2.baylight.fetchval("SELECT count(*) FROM reservations") == 3
    # V2 may go on making overlaps; and one that was in the way comes over once the other one is cancelled.
    first = await v2.legacy.fetchval("SELECT id FROM reservations WHERE status = 'active' ORDER BY start_time LIMIT 1")
    await v2.legacy.execute("UPDATE reservations SET status = 'cancelled' WHERE id = $1", first)
    await v2.drain()
    assert await v2.baylight.fetchval("SELECT count(*) FROM reservations") == 4
    assert (await v2.verify()).green


async def test_a17_codes_and_sensors_of_deleted_spaces_can_be_used_again_after_contract(v2: V2Database) -> None:
    await v2.add("P1", sensor_eui=sensor(1), deleted_at=await v2.legacy.fetchval("SELECT now()"))
    await v2.apply("switch")
    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await v2.baylight.execute("INSERT INTO spaces (name, code) VALUES ('again', 'P1')")
    assert refused.value.constraint_name == "spaces_code_live"
    await v2.apply("contract")
    await v2.baylight.execute(
        "WITH s AS (INSERT INTO sensor_devices (dev_eui, device_type) VALUES ($1, 'browan_tbms100') RETURNING id)"
        " INSERT INTO spaces (name, code, sensor_device_id) SELECT 'again', 'P1', id FROM s",
        sensor(1),
    )


async def test_a18_audit_rows_cannot_be_changed_or_deleted(v2: V2Database) -> None:
    space = await v2.add("P1")
    await v2.apply("backfill")
    await _actuation(v2, space, status="failed", downlink_error="no display")
    with pytest.raises(asyncpg.RestrictViolationError):
        await v2.baylight.execute("UPDATE actuations SET new_state = 'OCCUPIED'")
    await v2.baylight.execute(
        "INSERT INTO audit_log (actor, action, object_type, object_id) VALUES ('a', 'b', 'c', 'd')"
    )
    for statement in ("UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await v2.baylight.execute(statement)


@pytest.mark.parametrize("code", ["D01", "D02"])
async def test_a6_a_contested_sensor_goes_to_the_chosen_space_if_v2_writes_one_before_the_backfill(
    v2: V2Database, code: str
) -> None:
    ids = await make_dirty(v2)
    await v2.apply("expand")
    await v2.legacy.execute("UPDATE spaces SET name = 'other' WHERE code = $1", code)
    await v2.apply("verify")
    assert (await v2.new(ids["upper"]))["sensor_deveui"] == "58a0cb00000000aa"
    assert (await v2.new(ids["lower"]))["sensor_deveui"] is None
