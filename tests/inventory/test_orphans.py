"""Unregistered devices: noted, bounded, claimed or ignored; they never drive a space."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from baylight.control import retention
from baylight.control.events import strangers
from baylight.control.events.ingest import Ingest
from baylight.domain.events import Join, Uplink
from baylight.domain.ids import DevEui
from baylight.domain.policies import Policies
from baylight.errors import InputError, NotFoundError
from baylight.inventory import device_settings, devices, orphans
from baylight.store.pool import Connection, Pool
from tests.support import factories, uplinks
from tests.support.change import NOW, by
from tests.support.clock import Clock
from tests.support.uplinks import OCCUPIED

TBMS100 = DevEui("58a0cb0000110001")
STRANGER = DevEui("0102030405060708")
REPORT = bytes.fromhex("d0ffffff1e00000008000000060000000000ffff00290c01")


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def ingest(db: Connection, pool: Pool, clock: Clock) -> Ingest:
    return Ingest(pool, clock, Policies())


def uplink(dev_eui: DevEui, data: bytes = OCCUPIED, **more: Any) -> Uplink:
    given: dict[str, Any] = {
        "rssi_dbm": -101,
        "snr_db": -4.5,
        "device_name": "found in a box",
        "application_id": "garage/bay-017",
        "network_server": "tts",
    }
    return uplinks.uplink(dev_eui, NOW, data, **given | more)


async def stored(pool: Pool) -> int:
    return int(await pool.fetchval("SELECT count(*) FROM uplinks"))


async def test_a_stranger_appears_in_the_inbox_with_its_radio_facts(ingest: Ingest, db: Connection, pool: Pool) -> None:
    await factories.add_bay(pool, "A-01")
    await ingest.store_batch([uplink(STRANGER), uplink(STRANGER, b"", f_port=0, rssi_dbm=-90)])
    orphan = await orphans.get_orphan(db, "01-02-03-04-05-06-07-08")
    assert (orphan.uplinks, orphan.ignored) == (2, False)
    assert orphan.first_at <= orphan.last_at
    assert (orphan.rssi_dbm, orphan.snr_db, orphan.gateway_id) == (-90, -4.5, "0016c001ff10a235")
    assert (orphan.f_port, orphan.data) == (102, OCCUPIED.hex())
    assert (orphan.network_server, orphan.application_id) == ("tts", "garage/bay-017")
    assert [o.dev_eui for o in await orphans.list_orphans(db)] == [STRANGER]
    assert await pool.fetch("SELECT DISTINCT outcome FROM uplinks") == [("unknown_device",)]
    assert await pool.fetchval("SELECT count(*) FROM state_changes") == 0
    assert await pool.fetchval("SELECT current_state FROM spaces") == "UNKNOWN"


async def test_of_a_noisy_stranger_a_few_uplinks_an_hour_are_stored_and_all_counted(
    ingest: Ingest, db: Connection, pool: Pool, clock: Clock
) -> None:
    await ingest.store_batch([uplink(STRANGER) for _ in range(5)])
    for _ in range(4):
        await ingest.store_batch([uplink(STRANGER) for _ in range(50)] + [uplink(TBMS100)])
    assert (await orphans.get_orphan(db, STRANGER)).uplinks == 205
    assert await stored(pool) == strangers.KEPT_PER_HOUR + 4
    clock.tick(timedelta(hours=1))
    await ingest.store_batch([uplink(STRANGER) for _ in range(50)])
    assert await stored(pool) == 2 * strangers.KEPT_PER_HOUR + 4
    assert ingest.counts["uplink", "unknown_device"] == 259


async def test_a_flood_of_strangers_does_not_fill_the_table(
    ingest: Ingest, db: Connection, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "MAX_STRANGERS", 3)
    for n in range(5):
        await ingest.store_batch([uplink(DevEui(f"{n:016x}"))])
    await ingest.store_batch([uplink(DevEui(f"{0:016x}"))])
    assert [(o.dev_eui[-1], o.uplinks) for o in await orphans.list_orphans(db)] == [("0", 2), ("1", 1), ("2", 1)]
    assert await stored(pool) == 4


async def test_an_ignored_one_is_counted_and_no_more(ingest: Ingest, db: Connection, pool: Pool) -> None:
    await ingest.store_batch([uplink(STRANGER)])
    for _ in range(2):
        assert (await orphans.set_ignored(by(db), STRANGER, True)).ignored
    await ingest.store_batch([uplink(STRANGER)])
    assert await stored(pool) == 1
    assert await orphans.list_orphans(db) == []
    assert [o.uplinks for o in await orphans.list_orphans(db, ignored=True)] == [2]
    await orphans.set_ignored(by(db), STRANGER, False)
    await ingest.store_batch([uplink(STRANGER)])
    assert await stored(pool) == 2
    actions = await db.fetch("SELECT actor, action, object_id FROM audit_log ORDER BY id")
    assert actions == [("ann", "orphan.ignore", STRANGER), ("ann", "orphan.notice", STRANGER)]


def reasons(orphan: orphans.Orphan) -> dict[str, list[str]]:
    return {guess.device_type: guess.because for guess in orphan.guesses}


async def test_the_type_is_guessed_by_prefix_profile_and_payload(ingest: Ingest, db: Connection) -> None:
    await ingest.store_batch([uplink(TBMS100, profile_name="TABS TBMS100 EU868")])
    found = await orphans.get_orphan(db, TBMS100)
    assert found.guesses[0] == orphans.Guess("browan_tbms100", "sensor", ["dev_eui", "profile", "payload"])
    await ingest.store_batch([uplink(STRANGER, REPORT, f_port=15)])
    assert reasons(await orphans.get_orphan(db, STRANGER))["kuando_busylight"] == ["payload"]


async def test_one_frame_that_a_codec_cannot_decode_excludes_its_type(ingest: Ingest, db: Connection) -> None:
    await ingest.store_batch([uplink(STRANGER, profile_name="Kuando Busylight"), uplink(STRANGER, bytes(3), f_port=99)])
    assert reasons(await orphans.get_orphan(db, STRANGER)) == {"kuando_busylight": ["profile"]}


async def test_frames_without_data_are_no_evidence_for_a_type(ingest: Ingest, db: Connection) -> None:
    await ingest.store_batch([uplink(STRANGER, b"", f_port=0)])
    assert (await orphans.get_orphan(db, STRANGER)).guesses == []


async def test_a_claimed_sensor_is_registered_with_its_radio_facts_and_leaves_the_inbox(
    ingest: Ingest, db: Connection, pool: Pool
) -> None:
    await ingest.store_batch([uplink(TBMS100, profile_name="TBMS100")])
    sensor = await orphans.claim_orphan(by(db), TBMS100, notes="level 2")
    assert isinstance(sensor, devices.Sensor)
    assert (sensor.device_type, sensor.notes, sensor.rssi_dbm) == ("browan_tbms100", "level 2", -101)
    assert (sensor.occupancy, sensor.last_seen_at) == (None, NOW)
    way = await db.fetchrow("SELECT network_server, application_id FROM sensor_devices")
    assert way == ("tts", "garage/bay-017")
    assert await orphans.list_orphans(db) == []
    await ingest.store_batch([uplink(TBMS100)])
    outcomes = await pool.fetch("SELECT outcome FROM uplinks ORDER BY received_at, outcome DESC")
    assert [row["outcome"] for row in outcomes] == ["unknown_device", "unassigned"]
    actions = await db.fetch("SELECT action, actor FROM audit_log ORDER BY id")
    assert actions == [("sensor.register", "ann"), ("orphan.claim", "ann")]


async def test_a_claimed_display_needs_a_named_type(ingest: Ingest, db: Connection) -> None:
    await ingest.store_batch([uplink(STRANGER, REPORT, f_port=15)])
    display = await orphans.claim_orphan(by(db), STRANGER, device_type="kuando_busylight")
    assert isinstance(display, devices.Display)
    assert (display.f_port, display.sync_status) == (15, "unknown")


async def test_a_claim_without_a_type_that_stands_out_is_refused_and_nothing_is_done(
    ingest: Ingest, db: Connection
) -> None:
    await ingest.store_batch([uplink(STRANGER, b"", f_port=0)])
    with pytest.raises(InputError, match="name the device type"):
        await orphans.claim_orphan(by(db), STRANGER)
    with pytest.raises(NotFoundError, match="no device type"):
        await orphans.claim_orphan(by(db), STRANGER, device_type="teapot")
    assert [o.dev_eui for o in await orphans.list_orphans(db)] == [STRANGER]
    assert await db.fetchval("SELECT count(*) FROM audit_log") == 0


async def test_an_unknown_or_registered_device_is_no_orphan(ingest: Ingest, db: Connection, pool: Pool) -> None:
    for call in (
        orphans.get_orphan(db, STRANGER),
        orphans.claim_orphan(by(db), STRANGER),
        orphans.set_ignored(by(db), STRANGER, True),
    ):
        with pytest.raises(NotFoundError, match="no unregistered device"):
            await call
    with pytest.raises(InputError, match="not a DevEUI"):
        await orphans.get_orphan(db, "teapot")
    await ingest.store_batch([uplink(TBMS100)])
    await devices.register_sensor(by(db), TBMS100)
    assert await orphans.list_orphans(db) == []
    with pytest.raises(NotFoundError):
        await orphans.claim_orphan(by(db), TBMS100)


async def test_pages_go_by_dev_eui(ingest: Ingest, db: Connection) -> None:
    await ingest.store_batch([uplink(DevEui(f"{n:016x}")) for n in range(5)])
    first = await orphans.list_orphans(db, limit=3)
    rest = await orphans.list_orphans(db, limit=3, after=first[-1].dev_eui)
    assert [o.dev_eui for o in first + rest] == [f"{n:016x}" for n in range(5)]


async def test_silent_strangers_expire_with_their_uplinks(
    ingest: Ingest, db: Connection, pool: Pool, clock: Clock
) -> None:
    clock.at = NOW - timedelta(days=700)  # the database keeps them for 28 days by its own clock
    await ingest.store_batch([uplink(STRANGER), uplink(TBMS100)])
    clock.tick(timedelta(days=1))
    await ingest.store_batch([uplink(TBMS100)])
    expiry = clock.at + retention.ORPHANS_KEPT - timedelta(hours=1)
    await retention.run(db, expiry, uplink_months=25, actuation_months=37)
    assert [o.dev_eui for o in await orphans.list_orphans(db)] == [TBMS100]
    assert await pool.fetch("SELECT DISTINCT dev_eui FROM uplinks") == [(TBMS100,)]


async def test_registered_devices_leave_the_table_and_keep_their_uplinks(
    ingest: Ingest, db: Connection, pool: Pool
) -> None:
    await ingest.store_batch([uplink(TBMS100)])
    await devices.register_sensor(by(db), TBMS100)
    await retention.run(db, NOW + timedelta(hours=1), uplink_months=25, actuation_months=37)
    assert await db.fetchval("SELECT count(*) FROM orphans") == 0
    assert await stored(pool) == 1


async def test_a_decommissioned_device_is_no_stranger(ingest: Ingest, db: Connection) -> None:
    await devices.register_sensor(by(db), TBMS100)
    await device_settings.set_lifecycle(by(db), "sensor", TBMS100, "decommissioned")
    await ingest.store_batch([uplink(TBMS100)])
    assert await orphans.list_orphans(db) == []


def join(dev_eui: DevEui, minute: int, **more: Any) -> Join:
    given: dict[str, Any] = {"application_id": "garage/box", "network_server": "tts", "device_name": "box"}
    at = NOW + timedelta(minutes=minute)
    return Join(dev_eui, str(uuid4()), at, f"260b{minute:04x}", **given | more)


async def test_b8_a_device_that_only_joins_appears_with_its_name_and_its_joins(
    ingest: Ingest, db: Connection, pool: Pool, clock: Clock
) -> None:
    clock.tick(timedelta(hours=1))
    first, second = join(STRANGER, 1, profile_name="Lamp"), join(STRANGER, 30)
    await ingest.store_batch([first, first, join(TBMS100, 3)])
    await ingest.store_batch([second])
    await ingest.store_batch([first, second])  # delivered again
    [orphan, other] = await orphans.list_orphans(db)
    assert (orphan.dev_eui, other.dev_eui) == (STRANGER, TBMS100)
    assert (orphan.uplinks, orphan.joins) == (0, 2)
    assert (orphan.first_join_at, orphan.last_join_at) == (first.observed_at, second.observed_at)
    assert (orphan.first_at, orphan.last_at) == (first.observed_at, second.observed_at)
    assert (orphan.device_name, orphan.profile_name, orphan.application_id) == ("box", "Lamp", "garage/box")
    assert (orphan.network_server, orphan.dev_addr, orphan.guesses) == ("tts", "260b001e", [])
    display = await orphans.claim_orphan(by(db), STRANGER, device_type="kuando_busylight")
    assert (display.application_id, display.last_seen_at) == ("garage/box", None)
    await ingest.store_batch([join(STRANGER, 40)])
    assert [o.dev_eui for o in await orphans.list_orphans(db)] == [TBMS100]


async def test_b8_joins_and_uplinks_of_one_device_are_one_line(ingest: Ingest, db: Connection, clock: Clock) -> None:
    clock.tick(timedelta(hours=1))
    await ingest.store_batch([uplink(STRANGER, rssi_dbm=-90), join(STRANGER, 2, device_name=None)])
    await ingest.store_batch([join(STRANGER, 5, device_name="renamed", application_id=None)])
    [orphan] = await orphans.list_orphans(db)
    assert (orphan.uplinks, orphan.joins, orphan.rssi_dbm) == (1, 2, -90)
    assert (orphan.device_name, orphan.application_id, orphan.data) == ("renamed", "garage/bay-017", OCCUPIED.hex())


async def test_b8_joins_of_registered_devices_make_no_orphan(ingest: Ingest, db: Connection, pool: Pool) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await devices.register_sensor(by(db), TBMS100)
    await device_settings.set_lifecycle(by(db), "sensor", TBMS100, "decommissioned")
    await ingest.store_batch([join(DevEui(eui), 1) for eui in (bay.sensor_eui, bay.display_eui, TBMS100)])
    assert await db.fetchval("SELECT count(*) FROM orphans") == 0


async def test_b8_a_flood_of_joins_does_not_fill_the_table(
    ingest: Ingest, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "MAX_STRANGERS", 3)
    for n in range(5):
        await ingest.store_batch([join(DevEui(f"{n:016x}"), 1)])
    assert len(await orphans.list_orphans(db)) == 3


FOREIGN = [
    (1, "02111100020c54", "Decentlab DL-LWS", "elsys_ers_desk"),
    (6, "01090c7809c41b58ffff00", "Netvox R72624", "libelium_smart_parking_v2"),
    (85, "01756403d4000001005046", "Milesight EM320-TILT", "libelium_smart_parking_v2"),
    (85, "01756403823e0004d645", "Milesight WS201", "milesight_em310_udl"),
    (2, "a86661", "Nwave NCC counter", "nwave_nps405"),
]


@pytest.mark.parametrize(("f_port", "data", "model", "wrong"), FOREIGN)
@pytest.mark.parametrize("named", [True, False])
async def test_b8_a_guess_from_the_payload_is_possible_and_never_claimed_silently(
    ingest: Ingest, db: Connection, f_port: int, data: str, model: str, wrong: str, named: bool
) -> None:
    profile = model if named else None
    await ingest.store_batch([uplink(STRANGER, bytes.fromhex(data), f_port=f_port, profile_name=profile)])
    orphan = await orphans.get_orphan(db, STRANGER)
    assert orphan.certain_type is None
    assert f"possible {wrong} (payload)" in orphan.guess
    with pytest.raises(InputError, match=rf"no type is certain: .*{wrong} \(payload\)") as refused:
        await orphans.claim_orphan(by(db), STRANGER)
    assert refused.value.code == "type_missing"
    assert await db.fetchval("SELECT count(*) FROM sensor_devices") == 0
    claimed = await orphans.claim_orphan(by(db), STRANGER, device_type=wrong)
    assert claimed.device_type == wrong


@pytest.mark.parametrize(
    ("profile", "certain"),
    [
        ("TBMS100", "browan_tbms100"),
        ("browan tbms100", "browan_tbms100"),  # brand and model at The Things Stack
        ("ERS Desk", "elsys_ers_desk"),
        ("Plenom Kuando Busylight (class C)", "kuando_busylight"),
        ("Milesight EM310-UDL EU868", "milesight_em310_udl"),
        ("fleximodo", "fleximodo"),
        ("Nwave NCC counter", None),
        ("Street light", None),
        ("Fleximodo air quality", None),
        ("TBMS100 or ERS Desk by Elsys", None),
        ("", None),
    ],
)
async def test_b8_a_profile_that_names_one_type_makes_it_certain(
    ingest: Ingest, db: Connection, profile: str, certain: str | None
) -> None:
    await ingest.store_batch([uplink(STRANGER, b"", f_port=0, profile_name=profile)])
    orphan = await orphans.get_orphan(db, STRANGER)
    assert orphan.certain_type == certain, orphan.guesses
    if certain is not None:
        assert (await orphans.claim_orphan(by(db), STRANGER)).device_type == certain


async def test_b8_a_name_that_a_person_gave_the_device_makes_no_type_certain(ingest: Ingest, db: Connection) -> None:
    await ingest.store_batch([uplink(STRANGER, b"", f_port=0, device_name="beside the tbms100 of bay 3")])
    orphan = await orphans.get_orphan(db, STRANGER)
    assert (orphan.certain_type, orphan.guess) == (None, "possible browan_tbms100 (name)")


async def test_b8_a_prefix_is_certain_unless_a_frame_or_the_profile_is_of_another_type(
    ingest: Ingest, db: Connection
) -> None:
    await ingest.store_batch([join(TBMS100, 1)])
    assert (await orphans.get_orphan(db, TBMS100)).guess == "browan_tbms100 (dev_eui)"
    await ingest.store_batch([uplink(TBMS100)])
    assert (await orphans.get_orphan(db, TBMS100)).certain_type == "browan_tbms100"
    motion, desk = DevEui("58a0cb0000001252"), DevEui("58a0cb0000001253")
    await ingest.store_batch(
        [uplink(motion, b"\x01", f_port=40), uplink(desk, b"", f_port=0, profile_name="Elsys ERS Desk")]
    )
    for eui in (motion, desk):
        orphan = await orphans.get_orphan(db, eui)
        assert orphan.certain_type is None
        assert "possible browan_tbms100 (dev_eui)" in orphan.guess
        with pytest.raises(InputError, match=r"no type is certain: .*browan_tbms100 \(dev_eui\)"):
            await orphans.claim_orphan(by(db), eui)
