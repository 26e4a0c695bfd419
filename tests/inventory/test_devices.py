from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from baylight.domain.lifecycle import LIFECYCLE
from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.inventory import device_settings, devices, spaces
from baylight.store.pool import Connection
from baylight.store.translate import translate
from tests.support.change import NOW, by

SENSOR, DISPLAY = "58a0cb00000000a1", "2020000000000001"
LATER = NOW + timedelta(seconds=1)


@pytest.mark.parametrize("notation", ["58A0CB00000000A1", "58-a0-cb-00-00-00-00-a1", "58:A0:CB:00:00:00:00:A1"])
async def test_a5_a_sensor_is_one_whatever_the_notation_of_its_eui(db: Connection, notation: str) -> None:
    first, new = await devices.register_sensor(by(db), SENSOR)
    again, new_again = await devices.register_sensor(by(db), notation)
    assert (new, new_again) == (True, False)
    assert first == again
    assert (first.device_type, first.lifecycle_state, first.enabled) == ("browan_tbms100", "registered", True)
    assert await db.fetchval("SELECT count(*) FROM audit_log WHERE action = 'sensor.register' AND actor = 'ann'") == 1
    assert await db.fetchval("SELECT actor FROM device_lifecycle_events WHERE device_id = $1", first.id) == "ann"


async def test_registering_as_another_type_is_a_conflict(db: Connection) -> None:
    await devices.register_sensor(by(db), SENSOR)
    with pytest.raises(ConflictError, match="registered as browan_tbms100"):
        await devices.register_sensor(by(db), SENSOR, device_type="bosch_tps110")


async def test_registering_again_as_something_else_is_a_conflict(db: Connection) -> None:
    await devices.register_sensor(by(db), SENSOR)
    await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight")
    for _ in range(2):
        with pytest.raises(ConflictError, match="not mobile"):
            await devices.register_sensor(by(db), SENSOR, mobile=True)
        with pytest.raises(ConflictError, match="for one space"):
            await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight", shared=True)
    with pytest.raises(InputError, match="2000"):
        await devices.register_sensor(by(db), SENSOR, notes="x" * 2001)


async def test_attributes_of_a_device_can_be_changed(db: Connection) -> None:
    await devices.register_sensor(by(db), SENSOR, notes="old")
    await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight")
    for _ in range(2):
        sensor = await device_settings.change_sensor(by(db, actor="bob"), SENSOR.upper(), mobile=True)
        assert (sensor.notes, sensor.mobile) == ("old", True)
        display = await device_settings.change_display(
            by(db, actor="bob"), DISPLAY, notes="left", f_port=99, confirmed_downlinks=True
        )
        assert (display.notes, display.f_port, display.confirmed_downlinks) == ("left", 99, True)
    rows = await db.fetch("SELECT action, actor, before, after FROM audit_log WHERE action LIKE '%.change' ORDER BY id")
    assert [(row["action"], row["actor"]) for row in rows] == [("sensor.change", "bob"), ("display.change", "bob")]
    assert (rows[1]["before"]["f_port"], rows[1]["after"]["f_port"]) == (15, 99)
    assert (await device_settings.change_sensor(by(db, actor="bob"), SENSOR, notes="")).notes is None
    await spaces.create_space(by(db), "A-1", sensor=SENSOR)
    with pytest.raises(ConflictError, match="serves A-1: unassign it first"):
        await device_settings.change_sensor(by(db, actor="bob"), SENSOR, mobile=False)
    with pytest.raises(InputError, match="1 to 223"):
        await device_settings.change_display(by(db, actor="bob"), DISPLAY, f_port=0)
    for nothing in (
        device_settings.change_sensor(by(db, actor="bob"), SENSOR),
        device_settings.change_display(by(db, actor="bob"), DISPLAY),
    ):
        with pytest.raises(InputError, match="name what to change"):
            await nothing


@pytest.mark.parametrize("text", ["", "58a0cb", "58a0cb00000000zz", "58a0cb00000000a1ff"])
async def test_a_bad_dev_eui_is_refused(db: Connection, text: str) -> None:
    with pytest.raises(InputError, match="16 hex digits"):
        await devices.register_sensor(by(db), text, device_type="browan_tbms100")


async def test_a13_a_display_takes_port_and_codes_from_its_type(db: Connection) -> None:
    display, _ = await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight")
    assert display.f_port == 15
    assert display.lights["FREE"].colour == "green"
    assert display.lights["OCCUPIED"].colour == "red"
    assert display.lights["MAINTENANCE"].colour == "orange"
    assert display.lights["UNKNOWN"].colour == "flashing blue"


async def test_a12_the_proposals_maintenance_code_is_shown_as_the_pink_that_it_is(db: Connection) -> None:
    display, _ = await devices.register_display(
        by(db), DISPLAY, device_type="kuando_busylight", display_codes={"MAINTENANCE": "FFA5006400"}
    )
    assert display.display_codes["MAINTENANCE"] == "ffa5006400"
    assert (display.lights["MAINTENANCE"].rgb, display.lights["MAINTENANCE"].colour) == ("#ff00a5", "pink")


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ({"FREE": "0000ff64"}, "FREE: .*bytes"),
        ({"FREE": "xx"}, "FREE: .*hex"),
        ({"FREE": "#12"}, "FREE: .*#rrggbb"),
        ({"OCCUPIED": "aa00000000"}, "OCCUPIED: .*command"),
        ({"GREEN": "0000ff6400"}, "GREEN.*no state"),
    ],
)
async def test_b18_a_code_that_shows_no_light_is_refused_with_its_state(
    db: Connection, codes: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight", display_codes=codes)
    assert await devices.list_displays(db) == []


async def test_new_codes_reach_the_light_at_once(db: Connection) -> None:
    await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight")
    await spaces.create_space(by(db), "A-1", display=DISPLAY, default_state="FREE")
    display = await device_settings.set_display_codes(by(db, now=LATER), DISPLAY, {"FREE": "#00c800"})
    assert display.display_codes["FREE"] == "0000c86400"
    assert display.display_codes["OCCUPIED"] == "ff00006400"
    assert display.desired_code == "0000c86400"
    newest = await db.fetchrow("SELECT display_code, status FROM actuations ORDER BY id DESC LIMIT 1")
    assert newest is not None
    assert tuple(newest) == ("0000c86400", "pending")


async def test_codes_can_be_replaced_as_a_whole_and_a_missing_one_is_reported(db: Connection) -> None:
    await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight")
    await spaces.create_space(by(db), "A-1", display=DISPLAY, default_state="FREE")
    display = await device_settings.set_display_codes(by(db), DISPLAY, {"OCCUPIED": "ff00006400"}, replace=True)
    assert display.display_codes == {"OCCUPIED": "ff00006400"}
    assert display.sync_status == "misconfigured"


async def test_a_disabled_sensor_does_not_count_and_counts_again_from_its_next_reading(db: Connection) -> None:
    await devices.register_sensor(by(db), SENSOR)
    await spaces.create_space(by(db), "A-1", sensor=SENSOR)
    await db.execute("UPDATE sensor_devices SET occupancy = 'FREE', occupancy_at = $1", NOW)
    await device_settings.set_enabled(by(db), "sensor", SENSOR, False)
    await device_settings.set_enabled(by(db), "sensor", SENSOR, True)
    space = await spaces.get_space(db, "A-1")
    assert (space.state, space.state_reason) == ("UNKNOWN", "sensor_never_heard")
    assert (await devices.get_sensor(db, SENSOR)).occupancy is None


async def test_a_decommissioned_device_drives_nothing_until_it_is_registered_again(db: Connection) -> None:
    await devices.register_sensor(by(db), SENSOR)
    await spaces.create_space(by(db), "A-1", sensor=SENSOR)
    with pytest.raises(ConflictError, match="unassign it first"):
        await device_settings.set_lifecycle(by(db), "sensor", SENSOR, "decommissioned")
    await spaces.unassign(by(db), "A-1", "sensor")
    await device_settings.set_lifecycle(by(db), "sensor", SENSOR, "decommissioned", reason="broken")
    with pytest.raises(InputError, match="decommissioned"):
        await spaces.assign(by(db), "A-1", sensor=SENSOR)
    with pytest.raises(ConflictError):
        await device_settings.set_enabled(by(db), "sensor", SENSOR, True)
    assert await devices.list_sensors(db) == []
    sensor, new = await devices.register_sensor(by(db), SENSOR)
    assert (new, sensor.lifecycle_state, sensor.enabled) == (False, "registered", True)
    steps = await db.fetch("SELECT new_state, reason FROM device_lifecycle_events ORDER BY id")
    assert [step["new_state"] for step in steps] == ["registered", "installed", "decommissioned", "registered"]
    assert steps[2]["reason"] == "broken"


@pytest.mark.parametrize("before", sorted(LIFECYCLE))
async def test_only_the_steps_of_the_table_are_possible(db: Connection, before: str) -> None:
    await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight")
    for after in sorted(LIFECYCLE):
        async with db.transaction():
            await db.execute("SET LOCAL session_replication_role = replica")  # any state, past the trigger
            await db.execute("UPDATE display_devices SET lifecycle_state = $1", before)
        if after == before or after in LIFECYCLE[before]:
            await device_settings.set_lifecycle(by(db), "display", DISPLAY, after)
            assert (await devices.get_display(db, DISPLAY)).lifecycle_state == after
        else:
            with pytest.raises(ConflictError, match=f"from {before} to {after}"):
                await device_settings.set_lifecycle(by(db), "display", DISPLAY, after)


async def test_pages_join_without_gap_or_repetition(db: Connection) -> None:
    euis = [f"58a0cb00000000{n:02x}" for n in range(7)]
    for eui in reversed(euis):
        await devices.register_sensor(by(db), eui)
    seen: list[str] = []
    while rows := await devices.list_sensors(db, after=seen[-1] if seen else None, limit=3):
        seen += [row.dev_eui for row in rows]
    assert seen == euis
    with pytest.raises(InputError):
        await devices.list_sensors(db, limit=0)


async def test_unknown_devices_are_named(db: Connection) -> None:
    with pytest.raises(NotFoundError, match=SENSOR):
        await devices.get_sensor(db, SENSOR)
    with pytest.raises(NotFoundError, match=DISPLAY):
        await device_settings.set_enabled(by(db), "display", DISPLAY, False)


async def test_the_network_server_of_a_device_is_stored(db: Connection) -> None:
    await devices.register_sensor(by(db), SENSOR, network_server="tts", application_id="garage/bay-017")
    await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight", network_server="tts")
    stored = await devices.get_sensor(db, SENSOR)
    assert (stored.network_server, stored.application_id) == ("tts", "garage/bay-017")
    assert (await devices.get_display(db, DISPLAY)).network_server == "tts"
    for table in ("sensor_devices", "display_devices"):
        assert await db.fetchval(f"SELECT network_server FROM {table}") == "tts"
    assert await db.fetchval("SELECT application_id FROM sensor_devices") == "garage/bay-017"


BAD_APPLICATIONS = ["", "#", "+", "a/b", "/", "a\0", "a\n", "a b", "\ud800", "x" * 101, "\x85", "ä"]


@pytest.mark.parametrize("bad", BAD_APPLICATIONS)
async def test_b2_an_application_that_no_topic_can_carry_is_refused(db: Connection, bad: str) -> None:
    for _ in range(2):
        with pytest.raises(InputError, match="application id") as caught:
            await devices.register_sensor(by(db), SENSOR, application_id=bad)
        assert caught.value.code == "bad_application_id"
        with pytest.raises(InputError) as caught:
            await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight", application_id=bad)
        assert caught.value.code == "bad_application_id"
        caught.value.message.encode()
        await devices.register_sensor(by(db), SENSOR)
        await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight")


@pytest.mark.parametrize("bad", ["garage/", "/bay", "garage/a/b", "garage/+", "#/bay", "garage/\x1f", "x" * 101 + "/b"])
async def test_b2_an_address_at_the_things_stack_has_an_application_and_a_device_id(db: Connection, bad: str) -> None:
    with pytest.raises(InputError) as caught:
        await devices.register_sensor(by(db), SENSOR, network_server="tts", application_id=bad)
    assert caught.value.code == "bad_application_id"


@pytest.mark.parametrize("bad", ["#", "+", "a//b", "a\n", "x" * 101])
async def test_b2_the_tables_hold_no_address_that_no_topic_can_carry(db: Connection, bad: str) -> None:
    await devices.register_sensor(by(db), SENSOR)
    await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight")
    for table in ("sensor_devices", "display_devices"):
        with pytest.raises(asyncpg.CheckViolationError) as caught:
            await db.execute(f"UPDATE {table} SET application_id = $1", bad)
        found = translate(caught.value)
        assert found is not None
        assert found.code == "bad_application_id"


async def test_b2_registering_again_with_an_application_replaces_it(db: Connection) -> None:
    for application in ("wrong", None, "right"):
        await devices.register_sensor(by(db), SENSOR, application_id=application)
        await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight", application_id=application)
    assert (await devices.get_sensor(db, SENSOR)).application_id == "right"
    assert (await devices.get_display(db, DISPLAY)).application_id == "right"
    rows = await db.fetch("SELECT actor, before, after FROM audit_log WHERE action LIKE '%.address' ORDER BY action")
    change = (
        {"network_server": "chirpstack", "application_id": "wrong"},
        {
            "network_server": "chirpstack",
            "application_id": "right",
        },
    )
    assert [tuple(row) for row in rows] == [("ann", *change)] * 2


async def test_an_unknown_network_server_is_refused(db: Connection) -> None:
    with pytest.raises(InputError, match=r"'ttn' is no network server: one of chirpstack, tts"):
        await devices.register_sensor(by(db), SENSOR, network_server="ttn")
    assert await devices.list_sensors(db) == []
