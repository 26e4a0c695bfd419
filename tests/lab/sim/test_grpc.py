"""Answers of the simulated ChirpStack's API, each as a real one answered, for keys of every kind."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from baylight.lab.sim.events import APPLICATION, stable_uuid
from baylight.lab.sim.network import History
from baylight.protocol import chirpstack_pb2 as pb
from tests.lab.sim import recorded
from tests.support.chirpstack_site import FOREIGN, LIGHT, Site

UNKNOWN, NEW = "00000000000000aa", "2020200000000009"
OWN_TENANT = stable_uuid("tenant ChirpStack")
NO_KEY = ""

Call = Callable[[Site], Awaitable[object]]


def enqueue(**fields: Any) -> Call:
    return lambda site: site.enqueue(**_with_key(site, fields))


def get_queue(dev_eui: str, key: str = "api_key") -> Call:
    request = pb.GetDeviceQueueItemsRequest(dev_eui=dev_eui)
    return lambda site: site.call("GetQueue", request, pb.GetDeviceQueueItemsResponse, _key(site, key))


def flush(dev_eui: str, key: str = "api_key") -> Call:
    request = pb.FlushDeviceQueueRequest(dev_eui=dev_eui)
    return lambda site: site.call("FlushQueue", request, pb.FlushDeviceQueueResponse, _key(site, key))


def get_device(dev_eui: str, key: str = "api_key") -> Call:
    request = pb.GetDeviceRequest(dev_eui=dev_eui)
    return lambda site: site.call("Get", request, pb.GetDeviceResponse, _key(site, key))


def list_devices(application_id: str, key: str = "api_key") -> Call:
    request = pb.ListDevicesRequest(application_id=application_id, limit=10)
    return lambda site: site.call("List", request, pb.ListDevicesResponse, _key(site, key))


def list_applications(tenant_id: str, key: str = "api_key") -> Call:
    request = pb.ListApplicationsRequest(tenant_id=tenant_id, limit=10)
    return lambda site: site.call(
        "List", request, pb.ListApplicationsResponse, _key(site, key), service="ApplicationService"
    )


def list_tenants(key: str = "api_key") -> Call:
    request = pb.ListTenantsRequest(limit=10)
    return lambda site: site.call("List", request, pb.ListTenantsResponse, _key(site, key), service="TenantService")


def list_algorithms(key: str = "api_key") -> Call:
    return lambda site: site.call("ListAdrAlgorithms", Empty(), Empty, _key(site, key), service="DeviceProfileService")


def _key(site: Site, name: str) -> str:
    return str(getattr(site.fake, name, name))


def _with_key(site: Site, fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"key": _key(site, fields.get("key", "api_key"))}


CALLS: dict[tuple[str, str], list[Call]] = {
    ("Enqueue", "device of the key's tenant"): [enqueue()],
    ("Enqueue", "expires_at in the past"): [enqueue(expires_at=datetime.now(UTC) - timedelta(days=1))],
    ("Enqueue", "empty data"): [enqueue(data=b"")],
    ("Enqueue", "300 or 5,000 bytes"): [enqueue(data=bytes(300)), enqueue(data=bytes(5000))],
    ("Enqueue", "fPort 0, 256"): [enqueue(f_port=0), enqueue(f_port=256)],
    ("Enqueue", "fPort 224, 226, 255, 257, 300"): [enqueue(f_port=port) for port in (224, 226, 255, 257, 300)],
    ("Enqueue", "EUI 'zz' or '0102'"): [enqueue(dev_eui=eui) for eui in ("zz", "0102")],
    ("Enqueue", "unknown device, tenant key"): [enqueue(dev_eui=UNKNOWN)],
    ("Enqueue", "device of another tenant"): [enqueue(dev_eui=FOREIGN), enqueue(key="foreign_key")],
    ("Enqueue", "deleted key"): [enqueue(key="deleted_key")],
    ("Enqueue", "read-only key"): [enqueue(key="read_only_key")],
    ("Enqueue", "garbage key"): [enqueue(key="garbage")],
    ("Enqueue", "no key"): [enqueue(key=NO_KEY)],
    ("Enqueue", "unknown device, admin key"): [enqueue(dev_eui=UNKNOWN, key="admin_key")],
    ("Enqueue", "disabled device"): [enqueue()],
    ("Enqueue", "device without an uplink since activation"): [enqueue(dev_eui=NEW)],
    ("FlushQueue", "device of the key's tenant"): [flush(LIGHT)],
    ("FlushQueue", "unknown device, tenant key"): [flush(UNKNOWN)],
    ("GetQueue", "unknown device, tenant key"): [get_queue(UNKNOWN)],
    ("GetQueue", "unknown device, admin key"): [get_queue(UNKNOWN, "admin_key")],
    ("TenantService.List", "tenant key"): [list_tenants()],
    ("ApplicationService.List", "tenant key, own tenant"): [list_applications(OWN_TENANT)],
    ("ApplicationService.List", "tenant key, no tenant id"): [list_applications("")],
    ("ApplicationService.List", "tenant key, other tenant"): [list_applications(stable_uuid("tenant Somebody else"))],
    ("DeviceService.List", "no application id"): [list_devices("")],
    ("DeviceService.List", "application id 'x…'"): [list_devices("x" * 36)],
}


async def answer(site: Site, call: Call) -> tuple[str, str]:
    """Return code and text of an answer."""
    try:
        await call(site)
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    return "OK", ""


async def test_every_recorded_answer(site: Site) -> None:
    lines = recorded.rows("grpc.jsonl")
    site.fake.add_device(NEW, class_c=True, history=History.ACTIVATED)
    for line in lines:
        site.fake.set_disabled(LIGHT, line["of"] == "disabled device")
        for call in CALLS[line["call"], line["of"]]:
            code, text = await answer(site, call)
            assert code == line["code"], line
            if code != "OK" and line["of"] != "read-only key":  # its text is a remark
                assert text == re.split(r" \(also", line["text"])[0], line
    if recorded.SHARED.exists():
        assert {(line["call"], line["of"]) for line in lines} == set(CALLS)


KEYS = ("api_key", "admin_key", "read_only_key", "foreign_key", "deleted_key", "garbage", NO_KEY)
OK, NO = ("OK", ""), ("UNAUTHENTICATED", "")
GARBAGE, NONE = ("UNAUTHENTICATED", "InvalidToken"), ("UNAUTHENTICATED", "no authorization provided")
READ = (OK, OK, OK, NO, NO, GARBAGE, NONE)
WRITE = (OK, OK, NO, NO, NO, GARBAGE, NONE)


@pytest.mark.parametrize(
    ("call", "answers"),
    [
        (lambda key: enqueue(key=key), WRITE),
        (lambda key: flush(LIGHT, key), WRITE),
        (lambda key: get_queue(LIGHT, key), READ),
        (lambda key: get_device(LIGHT, key), READ),
        (lambda key: list_devices(APPLICATION, key), READ),
        (lambda key: list_applications(OWN_TENANT, key), READ),
        (lambda key: list_tenants(key), (NO, OK, NO, NO, NO, GARBAGE, NONE)),
        (lambda key: list_algorithms(key), (OK, OK, OK, OK, NO, GARBAGE, NONE)),
    ],
    ids=["Enqueue", "FlushQueue", "GetQueue", "Get", "devices", "applications", "tenants", "algorithms"],
)
async def test_i4_each_kind_of_key_and_each_call(
    site: Site, call: Callable[[str], Call], answers: tuple[tuple[str, str], ...]
) -> None:
    assert {key: await answer(site, call(key)) for key in KEYS} == dict(zip(KEYS, answers, strict=True))


async def test_i4_a_key_deleted_meanwhile_is_refused_like_an_unknown_device(site: Site) -> None:
    await site.enqueue()
    site.fake.keys[site.fake.api_key].deleted = True
    assert await answer(site, enqueue()) == await answer(site, get_queue(LIGHT)) == NO


@pytest.mark.parametrize("key", ["api_key", "admin_key"])
async def test_i4_a_deleted_device_is_an_unknown_one(site: Site, key: str) -> None:
    await site.enqueue()
    site.fake.delete_device(LIGHT)
    if key == "api_key":
        assert {await answer(site, c) for c in (enqueue(), get_queue(LIGHT), get_device(LIGHT))} == {NO}
        return
    assert (await answer(site, enqueue(key=key)))[0] == "INTERNAL"
    assert await answer(site, get_queue(LIGHT, key)) == OK
    assert (await answer(site, get_device(LIGHT, key)))[0] == "NOT_FOUND"


async def test_a_device_moved_to_another_tenant_is_no_longer_the_keys(site: Site) -> None:
    site.fake.move_device(LIGHT, tenant="Somebody else")
    assert await answer(site, enqueue()) == NO
    assert await answer(site, enqueue(key="foreign_key")) == OK


async def test_i11_get_gives_class_last_uplink_and_whether_it_is_disabled(site: Site) -> None:
    device = site.fake.add_device(NEW, name="lamp 9", class_c=True, history=History.REGISTERED)
    found = await get_device(NEW)(site)
    assert isinstance(found, pb.GetDeviceResponse)
    assert (found.device.name, found.device.is_disabled, found.class_enabled) == ("lamp 9", False, pb.CLASS_A)
    assert not found.HasField("last_seen_at")
    await site.fake.join(NEW)
    await site.fake.uplink(NEW, 15, b"\0")
    await site.see("up", NEW)
    site.fake.set_disabled(NEW)
    found = await get_device(NEW)(site)
    assert isinstance(found, pb.GetDeviceResponse)
    assert (found.device.is_disabled, found.class_enabled) == (True, pb.CLASS_C)
    assert found.last_seen_at.ToDatetime(tzinfo=UTC) == device.last_seen_at
    assert found.device.application_id == APPLICATION
