"""Spaces, devices, reservations, overrides, locations: the way from request to effect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.factories import add_bay, add_device_types, new_eui
from tests.support.site import Site


@pytest.fixture
async def ready(site: Site) -> None:
    await add_device_types(site.pool)


async def _ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def test_a_bay_is_set_up_and_taken_down(site: Site, client: httpx.AsyncClient, ready: None) -> None:
    await _ok(await client.post("/api/v1/locations", json={"path": "Garage/Floor 1"}), 201)
    sensor, display = new_eui(), new_eui()
    new = {"dev_eui": sensor.upper(), "device_type": "browan_tbms100"}
    assert (await _ok(await client.post("/api/v1/sensors", json=new), 201))["dev_eui"] == sensor
    await _ok(await client.post("/api/v1/sensors", json=new), 200)
    codes = {"FREE": "#00ff00", "OCCUPIED": "#ff0000"}
    new_display = {"dev_eui": display, "device_type": "kuando_busylight", "display_codes": codes}
    made = await _ok(await client.post("/api/v1/displays", json=new_display), 201)
    assert made["lights"]["FREE"]["colour"] == "green"

    space = {"code": "A-1", "location": "Garage/Floor 1", "sensor_dev_eui": sensor}
    await _ok(await client.post("/api/v1/spaces", json=space), 201)
    assert (await client.post("/api/v1/spaces", json=space)).status_code == 409
    shown = await _ok(await client.put("/api/v1/spaces/A-1/display", json={"dev_eui": display, "reason": "install"}))
    assert (shown["sensor_dev_eui"], shown["display_dev_eui"]) == (sensor, display)

    tree = await _ok(await client.get("/api/v1/locations"))
    assert {(place["path"], place["spaces"]) for place in tree} == {("Garage", 1), ("Garage/Floor 1", 1)}
    assert (await _ok(await client.delete("/api/v1/spaces/A-1/display")))["display_dev_eui"] is None
    await _ok(await client.delete("/api/v1/spaces/A-1"), 204)
    assert (await client.get("/api/v1/spaces/A-1")).status_code == 404
    maker = str(await site.pool.fetchval("SELECT id FROM api_keys"))
    actors = {row["actor"] for row in await site.pool.fetch("SELECT actor FROM device_assignments")}
    assert actors == {maker}


async def test_name_location_and_position_of_a_space_change(site: Site, client: httpx.AsyncClient) -> None:
    await _ok(await client.post("/api/v1/locations", json={"path": "Garage/Floor 1"}), 201)
    await _ok(await client.put("/api/v1/locations/maintenance", json={"path": "Garage", "on": True}))
    hold = "/api/v1/locations/change-hold"
    for seconds in (5, 0, None):
        set_ = await _ok(await client.put(hold, json={"path": "Garage/Floor 1", "seconds": seconds}))
        assert set_["change_hold_s"] == seconds
    assert (await client.put(hold, json={"path": "Garage", "seconds": 61})).status_code == 422
    assert (await client.put(hold, json={"path": "Gara", "seconds": 1})).status_code == 404
    await _ok(await client.post("/api/v1/spaces", json={"code": "A/1"}), 201)
    path = "/api/v1/spaces/A%2F1"
    body = {"name": "Ramp", "location": "Garage/Floor 1", "latitude": 52.5, "longitude": 13.4}
    moved = await _ok(await client.patch(path, json=body))
    assert (moved["name"], moved["location"], moved["state"]) == ("Ramp", "Garage/Floor 1", "MAINTENANCE")
    cleared = await _ok(await client.patch(path, json={"clear": ["position"]}))
    assert (cleared["location"], cleared["latitude"]) == ("Garage/Floor 1", None)
    for wrong in ({}, {"latitude": 52.5}, {"latitude": 91, "longitude": 0}, {"clear": ["name"]}, {"colour": "red"}):
        assert (await client.patch(path, json=wrong)).status_code == 422, wrong
    assert (await client.patch(path, json={"location": "Roof"})).status_code == 404


async def test_a_code_may_have_slashes(site: Site, client: httpx.AsyncClient, ready: None) -> None:
    await add_bay(site.pool, "A/12")
    path = "/api/v1/spaces/A%2F12"
    for part in ("", "/why", "/assignments", "/uplinks"):
        assert (await client.get(path + part)).status_code == 200, part
    assert (await client.get(path)).json()["code"] == "A/12"
    assert (await client.put(f"{path}/maintenance", json={"on": True})).json()["state"] == "MAINTENANCE"
    assert (await client.delete(f"{path}/display")).json()["display_dev_eui"] is None
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404


async def test_maintenance_of_a_space_and_of_a_location(site: Site, client: httpx.AsyncClient) -> None:
    await _ok(await client.post("/api/v1/locations", json={"path": "Garage/Floor 1"}), 201)
    for code in ("A-1", "A-2"):
        await _ok(await client.post("/api/v1/spaces", json={"code": code, "location": "Garage/Floor 1"}), 201)
    closed = await _ok(await client.put("/api/v1/spaces/A-1/maintenance", json={"on": True}))
    assert closed["state"] == "MAINTENANCE"
    body = {"path": "Garage", "on": True}
    assert await _ok(await client.put("/api/v1/locations/maintenance", json=body)) == {"spaces_changed": 1}
    found = await _ok(await client.get("/api/v1/spaces", params={"state": "MAINTENANCE", "location": "Garage"}))
    assert [space["code"] for space in found["items"]] == ["A-1", "A-2"]
    why = await _ok(await client.get("/api/v1/spaces/A-1/why"))
    assert why["rules"][0]["reason"] == "maintenance"
    maker = str(await site.pool.fetchval("SELECT id FROM api_keys"))
    causes = await site.pool.fetch("SELECT trigger_source FROM state_changes WHERE source = 'maintenance'")
    assert {row["trigger_source"] for row in causes} == {maker}


async def test_a_location_is_renamed_and_deleted(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/locations", json={"path": "Garage/Flor"})
    made = await client.put("/api/v1/locations/name", json={"path": "Garage/Flor", "name": "Floor"})
    assert made.json()["path"] == "Garage/Floor"
    for path, status in (("Garage", 409), ("Garage/Floor", 204), ("Garage/Floor", 404), ("Garage", 204), ("", 422)):
        assert (await client.delete("/api/v1/locations", params={"path": path})).status_code == status, path
    assert (await client.get("/api/v1/locations")).json() == []


async def test_a_reservation_is_idempotent_shown_and_cancelled(site: Site, client: httpx.AsyncClient) -> None:
    await add_bay(site.pool, "A-1")
    start = datetime.now(UTC) - timedelta(minutes=1)
    booking = {
        "space": "A-1",
        "start_at": start.isoformat(),
        "end_at": (start + timedelta(hours=2)).isoformat(),
        "request_id": "order-7",
    }
    first = await _ok(await client.post("/api/v1/reservations", json=booking), 201)
    again = await _ok(await client.post("/api/v1/reservations", json=booking), 200)
    assert again["id"] == first["id"]
    other = await client.post(
        "/api/v1/reservations", json=booking | {"start_at": start.isoformat(), "user_email": "x@y"}
    )
    assert other.status_code == 409
    assert (await _ok(await client.get("/api/v1/spaces/A-1")))["state"] == "RESERVED"
    for _ in range(2):
        cancelled = await _ok(await client.post(f"/api/v1/reservations/{first['id']}/cancel"))
        assert cancelled["status"] == "cancelled"
    assert (await _ok(await client.get("/api/v1/spaces/A-1")))["state"] != "RESERVED"
    naive = booking | {"request_id": "order-8", "start_at": "2030-01-01T10:00:00", "end_at": "2030-01-01T11:00:00"}
    assert (await client.post("/api/v1/reservations", json=naive)).status_code == 422


async def test_an_override_holds_until_it_is_ended(site: Site, client: httpx.AsyncClient) -> None:
    await add_bay(site.pool, "A-1")
    body = {"state": "OUT_OF_ORDER", "space": "A-1", "reason": "broken kerb"}
    made = await _ok(await client.post("/api/v1/overrides", json=body), 201)
    assert (await _ok(await client.get("/api/v1/spaces/A-1")))["state"] == "OUT_OF_ORDER"
    assert [one["id"] for one in await _ok(await client.get("/api/v1/overrides"))] == [made["id"]]
    await _ok(await client.delete(f"/api/v1/overrides/{made['id']}"))
    assert await _ok(await client.get("/api/v1/overrides", params={"space": "A-1"})) == []
    assert (await _ok(await client.get("/api/v1/spaces/A-1")))["state"] == "UNKNOWN"


async def test_new_codes_reach_the_display_at_once(site: Site, client: httpx.AsyncClient) -> None:
    bay = await add_bay(site.pool, "A-1")
    path = f"/api/v1/displays/{bay.display_eui}"
    refused = await client.put(f"{path}/codes", json={"display_codes": {"FREE": "zz"}})
    assert refused.status_code == 422
    assert refused.json()["facts"]["state"] == "FREE"
    await _ok(await client.put(f"{path}/codes", json={"display_codes": {"UNKNOWN": "#0000ff"}}))
    seen = await _ok(await client.get(path))
    assert seen["lights"]["UNKNOWN"]["rgb"] == "#0000ff"
    await _ok(await client.put(f"{path}/enabled", json={"on": False}), 204)
    assert (await _ok(await client.get(path)))["enabled"] is False
    await _ok(await client.put(f"{path}/lifecycle", json={"state": "active"}), 204)
    assert (await client.put(f"{path}/lifecycle", json={"state": "orphan"})).status_code == 409


async def test_attributes_of_a_device_are_changed(client: httpx.AsyncClient, ready: None) -> None:
    await client.post("/api/v1/sensors", json={"dev_eui": "58a0cb00000000e1"})
    await client.post("/api/v1/displays", json={"dev_eui": "20200000000000e1", "device_type": "kuando_busylight"})
    sensor = await client.patch("/api/v1/sensors/58A0CB00000000E1", json={"notes": "wet", "mobile": True})
    assert (sensor.status_code, sensor.json()["notes"], sensor.json()["mobile"]) == (200, "wet", True)
    display = await client.patch("/api/v1/displays/20200000000000e1", json={"f_port": 16, "confirmed_downlinks": True})
    assert (display.json()["f_port"], display.json()["confirmed_downlinks"]) == (16, True)
    for path, body in (("sensors/58a0cb00000000e1", {"f_port": 1}), ("displays/20200000000000e1", {"f_port": 224})):
        assert (await client.patch(f"/api/v1/{path}", json=body)).status_code == 422
    assert (await client.patch("/api/v1/sensors/58a0cb00000000e2", json={"notes": ""})).status_code == 404


async def test_the_catalogue_is_listed(client: httpx.AsyncClient, ready: None) -> None:
    listed = await _ok(await client.get("/api/v1/device-types", params={"category": "display"}))
    assert "kuando_busylight" in {kind["code"] for kind in listed}


async def test_the_schema_is_openapi_3_1_and_complete(client: httpx.AsyncClient) -> None:
    schema = await _ok(await client.get("/api/v1/openapi.json"))
    assert schema["openapi"].startswith("3.1")
    assert set(schema["components"]["securitySchemes"]) == {"bearer", "header", "secret"}
    ids = [operation["operationId"] for ways in schema["paths"].values() for operation in ways.values()]
    assert len(set(ids)) == len(ids)
    for path, ways in schema["paths"].items():
        for method, operation in ways.items():
            assert (operation["security"] == []) == path.startswith("/health"), (method, path)
            assert "default" in operation["responses"]
