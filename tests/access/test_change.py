"""One change: its transaction, its audit record, and the new decision."""

from __future__ import annotations

import pytest

from baylight.domain.downlink import TriggerType
from baylight.errors import ConflictError
from baylight.inventory import devices, locations, spaces
from baylight.store.pool import Connection
from tests.support.change import NOW, by

DISPLAY = "2020200000000001"


async def test_the_record_and_the_history_carry_who_made_the_change_and_why(db: Connection) -> None:
    change = by(db, actor="bob")
    await devices.register_display(change, DISPLAY, device_type="kuando_busylight")
    await spaces.create_space(change, "A-1")
    await spaces.assign(change, "A-1", display=DISPLAY, reason="maintenance")
    rows = await db.fetch("SELECT actor, action FROM audit_log ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("bob", "display.register"),
        ("bob", "space.create"),
        ("bob", "space.assign"),
    ]
    [assignment] = await db.fetch("SELECT actor, reason FROM device_assignments")
    assert tuple(assignment) == ("bob", "maintenance")


async def test_an_error_leaves_nothing_of_a_change_and_a_violated_constraint_has_words(db: Connection) -> None:
    change = by(db)
    await locations.create_location(change, "Garage")

    async def give_a_name_twice() -> None:
        async with change.transaction():
            await change.record("location.rename", "location", "1")
            await db.execute("INSERT INTO locations (kind, name) VALUES ('site', 'Garage')")

    with pytest.raises(ConflictError) as error:
        await give_a_name_twice()
    assert error.value.code == "name_used"
    assert await db.fetchval("SELECT count(*) FROM audit_log WHERE action = 'location.rename'") == 0


async def test_without_spaces_only_released_displays_are_decided(db: Connection) -> None:
    change = by(db, now=NOW)
    await devices.register_display(change, DISPLAY, device_type="kuando_busylight")
    await spaces.create_space(change, "A-1", display=DISPLAY)
    display = await devices.get_display(db, DISPLAY)
    assert await change.redecide([], TriggerType.ASSIGNMENT) == 0
    assert (await devices.get_display(db, DISPLAY)).desired_code == display.desired_code is not None
    await db.execute("UPDATE spaces SET display_device_id = NULL")
    await change.redecide([], TriggerType.ASSIGNMENT, released=[display.id])
    assert (await devices.get_display(db, DISPLAY)).desired_code is None
