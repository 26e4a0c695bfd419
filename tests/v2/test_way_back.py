"""The way back from contract after a month of ordinary life: V2's rows follow, or what cannot follow is named first."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from baylight.errors import ConflictError
from baylight.v2.stages import back as back_stage
from tests.support.v2 import V2Database, display, sensor


async def contracted(v2: V2Database, spaces: int = 8) -> dict[str, Any]:
    """Bays S1 to S8 with a sensor and a display each, contracted; their ids by code."""
    ids = {
        f"S{n}": await v2.add(f"S{n}", sensor_eui=sensor(n), display_eui=display(n), building="Main", floor="1")
        for n in range(1, spaces + 1)
    }
    await v2.apply("contract")
    return ids


async def give(v2: V2Database, sensors: dict[str, int]) -> None:
    """Give each space another sensor, all in one transaction, as `assignments` of Baylight does."""
    async with v2.baylight.transaction():
        await v2.baylight.execute("UPDATE spaces SET sensor_device_id = NULL WHERE code = ANY($1)", list(sensors))
        for code, n in sensors.items():
            await v2.baylight.execute("UPDATE spaces SET sensor_deveui = $2 WHERE code = $1", code, sensor(n))


async def rename(v2: V2Database, codes: dict[str, str]) -> None:
    for before in codes:
        await v2.baylight.execute("UPDATE spaces SET code = '~' || code WHERE code = $1", before)
    for before, after in codes.items():
        await v2.baylight.execute("UPDATE spaces SET code = $2 WHERE code = '~' || $1", before, after)


async def back(v2: V2Database) -> dict[str, asyncpg.Record]:
    """Go back to the switch; return V2's spaces by code."""
    assert await v2.rollback("switch") == ["contract"]
    assert (await v2.verify()).differences == []
    return {row["code"]: row for row in await v2.legacy.fetch("SELECT * FROM spaces")}


async def test_h1_a_code_that_was_used_again_after_its_space_was_deleted(v2: V2Database) -> None:
    ids = await contracted(v2)
    await v2.baylight.execute(
        "UPDATE spaces SET deleted_at = now(), sensor_device_id = NULL, display_device_id = NULL WHERE code = 'S2'"
    )
    again = await v2.baylight.fetchval("INSERT INTO spaces (name, code) VALUES ('again', 'S2') RETURNING id")
    old = await back(v2)
    assert old["S2"]["id"] == again
    aside = await v2.old(ids["S2"])
    assert aside["code"].startswith("S2~")
    assert aside["deleted_at"] is not None
    assert (await v2.new(ids["S2"]))["code"] == "S2", "Baylight keeps the code of the deleted space"

    await v2.legacy.execute("UPDATE spaces SET name = 'renamed' WHERE id = $1", ids["S2"])
    assert (await v2.new(ids["S2"]))["code"] == "S2"
    await v2.apply("contract")
    assert await v2.rollback("start") == ["contract", "switch", "verify", "backfill", "expand"]


async def test_h1_sensors_that_were_swapped_and_rotated(v2: V2Database) -> None:
    ids = await contracted(v2)
    await give(v2, {"S1": 2, "S2": 1})
    await give(v2, {"S3": 4, "S4": 5, "S5": 3})
    old = await back(v2)
    assert {code: old[code]["sensor_eui"] for code in ids} == {
        f"S{n}": sensor({1: 2, 2: 1, 3: 4, 4: 5, 5: 3}.get(n, n)) for n in range(1, 9)
    }


async def test_h1_codes_that_were_exchanged_and_rotated(v2: V2Database) -> None:
    ids = await contracted(v2)
    await rename(v2, {"S1": "S2", "S2": "S1", "S3": "S4", "S4": "S5", "S5": "S3"})
    old = await back(v2)
    assert {n: old[n]["id"] for n in ("S1", "S2", "S3", "S4", "S5")} == {
        "S2": ids["S1"], "S1": ids["S2"], "S4": ids["S3"], "S5": ids["S4"], "S3": ids["S5"],
    }  # fmt: skip


async def test_h1_the_sensor_of_a_space_that_v2_had_deleted_serves_another(v2: V2Database) -> None:
    gone = await v2.add("GONE", sensor_eui=sensor(50))
    await v2.legacy.execute("UPDATE spaces SET deleted_at = now() WHERE id = $1", gone)
    await contracted(v2)
    await v2.baylight.execute(
        "INSERT INTO sensor_devices (dev_eui, device_type) VALUES ($1, 'browan_tbms100')", sensor(50)
    )
    await give(v2, {"S1": 50})
    old = await back(v2)
    assert (old["S1"]["sensor_eui"], old["GONE"]["sensor_eui"]) == (sensor(50), None)


async def test_h1_what_v2_cannot_hold_is_named_before_anything_changes(v2: V2Database) -> None:
    ids = await contracted(v2)
    await rename(v2, {"S1": "S2", "S2": "S1"})
    await v2.baylight.execute("UPDATE locations SET name = repeat('long ', 10) WHERE kind = 'floor' AND name = '1'")
    place = await v2.baylight.fetchval("SELECT id FROM locations WHERE kind = 'building' AND name = 'Main'")
    await v2.baylight.execute("UPDATE spaces SET location_id = $1 WHERE code NOT IN ('S1', 'S7')", place)
    before = await v2.admin.fetch("SELECT xmin, * FROM v2_archive.spaces ORDER BY id")
    triggers = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'v2_%'"
    with pytest.raises(ConflictError, match=r"space S1.*floor.*20") as error:
        await v2.rollback("switch")
    assert error.value.code == "cannot_go_back"
    assert "space S7" in str(error.value)
    assert "S3" not in str(error.value)
    assert await v2.admin.fetch("SELECT xmin, * FROM v2_archive.spaces ORDER BY id") == before
    assert await v2.admin.fetchval(triggers) == 0
    await rename(v2, {"S3": "S4", "S4": "S3"})  # nothing is refused from now on

    await v2.baylight.execute("UPDATE locations SET name = '1a' WHERE name LIKE 'long%'")
    old = await back(v2)
    assert old["S7"]["floor"] == "1a"
    assert old["S2"]["id"] == ids["S1"]


async def test_h1_a_rule_of_the_customer_that_a_new_space_breaks_is_named(v2: V2Database) -> None:
    await v2.admin.execute("ALTER TABLE spaces ADD CONSTRAINT in_a_house CHECK (building IS NOT NULL) NOT VALID")
    await v2.legacy.execute("UPDATE spaces SET building = 'B' WHERE building IS NULL")
    await contracted(v2)
    await v2.baylight.execute("INSERT INTO spaces (name, code) VALUES ('new', 'NEW')")
    with pytest.raises(ConflictError, match=r"space NEW: .*in_a_house"):
        await v2.rollback("switch")


async def test_h1_a_row_that_v2_refuses_only_at_the_end_leaves_no_trigger_behind(
    v2: V2Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await contracted(v2)
    calls = 0

    async def refusing(*_: Any) -> list[str]:
        nonlocal calls
        calls += 1
        return ["space S1: refused"] if calls == 3 else []  # spaces and reservations, then spaces again

    monkeypatch.setattr(back_stage, "_reflect", refusing)
    with pytest.raises(ConflictError, match="space S1: refused"):
        await v2.rollback("switch")
    assert await v2.admin.fetchval("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'v2_%'") == 0


async def test_h1_an_interrupted_way_back_is_undone_by_apply(v2: V2Database) -> None:
    """Triggers that an interrupted rollback left on Baylight's tables."""
    await contracted(v2)
    await v2.admin.execute(
        "CREATE FUNCTION v2_migration.left_over() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER v2_reflect AFTER INSERT ON public.spaces FOR EACH ROW EXECUTE FUNCTION v2_migration.left_over()"
    )
    await v2.apply("contract")
    assert await v2.admin.fetchval("SELECT count(*) FROM pg_trigger WHERE tgname = 'v2_reflect'") == 0


async def test_h1_a_month_of_ordinary_life(v2: V2Database) -> None:
    ids = await contracted(v2)
    reservation = await v2.baylight.fetchval(
        "INSERT INTO reservations (space_id, start_time, end_time) VALUES ($1, now(), now() + interval '1 h')"
        " RETURNING id",
        ids["S3"],
    )
    await v2.baylight.execute("UPDATE reservations SET status = 'cancelled' WHERE id = $1", reservation)
    await v2.baylight.execute("UPDATE spaces SET sensor_device_id = NULL WHERE code = 'S8'")
    await v2.baylight.execute(
        "UPDATE sensor_devices SET lifecycle_state = 'decommissioned' WHERE dev_eui = $1", sensor(8)
    )
    await v2.baylight.execute("UPDATE locations SET name = 'West' WHERE name = 'Main'")
    await v2.baylight.execute("UPDATE spaces SET current_state = 'OUT_OF_ORDER' WHERE code = 'S6'")
    await v2.baylight.execute(
        "INSERT INTO state_changes (space_id, new_state, source) VALUES ($1, 'FREE', 'x')", ids["S1"]
    )
    old = await back(v2)
    assert (old["S8"]["sensor_eui"], old["S8"]["building"], old["S6"]["state"]) == (None, "West", "MAINTENANCE")
    assert await v2.legacy.fetchval("SELECT status FROM reservations WHERE id = $1", reservation) == "cancelled"
    assert await v2.legacy.fetchval("SELECT count(*) FROM state_changes WHERE source = 'x'") == 1
    assert await v2.rollback("start") == ["switch", "verify", "backfill", "expand"]


async def test_v2_reads_on_while_its_tables_catch_up(v2: V2Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await contracted(v2)
    await v2.legacy.execute("SET lock_timeout = '1s'")
    reflect, read = back_stage._reflect, 0

    async def reading(*given: Any) -> list[str]:
        nonlocal read
        for table in ("spaces", "reservations", "sensor_readings", "state_changes", "api_keys"):
            await v2.legacy.fetchval(f"SELECT count(*) FROM {table}")
            read += 1
        return await reflect(*given)

    monkeypatch.setattr(back_stage, "_reflect", reading)
    await v2.rollback("switch")
    assert read == 20, "twice the spaces, twice the reservations"


async def test_h12_the_way_back_does_not_bring_back_history_that_v2_had_cleaned_up(v2: V2Database) -> None:
    space = await v2.add("P1")
    for n in range(3):
        await v2.insert("state_changes", {"space_id": space, "new_state": "FREE", "source": f"s{n}"})
    await v2.apply("switch")
    await v2.legacy.execute("DELETE FROM state_changes WHERE source = 's1'")
    await v2.apply("contract")
    await v2.rollback("switch")
    sources = await v2.legacy.fetch("SELECT source FROM state_changes ORDER BY 1")
    assert [row["source"] for row in sources] == ["s0", "s2"]


async def test_h5_a_table_of_the_customer_that_inherits_is_not_moved_or_dropped(v2: V2Database) -> None:
    await contracted(v2)
    await v2.admin.execute("CREATE TABLE public.spaces_vip (vip boolean) INHERITS (v2_archive.spaces)")
    await v2.admin.execute("CREATE TABLE public.mine (note text) INHERITS (public.locations)")
    await v2.rollback("switch")
    for table in ("spaces_vip", "mine"):
        assert await v2.admin.fetchval("SELECT to_regclass($1)", f"public.{table}") is not None


async def test_h5_what_the_customer_built_on_baylights_tables_is_not_dropped_with_them(v2: V2Database) -> None:
    await contracted(v2)
    await v2.admin.execute("CREATE VIEW public.report AS SELECT code, current_state FROM public.spaces")
    await v2.rollback("verify")
    with pytest.raises(ConflictError, match=r"view (public\.)?report") as error:
        await v2.rollback("start")
    assert error.value.code == "in_use"
    assert (await v2.verify()).differences == []
    await v2.admin.execute("DROP VIEW public.report")
    await v2.rollback("start")


async def test_h8_a_trigger_function_that_a_table_of_the_customer_uses_too_stays_where_it_is(v2: V2Database) -> None:
    await v2.admin.execute(
        "CREATE TABLE mine (id integer, updated_at timestamptz);"
        "CREATE TRIGGER t BEFORE UPDATE ON mine FOR EACH ROW EXECUTE FUNCTION update_updated_at()"
    )
    await contracted(v2)
    await v2.admin.execute("DROP SCHEMA v2_archive CASCADE")
    assert await v2.admin.fetchval("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'public.mine'::regclass") == 1
