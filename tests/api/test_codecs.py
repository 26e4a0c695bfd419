"""JavaScript codecs through the API: from a text to the readings that it makes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from baylight.sandbox.pool import Sandbox
from tests.support.site import Site

SOURCE = "function decodeUplink(i) { return { data: { taken: i.bytes[0] } }; }\n" + "// long\n" * 500
EXAMPLE: dict[str, Any] = {"input": {"bytes": "01"}, "output": {"data": {"taken": 1}}, "occupancy": "OCCUPIED"}
NEW: dict[str, Any] = {
    "source": SOURCE,
    "mapping": {"field": "taken", "occupied": [1], "free": [0]},
    "examples": [EXAMPLE],
}
EYE = "/api/v1/codecs/bay_eye"


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    sandbox = Sandbox(workers=1)
    site.app.state.deps = replace(site.app.state.deps, codec_engine=sandbox)
    async with site.client(await site.key("admin")) as client:
        yield client
    await sandbox.close()


async def test_a_codec_is_added_proven_and_put_to_work(client: httpx.AsyncClient) -> None:
    added = await client.post(EYE, json=NEW)
    assert (added.status_code, added.json()["version"], added.json()["active"]) == (201, 1, False)
    tested = (await client.post(f"{EYE}/1/test")).json()
    assert [(r["passed"], r["occupancy"]) for r in tested] == [(True, "OCCUPIED")]
    assert (await client.post(f"{EYE}/1/activate")).status_code == 200
    assert (await client.get(EYE)).json()["active"] is True
    assert [(c["name"], c["version"]) for c in (await client.get("/api/v1/codecs")).json()] == [("bay_eye", 1)]
    decoded = (await client.post(f"{EYE}/1/decode", json={"f_port": 1, "data": "00"})).json()
    assert (decoded["data"], decoded["occupancy"]) == ({"taken": 0}, "FREE")
    kind = {"code": "acme_eye", "manufacturer": "Acme", "model": "Bay Eye", "uplink_interval_s": 3600}
    assert (await client.post(f"{EYE}/types", json=kind)).json()["codec"] == "js:bay_eye"
    assert (await client.post(f"{EYE}/types", json=kind)).status_code == 409
    assert (await client.post(f"{EYE}/deactivate", json={})).status_code == 409
    assert (await client.post(f"{EYE}/deactivate", json={"force": True})).status_code == 204
    assert (await client.get(EYE)).json()["active"] is False


async def test_failing_examples_are_a_problem_that_names_them(client: httpx.AsyncClient) -> None:
    await client.post(EYE, json=NEW | {"examples": [EXAMPLE | {"occupancy": "FREE", "description": "a car"}]})
    refused = await client.post(f"{EYE}/1/activate")
    assert refused.status_code == 422
    assert refused.json()["type"] == "urn:baylight:problem:examples_fail"
    assert refused.json()["facts"]["failed"] == ["a car"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (NEW | {"mapping": {"field": "taken"}}, 422),
        (NEW | {"source": ""}, 422),
        (NEW | {"source": "a\0"}, 422),
        (NEW | {"examples": [EXAMPLE | {"description": "\0"}]}, 422),
        (NEW | {"exmaples": []}, 422),
    ],
)
async def test_bad_input_is_refused(client: httpx.AsyncClient, body: dict[str, Any], status: int) -> None:
    assert (await client.post(EYE, json=body)).status_code == status
    assert (await client.get("/api/v1/codecs")).json() == []


async def test_an_unknown_codec_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get(EYE)).status_code == 404
    assert (await client.post(f"{EYE}/1/activate")).status_code == 404
    assert (await client.post(f"{EYE}/1/decode", json={"f_port": 1, "data": "0"})).status_code == 422


async def test_only_administrators_bring_code(client: httpx.AsyncClient, site: Site) -> None:
    async with site.client(await site.key("write")) as writer:
        assert (await writer.post(EYE, json=NEW)).status_code == 403
        assert (await writer.post(f"{EYE}/1/activate")).status_code == 403


async def test_a_process_without_an_engine_answers_503(site: Site) -> None:
    async with site.client(await site.key("admin")) as client:
        assert (await client.post(EYE, json=NEW)).status_code == 201
        assert (await client.post(f"{EYE}/1/activate")).status_code == 503
