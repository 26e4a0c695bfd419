"""What network servers deliver by HTTP, on the whole program without any broker."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from baylight.access import keys
from baylight.api import inbound
from baylight.app.program import Program
from baylight.lab.embedded.postgres import EmbeddedPostgres
from baylight.settings import Settings
from baylight.store import migrate
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.change import by
from tests.support.servers import Database, directory_of_postgres
from tests.support.uplinks import OCCUPIED

CHIRPSTACK, TTS = "the secret of ChirpStack", "the secret of The Things Stack"


@asynccontextmanager
async def running(dsn: str, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a program that takes events by HTTP alone."""
    settings: dict[str, Any] = {
        "database_url": SecretStr(dsn),
        "mqtt_host": "",
        "http_port": 0,
        "chirpstack_http_secret": SecretStr(CHIRPSTACK),
        "tts_webhook_secret": SecretStr(TTS),
    }
    program = Program(Settings(**settings | more))
    stopping = asyncio.Event()
    task = asyncio.create_task(program.run(stopping))
    try:
        started = asyncio.create_task(program.started.wait())
        await asyncio.wait([task, started], timeout=20, return_when=asyncio.FIRST_COMPLETED)
        assert program.started.is_set()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{program.http_port}", timeout=20) as client:
            yield client
    finally:
        stopping.set()
        await task


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with running(database.dsn) as client:
        yield client


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def up(dev_eui: str, data: bytes = OCCUPIED, **changes: Any) -> dict[str, Any]:
    event = {
        "deduplicationId": str(uuid4()),
        "time": now(),
        "deviceInfo": {"applicationId": "0b7e9d1c-5a0f-4a5d-9d55-0c5d0f6f2a11", "devEui": dev_eui},
        "devAddr": "01020304",
        "fCnt": 7,
        "fPort": 102,
        "data": base64.b64encode(data).decode(),
        "rxInfo": [{"gatewayId": "0016c001ff10a235", "nsTime": now(), "rssi": -100, "snr": 5.5}],
    }
    return event | changes


def uplink_message(dev_eui: str, data: bytes = OCCUPIED) -> dict[str, Any]:
    return {
        "end_device_ids": {
            "device_id": "bay-017",
            "application_ids": {"application_id": "garage"},
            "dev_eui": dev_eui.upper(),
            "dev_addr": "01020304",
        },
        "received_at": now(),
        "uplink_message": {
            "f_port": 102,
            "f_cnt": 7,
            "frm_payload": base64.b64encode(data).decode(),
            "received_at": now(),
        },
    }


async def post(client: httpx.AsyncClient, path: str, event: object, secret: str | None = CHIRPSTACK) -> httpx.Response:
    headers = {"X-Baylight-Secret": secret} if secret is not None else {}
    content = event if isinstance(event, bytes) else json.dumps(event).encode()
    return await client.post(f"/inbound/{path}", content=content, headers=headers)


async def test_a_2xx_means_that_it_is_committed_decided_and_to_be_sent(client: httpx.AsyncClient, pool: Pool) -> None:
    bay = await factories.add_bay(pool, "A-01")
    answer = await post(client, "chirpstack?event=up", up(bay.sensor_eui))
    assert (answer.status_code, answer.content) == (204, b"")
    assert await pool.fetchval("SELECT current_state FROM spaces") == "OCCUPIED"
    assert await pool.fetchval("SELECT count(*) FROM actuations") == 1


async def test_the_things_stack_s_webhooks_are_taken(client: httpx.AsyncClient, pool: Pool) -> None:
    bay = await factories.add_bay(pool, "A-01")
    assert (await post(client, "tts", uplink_message(bay.sensor_eui), TTS)).status_code == 204
    row = await pool.fetchrow("SELECT network_server, outcome FROM uplinks")
    assert row == ("tts", "state_changed")


async def test_one_frame_from_both_is_one_uplink(client: httpx.AsyncClient, pool: Pool) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await asyncio.gather(
        post(client, "chirpstack?event=up", up(bay.sensor_eui)),
        post(client, "tts", uplink_message(bay.sensor_eui), TTS),
    )
    assert await pool.fetchval("SELECT count(*) FROM uplinks") == 1
    assert await pool.fetchval("SELECT count(*) FROM state_changes") == 1


async def test_other_events_are_taken_and_those_of_no_use_thanked_for(client: httpx.AsyncClient, pool: Pool) -> None:
    sensor = await factories.add_sensor(pool)
    event = up(sensor["dev_eui"])
    assert (await post(client, "chirpstack?event=join", event)).status_code == 204
    assert await pool.fetchval("SELECT last_join_at IS NOT NULL FROM sensor_devices")
    for kind in ("location", "integration", "something_new", ""):
        assert (await post(client, f"chirpstack?event={kind}", event)).status_code == 204
    assert await pool.fetchval("SELECT count(*) FROM uplinks") == 0


@pytest.mark.parametrize("secret", [None, "", "wrong", CHIRPSTACK[:-1], TTS, CHIRPSTACK + "!", "\xff\xfe"])
async def test_without_its_secret_nothing_is_taken(client: httpx.AsyncClient, pool: Pool, secret: str | None) -> None:
    sensor = await factories.add_sensor(pool)
    headers = {} if secret is None else {"X-Baylight-Secret": secret.encode("latin-1")}
    answer = await client.post("/inbound/chirpstack?event=up", json=up(sensor["dev_eui"]), headers=headers)
    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:baylight:problem:secret_refused"
    assert await pool.fetchval("SELECT count(*) FROM uplinks") == 0


async def test_a_server_without_a_secret_in_the_settings_is_not_taken_from(database: Database) -> None:
    async with running(database.dsn, tts_webhook_secret=None) as client:
        assert (await post(client, "tts", {}, "")).status_code == 404
        assert (await post(client, "teapot", {}, "")).status_code == 404
        assert (await client.get("/inbound/chirpstack")).status_code == 405


def test_a_secret_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 16"):
        Settings(tts_webhook_secret=SecretStr("short"))


@pytest.mark.parametrize(
    ("event", "reason"), [(b"\xff\0", "bad_json"), (b"[]", "bad_event"), ({"deviceInfo": {}}, "bad_dev_eui")]
)
async def test_b5_what_cannot_be_read_is_kept_before_it_is_thanked_for(
    client: httpx.AsyncClient, pool: Pool, event: object, reason: str
) -> None:
    assert (await post(client, "chirpstack?event=up", event)).status_code == 204
    row = await pool.fetchrow("SELECT topic, reason, times FROM rejected_messages")
    assert row == ("up", reason, 1)


async def test_a_body_has_a_bound(client: httpx.AsyncClient, pool: Pool) -> None:
    assert (await post(client, "chirpstack?event=up", b" " * (256 * 1024 + 1))).status_code == 413
    assert await pool.fetchval("SELECT count(*) FROM rejected_messages") == 0


async def test_b15_no_answer_asks_a_network_server_to_slow_down(client: httpx.AsyncClient, pool: Pool) -> None:
    bay = await factories.add_bay(pool, "A-01")
    events = [up(bay.sensor_eui, fCnt=n) for n in range(200)]
    for _ in range(50):
        assert (await client.get("/api/v1/spaces", headers={"X-API-Key": "bl_wrong"})).status_code in (401, 429)
    answers = [
        answer.status_code
        for n in range(0, 200, 20)
        for answer in await asyncio.gather(*(post(client, "chirpstack?event=up", e) for e in events[n : n + 20]))
    ]
    assert answers == [204] * 200
    assert await pool.fetchval("SELECT count(*) FROM uplinks") == 200


async def test_b5_what_cannot_be_stored_in_time_is_refused_and_taken_at_the_next_try(
    client: httpx.AsyncClient, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound, "ANSWER_S", 0.3)
    bay = await factories.add_bay(pool, "A-01")
    event = up(bay.sensor_eui)
    async with pool.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE uplinks IN ACCESS EXCLUSIVE MODE")
        answer = await post(client, "chirpstack?event=up", event)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
    monkeypatch.undo()
    assert (await post(client, "chirpstack?event=up", event)).status_code == 204
    assert await pool.fetchval("SELECT count(*) FROM uplinks") == 1


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """Yield a server that the test may stop."""
    postgres = EmbeddedPostgres(directory_of_postgres(), durable=False)
    try:
        asyncio.run(postgres.start())
        yield postgres
    finally:
        asyncio.run(postgres.stop())
        postgres.delete()


def test_b5_while_the_database_is_away_nothing_is_thanked_for(own_postgres: EmbeddedPostgres) -> None:
    async def go() -> None:
        dsn = own_postgres.dsn("postgres")
        await migrate.upgrade(dsn)
        async with running(dsn) as client:
            event = up("0102030405060708")
            await own_postgres.stop()
            answer = await post(client, "chirpstack?event=up", event)
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) >= 1
            await own_postgres.start()
            answer = await post(client, "chirpstack?event=up", event)
            assert answer.status_code == 204

    asyncio.run(go())


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\n$0b7e9d1c-5a0f-4a5d-9d55-0c5d0f6f2a11\x12\x0c\x08", ""),
        (b"\x08\xff\x01\x12", "application/octet-stream"),
        (b"\x12\x00", "application/x-protobuf"),
    ],
)
async def test_i8_protobuf_is_refused_with_the_remedy(
    client: httpx.AsyncClient, pool: Pool, body: bytes, content_type: str
) -> None:
    headers = {"X-Baylight-Secret": CHIRPSTACK} | ({"Content-Type": content_type} if content_type else {})
    answer = await client.post("/inbound/chirpstack?event=up", content=body, headers=headers)
    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"
    assert "choose JSON" in answer.json()["detail"]
    assert await pool.fetchval("SELECT reason FROM rejected_messages") == "bad_json"
    assert ("messages_refused", "chirpstack_http") in await lasting(client, pool)


async def test_i8_a_wrong_secret_is_a_condition(client: httpx.AsyncClient, pool: Pool) -> None:
    assert (await post(client, "tts", uplink_message("58a0cb0000110001"), "wrong")).status_code == 401
    assert ("messages_refused", "tts_http") in await lasting(client, pool)


async def lasting(client: httpx.AsyncClient, pool: Pool) -> list[tuple[str, str]]:
    """Return kind and service of each condition of a service that lasts."""
    async with pool.acquire() as connection:
        _, key = await keys.create_key(by(connection, actor="test"), "test", ["read"])
    conditions = (await client.get("/health/ready", headers={"X-API-Key": key})).json()["conditions"]
    return [(c["kind"], c["service"]) for c in conditions]
