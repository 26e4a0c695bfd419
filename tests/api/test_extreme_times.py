"""E8: times and numbers at the ends of their range are answered, or refused by a problem that the caller can read."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from baylight.api import openapi
from tests.api.test_problems import problem_of
from tests.docs.generated import _api
from tests.support.factories import Bay, add_bay
from tests.support.site import Site

TIMES = (
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "0001-01-02T00:00:00-12:00",
    "1969-12-31T23:59:59Z",
    "9999-12-31T00:00:00+14:00",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.999999-14:00",
    "infinity",
    "-infinity",
)
NUMBERS = (0, -1, 2**31, 2**63, -(2**63) - 1, 10**300, 1e300, -1e300, 5e-324)
DOCUMENT = openapi.describe(_api())
NO_ID = "00000000-0000-0000-0000-000000000000"


def is_time(schema: dict[str, Any]) -> bool:
    return any(option.get("format") == "date-time" for option in (schema, *schema.get("anyOf", ())))


def is_number(schema: dict[str, Any]) -> bool:
    return any(option.get("type") in ("number", "integer") for option in (schema, *schema.get("anyOf", ())))


def operations(method: str) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((path, methods[method]) for path, methods in DOCUMENT["paths"].items() if method in methods)


def path_to(path: str, bay: Bay) -> str:
    device = bay.display_eui if "/displays/" in path else bay.sensor_eui
    return path.format_map({
        "code": "kuando_busylight" if "device-types" in path else bay.code, "dev_eui": device, "name": "codec",
        "version": 1, "reservation_id": NO_ID,
    })  # fmt: skip


async def test_e8_a_filter_may_be_any_time(site: Site) -> None:
    bay = await add_bay(site.pool, "A-1")
    async with site.client(await site.key("admin")) as admin:
        for path, operation in operations("get"):
            for name in [p["name"] for p in operation.get("parameters", ()) if is_time(p["schema"])]:
                for at in TIMES:
                    answer = await admin.get(path_to(path, bay), params={name: at})
                    assert answer.status_code in (200, 422), (path, name, at, answer.text)


async def test_e8_a_cursor_may_hold_any_time(site: Site) -> None:
    await add_bay(site.pool, "A-1")
    async with site.client(await site.key("admin")) as admin:
        for path in ("history", "actuations", "uplinks/58a0cb0000000001", "reservations", "conditions", "orphans"):
            for at in (*TIMES, "2026-01-01T00:00:00"):
                for last in (NO_ID, 2**63, 1):
                    cursor = base64.urlsafe_b64encode(json.dumps([at, last]).encode()).decode().rstrip("=")
                    answer = await admin.get(f"/api/v1/{path}", params={"cursor": cursor})
                    assert answer.status_code in (200, 422), (path, at, last, answer.text)


async def test_e8_a_body_may_hold_any_time_and_number(site: Site) -> None:
    bay, other = await add_bay(site.pool, "A-1"), await add_bay(site.pool, "A-2")
    given: dict[str, object] = {
        "dev_eui": other.sensor_eui, "role": "sensor", "at": "2026-01-01T00:00Z", "old": bay.sensor_eui,
        "new": "58a0cb00000000ff", "payload": "00", "reason": "x", "code": "B-1", "space": "A-1", "state": "FREE",
        "start_at": "2026-01-01T00:00Z", "end_at": "2026-01-01T01:00Z", "path": "Garage", "seconds": 1, "name": "k",
        "scopes": ["read"], "manufacturer": "m", "model": "m", "uplink_interval_s": 60, "states": {}, "f_port": 1,
        "data": "00",
    }  # fmt: skip
    async with site.client(await site.key("admin")) as admin:
        for method in ("post", "put", "patch"):
            for path, operation in operations(method):
                schema = (
                    operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
                )
                schema = DOCUMENT["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
                body = {name: given[name] for name in schema.get("required", ()) if name in given}
                for name, property_ in schema.get("properties", {}).items():
                    values = TIMES if is_time(property_) else NUMBERS if is_number(property_) else ()
                    for value in values:
                        answer = await admin.request(method, path_to(path, bay), json=body | {name: value})
                        assert answer.status_code != 500, (path, name, value, answer.text)


async def test_e8_a_number_that_is_none_is_refused(site: Site) -> None:
    async with site.client(await site.key("admin")) as admin:
        for value in ("NaN", "Infinity", "1e400"):
            text = f'{{"path": "Garage", "seconds": {value}}}'
            answer = await admin.put(
                "/api/v1/locations/change-hold", content=text, headers={"Content-Type": "application/json"}
            )
            problem_of(answer, 422, "invalid_request")
