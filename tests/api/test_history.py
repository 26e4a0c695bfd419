"""Pages of history, and the counts of the present."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prometheus_client import Counter

from tests.support import factories
from tests.support.factories import Bay, add_bay
from tests.support.site import Site

NOW = datetime.now(UTC)


async def add_change(site: Site, bay: Bay, number: int) -> None:
    await site.pool.execute(
        """INSERT INTO state_changes (space_id, previous_state, new_state, source, "timestamp")
           VALUES ($1, 'FREE', 'OCCUPIED', 'sensor_uplink', $2)""",
        bay.space_id, NOW + timedelta(seconds=number),
    )  # fmt: skip


async def add_uplink(site: Site, bay: Bay, number: int) -> None:
    at = NOW + timedelta(seconds=number)
    await site.pool.execute(
        """INSERT INTO uplinks (observed_at, received_at, deduplication_id, dev_eui, outcome, data, f_cnt)
           VALUES ($1, $1, $2, $3, 'unchanged', '\\x01ff', $4)""",
        at, uuid4(), bay.sensor_eui, number,
    )  # fmt: skip


async def add_actuation(site: Site, bay: Bay, number: int) -> UUID:
    return await factories.add_actuation(site.pool, bay, NOW + timedelta(seconds=number))


ADD = {"history": add_change, "actuations": add_actuation, "uplinks": add_uplink}


async def _pages(client: httpx.AsyncClient, path: str, params: dict[str, Any]) -> list[Any]:
    items: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        answer = (await client.get(path, params=params | cursor)).json()
        assert len(answer["items"]) <= params["limit"]
        items += answer["items"]
        if answer["next"] is None:
            return items
        cursor = {"cursor": answer["next"]}


@pytest.mark.parametrize("by_space", [False, True])
@pytest.mark.parametrize("kind", list(ADD))
async def test_pages_are_complete_and_stable_while_rows_are_added(
    site: Site, client: httpx.AsyncClient, kind: str, by_space: bool
) -> None:
    bay, other = await add_bay(site.pool, "A-1"), await add_bay(site.pool, "A-2")
    for number in range(7):
        await ADD[kind](site, bay, number)
        await ADD[kind](site, other, number)
    path = f"/api/v1/{kind}/{bay.sensor_eui}" if kind == "uplinks" else f"/api/v1/{kind}"
    params: dict[str, Any] = {"limit": 3} | ({"space": "A-1"} if by_space and kind != "uplinks" else {})
    wanted = 7 if by_space or kind == "uplinks" else 14

    first = (await client.get(path, params=params)).json()
    for number in range(7, 10):
        await ADD[kind](site, bay, number)
    items = first["items"]
    cursor = first["next"]
    while cursor:
        answer = (await client.get(path, params=params | {"cursor": cursor})).json()
        items += answer["items"]
        cursor = answer["next"]
    ids = [str(item.get("id") or item["deduplication_id"]) for item in items]
    assert len(set(ids)) == len(ids) == wanted
    times = [item.get("at") or item.get("created_at") or item["received_at"] for item in items]
    assert times == sorted(times, reverse=True) or (kind == "history" and not by_space)


async def test_spaces_are_paged_by_code(site: Site, client: httpx.AsyncClient) -> None:
    for number in range(5):
        await add_bay(site.pool, f"A-{number}")
    found = await _pages(client, "/api/v1/spaces", {"limit": 2})
    assert [space["code"] for space in found] == [f"A-{number}" for number in range(5)]


async def test_sensors_and_displays_are_paged_by_dev_eui(site: Site, client: httpx.AsyncClient) -> None:
    bays = [await add_bay(site.pool, f"A-{number}") for number in range(5)]
    for kind in ("sensor", "display"):
        found = await _pages(client, f"/api/v1/{kind}s", {"limit": 2})
        assert [device["dev_eui"] for device in found] == sorted(getattr(bay, f"{kind}_eui") for bay in bays)


async def test_reservations_are_paged_by_start(site: Site, client: httpx.AsyncClient) -> None:
    await add_bay(site.pool, "A-1")
    starts = [datetime.now(UTC) + timedelta(hours=hour) for hour in range(1, 6)]
    for start in starts:
        booking = {"space": "A-1", "start_at": start.isoformat(), "end_at": (start + timedelta(minutes=30)).isoformat()}
        assert (await client.post("/api/v1/reservations", json=booking)).status_code == 201
    found = await _pages(client, "/api/v1/reservations", {"limit": 2, "space": "A-1", "status": "active"})
    assert [datetime.fromisoformat(one["start_at"]) for one in found] == starts


async def test_an_actuation_tells_its_steps_in_order(site: Site, client: httpx.AsyncClient) -> None:
    bay = await add_bay(site.pool, "A-1")
    id_ = await add_actuation(site, bay, 0)
    for kind in ("sending", "queued", "tx_ack"):
        await site.pool.execute(
            "INSERT INTO actuation_events (at, actuation_id, dev_eui, kind) VALUES ($1, $2, $3, $4)",
            NOW, id_, bay.display_eui, kind,
        )  # fmt: skip
    found = (await client.get(f"/api/v1/actuations/{id_}")).json()
    assert [step["kind"] for step in found["steps"]] == ["sending", "queued", "tx_ack"]
    assert (await client.get(f"/api/v1/actuations/{uuid4()}")).status_code == 404
    by_display = (
        await client.get("/api/v1/actuations", params={"display": bay.display_eui, "status": "pending"})
    ).json()
    assert [one["id"] for one in by_display["items"]] == [str(id_)]


async def test_history_of_a_deleted_space_can_be_read(site: Site, client: httpx.AsyncClient) -> None:
    bay = await add_bay(site.pool, "A-1")
    await add_change(site, bay, 0)
    assert (await client.delete("/api/v1/spaces/A-1")).status_code == 204
    assert (await client.get("/api/v1/history", params={"space": "A-1"})).json()["items"]
    assert (await client.get("/api/v1/history", params={"space": "A-2"})).status_code == 404


async def test_the_summary_counts_by_state_sync_and_location(site: Site, client: httpx.AsyncClient) -> None:
    bay = await add_bay(site.pool, "A-1")
    await add_bay(site.pool, "A-2")
    await add_actuation(site, bay, 0)
    await site.pool.execute("UPDATE spaces SET current_state = 'FREE' WHERE code = 'A-1'")
    found = (await client.get("/api/v1/summary")).json()
    assert found["spaces"] == {
        "FREE": 1, "OCCUPIED": 0, "RESERVED": 0, "MAINTENANCE": 0, "OUT_OF_ORDER": 0, "UNKNOWN": 1
    }  # fmt: skip
    assert found["displays"]["unknown"] == 2
    assert found["actuations"]["pending"] == 1
    assert found["locations"] == [{"location": None, "total": 2, "spaces": {"FREE": 1, "UNKNOWN": 1}}]


async def test_metrics_hold_the_registry_and_the_present(site: Site, client: httpx.AsyncClient) -> None:
    Counter("baylight_uplinks", "by outcome", ["outcome"], registry=site.registry).labels("unchanged").inc(3)
    await add_bay(site.pool, "A-1")
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'baylight_uplinks_total{outcome="unchanged"} 3.0' in answer.text
    assert 'baylight_spaces{state="UNKNOWN"} 1.0' in answer.text
    assert 'baylight_displays{sync="unknown"} 1.0' in answer.text
    assert 'baylight_actuations_waiting{status="pending"} 0.0' in answer.text


async def test_f10_health_needs_no_key_and_says_only_to_a_key_what_is_wrong(site: Site) -> None:
    async with site.client() as client:
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 200
        site.problems["broker"] = "the MQTT broker refuses the password"
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})
    async with site.client("bl_aaaaaaaa_" + "a" * 43) as stranger:
        assert (await stranger.get("/health/ready")).json() == {"status": "not ready"}
    async with site.client(await site.key("read")) as reader:
        answer = await reader.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["problems"] == {"broker": "the MQTT broker refuses the password"}
