"""Swaps on a real database: what goes over to the new device, what can be undone, what traffic may do meanwhile."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from baylight.control.events.ingest import Ingest
from baylight.domain.policies import Policies
from baylight.domain.state import Policy
from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.insight import doctor
from baylight.insight.as_of import get_space_as_of, list_uplinks_of_space
from baylight.inventory import assignments, device_settings, devices, spaces, swaps
from baylight.store.pool import Connection, Pool
from tests.support.change import by
from tests.support.clock import Clock
from tests.support.uplinks import FREE, OCCUPIED, uplink

_counters: defaultdict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))
S1, S2, S3 = "58a0cb00000000a1", "58a0cb00000000a2", "58a0cb00000000a3"
D1, D2, D3 = "2020000000000001", "2020000000000002", "2020000000000003"


@pytest.fixture
async def clock(db: Connection) -> Clock:
    """Some hours behind, so that no recorded time lies ahead of the database's own clock."""
    return Clock(await db.fetchval("SELECT clock_timestamp()") - timedelta(hours=3))


@pytest.fixture
def ingest(pool: Pool, clock: Clock) -> Ingest:
    return Ingest(pool, clock, Policies())


@pytest.fixture
async def bay(db: Connection, clock: Clock) -> None:
    for eui in (S1, S2, S3):
        await devices.register_sensor(by(db), eui)
    for eui in (D1, D2):
        await devices.register_display(by(db), eui, device_type="kuando_busylight")
    await spaces.create_space(by(db, now=clock.now()), "A-13")
    await db.execute("UPDATE spaces SET created_at = $1", clock.now())
    for eui in (S1, D1):
        await assignments.install(by(db, now=clock.tick(1)), "A-13", eui, at=clock.now())


async def receive(ingest: Ingest, clock: Clock, *frames: tuple[str, bytes]) -> None:
    for eui, data in frames:
        await ingest.store_batch([uplink(eui, clock.tick(1), data, f_cnt=next(_counters[eui]))])


async def db_now(db: Connection) -> datetime:
    now: datetime = await db.fetchval("SELECT clock_timestamp()")
    return now


async def state(db: Connection) -> str:
    return (await spaces.get_space(db, "A-13")).state


async def is_sound(db: Connection, now: datetime, *, but: Sequence[str] = ()) -> None:
    watched = {"displays", "devices without uplinks", "work in time", "silent sensors", *but}
    found = await doctor.examine(db, now=now, policy=Policy())
    assert [finding for finding in found if not finding.ok and finding.check not in watched] == []


async def test_a_new_sensor_counts_from_its_first_reading_on_the_place(
    db: Connection, bay: None, ingest: Ingest, clock: Clock
) -> None:
    await receive(ingest, clock, (S1, OCCUPIED), (S2, FREE))  # the new one, in the van
    assert await state(db) == "OCCUPIED"
    done = await swaps.swap(by(db, now=clock.tick(1)), S1, S2, note="battery", retire=True)
    assert (done.old, done.new, done.spaces, done.note) == (S1, S2, ["A-13"], "battery")
    assert await state(db) == "UNKNOWN"
    await receive(ingest, clock, (S1, FREE))
    assert await state(db) == "UNKNOWN"
    await receive(ingest, clock, (S2, FREE))
    assert await state(db) == "FREE"
    old = await devices.get_sensor(db, S1)
    assert (old.lifecycle_state, old.enabled, old.spaces) == ("decommissioned", False, [])
    assert (await devices.get_sensor(db, S2)).lifecycle_state == "installed"
    entry = await db.fetchrow("SELECT actor, after FROM audit_log WHERE action = 'device.swap'")
    assert entry is not None
    assert (entry["actor"], entry["after"]["note"]) == ("ann", "battery")
    await is_sound(db, clock.now())


async def test_a_swap_recorded_late_gives_its_uplinks_to_the_space_and_decides_again(
    db: Connection, bay: None, ingest: Ingest, clock: Clock
) -> None:
    await receive(ingest, clock, (S1, OCCUPIED))
    swapped_at = clock.tick(60)
    await receive(ingest, clock, (S2, OCCUPIED), (S1, OCCUPIED), (S2, FREE), (S1, OCCUPIED))
    before = [tuple(row) for row in await db.fetch("SELECT * FROM uplinks ORDER BY received_at")]
    assert await state(db) == "OCCUPIED"
    await swaps.swap(by(db, now=clock.tick(600)), S1, S2, at=swapped_at)
    assert await state(db) == "FREE"
    rows = await list_uplinks_of_space(db, "A-13", limit=10)
    reported = [(row.dev_eui, row.occupancy) for row in reversed(rows)]
    assert reported == [(S1, "OCCUPIED"), (S2, "OCCUPIED"), (S2, "FREE")]
    assert [tuple(row) for row in await db.fetch("SELECT * FROM uplinks ORDER BY received_at")] == before
    then = await get_space_as_of(db, "A-13", swapped_at + timedelta(seconds=1))
    assert (then.sensor_dev_eui, then.state) == (S2, "OCCUPIED")  # what was decided then stays as it was decided
    replaced = [
        row for row in await assignments.list_assignments(db, space="A-13", superseded=True) if row.superseded_at
    ]
    assert [(row.dev_eui, row.until_at) for row in replaced] == [(S1, None)]
    await is_sound(db, clock.now())


async def test_an_undone_swap_is_as_if_it_had_not_been(db: Connection, bay: None, ingest: Ingest, clock: Clock) -> None:
    await receive(ingest, clock, (S1, FREE))
    done = await swaps.swap(by(db, now=clock.tick(1)), S1, S2, retire=True)
    await receive(ingest, clock, (S2, FREE))
    assert await swaps.get_latest_swap_id(db, S1) == done.id
    undone = await swaps.undo_swap(by(db, now=clock.tick(3600)), done.id)
    assert (undone.undone_by, undone.undone_at) == ("ann", clock.now())
    assert (await spaces.get_space(db, "A-13")).sensor_dev_eui == S1
    assert await state(db) == "FREE"
    assert (await devices.get_sensor(db, S1)).lifecycle_state == "installed"
    [row] = [row for row in await assignments.list_assignments(db, space="A-13") if row.role == "sensor"]
    assert (row.dev_eui, row.reason, row.until_at) == (S1, "correction", None)
    assert await swaps.undo_swap(by(db, now=clock.tick(1)), done.id) == undone
    assert await db.fetchval("SELECT count(*) FROM audit_log WHERE action = 'device.swap_undone'") == 1
    await is_sound(db, clock.now())


@pytest.mark.parametrize("state", ["installed", "testing", "active", "maintenance"])
async def test_an_undone_swap_gives_a_retired_device_its_state_back(
    db: Connection, bay: None, clock: Clock, state: str
) -> None:
    if state != "installed":
        await device_settings.set_lifecycle(by(db, now=clock.tick(1)), "sensor", S1, state)
    done = await swaps.swap(by(db), S1, S2, retire=True)
    await swaps.undo_swap(by(db, now=clock.tick(1)), done.id)
    old = await devices.get_sensor(db, S1)
    assert (old.lifecycle_state, old.enabled) == (state, True)


async def test_what_cannot_be_undone_any_more_is_refused(db: Connection, bay: None, clock: Clock) -> None:
    first = await swaps.swap(by(db, now=clock.tick(1)), S1, S2)
    second = await swaps.swap(by(db, now=clock.tick(1)), S2, S3)
    with pytest.raises(ConflictError, match="another device by now"):
        await swaps.undo_swap(by(db, now=clock.tick(1)), first.id)
    with pytest.raises(ConflictError, match="within"):
        await swaps.undo_swap(by(db, now=clock.tick(25 * 3600)), second.id)
    with pytest.raises(NotFoundError):
        await swaps.get_latest_swap_id(db, D1)


@pytest.mark.parametrize("decommissioned", [True, False])
async def test_an_old_device_that_may_not_serve_does_not_come_back(
    db: Connection, bay: None, clock: Clock, decommissioned: bool
) -> None:
    done = await swaps.swap(by(db, now=clock.tick(1)), S1, S2)
    if decommissioned:
        await device_settings.set_lifecycle(by(db), "sensor", S1, "decommissioned")
    else:
        await device_settings.set_enabled(by(db), "sensor", S1, False)
    with pytest.raises(InputError) as refused:
        await swaps.undo_swap(by(db, now=clock.tick(1)), done.id)
    assert refused.value.code == "device_disabled"
    assert (await spaces.get_space(db, "A-13")).sensor_dev_eui == S2


async def test_a_device_that_served_elsewhere_meanwhile_cannot_have_been_here(
    db: Connection, bay: None, clock: Clock
) -> None:
    done = await swaps.swap(by(db, now=clock.tick(1)), S1, S2)
    since = clock.tick(60)
    await spaces.create_space(by(db, now=clock.tick(1)), "A-14")
    await assignments.install(by(db, now=clock.tick(1)), "A-14", S1, at=since)
    removed = clock.tick(60)
    await assignments.remove(by(db, now=clock.tick(1)), "A-14", "sensor", at=removed)
    with pytest.raises(ConflictError, match="was on another space"):
        await swaps.undo_swap(by(db, now=clock.tick(1)), done.id)
    with pytest.raises(ConflictError, match="was on another space"):
        await swaps.swap(by(db, now=clock.tick(1)), S2, S1, at=since)
    assert (await spaces.get_space(db, "A-13")).sensor_dev_eui == S2
    assert (await swaps.swap(by(db, now=clock.tick(1)), S2, S1, at=removed)).spaces == ["A-13"]


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        (S1, S1, InputError, "for itself"),
        (S1, D2, NotFoundError, "no sensor"),
        (S2, S3, ConflictError, "serves no space"),
        ("58a0cb00000000ff", S2, NotFoundError, "58a0cb00000000ff"),
        ("58a0cb", S2, InputError, "16 hex digits"),
    ],
)
async def test_a_swap_that_cannot_be_is_refused_by_name(
    db: Connection, bay: None, clock: Clock, old: str, new: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        await swaps.swap(by(db, now=clock.tick(1)), old, new)
    assert (await spaces.get_space(db, "A-13")).sensor_dev_eui == S1
    assert await swaps.list_swaps(db) == []


async def test_a_retired_device_one_in_use_and_a_time_to_come_are_refused(
    db: Connection, bay: None, clock: Clock
) -> None:
    await spaces.create_space(by(db, now=clock.tick(1)), "A-14", sensor=S2)
    with pytest.raises(ConflictError, match="serves A-14"):
        await swaps.swap(by(db, now=clock.tick(1)), S1, S2)
    await device_settings.set_lifecycle(by(db), "sensor", S3, "decommissioned")
    with pytest.raises(InputError, match="decommissioned"):
        await swaps.swap(by(db, now=clock.tick(1)), S1, S3)
    with pytest.raises(InputError, match="not over yet"):
        await swaps.swap(by(db, now=clock.tick(1)), S1, S3, at=clock.now() + timedelta(hours=1))
    with pytest.raises(ConflictError, match="changed at"):
        await assignments.remove(by(db, now=clock.tick(1)), "A-13", "sensor", at=clock.now() - timedelta(days=1))


async def test_a_new_display_takes_over_the_chosen_codes_and_receives_its_command_at_once(
    db: Connection, bay: None, clock: Clock
) -> None:
    await device_settings.set_display_codes(by(db, now=clock.tick(1)), D1, {"UNKNOWN": "white", "FREE": "#00c800"})
    await device_settings.set_display_codes(by(db, now=clock.tick(1)), D2, {"RESERVED": "purple"})
    done = await swaps.swap(by(db, now=clock.tick(1)), D1, D2)
    new = await devices.get_display(db, D2)
    assert new.display_codes == (await devices.get_display(db, D1)).display_codes
    assert (new.desired_state, new.desired_code) == ("UNKNOWN", new.display_codes["UNKNOWN"])
    newest = await db.fetchrow("SELECT display_deveui, status, trigger_type FROM actuations ORDER BY id DESC LIMIT 1")
    assert newest is not None
    assert tuple(newest) == (D2, "pending", "assignment")
    assert (await devices.get_display(db, D1)).desired_state is None
    await swaps.undo_swap(by(db, now=clock.tick(1)), done.id)
    assert (await devices.get_display(db, D2)).lights["RESERVED"].colour == "purple"
    assert (await devices.get_display(db, D1)).desired_state == "UNKNOWN"
    await is_sound(db, clock.now())


async def test_a_display_of_another_type_takes_over_the_lights_that_it_can_show(
    db: Connection, bay: None, clock: Clock
) -> None:
    await devices.register_display(by(db), D3, device_type="one_byte_light")
    await device_settings.set_display_codes(
        by(db, now=clock.tick(1)), D1, {"RESERVED": "orange", "MAINTENANCE": "cyan"}
    )
    done = await swaps.swap(by(db, now=clock.tick(1)), D1, D3)
    new = await devices.get_display(db, D3)
    assert new.lights["RESERVED"].colour == "orange"
    assert [warning.split(":")[0] for warning in done.warnings] == ["MAINTENANCE"]
    assert new.lights["MAINTENANCE"].colour in done.warnings[0]


async def test_b1_swapping_a_live_sensor_under_traffic_loses_no_uplink(
    db: Connection, bay: None, pool: Pool, clock: Clock
) -> None:
    sent: list[tuple[str, bytes]] = []
    stop = asyncio.Event()

    async def traffic(eui: str) -> None:
        ingest = Ingest(pool, clock, Policies())
        while not stop.is_set():
            data = OCCUPIED if len(sent) % 2 else FREE
            await ingest.store_batch([uplink(eui, clock.tick(0.001), data, f_cnt=next(_counters[eui]))])
            sent.append((eui, data))

    async def swap_often() -> None:
        old, new = S1, S2
        async with pool.acquire() as connection:
            for n in range(12):
                done = await swaps.swap(by(connection, now=clock.tick(0.001)), old, new)
                if n % 3 == 2:
                    await swaps.undo_swap(by(connection, now=clock.tick(0.001)), done.id)
                else:
                    old, new = new, old
        stop.set()

    await asyncio.wait_for(asyncio.gather(traffic(S1), traffic(S2), swap_often()), 60)
    stored = await db.fetch("SELECT dev_eui, data FROM uplinks")
    assert sorted((row["dev_eui"], row["data"]) for row in stored) == sorted(sent)
    assert {S1, S2} == {eui for eui, _ in sent}
    await is_sound(db, clock.now())


async def test_a_reading_of_a_mobile_sensor_counts_only_where_it_was_made(
    db: Connection, bay: None, ingest: Ingest, clock: Clock
) -> None:
    mobile = "58a0cb00000000b1"
    await devices.register_sensor(by(db), mobile, mobile=True)
    await spaces.create_space(by(db, now=clock.tick(1)), "M-1", sensor=mobile)
    await receive(ingest, clock, (mobile, FREE))
    assert (await spaces.get_space(db, "M-1")).state == "FREE"
    await spaces.create_space(by(db, now=clock.tick(1)), "M-2", sensor=mobile)
    assert {s.state for s in await spaces.list_spaces(db, device=mobile)} == {"UNKNOWN"}
    await receive(ingest, clock, (mobile, FREE))
    assert {s.state for s in await spaces.list_spaces(db, device=mobile)} == {"FREE"}
    await spaces.unassign(by(db, now=clock.tick(1)), "M-1", "sensor")
    assert (await spaces.get_space(db, "M-2")).state == "FREE"
    assert [row.space for row in await assignments.list_assignments_as_of(db, await db_now(db), device=mobile)] == [
        "M-2"
    ]
    assert {row.space for row in await assignments.list_assignments(db, device=mobile)} == {"M-1", "M-2"}
    await is_sound(db, clock.now())


async def test_as_of_shows_who_served_and_what_the_light_showed(
    db: Connection, bay: None, ingest: Ingest, clock: Clock
) -> None:
    start = clock.now()
    await receive(ingest, clock, (S1, OCCUPIED))
    red = await db.fetchval("SELECT id FROM actuations WHERE new_state = 'OCCUPIED'")
    shown_at = clock.tick(5)
    await db.execute("UPDATE actuations SET status = 'sending' WHERE id = $1", red)
    await db.execute(
        "UPDATE actuations SET status = 'shown', transmitted_at = $2, shown_at = $2 WHERE id = $1", red, shown_at
    )
    await swaps.swap(by(db, now=clock.tick(1)), S1, S2)
    await swaps.swap(by(db, now=clock.tick(1)), D1, D2)
    then = await get_space_as_of(db, "A-13", shown_at)
    assert (then.state, then.sensor_dev_eui, then.display_dev_eui) == ("OCCUPIED", S1, D1)
    assert then.reading is not None
    assert then.reading.occupancy == "OCCUPIED"
    assert then.light is not None
    assert (then.light.state, then.light.colour, then.light.proof, then.light.at) == (
        "OCCUPIED",
        "red",
        "reported",
        shown_at,
    )
    now = await get_space_as_of(db, "A-13", clock.now())
    assert (now.state, now.sensor_dev_eui, now.display_dev_eui, now.reading, now.light) == (
        "UNKNOWN",
        S2,
        D2,
        None,
        None,
    )
    first = await get_space_as_of(db, "A-13", start)
    assert (first.state, first.sensor_dev_eui, first.light) == ("UNKNOWN", S1, None)
    before = await get_space_as_of(db, "A-13", start - timedelta(days=1))
    assert (before.state, before.sensor_dev_eui, before.display_dev_eui) == (None, None, None)
    with pytest.raises(NotFoundError):
        await get_space_as_of(db, "Z-1", start)
