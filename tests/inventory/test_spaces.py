"""Spaces on a real database: their devices, their states, and what a change decides, refuses and records."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from baylight.errors import BaylightError, ConflictError, InputError, NotFoundError
from baylight.inventory import device_settings, devices, locations, spaces
from baylight.schedule import overrides, reservations
from baylight.store.pool import Connection, Pool
from tests.support.change import NOW, by

S1, S2, D1, D2 = "58a0cb00000000a1", "58a0cb00000000a2", "2020000000000001", "2020000000000002"


@pytest.fixture(autouse=True)
async def registered(db: Connection) -> None:
    for eui in (S1, S2):
        await devices.register_sensor(by(db), eui)
    for eui in (D1, D2):
        await devices.register_display(by(db), eui, device_type="kuando_busylight")


async def invariant_2(db: Connection) -> bool:
    """Return whether the assignment in force is the device of the space, in both roles."""
    return bool(
        await db.fetchval(
            """
            SELECT NOT EXISTS (
                SELECT FROM spaces AS s CROSS JOIN (VALUES ('sensor'), ('display')) AS r (role)
                LEFT JOIN device_assignments AS a
                    ON a.space_id = s.id AND a.role = r.role AND a.superseded_at IS NULL AND upper_inf(a.valid)
                WHERE a.device_id IS DISTINCT FROM
                    CASE WHEN s.deleted_at IS NULL
                    THEN CASE r.role WHEN 'sensor' THEN s.sensor_device_id ELSE s.display_device_id END END
            )
            """
        )
    )


async def test_a_new_space_serves_at_once(db: Connection) -> None:
    await locations.create_location(by(db), "Garage/Floor 1")
    space = await spaces.create_space(by(db), "A-1", location="Garage/Floor 1", sensor=S1, display=D1)
    assert (space.location, space.sensor_dev_eui, space.display_dev_eui) == ("Garage/Floor 1", S1, D1)
    assert (space.state, space.state_reason) == ("UNKNOWN", "sensor_never_heard")
    assert space.desired_state == "UNKNOWN"
    assert (await devices.get_display(db, D1)).lifecycle_state == "installed"
    actuation = await db.fetchrow("SELECT trigger_type, status, display_code FROM actuations")
    assert actuation is not None
    assert tuple(actuation) == ("assignment", "pending", "00ff006464")
    assert await invariant_2(db)


async def test_codes_are_unique_among_live_spaces_only(db: Connection) -> None:
    await spaces.create_space(by(db), "A-1")
    with pytest.raises(ConflictError) as error:
        await spaces.create_space(by(db), "A-1")
    assert error.value.code == "code_used"
    await spaces.delete_space(by(db), "A-1")
    await spaces.create_space(by(db), "A-1")
    assert [space.code for space in await spaces.list_spaces(db)] == ["A-1"]


@pytest.mark.parametrize("code", ["", " A", "x" * 21, "A\nB", "A\rB", "A\0B"])
async def test_a_bad_code_is_refused(db: Connection, code: str) -> None:
    with pytest.raises(InputError, match="1 to 20 characters"):
        await spaces.create_space(by(db), code)


async def test_a16_a_latitude_without_longitude_is_refused(db: Connection) -> None:
    with pytest.raises(InputError, match="latitude and longitude"):
        await spaces.create_space(by(db), "A-1", latitude=52.5)


async def test_a_space_that_cannot_have_its_devices_is_not_created(db: Connection) -> None:
    with pytest.raises(NotFoundError, match="no sensor"):
        await spaces.create_space(by(db), "A-1", sensor="58a0cb00000000ff")
    assert await spaces.list_spaces(db) == []


async def test_a_device_of_another_space_is_refused_by_name(db: Connection) -> None:
    await spaces.create_space(by(db), "A-1", sensor=S1, display=D1)
    await spaces.create_space(by(db), "A-2")
    with pytest.raises(ConflictError, match=r"serves A-1"):
        await spaces.assign(by(db), "A-2", sensor=S1)
    with pytest.raises(ConflictError, match=r"serves A-1"):
        await spaces.assign(by(db), "A-2", display=D1)


async def test_a_disabled_device_is_refused(db: Connection) -> None:
    await spaces.create_space(by(db), "A-1")
    await device_settings.set_enabled(by(db), "display", D1, False)
    with pytest.raises(InputError, match="disabled"):
        await spaces.assign(by(db), "A-1", display=D1)


async def test_a_swap_is_one_step_and_both_devices_keep_their_history(db: Connection) -> None:
    await spaces.create_space(by(db), "A-1", sensor=S1, display=D1)
    space = await spaces.assign(by(db), "A-1", sensor=S2, display=D2, reason="swap")
    assert (space.sensor_dev_eui, space.display_dev_eui) == (S2, D2)
    rows = await db.fetch(
        "SELECT role, reason, actor, upper_inf(valid) AS current FROM device_assignments ORDER BY 4, role"
    )
    assert [tuple(row) for row in rows] == [
        ("display", "install", "ann", False),
        ("sensor", "install", "ann", False),
        ("display", "swap", "ann", True),
        ("sensor", "swap", "ann", True),
    ]
    assert (await devices.get_display(db, D1)).desired_state is None
    assert (await devices.get_display(db, D2)).desired_state == "UNKNOWN"
    old = await db.fetchval("SELECT status FROM actuations WHERE display_deveui = $1", D1)
    assert old == "failed"
    assert await invariant_2(db)


async def test_the_reading_of_a_sensor_stays_with_the_place_that_it_left(db: Connection) -> None:
    await spaces.create_space(by(db), "A-1", sensor=S1)
    await spaces.create_space(by(db), "A-2")
    await db.execute("UPDATE sensor_devices SET occupancy = 'FREE', occupancy_at = $1 WHERE dev_eui = $2", NOW, S1)
    await spaces.unassign(by(db), "A-1", "sensor")
    moved = await spaces.assign(by(db), "A-2", sensor=S1)
    assert (moved.state, moved.sensor_state) == ("UNKNOWN", None)


async def test_a_second_device_on_an_occupied_role_needs_a_reason(db: Connection) -> None:
    await spaces.create_space(by(db), "A-1", sensor=S1)
    with pytest.raises(ConflictError, match=f"A-1 has the sensor {S1} already") as refused:
        await spaces.assign(by(db), "A-1", sensor=S2, display=D2)
    assert refused.value.code == "role_taken"
    assert (await spaces.get_space(db, "A-1")).display_dev_eui is None


async def test_assigning_twice_changes_nothing(db: Connection) -> None:
    await spaces.create_space(by(db), "A-1", sensor=S1)
    before = await db.fetchval("SELECT count(*) FROM audit_log")
    await spaces.assign(by(db), "A-1", sensor=S1.upper())
    assert await db.fetchval("SELECT count(*) FROM audit_log") == before
    assert await db.fetchval("SELECT count(*) FROM device_assignments") == 1


async def test_one_device_given_to_two_spaces_at_once_serves_one(db: Connection, pool: Pool) -> None:
    for code in ("A-1", "A-2"):
        await spaces.create_space(by(db), code)

    async def give(code: str) -> str:
        async with pool.acquire() as connection:
            try:
                await spaces.assign(by(connection), code, sensor=S1, display=D1)
            except ConflictError as error:
                return error.code
        return "served"

    assert sorted(await asyncio.gather(give("A-1"), give("A-2"))) == ["device_in_use", "served"]
    assert await invariant_2(db)


async def test_crosswise_swaps_at_once_end_without_deadlock(db: Connection, pool: Pool) -> None:
    await spaces.create_space(by(db), "A-1", sensor=S1, display=D1)
    await spaces.create_space(by(db), "A-2", sensor=S2, display=D2)

    outcomes: set[str] = set()

    async def swap(code: str, devices: dict[str, str]) -> None:
        async with pool.acquire() as connection:
            for _ in range(5):
                try:
                    await spaces.unassign(by(connection), code, "sensor")
                    await spaces.assign(by(connection), code, **devices, reason="swap")
                    outcomes.add("served")
                except BaylightError as error:
                    outcomes.add(error.code)

    await asyncio.gather(
        swap("A-1", {"sensor": S2}), swap("A-2", {"sensor": S1}), swap("A-1", {"sensor": S1, "display": D1})
    )
    assert outcomes <= {"served", "device_in_use", "assignment_race"}
    assert await invariant_2(db)


async def test_a_shared_display_may_serve_several_spaces(db: Connection) -> None:
    await devices.register_display(by(db), "2020000000000003", device_type="kuando_busylight", shared=True)
    for code in ("A-1", "A-2"):
        await spaces.create_space(by(db), code, display="2020000000000003")
    assert (await devices.get_display(db, "2020000000000003")).spaces == ["A-1", "A-2"]
    await spaces.unassign(by(db), "A-1", "display")
    assert (await devices.get_display(db, "2020000000000003")).desired_state == "UNKNOWN"


async def test_maintenance_of_space_and_location_close_and_open(db: Connection) -> None:
    await locations.create_location(by(db), "Garage/Floor 1")
    await locations.create_location(by(db), "Garage/Floor 2")
    await spaces.create_space(by(db), "A-1", location="Garage/Floor 1", default_state="FREE")
    await spaces.create_space(by(db), "B-1", location="Garage/Floor 2", default_state="FREE")
    assert (await spaces.set_maintenance(by(db), "A-1", True)).state == "MAINTENANCE"
    assert await locations.set_maintenance(by(db), "Garage", True) == 1
    assert await locations.set_maintenance(by(db), "Garage", True) == 0
    assert await locations.set_maintenance(by(db), "Garage", False) == 1
    states = {space.code: space.state for space in await spaces.list_spaces(db, location="Garage")}
    assert states == {"A-1": "MAINTENANCE", "B-1": "FREE"}
    causes = await db.fetch("SELECT DISTINCT source FROM state_changes WHERE new_state = 'MAINTENANCE'")
    assert [row["source"] for row in causes] == ["maintenance"]


async def test_the_default_state_shows_without_a_sensor(db: Connection) -> None:
    await spaces.create_space(by(db), "A-1")
    assert (await spaces.set_default_state(by(db), "A-1", "free")).state == "FREE"
    with pytest.raises(InputError, match="GREEN"):
        await spaces.set_default_state(by(db), "A-1", "GREEN")


async def test_a17_a_deleted_space_frees_its_devices_and_ends_what_was_planned(db: Connection) -> None:
    space = await spaces.create_space(by(db), "A-1", sensor=S1, display=D1)
    start = NOW + timedelta(hours=1)
    booked, _ = await reservations.create_reservation(
        by(db), reservations.NewReservation("A-1", start, start + timedelta(hours=1))
    )
    await overrides.set_override(by(db), "OUT_OF_ORDER", space="A-1")
    await spaces.delete_space(by(db, now=NOW + timedelta(minutes=1)), "A-1")
    with pytest.raises(NotFoundError):
        await spaces.get_space(db, "A-1")
    assert (await reservations.get_reservation(db, booked.id)).status == "cancelled"
    assert await overrides.list_overrides(db, NOW + timedelta(minutes=2)) == []
    await spaces.create_space(by(db), "A-1", sensor=S1, display=D1)
    assert await invariant_2(db)
    assert await db.fetchval("SELECT count(*) FROM device_assignments WHERE space_id = $1", space.id) == 2


async def test_pages_filter_by_subtree_state_and_device(db: Connection) -> None:
    await locations.create_location(by(db), "Garage/Floor 1")
    await spaces.create_space(by(db), "A-1", location="Garage/Floor 1", sensor=S1)
    await spaces.create_space(by(db), "A-2", location="Garage", default_state="FREE")
    await spaces.create_space(by(db), "A-3", default_state="FREE")
    assert [s.code for s in await spaces.list_spaces(db, location="Garage")] == ["A-1", "A-2"]
    assert [s.code for s in await spaces.list_spaces(db, location="Garage/Floor 1")] == ["A-1"]
    assert [s.code for s in await spaces.list_spaces(db, state="free", after="A-2")] == ["A-3"]
    assert [s.code for s in await spaces.list_spaces(db, device=S1.upper())] == ["A-1"]
    assert [s.code for s in await spaces.list_spaces(db, limit=2)] == ["A-1", "A-2"]
    with pytest.raises(NotFoundError, match="Cellar"):
        await spaces.list_spaces(db, location="Cellar")


@pytest.fixture
async def garage(db: Connection) -> None:
    for path in ("Garage/Floor 1", "Garage/Floor 2"):
        await locations.create_location(by(db), path)
    await spaces.create_space(by(db), "A-1", location="Garage/Floor 1", default_state="FREE")


@pytest.mark.usefixtures("garage")
async def test_given_fields_change_and_the_rest_stays(db: Connection) -> None:
    named = await spaces.change_space(by(db), "A-1", name="By the ramp")
    assert (named.name, named.location, named.latitude) == ("By the ramp", "Garage/Floor 1", None)
    placed = await spaces.change_space(by(db), "A-1", latitude=52.123456789, longitude=0)
    assert (placed.name, placed.latitude, placed.longitude) == ("By the ramp", Decimal("52.12345679"), 0)
    await spaces.change_space(by(db), "A-1", latitude=52.123456789, longitude=0)
    cleared = await spaces.change_space(by(db), "A-1", clear=["location", "position"])
    assert (cleared.location, cleared.latitude, cleared.longitude) == (None, None, None)
    rows = await db.fetch("SELECT before, after FROM audit_log WHERE action = 'space.change' ORDER BY id")
    assert [{k: v for k, v in row["after"].items() if v != row["before"][k]} for row in rows] == [
        {"name": "By the ramp"},
        {"latitude": 52.12345679, "longitude": 0.0},
        {"location": None, "latitude": None, "longitude": None},
    ]


@pytest.mark.usefixtures("garage")
@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({}, "nothing_given"),
        ({"name": ""}, "bad_name"),
        ({"name": "x" * 101}, "bad_name"),
        ({"location": ""}, "bad_path"),
        ({"location": "Garage/Roof"}, "unknown_location"),
        ({"latitude": 52.5}, "bad_position"),
        ({"longitude": 13.4}, "bad_position"),
        ({"latitude": 91.0, "longitude": 13.4}, "bad_position"),
        ({"latitude": 1e9, "longitude": 13.4}, "bad_position"),
        ({"latitude": float("nan"), "longitude": 13.4}, "bad_position"),
        ({"latitude": 52.5, "longitude": 13.4, "clear": ["position"]}, "given_and_cleared"),
    ],
)
async def test_a_change_that_makes_no_sense_changes_nothing(db: Connection, wanted: dict[str, Any], code: str) -> None:
    before = await spaces.get_space(db, "A-1")
    with pytest.raises(InputError) as refused:
        await spaces.change_space(by(db), "A-1", **wanted)
    assert refused.value.code == code
    assert await spaces.get_space(db, "A-1") == before


async def test_a_space_that_is_not_there_is_refused(db: Connection) -> None:
    with pytest.raises(NotFoundError, match="no space 'X-9'"):
        await spaces.change_space(by(db), "X-9", name="x")


async def test_a_new_space_far_outside_the_world_is_refused(db: Connection) -> None:
    with pytest.raises(InputError, match="latitude and longitude"):
        await spaces.create_space(by(db), "A-2", latitude=1e9, longitude=0)


@pytest.mark.usefixtures("garage")
async def test_a_space_is_what_its_new_location_makes_of_it_and_its_light_follows(db: Connection) -> None:
    await spaces.assign(by(db), "A-1", display=D1)
    await overrides.set_override(by(db), "OUT_OF_ORDER", location="Garage/Floor 2")
    moved = await spaces.change_space(by(db), "A-1", location="Garage/Floor 2")
    assert (moved.state, moved.state_reason, moved.desired_state) == (
        "OUT_OF_ORDER",
        "override",
        "OUT_OF_ORDER",
    )
    assert (await spaces.change_space(by(db), "A-1", clear=["location"])).state == "FREE"
    await locations.set_maintenance(by(db), "Garage", True)
    assert (await spaces.change_space(by(db), "A-1", location="Garage/Floor 1")).state == "MAINTENANCE"
