"""JSON of people beyond its bound: refused at each way in, and nothing of it is stored."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from baylight.bulk import imports
from baylight.bulk.kinds import SHEETS
from baylight.inventory import spaces
from baylight.store.pool import Connection
from tests.support.change import by
from tests.support.site import Site


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


BIG = {
    "keys": {str(n): n for n in range(201)},
    "bytes": {"a": "x" * 17_000},
    "depth_21": nested(21),
    "half": {"a": "\ud800"},
    "nul": {"a": ["x\0"]},
    "nul_key": {"\0": 1},
}


def reservation(metadata: Any, hour: int = 1) -> dict[str, Any]:
    start = datetime.now(UTC) + timedelta(hours=hour)
    times = {"start_at": start.isoformat(), "end_at": (start + timedelta(minutes=30)).isoformat()}
    return {"space": "A-1", "metadata": metadata, **times}


@pytest.mark.parametrize("metadata", [nested(256), nested(900), *BIG.values()], ids=["256", "900", *BIG])
async def test_f3_too_big_metadata_is_refused_and_lists_go_on(
    client: httpx.AsyncClient, db: Connection, metadata: Any
) -> None:
    await spaces.create_space(by(db), "A-1")
    for path, body in (
        ("reservations", reservation(metadata)),
        ("spaces", {"code": "B-1", "metadata": metadata}),
    ):
        answer = await client.post(
            f"/api/v1/{path}", content=json.dumps(body), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422, answer.text
        assert answer.json()["type"] in ("urn:baylight:problem:json_too_big", "urn:baylight:problem:bad_json")
        listed = await client.get(f"/api/v1/{path}")
        assert listed.status_code == 200
    assert await db.fetchval("SELECT count(*) FROM reservations") == 0
    assert await db.fetchval("SELECT count(*) FROM spaces") == 1


async def test_f3_metadata_at_the_bound_comes_back_in_lists_and_can_be_cancelled(
    client: httpx.AsyncClient, db: Connection
) -> None:
    await spaces.create_space(by(db), "A-1")
    for hour, metadata in enumerate((nested(20), {str(n): n for n in range(200)}, {"n": 1e22}, {"a": "x" * 16_000}), 1):
        made = await client.post("/api/v1/reservations", json=reservation(metadata, hour))
        assert made.status_code == 201, made.text
        listed = (await client.get("/api/v1/reservations")).json()["items"]
        assert metadata in [item["metadata"] for item in listed]
        cancelled = await client.post(f"/api/v1/reservations/{made.json()['id']}/cancel")
        assert cancelled.json()["status"] == "cancelled"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("codecs/deep", {"source": "x", "mapping": nested(256)}),
        ("codecs/deep", {"source": "x", "examples": [nested(256)]}),
    ],
)
async def test_f3_json_of_codecs_has_the_same_bound(site: Site, path: str, body: dict[str, Any]) -> None:
    async with site.client(await site.key("admin")) as client:
        answer = await client.post(f"/api/v1/{path}", json=body)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:baylight:problem:json_too_big"), answer.text


@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        ("spaces", {"code": "B-1", "metadata": ""}),
        ("locations", {"path": "Garage", "kind": "site", "metadata": ""}),
        ("device-types", {"code": "deep", "category": "sensor", "default_config": ""}),
        ("device-types", {"code": "deep", "category": "sensor", "capabilities": ""}),
    ],
)
async def test_f3_csv_files_have_the_same_bound(db: Connection, kind: str, cells: dict[str, str]) -> None:
    names = [column.name for column in SHEETS[kind].columns]
    for deep in ('{"a":' * 21 + "1" + "}" * 21, '{"a":"' + "x" * 17_000 + '"}'):
        cell = '"' + deep.replace('"', '""') + '"'
        row = ",".join(cells[name] or cell if name in cells else "" for name in names)
        file = io.BytesIO(f"# baylight {kind} v1\n{','.join(names)}\n{row}\n".encode())
        report = await imports.import_csv(by(db), kind, file)
        assert report.by_code["json_too_big"] == 1, report
