"""Device lists of network servers by HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import httpx

from baylight.inventory import device_types
from baylight.ports import Listed
from tests.support.site import Site

EYE, STRANGER = "58a0cb0000000001", "0102030405060708"


async def ready(site: Site) -> None:
    async with site.pool.acquire() as connection:
        await device_types.sync(connection)


class Known:
    """Source of the devices of one application."""

    def __init__(self, listed: Sequence[Listed]) -> None:
        self._listed = listed

    async def devices(self, applications: Sequence[str], tenant: str | None) -> AsyncIterator[Listed]:
        assert (list(applications), tenant) == (["app-1"], None)
        for device in self._listed:
            yield device


def knows(site: Site, *devices: Listed) -> None:
    site.app.state.deps = replace(site.app.state.deps, chirpstack_devices=Known(devices))


async def test_devices_of_chirpstack_are_registered_all_or_none(site: Site, client: httpx.AsyncClient) -> None:
    await ready(site)
    knows(site, Listed(EYE, "Bay 1", "Eye", "app-1"), Listed(STRANGER, "Hall", "Thermometer", "app-1"))
    asked = {"applications": ["app-1"]}
    wrong = await client.post("/api/v1/import-chirpstack", json=asked)
    assert (wrong.status_code, wrong.json()["type"]) == (422, "urn:baylight:problem:wrong_rows")
    [error] = wrong.json()["report"]["first"]
    assert "profile Thermometer is not known" in error["message"]
    assert (await client.get("/api/v1/sensors")).json()["items"] == []
    for added in (1, 0):
        done = await client.post("/api/v1/import-chirpstack", json=asked | {"types": {"Thermometer": "-"}})
        assert (done.status_code, done.json()["added"], done.json()["left_out"]) == (200, added, {"Thermometer": 1})
    [sensor] = (await client.get("/api/v1/sensors")).json()["items"]
    assert (sensor["dev_eui"], sensor["notes"]) == (EYE, "Bay 1")


async def test_a_list_of_chirpstack_that_cannot_be_asked_for_is_refused(client: httpx.AsyncClient, site: Site) -> None:
    answer = await client.post("/api/v1/import-chirpstack", json={"tenant": "t"})
    assert answer.json()["type"] == "urn:baylight:problem:no_chirpstack"
    knows(site)
    answer = await client.post("/api/v1/import-chirpstack", json={})
    assert answer.json()["type"] == "urn:baylight:problem:no_application"


async def test_an_export_of_the_things_stack_is_registered(site: Site, client: httpx.AsyncClient) -> None:
    await ready(site)
    device = {
        "ids": {"dev_eui": "0102030405060708", "device_id": "d"},
        "version_ids": {"brand_id": "a", "model_id": "b"},
    }
    text = json.dumps([device])
    for query, added in (("map=a/b=kuando_busylight&dry_run=true", 1), ("map=a/b=kuando_busylight", 1), ("", 0)):
        done = await client.post(f"/api/v1/import-tts?{query}", content=text)
        assert (done.status_code, done.json()["added"]) == (200, added), done.text
    assert (await client.get("/api/v1/displays")).json()["items"][0]["network_server"] == "tts"
    csv = "id;dev_eui\nd2;58A0CB0000000001\n"
    assert (await client.post("/api/v1/import-tts", content=csv)).json()["added"] == 1
    for query, content, code in (("", "x", "bad_list"), ("", "{", "bad_list"), ("map=a", csv, "bad_map")):
        answer = await client.post(f"/api/v1/import-tts?{query}", content=content)
        assert (answer.status_code, answer.json()["type"]) == (422, f"urn:baylight:problem:{code}")


async def test_e7_a_delivery_list_is_registered(site: Site, client: httpx.AsyncClient) -> None:
    await ready(site)
    text = "DevEUI;AppKey;Artikel\n58A0CB0000009001;00112233;TBMS100\n"
    for query, added in (
        ("column=model=Artikel&dry_run=true", 1),
        ("column=model=Artikel&network_server=tts", 1),
        ("", 0),
    ):
        done = await client.post(f"/api/v1/import-delivery?{query}", content=text)
        assert (done.status_code, done.json()["added"]) == (200, added), done.text
    for query, content, code in (("", "x", "bad_list"), ("column=a", text, "bad_column")):
        answer = await client.post(f"/api/v1/import-delivery?{query}", content=content)
        assert (answer.status_code, answer.json()["type"]) == (422, f"urn:baylight:problem:{code}")
