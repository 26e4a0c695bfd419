from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from baylight.domain.state import Policy
from baylight.errors import NotFoundError
from baylight.insight import why
from baylight.inventory import devices, locations, spaces
from baylight.schedule import overrides, reservations
from baylight.store.pool import Connection, Pool
from tests.support.change import NOW, by
from tests.support.uplinks import FREE, GREEN_REPORT, OCCUPIED, receive_at, uplink

SENSOR, DISPLAY = "58a0cb00000000a1", "2020000000000001"
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
async def bay(db: Connection) -> None:
    await locations.create_location(by(db), "Garage/Floor 1")
    await devices.register_sensor(by(db), SENSOR)
    await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight")
    before = by(db, now=NOW - MINUTE)
    await spaces.create_space(before, "A-13", location="Garage/Floor 1", sensor=SENSOR, display=DISPLAY)


async def test_the_chain_leads_from_the_light_back_to_the_frame(db: Connection, pool: Pool) -> None:
    sent = uplink(SENSOR, NOW, OCCUPIED, f_cnt=7)
    await receive_at(pool, [sent], NOW)
    e = await why.explain(db, "A-13", NOW + MINUTE, Policy())
    assert (e.space.state, e.decided, e.rules[0].reason) == ("OCCUPIED", "OCCUPIED", "sensor")
    assert e.uplink is not None
    assert (e.uplink.dev_eui, e.uplink.f_cnt, e.uplink.data, e.uplink.occupancy) == (
        SENSOR,
        7,
        OCCUPIED.hex(),
        "OCCUPIED",
    )
    assert e.change is not None
    assert (e.change.trigger_type, e.change.trigger_source) == ("sensor_uplink", sent.deduplication_id)
    assert e.changed_by == e.uplink
    newest = e.actuations[0]
    assert (newest.actuation.new_state, newest.colour, newest.actuation.status) == ("OCCUPIED", "red", "pending")
    assert e.display is not None
    assert (e.display.desired.colour, e.display.reported, e.display.sync_status) == ("red", None, "pending")
    msgspec.json.encode(e)


async def test_b6_a_late_reading_has_one_age_by_the_clock_that_judges_it(db: Connection, pool: Pool) -> None:
    await receive_at(pool, [uplink(SENSOR, NOW - 190 * MINUTE, OCCUPIED, f_cnt=2)], NOW)
    await receive_at(pool, [uplink(SENSOR, NOW - 200 * MINUTE, FREE, f_cnt=1)], NOW)
    text = why.render(await why.explain(db, "A-13", NOW + timedelta(seconds=3), Policy()))
    assert "sensor silent for longer than 3:00:00" in text
    assert "by the network server's clock, and received 3:10:00 later\n  frame 2" in text
    assert "(3 s ago)" not in text.split("Last change")[0].split("Sensor")[1]


async def test_the_light_that_differs_is_named_by_its_colour(db: Connection, pool: Pool) -> None:
    await receive_at(pool, [uplink(SENSOR, NOW, OCCUPIED)], NOW)
    await receive_at(pool, [uplink(DISPLAY, NOW, GREEN_REPORT, f_port=15)], NOW + MINUTE)
    e = await why.explain(db, "A-13", NOW + 2 * MINUTE, Policy())
    assert e.display is not None
    assert e.display.reported is not None
    assert (e.display.reported.colour, e.display.reported.state) == ("green", "FREE")
    text = why.render(e)
    assert "must show  OCCUPIED: red (ff00006400)" in text
    assert "reported   FREE: green (0000ff6400)" in text


async def test_losing_rules_and_the_reservation_are_shown_without_personal_data(db: Connection, pool: Pool) -> None:
    await receive_at(pool, [uplink(SENSOR, NOW, FREE)], NOW)
    booked, _ = await reservations.create_reservation(
        by(db), reservations.NewReservation("A-13", NOW, NOW + 60 * MINUTE, user_email="secret@example.org")
    )
    e = await why.explain(db, "A-13", NOW, Policy())
    assert [rule.reason for rule in e.rules] == ["reservation", "sensor"]
    assert e.cause is not None
    assert (e.cause.kind, e.cause.id) == ("reservation", booked.id)
    assert "secret" not in why.render(e) + str(msgspec.json.encode(e))


async def test_an_override_is_shown_with_its_author(db: Connection) -> None:
    fixed = await overrides.set_override(by(db), "OUT_OF_ORDER", location="Garage", reason="flood")
    e = await why.explain(db, "A-13", NOW, Policy())
    assert e.cause is not None
    assert (e.cause.id, e.cause.actor, e.cause.reason) == (fixed.id, "ann", "flood")
    assert f"override {fixed.id} by ann" in why.render(e)


async def test_an_operator_can_read_it(db: Connection, pool: Pool) -> None:
    await receive_at(pool, [uplink(SENSOR, NOW, OCCUPIED, f_cnt=7)], NOW)
    text = why.render(await why.explain(db, "A-13", NOW + 12 * MINUTE, Policy()))
    assert text.startswith("A-13 (Garage/Floor 1) is OCCUPIED since 2026-11-24 09:00:00 UTC (12 min ago)")
    assert f"Sensor {SENSOR} reports OCCUPIED, received 2026-11-24 09:00:00 UTC (12 min ago)" in text
    assert f"frame 7, FPort 102, data {OCCUPIED.hex()}" in text
    assert "None" not in text


async def test_b9_silence_is_shown_before_the_state_is_recomputed(db: Connection, pool: Pool) -> None:
    await receive_at(pool, [uplink(SENSOR, NOW, FREE)], NOW)
    e = await why.explain(db, "A-13", NOW + timedelta(hours=4), Policy())
    assert (e.space.state, e.decided, e.rules[0].reason) == ("FREE", "UNKNOWN", "sensor_silent")
    assert "the change is due" in why.render(e)


async def test_a_bare_space_has_an_explanation_too(db: Connection) -> None:
    await spaces.create_space(by(db), "B-1")
    text = why.render(await why.explain(db, "B-1", NOW, Policy()))
    assert "Sensor: none" in text
    assert "Display: none" in text
    with pytest.raises(NotFoundError, match="X-9"):
        await why.explain(db, "X-9", NOW, Policy())


async def test_d6_maintenance_names_space_and_location_since_when_and_by_whom(db: Connection) -> None:
    await locations.set_maintenance(by(db), "Garage", True)
    e = await why.explain(db, "A-13", NOW, Policy())
    assert [(c.place, c.name, c.actor) for c in e.closed] == [("location", "Garage", "ann")]
    assert "\n  the location Garage is in maintenance since " in why.render(e)
    await spaces.set_maintenance(by(db), "A-13", True)
    await db.execute("UPDATE locations SET maintenance = true WHERE name = 'Floor 1'")
    e = await why.explain(db, "A-13", NOW, Policy())
    assert [(c.place, c.name) for c in e.closed] == [
        ("space", "A-13"), ("location", "Garage/Floor 1"), ("location", "Garage")
    ]  # fmt: skip
    assert "the location Garage/Floor 1 is in maintenance; who closed it and when is not recorded" in why.render(e)
    await spaces.set_maintenance(by(db), "A-13", False)
    assert [c.place for c in (await why.explain(db, "A-13", NOW, Policy())).closed] == ["location", "location"]


async def test_d6_a_car_on_a_reserved_space_is_named(db: Connection, pool: Pool) -> None:
    await reservations.create_reservation(by(db), reservations.NewReservation("A-13", NOW, NOW + 60 * MINUTE))
    assert "A car is on a reserved space" not in why.render(await why.explain(db, "A-13", NOW, Policy()))
    await receive_at(pool, [uplink(SENSOR, NOW, OCCUPIED)], NOW)
    e = await why.explain(db, "A-13", NOW, Policy())
    assert (e.rules[0].reason, e.space.state_reason) == ("reserved_and_taken", "reserved_and_taken")
    assert "A car is on a reserved space" in why.render(e)
