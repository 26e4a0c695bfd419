"""Idempotency-Key: a repeated request has the answer of the first one, and changes nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from baylight.access.answers import MAX_BODY_BYTES, MAX_KEPT
from baylight.api.app import PREFIX
from baylight.control import retention
from tests.api.test_problems import problem_of
from tests.docs.generated import _api
from tests.support.eventually import SOMEONE_WAITS, eventually
from tests.support.factories import add_bay, add_device_types
from tests.support.site import Site

OVERRIDE = {"space": "A-1", "state": "FREE"}
REPLAYED = "idempotent-replayed"
HEAD = "# baylight spaces v1\r\ncode,name,location,latitude,longitude,default_state,maintenance,metadata\r\n"


async def post(
    client: httpx.AsyncClient, path: str, body: Any = None, *, key: str = "k-1", **more: Any
) -> httpx.Response:
    async with asyncio.timeout(30):
        return await client.post(f"{PREFIX}/{path}", json=body, headers={"Idempotency-Key": key}, **more)


async def count(site: Site, table: str) -> int:
    found: int = await site.pool.fetchval(f"SELECT count(*) FROM {table}")
    return found


async def test_e4_the_same_request_again_has_the_same_answer_and_changes_nothing(
    site: Site, client: httpx.AsyncClient
) -> None:
    await add_bay(site.pool, "A-1")
    first = await post(client, "overrides", OVERRIDE)
    assert first.status_code == 201, first.text
    assert REPLAYED not in first.headers
    for _ in range(2):
        again = await post(client, "overrides", OVERRIDE)
        assert (again.status_code, again.json(), again.headers[REPLAYED]) == (201, first.json(), "true")
        assert {name: again.headers[name] for name in ("etag", "content-type")} == {
            name: first.headers[name] for name in ("etag", "content-type")
        }
    assert await count(site, "overrides") == 1
    assert (await post(client, "overrides", OVERRIDE, key="k-2")).json()["replaced"]["id"] == first.json()["id"]
    assert await count(site, "overrides") == 2


async def test_e4_an_answer_without_a_body_and_one_with_200_are_repeated(site: Site) -> None:
    async with site.client(await site.key("admin")) as admin:
        await add_device_types(site.pool)
        source = "function decodeUplink(input) { return {data: {}}; }"
        await post(admin, "codecs/mine", {"source": source}, key="a")
        for replayed in (None, "true"):
            ended = await post(admin, "codecs/mine/deactivate", {}, key="b")
            assert (ended.status_code, ended.content, ended.headers.get(REPLAYED)) == (204, b"", replayed)
        for status, device in ((201, "58a0cb0000000001"), (200, "58a0cb0000000001")):
            for replayed in (None, "true"):
                made = await post(admin, "sensors", {"dev_eui": device}, key=f"c{status}")
                assert (made.status_code, made.headers.get(REPLAYED)) == (status, replayed)


async def test_e4_a_key_belongs_to_one_request_and_to_one_api_key(site: Site, client: httpx.AsyncClient) -> None:
    await add_bay(site.pool, "A-1")
    await post(client, "overrides", OVERRIDE)
    for path, body in (
        ("overrides", OVERRIDE | {"state": "OCCUPIED"}),
        ("locations", {"path": "Garage"}),
        ("import/spaces?dry_run=true", OVERRIDE),
    ):
        problem_of(await post(client, path, body), 422, "idempotency_key_reused")
    async with site.client(await site.key("write")) as other:
        answer = await post(other, "overrides", OVERRIDE | {"state": "OCCUPIED"})
        assert (answer.status_code, answer.headers.get(REPLAYED)) == (201, None)


async def test_e4_a_key_has_1_to_255_visible_ascii_characters(client: httpx.AsyncClient) -> None:
    for keys in ([""], ["two words"], ["k\tk"], ["\xe9"], ["k" * 256], ["a", "b"]):
        headers = [(b"Idempotency-Key", key.encode("latin-1")) for key in keys]
        answer = await client.post(f"{PREFIX}/locations", json={"path": "Garage"}, headers=headers)
        problem_of(answer, 422, "bad_idempotency_key")
    assert (await client.get(f"{PREFIX}/locations")).json() == []
    assert (await post(client, "locations", {"path": "Garage"}, key="~" * 255)).status_code == 201


async def test_e4_a_problem_is_not_kept_so_the_request_may_be_corrected(site: Site, client: httpx.AsyncClient) -> None:
    problem_of(await post(client, "overrides", OVERRIDE), 404, "unknown_space")
    problem_of(await post(client, "overrides", {"state": 1}), 422, "invalid_request")
    await add_bay(site.pool, "A-1")
    assert (await post(client, "overrides", OVERRIDE)).status_code == 201
    assert await count(site, "kept_answers") == 1


async def test_f4_the_answers_of_an_api_key_are_bounded_and_those_that_are_kept_stay(
    site: Site, client: httpx.AsyncClient
) -> None:
    await add_bay(site.pool, "A-1")
    assert (await post(client, "overrides", OVERRIDE)).status_code == 201
    await site.pool.execute(
        "INSERT INTO kept_answers (api_key_id, idempotency_key, fingerprint, status, kept_at) "
        "SELECT k.api_key_id, n::text, '', 204, k.kept_at - interval '23 hours' "
        "FROM kept_answers AS k CROSS JOIN generate_series(1, $1::integer) AS n",
        MAX_KEPT - 1,
    )
    refused = await post(client, "overrides", OVERRIDE, key="k-2")
    problem_of(refused, 429, "too_many_kept_answers")
    assert 3590 <= int(refused.headers["retry-after"]) <= 3600
    assert await count(site, "overrides") == 1
    assert (await post(client, "overrides", OVERRIDE)).headers[REPLAYED] == "true"
    assert (await client.post(f"{PREFIX}/overrides", json=OVERRIDE)).status_code == 201
    async with site.client(await site.key("write")) as other:
        assert (await post(other, "overrides", OVERRIDE)).status_code == 201
    await site.pool.execute(
        "UPDATE kept_answers SET kept_at = kept_at - interval '2 hours' WHERE idempotency_key = '1'"
    )
    assert (await post(client, "overrides", OVERRIDE, key="k-2")).status_code == 201


async def test_e4_a_second_request_is_refused_while_the_first_is_under_way(
    site: Site, client: httpx.AsyncClient
) -> None:
    await add_bay(site.pool, "A-1")
    async with site.pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM spaces FOR UPDATE")
        first = asyncio.create_task(post(client, "overrides", OVERRIDE))
        await eventually(site.pool, SOMEONE_WAITS)
        problem_of(await post(client, "overrides", OVERRIDE), 409, "request_in_progress")
    assert (await first).status_code == 201
    assert (await post(client, "overrides", OVERRIDE)).headers[REPLAYED] == "true"


async def test_e4_many_at_once_make_one_change(site: Site, client: httpx.AsyncClient, address: str) -> None:
    await add_bay(site.pool, "A-1")
    async with httpx.AsyncClient(base_url=address, headers=client.headers, timeout=20) as real:
        answers = await asyncio.gather(*(post(real, "overrides", OVERRIDE) for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    made = [answer.json() for answer in answers if answer.status_code == 201]
    assert made.count(made[0]) == len(made)
    assert await count(site, "overrides") == 1


async def test_e4_a_request_that_is_killed_leaves_neither_change_nor_answer(
    site: Site, client: httpx.AsyncClient
) -> None:
    await add_bay(site.pool, "A-1")
    async with site.pool.acquire() as other, other.transaction():
        # The change is done, and the answer is about to be kept.
        await other.execute("LOCK kept_answers IN EXCLUSIVE MODE")
        first = asyncio.create_task(post(client, "overrides", OVERRIDE))
        await eventually(site.pool, SOMEONE_WAITS)
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        problem_of(await first, 503, "database_away")
    assert (await count(site, "overrides"), await count(site, "kept_answers")) == (0, 0)
    again = await post(client, "overrides", OVERRIDE)
    assert (again.status_code, again.headers.get(REPLAYED)) == (201, None)


async def test_e4_an_answer_is_kept_for_24_hours(site: Site, client: httpx.AsyncClient) -> None:
    await add_bay(site.pool, "A-1")
    await post(client, "overrides", OVERRIDE)
    await site.pool.execute("UPDATE kept_answers SET kept_at = kept_at - interval '23 hours 59 minutes'")
    async with site.pool.acquire() as connection:
        await retention.run(connection, datetime.now(UTC), uplink_months=12, actuation_months=12)
    assert (await post(client, "overrides", OVERRIDE)).headers[REPLAYED] == "true"
    await site.pool.execute("UPDATE kept_answers SET kept_at = kept_at - interval '1 minute'")
    assert REPLAYED not in (await post(client, "overrides", OVERRIDE)).headers
    assert await count(site, "overrides") == 2
    async with site.pool.acquire() as connection:
        later = datetime.now(UTC) + timedelta(hours=24, seconds=1)
        await retention.run(connection, later, uplink_months=12, actuation_months=12)
    assert await count(site, "kept_answers") == 0


async def test_e4_an_answer_with_a_secret_or_a_large_one_is_not_kept(site: Site) -> None:
    async with site.client(await site.key("admin")) as admin:
        new = {"name": "gate", "scopes": ["read"]}
        text = (await post(admin, "keys", new)).json()["text"]
        body = problem_of(await post(admin, "keys", new), 409, "answer_not_kept")
        assert body["facts"] == {"status": 201}
        assert await site.pool.fetchval("SELECT count(*) FROM api_keys WHERE key_name = 'gate'") == 1
        stored = await site.pool.fetch("SELECT row_to_json(k)::text AS row FROM kept_answers AS k")
        assert text not in str(stored)
        source = "// " + "x" * MAX_BODY_BYTES + "\nfunction decodeUplink(input) { return {data: {}}; }"
        assert (await post(admin, "codecs/big", {"source": source}, key="big")).status_code == 201
        problem_of(await post(admin, "codecs/big", {"source": source}, key="big"), 409, "answer_not_kept")
        assert len((await admin.get(f"{PREFIX}/codecs?name=big")).json()) == 1


async def test_e4_imports_are_repeatable(site: Site, client: httpx.AsyncClient) -> None:
    await add_device_types(site.pool)
    headers = {"Idempotency-Key": "file-1"}
    for content, replayed in ((f"{HEAD}A-1,One,,,,FREE,no,\r\n", None), (f"{HEAD}A-1,One,,,,FREE,no,\r\n", "true")):
        done = await client.post(f"{PREFIX}/import/spaces", content=content, headers=headers)
        assert (done.status_code, done.json()["added"], done.headers.get(REPLAYED)) == (200, 1, replayed), done.text
    other = await client.post(f"{PREFIX}/import/spaces", content=f"{HEAD}A-2,Two,,,,FREE,no,\r\n", headers=headers)
    problem_of(other, 422, "idempotency_key_reused")
    wrong = await client.post(
        f"{PREFIX}/import/spaces", content=f"{HEAD}A-2,,Nowhere,,,,,\r\n", headers={"Idempotency-Key": "file-2"}
    )
    problem_of(wrong, 422, "wrong_rows")
    assert await count(site, "spaces") == 1
    devices = "id;dev_eui\nd2;58A0CB0000000001\n"
    for replayed in (None, "true"):
        done = await client.post(
            f"{PREFIX}/import-tts?application=app", content=devices, headers={"Idempotency-Key": "file-3"}
        )
        assert (done.status_code, done.json()["added"], done.headers.get(REPLAYED)) == (200, 1, replayed), done.text


async def test_e4_if_match_and_a_key_work_together(site: Site, client: httpx.AsyncClient) -> None:
    await add_bay(site.pool, "A-1")
    start = datetime.now(UTC) + timedelta(hours=1)
    booking = {"space": "A-1", "start_at": str(start), "end_at": str(start + timedelta(hours=1))}
    made = await post(client, "reservations", booking)
    path = f"{PREFIX}/reservations/{made.json()['id']}/cancel"
    headers = {"Idempotency-Key": "c", "If-Match": made.headers["etag"]}
    problem_of(await client.post(path, headers=headers | {"If-Match": '"old"'}), 412, "precondition_failed")
    for replayed in (None, "true"):
        answer = await client.post(path, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert answer.headers.get(REPLAYED) == replayed


def test_e4_each_post_that_changes_something_knows_the_key() -> None:
    without = {"run_codec_examples", "decode_uplink", "encode_downlink", "receive_event"}
    for operations in _api().openapi()["paths"].values():
        for method, operation in operations.items():
            headers = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "header"}
            wanted = method == "post" and operation["operationId"] not in without
            assert ("Idempotency-Key" in headers) == wanted, operation["operationId"]
