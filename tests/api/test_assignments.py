"""Assignments, swaps and tests of devices by HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.factories import Bay, add_bay, add_device_types, add_sensor, add_space, new_eui
from tests.support.site import Site

API = "/api/v1"


@pytest.fixture
async def bay(site: Site) -> Bay:
    return await add_bay(site.pool, "A-13")


async def _ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_swap_is_made_read_as_of_a_moment_and_undone(site: Site, client: httpx.AsyncClient, bay: Bay) -> None:
    new = (await add_sensor(site.pool))["dev_eui"]
    before = datetime.now(UTC).isoformat()
    body = {"old": bay.sensor_eui.upper(), "new": new, "note": "battery"}
    made = await _ok(await client.post(f"{API}/swaps", json=body), 201)
    assert (made["old"], made["new"], made["spaces"]) == (bay.sensor_eui, new, ["A-13"])

    async def serving(as_of: str) -> dict[str, str]:
        rows = await _ok(await client.get(f"{API}/spaces/A-13/assignments", params={"as_of": as_of}))
        return {row["role"]: row["dev_eui"] for row in rows}

    assert await serving(before) == {"sensor": bay.sensor_eui, "display": bay.display_eui}
    assert (await serving(datetime.now(UTC).isoformat()))["sensor"] == new
    where = await _ok(await client.get(f"{API}/devices/{bay.sensor_eui}/assignments"))
    assert [(row["space"], row["until_at"] is None) for row in where] == [("A-13", False)]
    undone = await _ok(await client.post(f"{API}/swaps/{made['id']}/undo"))
    assert undone["undone_at"] is not None
    assert (await serving(datetime.now(UTC).isoformat()))["sensor"] == bay.sensor_eui
    listed = await _ok(await client.get(f"{API}/swaps", params={"space": "A-13"}))
    assert [row["id"] for row in listed] == [made["id"]]


async def test_where_a_sensor_and_a_display_have_one_dev_eui_the_role_tells_which(
    site: Site, client: httpx.AsyncClient, bay: Bay
) -> None:
    both, new = bay.sensor_eui, (await add_sensor(site.pool))["dev_eui"]
    display = {"dev_eui": both, "device_type": "kuando_busylight"}
    await _ok(await client.post(f"{API}/displays", json=display), 201)
    await add_space(site.pool, "A-14")
    refused = await client.post(f"{API}/swaps", json={"old": both, "new": new})
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:baylight:problem:two_devices")
    installed = {"dev_eui": both, "at": datetime.now(UTC).isoformat(), "role": "display"}
    await _ok(await client.post(f"{API}/spaces/A-14/installed", json=installed))
    await _ok(await client.post(f"{API}/swaps", json={"old": both, "new": new, "role": "sensor"}), 201)
    for role, space in (("sensor", "A-13"), ("display", "A-14")):
        where = await _ok(await client.get(f"{API}/devices/{both}/assignments", params={"role": role}))
        assert [row["space"] for row in where] == [space]
    swaps = await _ok(await client.get(f"{API}/swaps", params={"device": both, "role": "display"}))
    assert swaps == []
    tests = await _ok(await client.get(f"{API}/device-tests", params={"device": both, "role": "display"}))
    assert tests == []


async def test_a_space_is_read_as_of_a_moment(client: httpx.AsyncClient, bay: Bay) -> None:
    now = datetime.now(UTC)
    then = await _ok(await client.get(f"{API}/spaces/A-13/then", params={"as_of": now.isoformat()}))
    assert (then["state"], then["sensor_dev_eui"], then["display_dev_eui"], then["light"]) == (
        "UNKNOWN",
        bay.sensor_eui,
        bay.display_eui,
        None,
    )
    everything = await _ok(await client.get(f"{API}/assignments", params={"as_of": now.isoformat()}))
    assert {row["role"] for row in everything} == {"sensor", "display"}
    assert await _ok(await client.get(f"{API}/spaces/A-13/uplinks")) == []
    naive = await client.get(f"{API}/spaces/A-13/then", params={"as_of": "2026-05-03T14:00:00"})
    assert naive.status_code == 422
    assert (await client.get(f"{API}/spaces/Z-1/then", params={"as_of": now.isoformat()})).status_code == 404


async def test_an_installation_and_a_removal_are_recorded_late(site: Site, client: httpx.AsyncClient) -> None:
    await add_space(site.pool, "A-1")
    sensor = (await add_sensor(site.pool))["dev_eui"]
    since = datetime.now(UTC) - timedelta(hours=2)
    rows = await _ok(
        await client.post(f"{API}/spaces/A-1/installed", json={"dev_eui": sensor, "at": since.isoformat()})
    )
    assert datetime.fromisoformat(rows[0]["from_at"]) == since
    until = {"role": "sensor", "at": (since + timedelta(hours=1)).isoformat()}
    assert await _ok(await client.post(f"{API}/spaces/A-1/removed", json=until)) == []
    early = {"dev_eui": sensor, "at": since.isoformat()}
    refused = await client.post(f"{API}/spaces/A-1/installed", json=early)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:baylight:problem:changed_since")


async def test_displays_are_shared_by_a_rule(site: Site, client: httpx.AsyncClient) -> None:
    await add_device_types(site.pool)
    new = {"dev_eui": new_eui(), "device_type": "heltec_counter", "shared": True, "shared_rule": "count"}
    made = await _ok(await client.post(f"{API}/displays", json=new), 201)
    assert (made["shared"], made["shared_rule"]) == (True, "count")
    for code in ("A-1", "A-2", "A-3"):
        space = {
            "code": code,
            "display_dev_eui": new["dev_eui"],
            "default_state": "FREE" if code != "A-3" else "UNKNOWN",
        }
        await _ok(await client.post(f"{API}/spaces", json=space), 201)
    shown = await _ok(await client.get(f"{API}/displays/{new['dev_eui']}"))
    assert bytes.fromhex(shown["desired_code"]) == b"2"
    url = f"{API}/displays/{new['dev_eui']}/shared"
    assert (await _ok(await client.put(url, json={"rule": "all_free"})))["desired_state"] == "UNKNOWN"
    assert (await client.put(url, json={"rule": None})).status_code == 409
    assert (await client.put(url, json={"rule": "most"})).status_code == 422


async def test_b14_codes_are_given_as_lights_and_those_that_look_alike_are_warned_of(
    site: Site, client: httpx.AsyncClient, bay: Bay
) -> None:
    codes = {"display_codes": {"RESERVED": "orange", "MAINTENANCE": "#ff3300", "OCCUPIED": "red, flashing 500/500"}}
    shown = await _ok(await client.put(f"{API}/displays/{bay.display_eui}/codes", json=codes))
    assert shown["lights"]["RESERVED"] == {"code": "ff00326400", "rgb": "#ff3200", "colour": "orange"}
    assert shown["lights"]["OCCUPIED"]["colour"] == "flashing red"
    [warning] = shown["warnings"]
    assert "RESERVED" in warning
    assert "MAINTENANCE" in warning


async def test_tests_begin_and_show_their_result(site: Site, client: httpx.AsyncClient, bay: Bay) -> None:
    none = await client.post(f"{API}/displays/{bay.display_eui}/tests", json={})
    assert none.status_code == 202
    test = none.json()  # nothing was decided yet in this database, so that nothing can come back after the test
    assert (test["result"], test["kind"], test["display_dev_eui"]) == ("failed", "pattern", bay.display_eui)
    pair = await _ok(await client.post(f"{API}/spaces/A-13/pair-tests", json={"within_s": 5}), 202)
    assert pair["result"] == "running"
    assert await _ok(await client.get(f"{API}/device-tests/{pair['id']}")) == pair
    listed = await _ok(await client.get(f"{API}/device-tests", params={"device": bay.display_eui}))
    assert [row["id"] for row in listed] == [pair["id"], test["id"]]
    assert (await _ok(await client.get(f"{API}/devices/{bay.sensor_eui}/signal")))["verdict"] == "unknown"


async def test_b18_commands_by_hand_need_a_key_of_scope_admin_and_a_permission(
    site: Site, client: httpx.AsyncClient, bay: Bay
) -> None:
    await _ok(await client.put(f"{API}/spaces/A-13/default-state", json={"state": "FREE"}))
    url, body = f"{API}/displays/{bay.display_eui}/commands", {"payload": "aa", "reason": "support"}
    assert (await client.post(url, json=body)).status_code == 403
    async with site.client(await site.key("admin")) as admin:
        refused = await admin.post(url, json=body)
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:baylight:problem:unsafe_payload")
        permitted = body | {"permit_unsafe": True}
        answer = await admin.post(url, json=permitted)
        assert answer.status_code in (202, 409)
    kept = await site.pool.fetchval("SELECT after FROM audit_log WHERE action = 'display.send'")
    assert (kept["payload"], kept["permitted_unsafe"]) == ("aa", True)
