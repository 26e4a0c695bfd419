"""Errors: RFC 9457, stable types, no internals and no personal data."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import structlog

from baylight.api.requests import MAX_BODY_BYTES
from baylight.insight import live
from tests.support.factories import add_bay
from tests.support.site import Site


def problem_of(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"urn:baylight:problem:{code}"
    assert body["status"] == status
    assert body["detail"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


async def test_unknown_things_and_paths_are_404(client: httpx.AsyncClient) -> None:
    problem_of(await client.get("/api/v1/spaces/nowhere"), 404, "unknown_space")
    problem_of(await client.get("/api/v1/nothing"), 404, "not_found")
    problem_of(await client.get("/api/v1/sensors/00000000000000aa"), 404, "unknown_sensor")
    problem_of(await client.patch("/api/v1/summary"), 405, "method_not_allowed")


async def test_a_path_tells_all_its_methods(client: httpx.AsyncClient) -> None:
    for path, allow in (
        ("spaces", "GET, HEAD, POST"),
        ("spaces/A-1", "DELETE, GET, HEAD, PATCH"),
        ("locations/name", "GET, HEAD, PUT"),
    ):
        assert (await client.request("TRACE", f"/api/v1/{path}")).headers["allow"] == allow


async def test_the_openapi_document_declares_every_error_as_a_problem(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        document = (await client.get("/api/v1/openapi.json")).json()
    for path in document["paths"].values():
        for operation in path.values():
            errors = [one for status, one in operation["responses"].items() if status[0] not in "12"]
            assert {kind for one in errors for kind in one.get("content", ())} == {"application/problem+json"}
            assert operation["responses"]["default"]["content"]["application/problem+json"]["schema"]


@pytest.mark.parametrize("query", ["actuations?display=", "spaces?device=", "swaps?device=", "device-tests?device="])
async def test_an_empty_filter_is_not_taken_for_none(client: httpx.AsyncClient, query: str) -> None:
    problem_of(await client.get(f"/api/v1/{query}"), 422, "bad_dev_eui")


@pytest.mark.parametrize("at", ["0.5", "1780000000", "-1", "2026-11-24"])
async def test_a_number_is_no_time(client: httpx.AsyncClient, at: str) -> None:
    problem_of(await client.get("/api/v1/assignments", params={"as_of": at}), 422, "invalid_request")


@pytest.mark.parametrize("seconds", [0, -1, 5e-324, 1e300])
async def test_a_test_takes_some_time(client: httpx.AsyncClient, site: Site, seconds: float) -> None:
    await add_bay(site.pool, "T-1")
    problem_of(await client.post("/api/v1/spaces/T-1/pair-tests", json={"wait_s": seconds}), 422, "invalid_request")


async def test_wrong_fields_are_listed(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/reservations", json={"space": 5, "start_at": "soon", "colour": "red"})
    body = problem_of(answer, 422, "invalid_request")
    assert {error["field"] for error in body["errors"]} == {
        "body.space",
        "body.start_at",
        "body.end_at",
        "body.colour",
    }


@pytest.mark.parametrize("body", ["{", "[]", '"x"', "null", "\x00", "{}" * 3])
async def test_a_body_that_is_no_object_is_422(client: httpx.AsyncClient, body: str) -> None:
    problem_of(
        await client.post("/api/v1/overrides", content=body, headers={"Content-Type": "application/json"}),
        422,
        "invalid_request",
    )


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-03-02T08:00:00", 1e300])
async def test_a_time_out_of_range_or_without_a_zone_is_422(client: httpx.AsyncClient, at: object) -> None:
    for path, body in (
        ("reservations", {"space": "A-01", "start_at": at, "end_at": at}),
        ("overrides", {"space": "A-01", "state": "FREE", "until": at}),
        ("swaps", {"old": "58a0cb0000000001", "new": "58a0cb0000000002", "at": at}),
    ):
        problem_of(await client.post(f"/api/v1/{path}", json=body), 422, "invalid_request")
    problem_of(await client.get("/api/v1/reservations", params={"ending_after": str(at)}), 422, "invalid_request")


async def test_bad_words_of_the_domain_are_422_and_say_which_are_right(client: httpx.AsyncClient) -> None:
    body = problem_of(await client.get("/api/v1/spaces", params={"state": "GREEN"}), 422, "bad_state")
    assert "OCCUPIED" in body["detail"]
    problem_of(await client.get("/api/v1/sensors/xyz"), 422, "bad_dev_eui")
    problem_of(await client.get("/api/v1/actuations", params={"status": "gone"}), 422, "bad_status")


@pytest.mark.parametrize("cursor", ["x", "!!", "bnVsbA", "WzEsMl0", "e30"])
@pytest.mark.parametrize("path", ["history", "actuations", "spaces", "reservations", "uplinks/00000000000000aa"])
async def test_a_bad_cursor_is_422(client: httpx.AsyncClient, path: str, cursor: str) -> None:
    problem_of(await client.get(f"/api/v1/{path}", params={"cursor": cursor}), 422, "bad_cursor")


@pytest.mark.parametrize("limit", ["0", "-1", "501", "many"])
async def test_limits_are_bounded(client: httpx.AsyncClient, limit: str) -> None:
    problem_of(await client.get("/api/v1/history", params={"limit": limit}), 422, "invalid_request")


async def test_characters_that_cannot_be_stored_are_422(client: httpx.AsyncClient) -> None:
    problem_of(await client.post("/api/v1/spaces", json={"code": "A", "metadata": {"x": "\x00"}}), 422, "bad_json")
    problem_of(await client.get("/api/v1/spaces", params={"location": "Garage\x00"}), 422, "bad_value")


async def test_a_large_body_is_refused(client: httpx.AsyncClient) -> None:
    big = {"code": "A1", "metadata": {"x": "y" * MAX_BODY_BYTES}}
    answer = await client.post("/api/v1/spaces", json=big)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


async def test_b12_a_taken_space_is_409_without_the_other_persons_data(site: Site, client: httpx.AsyncClient) -> None:
    bay = await add_bay(site.pool, "A1")
    start = datetime.now(UTC) + timedelta(hours=1)
    booking = {
        "space": bay.code,
        "start_at": start.isoformat(),
        "end_at": (start + timedelta(hours=1)).isoformat(),
        "user_email": "someone@example.org",
        "user_phone": "+4712345678",
    }
    assert (await client.post("/api/v1/reservations", json=booking)).status_code == 201
    answer = await client.post("/api/v1/reservations", json=booking | {"user_email": "other@example.org"})
    problem_of(answer, 409, "space_taken")
    assert "someone" not in answer.text
    assert "+47" not in answer.text


async def test_who_may_only_read_does_not_learn_who_parks(site: Site, client: httpx.AsyncClient) -> None:
    bay = await add_bay(site.pool, "A1")
    start = datetime.now(UTC) + timedelta(hours=1)
    booking = {
        "space": bay.code,
        "start_at": start.isoformat(),
        "end_at": (start + timedelta(hours=1)).isoformat(),
        "user_email": "someone@example.org",
    }
    made = (await client.post("/api/v1/reservations", json=booking)).json()
    assert made["user_email"] == "someone@example.org"
    async with site.client(await site.key("read")) as reader:
        for path in ("/api/v1/reservations", f"/api/v1/reservations/{made['id']}"):
            assert "someone" not in (await reader.get(path)).text


async def test_a_database_that_is_away_is_503_with_retry_after(site: Site, client: httpx.AsyncClient) -> None:
    await site.pool.close()
    answer = await client.get("/api/v1/summary")
    problem_of(answer, 503, "database_away")
    assert int(answer.headers["retry-after"]) > 0


async def test_an_unexpected_error_is_500_without_internals(
    site: Site, client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: object) -> None:
        raise RuntimeError("the secret plan")

    monkeypatch.setattr(live, "get_summary", broken)
    answer = await client.get("/api/v1/summary")
    problem_of(answer, 500, "internal")
    assert "secret plan" not in answer.text
    assert "Traceback" not in answer.text


async def test_the_callers_request_id_comes_back_if_it_is_harmless(client: httpx.AsyncClient) -> None:
    async def ask(given: str) -> str:
        answer = await client.get("/api/v1/summary", headers={"X-Request-ID": given})
        return answer.headers["x-request-id"]

    assert await ask("trip-42") == "trip-42"
    assert await ask("x" * 51) != "x" * 51
    assert await ask("a b") != "a b"


async def test_a_request_is_one_log_line_that_names_the_key_but_never_its_secret(site: Site) -> None:
    text = await site.key("read")
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        async with site.client(text) as client:
            await client.get("/api/v1/spaces/nowhere", headers={"X-Request-ID": "trip-42"})
    assert text[12:] not in json.dumps(lines, default=str)
    (line,) = [line for line in lines if line["event"] == "request"]
    assert line["ms"] >= 0
    assert {name: line[name] for name in ("method", "path", "status", "key", "problem", "request_id")} == {
        "method": "GET",
        "path": "/api/v1/spaces/nowhere",
        "status": 404,
        "key": text[:11],
        "problem": "unknown_space",
        "request_id": "trip-42",
    }


async def test_answers_carry_safe_headers(client: httpx.AsyncClient) -> None:
    headers = (await client.get("/api/v1/summary")).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
