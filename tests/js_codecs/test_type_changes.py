"""Changes of device types on a real database: what follows for devices, spaces and lights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from baylight.control.events.ingest import Ingest
from baylight.domain.ids import DevEui
from baylight.domain.policies import Policies
from baylight.errors import ConflictError, InputError, NotFoundError, TransientError
from baylight.inventory import device_settings, device_types, devices, spaces
from baylight.js_codecs import type_changes, types, versions
from baylight.js_codecs.type_changes import DeviceTypeChange, change_device_type, delete_device_type
from baylight.sandbox.pool import Sandbox
from baylight.store.pool import Connection, Pool
from tests.support import bay_eye
from tests.support.change import by
from tests.support.clock import Clock

SENSOR, DISPLAY = DevEui("70b3d50000000002"), DevEui("70b3d50000000001")
SIGNAL = """
function encodeDownlink(input) { return { bytes: [input.data.lamp], fPort: input.data.port }; }
"""
STATES = {"FREE": {"lamp": 1}, "OCCUPIED": {"lamp": 2}}


@pytest.fixture
async def engine() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(workers=1)
    yield sandbox
    await sandbox.close()


@pytest.fixture
async def signal(db: Connection, engine: Sandbox) -> Sandbox:
    """Return an engine; there is a display type `acme_signal`, whose codes are 01 and 02 on FPort 9."""
    example = {"type": "downlink-encode", "input": {"data": {"lamp": 1}}, "output": {"bytes": [1]}}
    await versions.create_codec(by(db), "signal", SIGNAL, mapping=None, examples=[example])
    await versions.activate_codec(by(db), engine, "signal", 1)
    new = types.NewDeviceType("acme_signal", "Acme", "Signal", 3600)
    await types.create_display_type(by(db), engine, "signal", new, states=STATES, f_port=9)
    return engine


async def _audit(db: Connection, action: str) -> list[Any]:
    rows = await db.fetch("SELECT actor, before, after FROM audit_log WHERE action = $1", action)
    return [tuple(row) for row in rows]


async def test_c8_a_wrong_interval_is_changed_and_the_space_decided_again(pool: Pool, db: Connection) -> None:
    clock, engine = Clock(await db.fetchval("SELECT clock_timestamp()")), Sandbox(workers=1)
    await bay_eye.add(db)
    await versions.activate_codec(by(db), engine, "bay_eye", 1)
    await bay_eye.add_type(db, uplink_interval_s=60, silent_after_intervals=2)
    await devices.register_sensor(by(db), SENSOR, device_type="acme_bay_eye")
    await spaces.create_space(by(db, now=clock.now()), "A-1", sensor=SENSOR)
    await Ingest(pool, clock, Policies(), engine).store_batch([bay_eye.uplink(SENSOR, clock.now())])
    await engine.close()
    assert (await spaces.get_space(db, "A-1")).state == "OCCUPIED"
    clock.tick(600)
    await by(db, now=clock.now()).redecide([(await spaces.get_space(db, "A-1")).id], None)
    assert (await spaces.get_space(db, "A-1")).state == "UNKNOWN"

    wanted = DeviceTypeChange(uplink_interval_s=21_600, model="Bay Eye 2", manufacturer="Acme & Co")
    made = await change_device_type(by(db, now=clock.now()), "acme_bay_eye", wanted)
    assert (made.uplink_interval_s, made.silent_after_intervals, made.model) == (21_600, 2, "Bay Eye 2")
    assert (await spaces.get_space(db, "A-1")).state == "OCCUPIED"
    sensor = await devices.get_sensor(db, SENSOR)
    assert (sensor.manufacturer, sensor.model) == ("Acme & Co", "Bay Eye 2")
    await change_device_type(by(db, now=clock.now()), "acme_bay_eye", wanted)
    before = {"uplink_interval_s": 60, "model": "Bay Eye", "manufacturer": "Acme"}
    after = {"uplink_interval_s": 21_600, "model": "Bay Eye 2", "manufacturer": "Acme & Co"}
    assert await _audit(db, "device_type.change") == [("ann", before, after)]


async def test_c8_what_displays_are_sent_changes_when_none_of_them_is_left(db: Connection, signal: Sandbox) -> None:
    await devices.register_display(by(db), DISPLAY, device_type="acme_signal")
    await spaces.create_space(by(db), "A-1", display=DISPLAY)
    wanted = DeviceTypeChange(states={"FREE": {"lamp": 4}, "OCCUPIED": {"lamp": 5}})
    with pytest.raises(
        ConflictError, match=r"1 display has the type .* First `baylight space unassign` and"
    ) as refused:
        await change_device_type(by(db), "acme_signal", wanted, signal)
    assert (refused.value.code, refused.value.facts["devices"]) == ("type_in_use", 1)
    faster = await change_device_type(by(db), "acme_signal", DeviceTypeChange(uplink_interval_s=60))
    assert faster.uplink_interval_s == 60

    await spaces.unassign(by(db), "A-1", "display")
    await device_settings.set_lifecycle(by(db), "display", DISPLAY, "decommissioned")
    made = await change_device_type(by(db), "acme_signal", wanted, signal)
    assert made.default_config["display_codes"] == {"FREE": "04", "OCCUPIED": "05"}
    assert made.default_config["f_port"] == 9
    await change_device_type(by(db), "acme_signal", DeviceTypeChange(f_port=12, confirmed_downlinks=True), signal)
    await devices.register_display(by(db), DISPLAY, device_type="acme_signal")
    display = await devices.get_display(db, DISPLAY)
    assert display.display_codes == {"FREE": "04", "OCCUPIED": "05"}
    assert (display.f_port, display.confirmed_downlinks) == (12, True)


async def test_c8_states_that_look_like_free_are_refused_in_a_change_too(db: Connection, signal: Sandbox) -> None:
    alike = {"FREE": {"lamp": 1}, "OCCUPIED": {"lamp": 1}}
    with pytest.raises(InputError, match="look alike"):
        await change_device_type(by(db), "acme_signal", DeviceTypeChange(states=alike), signal)
    made = await change_device_type(by(db), "acme_signal", DeviceTypeChange(states=alike, allow_alike=True), signal)
    assert made.default_config["allow_alike"] is True


async def test_c8_a_type_is_deleted_unless_devices_have_it(db: Connection) -> None:
    await bay_eye.add(db)
    await bay_eye.add_type(db)
    await devices.register_sensor(by(db), SENSOR, device_type="acme_bay_eye")
    with pytest.raises(ConflictError, match="1 sensor has the type acme_bay_eye, 0 decommissioned"):
        await delete_device_type(by(db), "acme_bay_eye")
    await change_device_type(by(db), "acme_bay_eye", DeviceTypeChange(enabled=False))
    with pytest.raises(InputError, match="disabled"):
        await devices.register_sensor(by(db), "70b3d50000000003", device_type="acme_bay_eye")
    await db.execute("DELETE FROM sensor_devices")
    await delete_device_type(by(db), "acme_bay_eye")
    with pytest.raises(NotFoundError):
        await delete_device_type(by(db), "acme_bay_eye")
    assert [(actor, before["model"]) for actor, before, _ in await _audit(db, "device_type.delete")] == [
        ("ann", "Bay Eye")
    ]


async def test_c8_a_shipped_type_is_only_enabled_and_disabled(db: Connection) -> None:
    code = "browan_tbms100"
    with pytest.raises(ConflictError, match="ships with Baylight"):
        await change_device_type(by(db), code, DeviceTypeChange(model="other"))
    with pytest.raises(ConflictError, match="ships with Baylight"):
        await delete_device_type(by(db), code)
    assert not (await change_device_type(by(db), code, DeviceTypeChange(enabled=False))).enabled
    assert not (await device_types.get_device_type(db, code)).enabled


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (DeviceTypeChange(), "nothing_given"),
        (DeviceTypeChange(uplink_interval_s=0), "bad_device_type"),
        (DeviceTypeChange(model=""), "bad_device_type"),
        (DeviceTypeChange(dev_eui_prefixes=["xy"]), "bad_device_type"),
        (DeviceTypeChange(f_port=3), "not_a_codec_type"),
    ],
)
async def test_c8_a_wrong_change_is_refused(db: Connection, wanted: DeviceTypeChange, code: str) -> None:
    await bay_eye.add(db)
    await bay_eye.add_type(db)
    with pytest.raises(InputError) as refused:
        await change_device_type(by(db), "acme_bay_eye", wanted)
    assert refused.value.code == code


async def test_c8_codes_are_made_only_by_an_active_codec_and_an_engine(db: Connection, signal: Sandbox) -> None:
    with pytest.raises(TransientError):
        await change_device_type(by(db), "acme_signal", DeviceTypeChange(states=STATES))
    await versions.deactivate_codec(by(db), "signal", force=True)
    with pytest.raises(ConflictError, match="activate one first"):
        await change_device_type(by(db), "acme_signal", DeviceTypeChange(states=STATES), signal)
    assert type_changes.DeviceTypeChange(enabled=True).of_shipped


async def test_c8_a_wrong_mapping_is_replaced_after_the_type_is_deleted(db: Connection, signal: Sandbox) -> None:
    mapping = {"field": "lamp", "states": {"FREE": [1], "OCCUPIED": [2]}}
    source = SIGNAL + "function decodeUplink(input) { return { data: { lamp: input.bytes[0] } }; }"
    example = {"type": "uplink", "input": {"bytes": "01"}, "output": {"data": {"lamp": 1}}, "shows": "FREE"}
    await versions.create_codec(by(db), "signal", source, mapping=mapping, examples=[example])
    with pytest.raises(ConflictError, match="`baylight type delete acme_signal`"):
        await versions.activate_codec(by(db), signal, "signal", 2)
    await delete_device_type(by(db), "acme_signal")
    await versions.activate_codec(by(db), signal, "signal", 2)
    new = types.NewDeviceType("acme_signal", "Acme", "Signal", round(timedelta(hours=1).total_seconds()))
    made = await types.create_display_type(by(db), signal, "signal", new, states=STATES)
    assert made.default_config["reports"] is True
