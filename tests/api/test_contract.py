"""What integrators rely on: HEAD, repeated requests, times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.api.test_problems import problem_of
from tests.support.factories import add_bay, add_sensor
from tests.support.site import Site
from tests.support.uplinks import receive_at, uplink


async def test_e4_head_answers_as_get_does_without_a_body(site: Site, client: httpx.AsyncClient, address: str) -> None:
    await add_bay(site.pool, "A-1")
    async with httpx.AsyncClient(base_url=address, headers=client.headers, timeout=5) as real:
        for path in ("spaces", "spaces/A-1", "spaces/A-1/why", "export/spaces", "openapi.json", "events", "history"):
            for server in (real, client):
                answer = await server.head(f"/api/v1/{path}")
                assert (answer.status_code, answer.content) == (200, b""), path
        assert (await real.head("/health/live")).status_code == 200
        whole = await real.get("/api/v1/spaces")
        assert (await real.head("/api/v1/spaces")).headers["content-length"] == str(len(whole.content))
        for status, answer in (
            (404, await real.head("/api/v1/spaces/nowhere")),
            (405, await real.head("/api/v1/swaps/x/undo")),
            (422, await real.head("/api/v1/spaces?stat=FREE")),
            (401, await real.head("/api/v1/spaces", headers={"Authorization": ""})),
        ):
            assert (answer.status_code, answer.content) == (status, b"")


async def test_e4_a_request_id_of_a_cancelled_reservation_is_not_answered_as_reserved(
    site: Site, client: httpx.AsyncClient
) -> None:
    bay = await add_bay(site.pool, "A-1")
    start = datetime.now(UTC) + timedelta(hours=1)
    booking = {
        "space": bay.code,
        "start_at": start.isoformat(),
        "end_at": (start + timedelta(hours=1)).isoformat(),
        "request_id": "trip-1",
    }
    made = await client.post("/api/v1/reservations", json=booking)
    assert (await client.post("/api/v1/reservations", json=booking)).status_code == 200
    await client.post(f"/api/v1/reservations/{made.json()['id']}/cancel")
    body = problem_of(await client.post("/api/v1/reservations", json=booking), 409, "reservation_over")
    assert body["facts"]["reservation_id"] == made.json()["id"]
    again = await client.post("/api/v1/reservations", json=booking | {"request_id": "trip-2"})
    assert again.status_code == 201


async def test_e4_time_series_are_filtered_by_time(site: Site, client: httpx.AsyncClient) -> None:
    await add_bay(site.pool, "A-1")
    for state in ("FREE", "OCCUPIED", "RESERVED"):
        await client.post("/api/v1/overrides", json={"space": "A-1", "state": state})

    async def items(path: str, **query: object) -> list[dict[str, Any]]:
        answer = await client.get(f"/api/v1/{path}", params={name: str(value) for name, value in query.items()})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    for path, at in (("history", "at"), ("actuations", "created_at")):
        for more in ({}, {"space": "A-1"}):
            rows = await items(path, **more)
            assert len(rows) >= 3
            middle = rows[1][at]
            assert await items(path, **more, **{"from": middle}) == rows[:2]
            assert await items(path, **more, until=middle) == rows[2:]
            assert await items(path, **more, **{"from": middle}, until=rows[0][at], limit=1) == rows[1:2]
            wrong = await client.get(f"/api/v1/{path}", params={"from": middle, "until": middle})
            problem_of(wrong, 422, "bad_times")
    assert await items("uplinks/58a0cb0000000001", **{"from": "2026-01-01T00:00Z"}) == []


async def test_e4_a_reservation_is_extended(site: Site, client: httpx.AsyncClient) -> None:
    bay = await add_bay(site.pool, "A-1")
    start = datetime.now(UTC) + timedelta(hours=1)

    def until(hours: float) -> str:
        return (start + timedelta(hours=hours)).isoformat()

    booking = {"space": bay.code, "start_at": start.isoformat(), "end_at": until(1)}
    first = (await client.post("/api/v1/reservations", json=booking)).json()
    await client.post("/api/v1/reservations", json=booking | {"start_at": until(3), "end_at": until(4)})
    path = f"/api/v1/reservations/{first['id']}"
    for _ in range(2):
        changed = await client.patch(path, json={"end_at": until(3)})
        assert (changed.status_code, datetime.fromisoformat(changed.json()["end_at"])) == (
            200,
            start + timedelta(hours=3),
        )
    problem_of(await client.patch(path, json={"end_at": until(3.5)}), 409, "space_taken")
    problem_of(await client.patch(path, json={"end_at": until(25)}), 422, "too_long")
    problem_of(await client.patch(path, json={"end_at": until(0)}), 422, "bad_times")
    await client.post(f"{path}/cancel")
    problem_of(await client.patch(path, json={"end_at": until(2)}), 409, "reservation_over")
    missing = await client.patch("/api/v1/reservations/00000000-0000-0000-0000-000000000000", json={"end_at": until(2)})
    problem_of(missing, 404, "unknown_reservation")


async def test_e4_lists_of_the_past_are_filtered_by_time(site: Site, client: httpx.AsyncClient) -> None:
    bay, spare = await add_bay(site.pool, "A-1"), await add_sensor(site.pool)
    now = datetime.now(UTC)
    swap = {"old": bay.sensor_eui, "new": spare["dev_eui"]}
    assert (await client.post("/api/v1/swaps", json=swap)).status_code == 201
    assert (await client.post("/api/v1/spaces/A-1/pair-tests", json={})).status_code == 202
    start, end = now + timedelta(seconds=30), now + timedelta(hours=1)
    booking = {"space": "A-1", "start_at": start.isoformat(), "end_at": end.isoformat()}
    assert (await client.post("/api/v1/reservations", json=booking)).status_code == 201
    await receive_at(site.pool, [uplink(spare["dev_eui"], datetime.now(UTC))], datetime.now(UTC))
    before, after = (now - timedelta(minutes=1)).isoformat(), (now + timedelta(minutes=1)).isoformat()
    for path in (
        *("swaps", "device-tests", "reservations", "spaces/A-1/uplinks", "spaces/A-1/assignments"),
        f"devices/{spare['dev_eui']}/assignments",
    ):

        async def found(path: str = path, **query: str) -> int:
            answer = await client.get(f"/api/v1/{path}", params=query)
            assert answer.status_code == 200, answer.text
            body = answer.json()
            return len(body["items"] if isinstance(body, dict) else body)

        assert await found(**{"from": before}, until=after) == await found() > 0, path
        assert await found(**{"from": after}) == await found(until=before) == 0, path
        wrong = await client.get(f"/api/v1/{path}", params={"from": after, "until": before})
        problem_of(wrong, 422, "bad_times")
