"""Device lists of network servers."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from baylight.bulk import device_lists
from baylight.bulk.imports import Report
from baylight.bulk.tts_export import read_tts
from baylight.errors import InputError, NotFoundError, TransientError
from baylight.inventory import devices
from baylight.lab.embedded.broker import EmbeddedBroker
from baylight.lab.sim.chirpstack import FakeChirpStack
from baylight.lab.sim.events import APPLICATION, stable_uuid
from baylight.lns.chirpstack import devices as chirpstack_devices
from baylight.lns.chirpstack.channel import Api
from baylight.lns.chirpstack.devices import ChirpStackDevices
from baylight.ports import Listed
from baylight.store.pool import Connection
from tests.support.change import by

SENSOR, LIGHT, OTHER = "58a0cb0000000001", "2020200000000001", "70b3d5e75e000001"


async def given(listed: Iterable[Listed]) -> AsyncIterator[Listed]:
    for device in listed:
        yield device


async def load(
    db: Connection, listed: Iterable[Listed], *, network_server: str = "tts", types: dict[str, str], **options: Any
) -> tuple[Report, dict[str, int]]:
    report = await device_lists.import_list(
        by(db), given(listed), network_server=network_server, types=types, **options
    )
    return report, report.left_out


async def listed_by(fake: FakeChirpStack, **asked: Any) -> list[Listed]:
    asking = source(fake, asked.get("key"))
    return [device async for device in asking.devices(asked.get("applications", ()), asked.get("tenant"))]


def source(fake: FakeChirpStack, key: str | None = None) -> ChirpStackDevices:
    return ChirpStackDevices(Api(fake.grpc_target, key or fake.api_key))


@pytest.fixture
async def fake(broker: EmbeddedBroker) -> AsyncIterator[FakeChirpStack]:
    fake = FakeChirpStack(broker.host, broker.port)
    fake.add_device(SENSOR, name="Bay 1", profile="Parking sensor")
    fake.add_device(LIGHT, name="=Light 1", profile="Lamp", class_c=True)
    fake.add_device("0101010101010101", tenant="Somebody else")
    await fake.start()
    yield fake
    await fake.stop()


@pytest.mark.parametrize("asked", [{"applications": [APPLICATION]}, {"tenant": stable_uuid("tenant ChirpStack")}])
async def test_devices_of_chirpstack_are_registered(
    fake: FakeChirpStack, db: Connection, asked: dict[str, Any]
) -> None:
    found = await listed_by(fake, **asked)
    report, _ = await load(db, found, network_server="chirpstack", types={"Lamp": "kuando_busylight"})
    assert (report.added, report.first) == (2, [])
    assert (await devices.get_sensor(db, SENSOR)).notes == "Bay 1"
    light = await devices.get_display(db, LIGHT)
    assert (light.device_type, light.notes) == ("kuando_busylight", "=Light 1")
    rows = await db.fetch("SELECT network_server, application_id FROM display_devices")
    assert [tuple(row) for row in rows] == [("chirpstack", APPLICATION)]
    report, _ = await load(db, found, network_server="chirpstack", types={"Lamp": "kuando_busylight"})
    assert (report.changed, report.unchanged) == (0, 2)


async def test_lists_longer_than_a_page_are_read_to_the_end(
    fake: FakeChirpStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chirpstack_devices, "_PAGE", 2)
    for n in range(6):
        fake.add_device(f"58a0cb00000001{n:02x}")
    found = await listed_by(fake, applications=[APPLICATION, APPLICATION])
    assert len({device.dev_eui for device in found}) == len(found) == 8


async def test_chirpstack_that_refuses_or_is_away_is_reported(fake: FakeChirpStack) -> None:
    with pytest.raises(InputError, match="InvalidToken"):
        await listed_by(fake, applications=[APPLICATION], key="wrong")
    with pytest.raises(InputError) as caught:
        await listed_by(fake, applications=[stable_uuid("application of Somebody else")])
    assert caught.value.code == "chirpstack_refuses"
    await fake.grpc_down()
    with pytest.raises(TransientError) as away:
        await listed_by(fake, applications=[APPLICATION])
    assert away.value.code == "chirpstack_away"


async def test_what_is_registered_keeps_its_notes_and_its_role(db: Connection) -> None:
    await devices.register_display(by(db), LIGHT, device_type="kuando_busylight", notes="mine")
    report, _ = await load(db, [Listed(LIGHT.upper(), "theirs", "unknown", "app-1")], types={})
    assert (report.changed, report.first) == (1, [])
    assert (await devices.get_display(db, LIGHT)).notes == "mine"


async def test_devices_of_no_known_type_are_refused_or_left_out(db: Connection) -> None:
    listed = [Listed(SENSOR), Listed(OTHER, "thermometer", "Milesight/em300"), Listed("12", "broken")]
    report, _ = await load(db, listed, types={})
    assert [(error.row, error.column, error.code) for error in report.first] == [
        (2, "device_type", "type_missing"),
        (3, "dev_eui", "bad_dev_eui"),
    ]
    report, left = await load(db, listed, types={}, only_known=True)
    assert (report.added, left) == (1, {"Milesight/em300": 1, "": 1})
    with pytest.raises(NotFoundError):
        await load(db, listed, types={"": "nonsense"})
    report, left = await load(db, listed[1:2], types={"Milesight/em300": "-"})
    assert (report.rows, left) == (0, {"Milesight/em300": 1})


async def test_i13_devices_of_no_known_type_are_one_line_for_each_profile_that_says_how_to_go_on(
    db: Connection,
) -> None:
    listed = [Listed(f"70b3d5e75e0000{n:02x}", f"Bay {n}", "Parking sensor") for n in range(1, 13)]
    listed += [
        Listed("70b3d5e75e0000f1", "t", 'A "good" $lamp'),
        Listed("70b3d5e75e0000f2", "u"),
        Listed("12", "", "odd"),
    ]
    report, _ = await load(db, listed, types={})
    assert report.errors == 15
    assert [(error.row, error.code) for error in report.first] == [
        (1, "type_missing"), (13, "type_missing"), (14, "type_missing"), (15, "bad_dev_eui"),
    ]  # fmt: skip
    assert report.first[0].message == (
        'the device type of 12 devices with the profile Parking sensor is not known: add --map "Parking sensor=TYPE" '
        'with a type of `baylight type list`, or --map "Parking sensor=-" to leave them out'
    )
    assert "1 device without a profile" in report.first[2].message
    assert '--map "=TYPE"' in report.first[2].message


async def test_i13_a_map_that_does_nothing_is_said(db: Connection) -> None:
    await devices.register_display(by(db), LIGHT, device_type="kuando_busylight")
    listed = [Listed(LIGHT, "", "Lamp", "app-1"), Listed(SENSOR, "", "Parking sensor", "app-1")]
    types = {"Parking sensr": "browan_tbms100", "Lamp": "browan_tbms100"}
    report, _ = await load(db, listed, types=types)
    assert report.notes == [
        "--map Parking sensr=…: no listed device has this profile; the list has: Lamp, Parking sensor",
        "--map Lamp=browan_tbms100: no effect on 1 device, registered already as kuando_busylight",
    ]
    report, _ = await load(db, listed, types={"Lamp": "kuando_busylight"})
    assert report.notes == []


async def test_i13_devices_that_are_gone_or_disabled_there_are_said(fake: FakeChirpStack, db: Connection) -> None:
    types = {"Lamp": "kuando_busylight"}
    await load(db, await listed_by(fake, applications=[APPLICATION]), network_server="chirpstack", types=types)
    fake.set_disabled(LIGHT)
    fake.delete_device(SENSOR)
    found = await listed_by(fake, applications=[APPLICATION])
    report, _ = await load(db, found, network_server="chirpstack", types=types, complete=True)
    assert report.notes == [
        f"disabled there, so that nothing is received from them or sent to them: 1: {LIGHT}",
        f"registered here for these applications, but no longer there: 1: {SENSOR}",
    ]
    fake.delete_device(LIGHT)
    report, _ = await load(
        db,
        await listed_by(fake, applications=[APPLICATION]),
        network_server="chirpstack",
        types={},
        applications=[APPLICATION],
        complete=True,
    )
    assert report.notes == [
        "the list is empty",
        f"registered here for these applications, but no longer there: 2: {LIGHT}, {SENSOR}",
    ]


@pytest.mark.parametrize(("asked", "code"), [("application", "no_such_application"), ("tenant", "no_applications")])
async def test_i13_what_an_administrators_key_does_not_find_is_refused(
    fake: FakeChirpStack, asked: str, code: str
) -> None:
    unknown = stable_uuid("nowhere")
    named: dict[str, Any] = {"applications": [unknown]} if asked == "application" else {"tenant": unknown}
    with pytest.raises(InputError, match=unknown) as caught:
        await listed_by(fake, key=fake.admin_key, **named)
    assert caught.value.code == code


async def test_i13_the_applications_that_a_key_can_see_are_listed(fake: FakeChirpStack, db: Connection) -> None:
    tenant = stable_uuid("tenant ChirpStack")
    everything, error = await device_lists.name_an_application(source(fake, fake.admin_key), [])
    assert {(found.tenant_name, found.tenant_id) for found in everything} >= {("ChirpStack", tenant)}
    assert len(everything) == 2
    assert "--application" in error.message
    assert "/#/tenants/<tenant id>/applications/<application id>" in error.message

    nothing, _ = await device_lists.name_an_application(source(fake), [])
    assert nothing == []
    await load(
        db,
        await listed_by(fake, applications=[APPLICATION]),
        network_server="chirpstack",
        types={"Lamp": "kuando_busylight"},
    )
    known = await device_lists.known_applications(db, "chirpstack")
    own, _ = await device_lists.name_an_application(source(fake), known)
    assert [(found.id, found.tenant_id) for found in own] == [(APPLICATION, tenant)]


@pytest.mark.parametrize(
    ("network_server", "bad"),
    [(server, bad) for server in ("tts", "chirpstack") for bad in ("#", "+", "a/b/c", "a\x1f", "a b", "x" * 101)]
    + [("chirpstack", "a/b")],
)
async def test_b2_a_listed_application_that_no_topic_can_carry_is_refused(
    db: Connection, network_server: str, bad: str
) -> None:
    listed = [Listed(LIGHT, "", "Lamp", "good"), Listed(OTHER, "", "Lamp", bad)]
    for _ in range(2):
        report, _ = await load(db, listed, network_server=network_server, types={"Lamp": "kuando_busylight"})
        assert [(error.row, error.column, error.code) for error in report.first] == [
            (2, "application_id", "bad_application_id")
        ]
    assert not await db.fetchval("SELECT EXISTS (SELECT FROM display_devices)")


def device(eui: str) -> dict[str, Any]:
    return {
        "ids": {"device_id": "bay-1", "dev_eui": eui, "application_ids": {"application_id": "garage"}},
        "version_ids": {"brand_id": "browan", "model_id": "tbms100"},
        "root_keys": {"app_key": {"key": "00" * 16}},
    }


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(device(SENSOR)) + "\n" + json.dumps(device(OTHER), indent=2),
        json.dumps([device(SENSOR), device(OTHER)]),
    ],
)
def test_json_of_the_things_stack_is_read(text: str) -> None:
    assert list(read_tts(io.BytesIO(text.encode()))) == [
        Listed(eui, "bay-1", "browan/tbms100", "garage/bay-1") for eui in (SENSOR, OTHER)
    ]


def test_csv_of_the_things_stack_is_read() -> None:
    text = (
        f'\ufeffid;dev_eui;name;app_key;brand_id;model_id\r\nbay-1;{SENSOR};"Bay; one";00;;\r\nbay-2;{OTHER};;;a;b\r\n'
    )
    assert list(read_tts(io.BytesIO(text.encode()))) == [Listed(SENSOR, "Bay; one"), Listed(OTHER, "bay-2", "a/b")]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"id,name\na,b\n",
        b'{"ids": ',
        b'{"name": "no ids"}',
        b"[1]",
        b"[" * 100_000,
        b"dev_eui;id\n1;2;3\n",
        b'dev_eui\n"open',
        b"\xff\xfe",
    ],
)
def test_what_is_no_list_is_refused(text: bytes) -> None:
    with pytest.raises(InputError):
        list(read_tts(io.BytesIO(text)))
