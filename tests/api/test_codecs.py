"""JavaScript codecs through the API: from a text to the readings that it makes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from baylight.js_codecs.versions import MAX_EXAMPLES_BYTES, MAX_SOURCE_BYTES
from baylight.sandbox.pool import Sandbox
from tests.support.factories import add_device_types
from tests.support.site import Site

SOURCE = "function decodeUplink(i) { return { data: { taken: i.bytes[0] } }; }\n" + "// long\n" * 500
EXAMPLE: dict[str, Any] = {"input": {"bytes": "01"}, "output": {"data": {"taken": 1}}, "occupancy": "OCCUPIED"}
EMPTY: dict[str, Any] = {"input": {"bytes": "00"}, "output": {"data": {"taken": 0}}, "occupancy": "FREE"}
NEW: dict[str, Any] = {
    "source": SOURCE,
    "mapping": {"field": "taken", "occupied": [1], "free": [0]},
    "examples": [EXAMPLE, EMPTY],
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
    assert [(r["passed"], r["occupancy"]) for r in tested["examples"]] == [(True, "OCCUPIED"), (True, "FREE")]
    activated = await client.post(f"{EYE}/1/activate")
    assert activated.status_code == 200
    assert activated.json()["uncovered"] == []
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


async def test_c8_a_type_is_changed_and_deleted(client: httpx.AsyncClient, site: Site) -> None:
    await client.post(EYE, json=NEW)
    kind = {"code": "acme_eye", "manufacturer": "Acme", "model": "Bay Eye", "uplink_interval_s": 3600}
    await client.post(f"{EYE}/types", json=kind)
    path = "/api/v1/device-types/acme_eye"
    before = (await client.get(path)).headers["etag"]
    changed = await client.patch(path, json={"uplink_interval_s": 60, "enabled": False})
    assert (changed.status_code, changed.json()["uplink_interval_s"], changed.json()["enabled"]) == (200, 60, False)
    assert (await client.get(path)).json() == changed.json()
    assert (await client.patch(path, json={})).json()["type"] == "urn:baylight:problem:nothing_given"
    for method in ("PATCH", "DELETE"):
        late = await client.request(method, path, json={"model": "Bay Nose"}, headers={"If-Match": before})
        assert (late.status_code, (await client.get(path)).json()) == (412, changed.json())
    renamed = await client.patch(path, json={"model": "Bay Nose"}, headers={"If-Match": changed.headers["etag"]})
    assert (renamed.status_code, renamed.json()["model"]) == (200, "Bay Nose")
    await add_device_types(site.pool)
    shipped = await client.delete("/api/v1/device-types/browan_tbms100")
    assert (shipped.status_code, shipped.json()["type"]) == (409, "urn:baylight:problem:shipped_type")
    async with site.client(await site.key("write")) as writer:
        assert (await writer.delete(path)).status_code == 403
    assert (await client.delete(path, headers={"If-Match": renamed.headers["etag"]})).status_code == 204
    assert (await client.get(path)).status_code == 404


async def test_failing_examples_are_a_problem_that_names_them(client: httpx.AsyncClient) -> None:
    await client.post(EYE, json=NEW | {"examples": [EXAMPLE | {"occupancy": "FREE", "description": "a car"}]})
    refused = await client.post(f"{EYE}/1/activate")
    assert refused.status_code == 422
    assert refused.json()["type"] == "urn:baylight:problem:examples_fail"
    assert refused.json()["facts"]["failed"] == ["a car"]


async def test_a6_a_codec_without_an_example_of_each_occupancy_is_a_problem(client: httpx.AsyncClient) -> None:
    await client.post(EYE, json=NEW | {"examples": [EMPTY]})
    refused = await client.post(f"{EYE}/1/activate")
    assert refused.status_code == 422
    assert refused.json()["type"] == "urn:baylight:problem:mapping_not_proven"
    assert refused.json()["facts"]["missing"] == ["OCCUPIED"]


async def test_a5_a_display_type_whose_states_look_like_free_needs_the_flag(client: httpx.AsyncClient) -> None:
    source = "function encodeDownlink(i) { return { bytes: [i.data.led === 'on' ? 1 : 0] }; }"
    example = {"type": "downlink-encode", "input": {"data": {"led": "on"}}, "output": {"bytes": [1]}}
    signal = "/api/v1/codecs/signal"
    await client.post(signal, json={"source": source, "examples": [example]})
    assert (await client.post(f"{signal}/1/activate")).status_code == 200
    off = {"led": "off"}
    body = {
        "code": "acme_signal",
        "manufacturer": "Acme",
        "model": "Signal",
        "uplink_interval_s": 3600,
        "states": {"FREE": off, "OCCUPIED": off, "UNKNOWN": off},
    }
    refused = await client.post(f"{signal}/display-types", json=body)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:baylight:problem:lights_alike")
    made = await client.post(f"{signal}/display-types", json=body | {"allow_alike": True})
    assert made.status_code == 201
    assert made.json()["default_config"]["allow_alike"] is True


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


async def test_c8_the_limit_of_a_codec_counts_its_text_and_not_how_json_writes_it(client: httpx.AsyncClient) -> None:
    line = 'var word = "ü\\n";\t//' + "ü" * 20 + "\r\n"
    source = "function decodeUplink(i) { return { data: { taken: i.bytes[0] } }; }\n"
    source += line * ((MAX_SOURCE_BYTES - len(source.encode())) // len(line.encode()))
    example = EXAMPLE | {"description": "ü" * 5000}
    examples = [example] * (MAX_EXAMPLES_BYTES // len(json.dumps(example, ensure_ascii=False).encode()))
    escaped = json.dumps(NEW | {"source": source, "examples": examples}, indent=1)
    assert len(escaped) > 2 * (MAX_SOURCE_BYTES + MAX_EXAMPLES_BYTES)
    added = await client.post(EYE, content=escaped, headers={"Content-Type": "application/json"})
    assert added.status_code == 201, added.text[:300]
    assert added.json()["source"] == source
    beyond = await client.post(EYE, json=NEW | {"examples": [*examples, example, example]})
    assert beyond.json()["type"] == "urn:baylight:problem:json_too_big"
    beyond = await client.post(EYE, json=NEW | {"source": source + line})
    assert (beyond.status_code, beyond.json()["type"]) == (422, "urn:baylight:problem:bad_source")
    elsewhere = await client.post("/api/v1/sensors", content=b" " * 300_000)
    assert elsewhere.status_code == 413


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
