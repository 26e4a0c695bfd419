"""Lights of two states that a person cannot tell apart: refused if one is FREE, unless a person says otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from baylight.domain.state import Policy
from baylight.errors import InputError
from baylight.insight import doctor
from baylight.inventory import device_settings, devices, swaps
from baylight.store.pool import Connection, Pool
from tests.support import factories
from tests.support.change import by
from tests.support.clock import RealClock

GREEN, DIM_GREEN = "#00ff00", "#003500"


@pytest.fixture(autouse=True)
async def catalogue(pool: Pool) -> None:
    await factories.add_device_types(pool)


async def lights(db: Connection) -> Any:
    findings = await doctor.examine(db, now=RealClock().now(), policy=Policy())
    return next(f for f in findings if f.check == "lights")


@pytest.mark.parametrize("state", ["OCCUPIED", "RESERVED", "UNKNOWN", "MAINTENANCE", "OUT_OF_ORDER"])
@pytest.mark.parametrize("light", [GREEN, DIM_GREEN])
async def test_a5_no_state_may_look_like_free(db: Connection, state: str, light: str) -> None:
    eui = factories.new_eui()
    with pytest.raises(InputError) as raised:
        await devices.register_display(by(db), eui, device_type="kuando_busylight", display_codes={state: light})
    assert raised.value.code == "lights_alike"
    assert "FREE" in raised.value.message
    assert "--allow-alike" in raised.value.message
    await devices.register_display(by(db), eui, device_type="kuando_busylight")
    with pytest.raises(InputError, match="looks like"):
        await device_settings.set_display_codes(by(db), eui, {state: light})
    with pytest.raises(InputError, match="looks like"):
        await device_settings.set_display_codes(by(db), eui, {"FREE": GREEN, state: light}, replace=True)
    assert (await lights(db)).ok


async def test_a5_free_may_not_look_like_another_state(db: Connection) -> None:
    display, _ = await devices.register_display(by(db), factories.new_eui(), device_type="kuando_busylight")
    with pytest.raises(InputError, match="OCCUPIED"):
        await device_settings.set_display_codes(by(db), display.dev_eui, {"FREE": "red"})


async def test_a5_an_operator_may_accept_it_and_doctor_goes_on_to_show_it(db: Connection) -> None:
    display, _ = await devices.register_display(by(db), factories.new_eui(), device_type="kuando_busylight")
    found = await device_settings.set_display_codes(by(db), display.dev_eui, {"UNKNOWN": GREEN}, allow_alike=True)
    assert found.alike_allowed
    finding = await lights(db)
    assert not finding.ok
    assert display.dev_eui in finding.detail
    assert "allowed by an operator" in finding.detail
    log = await db.fetchrow("SELECT actor, object_id FROM audit_log WHERE action = 'display.allow_alike'")
    assert log is not None
    assert (log["actor"], log["object_id"]) == ("ann", str(display.id))
    found = await device_settings.set_display_codes(by(db), display.dev_eui, {"UNKNOWN": "blue"})
    assert not found.alike_allowed
    assert (await lights(db)).ok


async def test_a5_a_new_display_may_be_registered_with_the_flag(db: Connection) -> None:
    display, _ = await devices.register_display(
        by(db), factories.new_eui(), device_type="kuando_busylight", display_codes={"UNKNOWN": GREEN}, allow_alike=True
    )
    assert display.alike_allowed
    assert not (await lights(db)).ok


async def test_a5_codes_that_were_stored_before_are_shown_and_may_be_corrected(db: Connection, pool: Pool) -> None:
    codes = factories.BUSYLIGHT_CODES | {"OCCUPIED": factories.BUSYLIGHT_CODES["FREE"]}
    row = await factories.add_display(pool, display_codes=codes)
    finding = await lights(db)
    assert row["dev_eui"] in finding.detail
    assert "allowed" not in finding.detail
    await device_settings.set_display_codes(by(db), row["dev_eui"], {"OCCUPIED": "red"})
    assert (await lights(db)).ok


async def test_a5_a_swap_carries_what_an_operator_accepted(db: Connection, pool: Pool) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await device_settings.set_display_codes(by(db), bay.display_eui, {"UNKNOWN": GREEN}, allow_alike=True)
    new, _ = await devices.register_display(by(db), factories.new_eui(), device_type="kuando_busylight")
    await swaps.swap(by(db), bay.display_eui, new.dev_eui)
    assert (await devices.get_display(db, new.dev_eui)).alike_allowed
    assert new.dev_eui in (await lights(db)).detail
