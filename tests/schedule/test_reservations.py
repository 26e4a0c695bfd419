from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.inventory import devices, locations, spaces
from baylight.schedule import overrides, reservations
from baylight.schedule.reservations import NewReservation, next_day
from baylight.store.pool import Connection, Pool
from tests.support.change import NOW, by
from tests.support.uplinks import OCCUPIED, receive_at, uplink

HOUR = timedelta(hours=1)
SENSOR = "58a0cb00000000a1"


@pytest.fixture(autouse=True)
async def bay(db: Connection) -> None:
    await devices.register_sensor(by(db), SENSOR)
    await spaces.create_space(by(db), "A-1", sensor=SENSOR)


async def set_occupancy(db: Connection, occupancy: str, when: datetime) -> None:
    await db.execute("UPDATE sensor_devices SET occupancy = $1, occupancy_at = $2", occupancy, when)


async def state(db: Connection) -> str:
    return (await spaces.get_space(db, "A-1")).state


async def test_a_reservation_that_runs_is_shown_and_its_cancellation_too(db: Connection) -> None:
    await set_occupancy(db, "FREE", NOW)
    booked, new = await reservations.create_reservation(by(db), NewReservation("A-1", NOW, NOW + HOUR))
    assert new
    assert await state(db) == "RESERVED"
    cancelled = await reservations.cancel_reservation(by(db), booked.id)
    assert cancelled.status == "cancelled"
    assert await state(db) == "FREE"
    assert (await reservations.cancel_reservation(by(db), booked.id)).status == "cancelled"
    rows = await db.fetch("SELECT source, trigger_source FROM state_changes WHERE source = 'api_reservation'")
    assert {row["trigger_source"] for row in rows} == {str(booked.id)}


async def test_the_same_request_again_gives_the_same_reservation(db: Connection) -> None:
    first, _ = await reservations.create_reservation(
        by(db), NewReservation("A-1", NOW, NOW + HOUR, request_id="r1", user_email="a@x.org")
    )
    later = by(db, now=NOW + timedelta(minutes=30))
    again, new = await reservations.create_reservation(
        later, NewReservation("A-1", NOW, NOW + HOUR, request_id="r1", user_email="a@x.org")
    )
    assert (again, new) == (first, False)
    with pytest.raises(ConflictError) as error:
        await reservations.create_reservation(
            by(db), NewReservation("A-1", NOW, NOW + 2 * HOUR, request_id="r1", user_email="a@x.org")
        )
    assert error.value.code == "request_id_used"


async def test_b12_overlap_is_refused_without_personal_data(db: Connection) -> None:
    await reservations.create_reservation(
        by(db), NewReservation("A-1", NOW, NOW + HOUR, user_email="secret@example.org")
    )
    with pytest.raises(ConflictError) as error:
        await reservations.create_reservation(by(db), NewReservation("A-1", NOW + HOUR / 2, NOW + 2 * HOUR))
    assert error.value.code == "space_taken"
    assert "secret" not in f"{error.value} {error.value.facts} {error.value.__cause__!r}"
    _, new = await reservations.create_reservation(by(db), NewReservation("A-1", NOW + HOUR, NOW + 2 * HOUR))
    assert new
    assert "secret" not in str(await db.fetch("SELECT before, after FROM audit_log"))


async def test_b12_of_two_overlapping_reservations_made_at_once_one_wins(db: Connection, pool: Pool) -> None:
    async def book(minutes: int) -> str:
        async with pool.acquire() as connection:
            try:
                start = NOW + timedelta(minutes=minutes)
                await reservations.create_reservation(by(connection), NewReservation("A-1", start, start + HOUR))
            except ConflictError as error:
                return error.code
        return "booked"

    results = await asyncio.gather(*(book(minutes) for minutes in range(6)))
    assert sorted(results) == ["booked"] + ["space_taken"] * 5
    assert await db.fetchval("SELECT count(*) FROM reservations") == 1


async def test_the_same_request_made_twice_at_once_is_one_reservation(db: Connection, pool: Pool) -> None:
    async def book() -> tuple[str, bool]:
        async with pool.acquire() as connection:
            booked, new = await reservations.create_reservation(
                by(connection), NewReservation("A-1", NOW, NOW + HOUR, request_id="r1")
            )
            return str(booked.id), new

    results = await asyncio.gather(*(book() for _ in range(5)))
    assert len({booked for booked, _ in results}) == 1
    assert sum(new for _, new in results) == 1


@pytest.mark.parametrize(
    ("start", "end", "code"),
    [
        (NOW, NOW, "bad_times"),
        (NOW + HOUR, NOW, "bad_times"),
        (NOW, NOW + 25 * HOUR, "too_long"),
        (NOW - timedelta(minutes=6), NOW + HOUR, "in_the_past"),
        (NOW - timedelta(minutes=4), NOW - timedelta(minutes=1), "in_the_past"),
        (NOW.replace(tzinfo=None), NOW + HOUR, "naive_time"),
    ],
)
async def test_b23_impossible_times_are_refused(db: Connection, start: datetime, end: datetime, code: str) -> None:
    with pytest.raises(InputError) as error:
        await reservations.create_reservation(by(db), NewReservation("A-1", start, end))
    assert error.value.code == code


@pytest.mark.parametrize(
    ("zone", "start", "longest"),
    [
        ("Europe/Berlin", "2027-10-31T00:00+02:00", "2027-11-01T00:00+01:00"),  # 25 hours
        ("Europe/Berlin", "2027-03-28T00:00+01:00", "2027-03-29T00:00+02:00"),  # 23 hours
        ("Europe/Berlin", "2027-10-30T02:30+02:00", "2027-10-31T02:30+01:00"),  # that time comes twice
        ("Europe/Berlin", "2027-10-31T02:30+02:00", "2027-11-01T02:30+01:00"),  # from the first of the two
        ("Europe/Berlin", "2027-10-31T02:30+01:00", "2027-11-01T02:30+01:00"),  # from the second
        ("Europe/Berlin", "2027-03-27T02:30+01:00", "2027-03-28T03:30+02:00"),  # that time does not come
        ("Europe/Berlin", "2027-06-01T08:00+02:00", "2027-06-02T08:00+02:00"),
        ("Australia/Lord_Howe", "2027-04-04T00:00+11:00", "2027-04-05T00:00+10:30"),  # 24.5 hours
        ("Australia/Lord_Howe", "2027-10-03T00:00+10:30", "2027-10-04T00:00+11:00"),  # 23.5 hours
        ("Antarctica/Troll", "2027-10-31T00:00+02:00", "2027-11-01T00:00+00:00"),  # 26 hours
        (None, "2027-10-31T00:00+02:00", "2027-11-01T00:00+02:00"),
    ],
)
async def test_e8_a_reservation_lasts_at_most_a_day_of_the_site(
    db: Connection, zone: str | None, start: str, longest: str
) -> None:
    await locations.create_location(by(db), "Garage/Floor 1", timezone=zone)
    await spaces.create_space(by(db), "B-1", location="Garage/Floor 1")
    begin, end = datetime.fromisoformat(start), datetime.fromisoformat(longest)
    too_late = end + timedelta(microseconds=1)
    with pytest.raises(InputError, match=f"at most one day: .* in {zone or 'UTC'}$") as error:
        await reservations.create_reservation(by(db), NewReservation("B-1", begin, too_late))
    assert error.value.code == "too_long"
    booked, _ = await reservations.create_reservation(by(db), NewReservation("B-1", begin, end))
    with pytest.raises(InputError, match="at most one day") as error:
        await reservations.change_reservation(by(db), booked.id, end_at=too_late)
    assert error.value.code == "too_long"
    await reservations.change_reservation(by(db), booked.id, end_at=end - HOUR)
    assert (await reservations.change_reservation(by(db), booked.id, end_at=end)).end_at == end


async def test_e8_the_last_day_of_all_is_one_of_each_zone(db: Connection) -> None:
    end = datetime.fromisoformat("9999-12-31T23:59:59.999999+00:00")
    for zone in ("Pacific/Kiritimati", "Pacific/Niue"):
        await locations.create_location(by(db), zone, timezone=zone, kinds=["zone", "site"])
        await spaces.create_space(by(db), zone[8:], location=zone)
        with pytest.raises(InputError) as error:
            await reservations.create_reservation(by(db), NewReservation(zone[8:], end - 38 * HOUR, end))
        assert error.value.code == "too_long"
        await reservations.create_reservation(by(db), NewReservation(zone[8:], end - HOUR, end))


@pytest.mark.parametrize("end", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
async def test_e8_times_out_of_range_are_refused(db: Connection, end: str) -> None:
    with pytest.raises(InputError) as error:
        await reservations.create_reservation(by(db), NewReservation("A-1", NOW, datetime.fromisoformat(end)))
    assert error.value.code == "bad_times"
    with pytest.raises(InputError) as error:
        await overrides.set_override(by(db), "FREE", space="A-1", until=datetime.fromisoformat(end), reason="x")
    assert error.value.code == "bad_times"


async def test_e8_a_reservation_and_an_override_may_end_with_the_last_year(db: Connection) -> None:
    end = datetime.fromisoformat("9999-12-31T23:59:59.999999+00:00")
    await reservations.create_reservation(by(db), NewReservation("A-1", end - HOUR, end))
    override = await overrides.set_override(by(db), "FREE", space="A-1", until=end, reason="x")
    assert override.until_at == end
    assert await state(db) == "FREE"


async def test_a_reservation_may_begin_a_moment_ago(db: Connection) -> None:
    _, new = await reservations.create_reservation(
        by(db), NewReservation("A-1", NOW - timedelta(minutes=4), NOW + HOUR)
    )
    assert new


async def test_b11_the_end_asks_the_sensor(db: Connection) -> None:
    await set_occupancy(db, "OCCUPIED", NOW)
    booked, _ = await reservations.create_reservation(by(db), NewReservation("A-1", NOW, NOW + HOUR))
    assert await reservations.expire_due(by(db, now=NOW + HOUR / 2)) == 0
    assert await reservations.expire_due(by(db, now=NOW + HOUR)) == 1
    assert await reservations.expire_due(by(db, now=NOW + HOUR)) == 0
    assert (await reservations.get_reservation(db, booked.id)).status == "completed"
    assert await state(db) == "OCCUPIED"


async def test_b11_an_end_with_a_free_bay_shows_free_and_the_reason(db: Connection) -> None:
    await set_occupancy(db, "FREE", NOW)
    booked, _ = await reservations.create_reservation(by(db), NewReservation("A-1", NOW, NOW + HOUR))
    await reservations.expire_due(by(db, now=NOW + HOUR))
    last = await db.fetchrow("SELECT new_state, source, trigger_source FROM state_changes ORDER BY id DESC LIMIT 1")
    assert last is not None
    assert tuple(last) == ("FREE", "reservation_expired", str(booked.id))
    with pytest.raises(ConflictError, match="completed"):
        await reservations.cancel_reservation(by(db), booked.id)


async def test_two_processes_expire_a_reservation_once(db: Connection, pool: Pool) -> None:
    await reservations.create_reservation(by(db), NewReservation("A-1", NOW, NOW + HOUR))

    async def expire() -> int:
        async with pool.acquire() as connection:
            return await reservations.expire_due(by(connection, now=NOW + HOUR))

    assert sum(await asyncio.gather(expire(), expire(), expire())) == 1


async def test_pages_by_start_and_filters(db: Connection) -> None:
    made = [
        (await reservations.create_reservation(by(db), NewReservation("A-1", NOW + n * HOUR, NOW + (n + 1) * HOUR)))[0]
        for n in range(5)
    ]
    first = await reservations.list_reservations(db, limit=3)
    rest = await reservations.list_reservations(db, limit=3, after=(first[-1].start_at, first[-1].id))
    assert first + rest == made
    await reservations.cancel_reservation(by(db), made[0].id)
    assert await reservations.list_reservations(db, status="active", space="A-1") == made[1:]
    assert await reservations.list_reservations(db, ending_after=NOW + 4 * HOUR) == made[4:]
    with pytest.raises(InputError, match="none of active"):
        await reservations.list_reservations(db, status="live")


async def test_unknown_spaces_and_reservations_are_named(db: Connection) -> None:
    with pytest.raises(NotFoundError, match="X-9"):
        await reservations.create_reservation(by(db), NewReservation("X-9", NOW, NOW + HOUR))
    with pytest.raises(NotFoundError):
        await reservations.cancel_reservation(by(db), (await spaces.get_space(db, "A-1")).id)


async def test_d6_reserving_a_closed_or_an_occupied_space_gives_a_warning(db: Connection, pool: Pool) -> None:
    async def warnings(start: datetime) -> list[str]:
        made, _ = await reservations.create_reservation(by(db), NewReservation("A-1", start, start + HOUR))
        await reservations.cancel_reservation(by(db), made.id)
        return made.warnings

    assert await warnings(NOW) == []
    await receive_at(pool, [uplink(SENSOR, NOW, OCCUPIED)], NOW)
    [warning] = await warnings(NOW)
    assert warning.startswith("a car is on A-1: OCCUPIED since ")
    assert await warnings(NOW + 3 * HOUR) == [], "the car may leave"
    await spaces.set_maintenance(by(db), "A-1", True)
    [warning] = await warnings(NOW + 3 * HOUR)
    assert warning.startswith("A-1 is closed: MAINTENANCE since ")


def test_e8_the_bound_of_the_schema_contradicts_no_day_of_a_zone() -> None:
    begin, week, longest = datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=7), timedelta()
    for zone in map(ZoneInfo, sorted(available_timezones())):
        for at in (begin + n * week for n in range(12 * 52)):
            if (at - week).astimezone(zone).utcoffset() != (at + week).astimezone(zone).utcoffset():
                longest = max([longest, *(next_day(at + n * HOUR, zone) - at - n * HOUR for n in range(0, 24 * 7, 4))])
    assert timedelta(hours=25) < longest <= timedelta(hours=27)
