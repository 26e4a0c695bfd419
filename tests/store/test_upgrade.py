"""Upgrade of a database of an earlier commit, with its data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from baylight.access import keys
from baylight.inventory import spaces
from baylight.schedule import reservations
from baylight.store import migrate
from baylight.store.pool import open_pool
from tests.support.change import by
from tests.support.servers import Database, Server
from tests.support.tts import running

DUMP = Path(__file__).with_name("database_of_bb385b9.sql")
KEPT = (
    "locations", "sensor_devices", "display_devices", "spaces", "device_assignments", "device_lifecycle_events",
    "uplinks", "state_changes", "actuations", "actuation_events", "gateways", "reservations", "overrides", "api_keys",
    "audit_log", "installation", "device_types",
)  # fmt: skip


@pytest.fixture
async def old(any_server: Server) -> AsyncIterator[Database]:
    async with any_server.database(migrated=False) as database:
        connection = await asyncpg.connect(database.dsn)
        await connection.execute(DUMP.read_text(encoding="utf-8").replace("CREATE SCHEMA public;", ""))
        await connection.close()
        yield database


async def counts(database: Database) -> dict[str, int]:
    connection = await asyncpg.connect(database.dsn)
    try:
        return {table: await connection.fetchval(f"SELECT count(*) FROM public.{table}") for table in KEPT}
    finally:
        await connection.close()


async def test_a_database_of_commit_bb385b9_is_upgraded_and_keeps_its_data(old: Database) -> None:
    before = await counts(old)
    assert all(before.values()), before
    applied = await migrate.upgrade(old.dsn)
    assert applied[0] == "0008_conditions"
    await migrate.check(old.dsn)
    assert await counts(old) == before
    pool = await open_pool(old.dsn, size=2)
    async with pool.acquire() as connection:
        space = await spaces.get_space(connection, "A-1")
        assert (space.state, space.sensor_dev_eui, space.display_dev_eui, space.location, space.metadata) == (
            "OCCUPIED", "58a0cb00000000a1", "2020000000000001", "Garage/Floor 1", {"plate": True},
        )  # fmt: skip
        (reservation,) = await reservations.list_reservations(connection)
        assert (reservation.user_email, reservation.metadata) == ("a@x.org", None)
        aside = await connection.fetchrow("SELECT object_id, metadata::text AS text FROM metadata_set_aside")
        assert aside is not None
        assert aside["object_id"] == UUID("00000000-0000-0000-0000-00000000000c")
        assert aside["text"].count("{") == 256
        assert await connection.fetchval("SELECT key_prefix FROM api_keys") == "bl_ylg6so3z"
    await pool.close()


async def test_the_program_starts_on_an_upgraded_database_of_commit_bb385b9(old: Database) -> None:
    await migrate.upgrade(old.dsn)
    settings = {
        "database_url": SecretStr(old.dsn),
        "mqtt_host": "",
        "http_port": 0,
        "chirpstack_http_secret": "the secret of a test",
    }
    async with running(settings, ready=False) as program:
        pool = await open_pool(old.dsn, size=1)
        async with pool.acquire() as connection:
            _, text = await keys.create_key(by(connection), "test", ["read"])
        await pool.close()
        async with httpx.AsyncClient(headers={"X-API-Key": text}) as client:
            answer = await client.get(f"http://127.0.0.1:{program.http_port}/api/v1/reservations")
        assert [item["id"] for item in answer.json()["items"]] == ["00000000-0000-0000-0000-00000000000c"]
