"""Spaces, their foreign keys and copies of EUIs; the history of assignments."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from baylight.store.pool import Pool
from tests.support.factories import add_bay, add_display, add_sensor, add_space, new_eui

COPIES = "SELECT sensor_device_id, sensor_deveui, display_device_id, display_deveui FROM spaces WHERE id = $1"


async def copies(pool: Pool, space_id: Any) -> tuple[Any, ...]:
    row = await pool.fetchrow(COPIES, space_id)
    assert row is not None
    return tuple(row)


async def test_a3_copies_follow_the_foreign_keys(any_pool: Pool) -> None:
    bay = await add_bay(any_pool, "A1")
    both = (bay.sensor_id, bay.sensor_eui, bay.display_id, bay.display_eui)
    assert await copies(any_pool, bay.space_id) == both
    sensor, display = await add_sensor(any_pool), await add_display(any_pool)
    await any_pool.execute("UPDATE spaces SET sensor_device_id = $1", sensor["id"])
    assert await copies(any_pool, bay.space_id) == (sensor["id"], sensor["dev_eui"], *both[2:])
    await any_pool.execute("UPDATE spaces SET display_device_id = $1", display["id"])
    new = (sensor["id"], sensor["dev_eui"], display["id"], display["dev_eui"])
    assert await copies(any_pool, bay.space_id) == new


async def test_a3_a_cleared_foreign_key_clears_only_its_own_copy(any_pool: Pool) -> None:
    bay = await add_bay(any_pool, "A1")
    await any_pool.execute("UPDATE spaces SET sensor_device_id = NULL")
    assert await copies(any_pool, bay.space_id) == (None, None, bay.display_id, bay.display_eui)
    await any_pool.execute("UPDATE spaces SET display_device_id = NULL")
    assert await copies(any_pool, bay.space_id) == (None, None, None, None)


async def test_a3_a_legacy_writer_that_writes_only_the_eui_sets_the_foreign_key(any_pool: Pool) -> None:
    sensor, display = await add_sensor(any_pool), await add_display(any_pool)
    new = (sensor["id"], sensor["dev_eui"], display["id"], display["dev_eui"])
    euis = {"sensor_deveui": sensor["dev_eui"], "display_deveui": display["dev_eui"]}
    inserted = await add_space(any_pool, "A1", **euis)
    assert await copies(any_pool, inserted["id"]) == new
    await any_pool.execute("UPDATE spaces SET sensor_deveui = NULL, display_deveui = NULL")
    assert await copies(any_pool, inserted["id"]) == (None, None, None, None)
    await any_pool.execute("UPDATE spaces SET sensor_deveui = $1, display_deveui = $2", *euis.values())
    assert await copies(any_pool, inserted["id"]) == new


@pytest.mark.parametrize("role", ["sensor", "display"])
async def test_a3_an_eui_that_is_not_registered_is_refused(any_pool: Pool, role: str) -> None:
    await add_space(any_pool, "A1")
    with pytest.raises(asyncpg.ForeignKeyViolationError) as caught:
        await any_pool.execute(f"UPDATE spaces SET {role}_deveui = $1", new_eui())
    assert caught.value.constraint_name == f"spaces_{role}_registered"


async def test_a3_a_foreign_key_overrides_a_copy_written_with_it(any_pool: Pool) -> None:
    bay = await add_bay(any_pool, "A1")
    right, wrong = await add_sensor(any_pool), await add_sensor(any_pool)
    await any_pool.execute("UPDATE spaces SET sensor_device_id = $1, sensor_deveui = $2", right["id"], wrong["dev_eui"])
    assert (await copies(any_pool, bay.space_id))[:2] == (right["id"], right["dev_eui"])


async def test_a3_a_corrected_eui_in_the_registry_reaches_the_space(any_pool: Pool) -> None:
    bay, other = await add_bay(any_pool, "A1"), await add_bay(any_pool, "A2")
    sensor_eui, display_eui = new_eui(), new_eui()
    untouched = await copies(any_pool, other.space_id)
    await any_pool.execute("UPDATE sensor_devices SET dev_eui = $1 WHERE id = $2", sensor_eui, bay.sensor_id)
    await any_pool.execute("UPDATE display_devices SET dev_eui = $1 WHERE id = $2", display_eui, bay.display_id)
    assert await copies(any_pool, bay.space_id) == (bay.sensor_id, sensor_eui, bay.display_id, display_eui)
    assert await copies(any_pool, other.space_id) == untouched


async def test_a4_an_unrelated_update_changes_no_key_and_no_copy_on_any_kind_of_row(any_pool: Pool) -> None:
    await add_bay(any_pool, "both")
    await add_space(any_pool, "none")
    await add_space(any_pool, "sensor", sensor_device_id=(await add_sensor(any_pool))["id"])
    await add_space(any_pool, "display", display_device_id=(await add_display(any_pool))["id"])
    async with any_pool.acquire() as connection, connection.transaction():
        await connection.execute("ALTER TABLE spaces DISABLE TRIGGER spaces_sync_deveuis")
        for code in ("copy of a registered sensor", "copy of no device"):
            eui = (await add_sensor(any_pool))["dev_eui"] if "registered" in code else new_eui()
            await connection.execute(
                "INSERT INTO spaces (code, name, sensor_deveui) VALUES (left($1, 20), $1, $2)", code, eui
            )
        await connection.execute("ALTER TABLE spaces ENABLE TRIGGER spaces_sync_deveuis")
    everything = "SELECT to_jsonb(s) - 'current_state' - 'name' - 'updated_at' FROM spaces AS s ORDER BY id"
    before = await any_pool.fetch(everything)
    await any_pool.execute("UPDATE spaces SET current_state = 'OCCUPIED', name = 'x' || name")
    await any_pool.execute("UPDATE spaces SET sensor_deveui = sensor_deveui, display_device_id = display_device_id")
    assert await any_pool.fetch(everything) == before
    assert len(before) == 6


async def test_a17_the_code_of_a_deleted_space_is_free_again(any_pool: Pool) -> None:
    await add_space(any_pool, "A1")
    with pytest.raises(asyncpg.UniqueViolationError) as caught:
        await add_space(any_pool, "A1")
    assert caught.value.constraint_name == "spaces_code_live"
    await any_pool.execute("UPDATE spaces SET deleted_at = now()")
    await add_space(any_pool, "A1")


@pytest.mark.parametrize("eui", ["58A0CB0000000001", "", "58a0cb00000000", "58a0cb000000000g", "58-a0-cb-00-00-0"])
async def test_a5_only_canonical_euis_enter_a_registry(any_pool: Pool, eui: str) -> None:
    for add, constraint in ((add_sensor, "sensor_devices_dev_eui"), (add_display, "display_devices_dev_eui")):
        with pytest.raises(asyncpg.CheckViolationError) as caught:
            await add(any_pool, dev_eui=eui)
        assert caught.value.constraint_name == constraint


@pytest.mark.parametrize("fport", [0, 224])
async def test_a13_an_f_port_is_1_to_223(any_pool: Pool, fport: int) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await add_display(any_pool, fport=fport)
    assert caught.value.constraint_name == "display_devices_fport"


async def test_a16_a_latitude_needs_a_longitude(any_pool: Pool) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await add_space(any_pool, "A1", gps_latitude=48)
    assert caught.value.constraint_name == "valid_gps"


HISTORY = """
SELECT role, coalesce(sensor_device_id, display_device_id) AS device, upper_inf(valid) AS open, reason, actor
FROM device_assignments WHERE space_id = $1 AND superseded_at IS NULL ORDER BY role, lower(valid)
"""


async def history(pool: Pool, space_id: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await pool.fetch(HISTORY, space_id)]


async def test_history_shows_who_assigned_which_device_and_why(any_pool: Pool) -> None:
    bay = await add_bay(any_pool, "A1")
    me = await any_pool.fetchval("SELECT session_user::text")
    display = ("display", bay.display_id, True, "install", me)
    assert await history(any_pool, bay.space_id) == [display, ("sensor", bay.sensor_id, True, "install", me)]
    new = await add_sensor(any_pool)
    async with any_pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT set_config('baylight.actor', 'key:ops', true)")
        await connection.execute("SELECT set_config('baylight.assignment_reason', 'maintenance', true)")
        await connection.execute("UPDATE spaces SET sensor_device_id = $1", new["id"])
    assert await history(any_pool, bay.space_id) == [
        display,
        ("sensor", bay.sensor_id, False, "install", me),
        ("sensor", new["id"], True, "maintenance", "key:ops"),
    ]


async def test_history_closes_when_the_space_is_deleted_and_leaves_no_gap_at_a_swap(any_pool: Pool) -> None:
    bay = await add_bay(any_pool, "A1")
    new = await add_sensor(any_pool)
    await any_pool.execute("UPDATE spaces SET sensor_deveui = $1", new["dev_eui"])
    ends = await any_pool.fetch(
        "SELECT lower(valid), upper(valid) FROM device_assignments WHERE role = 'sensor' ORDER BY 1"
    )
    assert ends[0][1] == ends[1][0]
    await any_pool.execute("UPDATE spaces SET deleted_at = now()")
    assert [row[2] for row in await history(any_pool, bay.space_id)] == [False, False, False]
    again = await add_space(any_pool, "A1", sensor_device_id=new["id"])
    assert (await history(any_pool, again["id"]))[0][:3] == ("sensor", new["id"], True)


async def test_a6_a_device_serves_one_space_unless_it_is_shared(any_pool: Pool) -> None:
    bay = await add_bay(any_pool, "A1")
    with pytest.raises(asyncpg.ExclusionViolationError) as caught:
        await add_space(any_pool, "A2", sensor_device_id=bay.sensor_id)
    assert caught.value.constraint_name == "device_assignments_one_space_per_device"
    board = await add_display(any_pool, shared=True)
    for code in ("A3", "A4"):
        await add_space(any_pool, code, display_device_id=board["id"])
    assert await any_pool.fetchval("SELECT count(*) FROM device_assignments WHERE device_id = $1", board["id"]) == 2


async def test_a_space_has_one_device_per_role_at_a_time(any_pool: Pool) -> None:
    bay = await add_bay(any_pool, "A1")
    other = await add_sensor(any_pool)
    with pytest.raises(asyncpg.ExclusionViolationError) as caught:
        await any_pool.execute(
            "INSERT INTO device_assignments (space_id, role, sensor_device_id, valid, reason, actor) "
            "VALUES ($1, 'sensor', $2, tstzrange(now(), NULL), 'correction', 'me')",
            bay.space_id,
            other["id"],
        )
    assert caught.value.constraint_name == "device_assignments_one_device_per_space"


async def test_lifecycle_is_recorded_and_append_only(any_pool: Pool) -> None:
    sensor = await add_sensor(any_pool)
    await any_pool.execute("UPDATE sensor_devices SET lifecycle_state = 'active', notes = 'x'")
    await any_pool.execute("UPDATE sensor_devices SET notes = 'y'")
    rows = await any_pool.fetch(
        "SELECT role, dev_eui, previous_state, new_state FROM device_lifecycle_events ORDER BY id"
    )
    assert [tuple(row) for row in rows] == [
        ("sensor", sensor["dev_eui"], None, "registered"),
        ("sensor", sensor["dev_eui"], "registered", "active"),
    ]
    for change in ("UPDATE device_lifecycle_events SET reason = 'x'", "DELETE FROM device_lifecycle_events"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await any_pool.execute(change)


async def test_locations_keep_their_paths_when_a_branch_moves(any_pool: Pool) -> None:
    async def location(kind: str, parent: Any = None) -> Any:
        return await any_pool.fetchval(
            "INSERT INTO locations (kind, name, parent_id) VALUES ($1, $1, $2) RETURNING id", kind, parent
        )

    site = await location("site")
    floor = await location("floor", site)
    zone = await location("zone", floor)
    building = await location("building", site)
    await any_pool.execute("UPDATE locations SET parent_id = $1 WHERE id = $2", building, floor)
    assert await any_pool.fetchval("SELECT path FROM locations WHERE id = $1", zone) == [site, building, floor, zone]
    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await any_pool.execute("UPDATE locations SET parent_id = $1 WHERE id = $2", zone, site)
    assert caught.value.constraint_name == "locations_no_cycle"
