"""The whole program as a service user: cars and lights, writes through the API, a JavaScript codec, and retention."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import httpx
import pytest

from baylight.app.timer import Timer
from baylight.domain.policies import Policies
from baylight.lab.embedded.broker import EmbeddedBroker
from baylight.store.pool import Pool, open_pool
from tests.api.test_bulk import HEAD
from tests.api.test_codecs import EYE, NEW
from tests.support.accounts import Accounts, connected, served_database
from tests.support.clock import RealClock
from tests.support.eventually import eventually
from tests.support.servers import Database, Server
from tests.support.site import site_on
from tests.support.stage import GREEN, RED, Stage, stage_on


@dataclass(frozen=True)
class Served:
    """Stage whose program, and whose `pool`, are those of a service user."""

    accounts: Accounts
    pool: Pool
    stage: Stage

    async def key(self, *scopes: str) -> str:
        return await site_on(Database(self.accounts.service_dsn), self.pool).key(*scopes)


@pytest.fixture
async def served(server: Server, broker: EmbeddedBroker) -> AsyncIterator[Served]:
    async with served_database(server) as accounts:
        pool = await open_pool(accounts.service_dsn)
        async with stage_on(Database(accounts.service_dsn), pool, broker) as stage:
            yield Served(accounts, pool, stage)
        await pool.close()


async def test_point6_cars_lights_and_people_work_with_a_service_user(served: Served) -> None:
    stage = served.stage
    bay = stage.bays[0]
    async with connected(served.accounts.owner_dsn) as owner:
        ahead = await owner.fetchval("SELECT max(relname) FROM pg_class WHERE relname LIKE 'uplinks\\_y%m__'")
        await owner.execute(f"DROP TABLE {ahead}")
    async with stage.program() as program:
        await stage.begin()
        await stage.park.arrive(bay.code)
        await stage.shows(bay, RED)
        await stage.park.leave(bay.code)
        await stage.shows(bay, GREEN)
        await stage.all_proven()
        await eventually(stage.pool, "SELECT count(*) > 0 FROM pg_class WHERE relname = $1", ahead)
        headers = {"Authorization": f"Bearer {await served.key('admin')}"}
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{program.http_port}", headers=headers, timeout=30
        ) as client:
            answers = [
                await client.post("/api/v1/keys", json={"name": "a reader", "scopes": ["read"]}),
                await client.post("/api/v1/import/spaces", content=HEAD + b"Z-1,,,,,FREE,no,\r\n"),
                await client.post(EYE, json=NEW),
                await client.post(f"{EYE}/1/activate"),
                await client.put(f"/api/v1/spaces/{bay.code}/maintenance", json={"on": True}),
                await client.delete("/api/v1/spaces/Z-1"),
                await client.get(f"/api/v1/spaces/{bay.code}/why"),
            ]
            assert [answer.status_code for answer in answers if answer.status_code >= 300] == [], [
                answer.text for answer in answers
            ]
        await eventually(
            stage.pool, "SELECT current_state FROM spaces WHERE id = $1", stage.spaces[bay.code], equals="MAINTENANCE"
        )
        assert program.problems() == {}
    assert await stage.pool.fetchval("SELECT count(*) FROM audit_log") >= 5
    steps = await stage.pool.fetch("SELECT DISTINCT kind FROM actuation_events")
    assert {row["kind"] for row in steps} >= {"sending", "queued", "tx_ack", "reported"}


async def test_point6_housekeeping_works_with_a_service_user_and_keeps_what_the_owner_wants(served: Served) -> None:
    clock = RealClock()
    old, kept = clock.now() - timedelta(days=38 * 31), clock.now() - timedelta(days=20 * 30)
    async with connected(served.accounts.owner_dsn) as owner:
        for at in (old, kept):
            await owner.execute("SELECT ensure_partition('uplinks', $1), ensure_partition('actuations', $1)", at)
    for at in (old, kept):
        await served.pool.execute(
            "INSERT INTO actuation_events (at, received_at, dev_eui, kind) VALUES ($1, $1, 'aa', 'log')", at
        )
    await Timer(served.pool, clock, Policies(), uplink_retention_months=1, actuation_retention_months=1).housekeeping()
    names = [row["relname"] for row in await served.pool.fetch("SELECT relname FROM pg_class WHERE relispartition")]
    for parent in ("uplinks", "actuations"):
        assert f"{parent}_y{old:%Ym%m}" not in names
        assert f"{parent}_y{kept:%Ym%m}" in names
    assert await served.pool.fetchval("SELECT min(received_at) FROM actuation_events") == kept
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await served.pool.execute("DELETE FROM actuation_events")
