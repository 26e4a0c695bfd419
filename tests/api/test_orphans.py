from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from baylight.store.pool import Pool
from tests.support import factories
from tests.support.site import Site
from tests.support.uplinks import receive_at, uplink

TBMS100 = "58a0cb0000110001"
LIGHT = "0102030405060708"


@pytest.fixture
async def strangers(pool: Pool) -> None:
    """A sensor and a light that are not registered."""
    await factories.add_device_types(pool)
    now = datetime.now(UTC)
    report = bytes.fromhex("d0ffffff1e00000008000000060000000000ffff00290c01")
    await receive_at(pool, [uplink(TBMS100, now), uplink(LIGHT, now, report, f_port=15)], now)


@pytest.mark.usefixtures("strangers")
async def test_the_inbox_is_read_in_pages(client: httpx.AsyncClient) -> None:
    first = (await client.get("/api/v1/orphans?limit=1")).json()
    assert [(o["dev_eui"], o["uplinks"]) for o in first["items"]] == [(LIGHT, 1)]
    rest = (await client.get("/api/v1/orphans", params={"cursor": first["next"]})).json()
    assert [o["dev_eui"] for o in rest["items"]] == [TBMS100]
    shown = (await client.get(f"/api/v1/orphans/{TBMS100.upper()}")).json()
    assert shown["guesses"][0] == {
        "device_type": "browan_tbms100",
        "category": "sensor",
        "because": ["dev_eui", "payload"],
    }


@pytest.mark.usefixtures("strangers")
async def test_an_orphan_is_claimed_as_its_likely_or_as_the_named_type(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"/api/v1/orphans/{TBMS100}/claim", json={"notes": "level 2"})
    assert answer.status_code == 201
    assert (answer.json()["device_type"], answer.json()["notes"]) == ("browan_tbms100", "level 2")
    answer = await client.post(f"/api/v1/orphans/{LIGHT}/claim", json={"device_type": "kuando_busylight"})
    assert answer.json()["lights"]["FREE"]["colour"] == "green"
    assert (await client.get("/api/v1/orphans")).json()["items"] == []
    again = await client.post(f"/api/v1/orphans/{TBMS100}/claim", json={})
    assert (again.status_code, again.json()["type"]) == (404, "urn:baylight:problem:unknown_orphan")


@pytest.mark.usefixtures("strangers")
async def test_an_orphan_is_ignored_and_noticed_again(client: httpx.AsyncClient) -> None:
    for on, left in ((True, 1), (False, 2)):
        answer = await client.put(f"/api/v1/orphans/{LIGHT}/ignored", json={"on": on})
        assert (answer.status_code, answer.json()["ignored"]) == (200, on)
        assert len((await client.get("/api/v1/orphans")).json()["items"]) == left
        assert len((await client.get("/api/v1/orphans?ignored=true")).json()["items"]) == 2 - left


@pytest.mark.usefixtures("strangers")
async def test_a_key_that_may_only_read_claims_nothing(site: Site) -> None:
    async with site.client(await site.key("read")) as reader:
        assert (await reader.post(f"/api/v1/orphans/{LIGHT}/claim", json={})).status_code == 403
        assert (await reader.put(f"/api/v1/orphans/{LIGHT}/ignored", json={"on": True})).status_code == 403
        assert len((await reader.get("/api/v1/orphans")).json()["items"]) == 2
