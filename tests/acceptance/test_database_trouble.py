"""Databases that answer and yet cannot store: no message is lost that can be stored after a repair."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from baylight.lab.embedded.broker import MosquittoBroker
from baylight.lab.embedded.postgres import EmbeddedPostgres
from baylight.store import migrate
from baylight.store.pool import Pool, open_pool
from tests.support.eventually import until
from tests.support.processes import all_stored
from tests.support.servers import Database
from tests.support.stage import RED, stage_on

TROUBLE = {
    "a standby, where nothing may be written": (
        ["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"],
        ["ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"],
    ),
    "tables that a person has renamed": (
        ["ALTER TABLE uplinks RENAME TO uplinks_gone", "ALTER TABLE rejected_messages RENAME TO rejected_gone"],
        ["ALTER TABLE uplinks_gone RENAME TO uplinks", "ALTER TABLE rejected_gone RENAME TO rejected_messages"],
    ),
}


@asynccontextmanager
async def trouble(pool: Pool, kind: str) -> AsyncIterator[None]:
    begin, end = TROUBLE[kind]
    for statement in begin:
        await pool.execute(statement)
    yield
    for statement in end:
        await pool.execute(statement)


@pytest.mark.parametrize("kind", TROUBLE)
async def test_b5_messages_that_a_database_refuses_wait_for_it_and_are_not_lost(
    own_postgres: EmbeddedPostgres,
    mosquitto: MosquittoBroker,
    kind: str,
) -> None:
    await migrate.upgrade(own_postgres.dsn())
    pool = await open_pool(own_postgres.dsn(), size=2)
    async with stage_on(Database(own_postgres.dsn()), pool, mosquitto) as stage:
        bay = stage.bays[0]
        async with stage.program():
            await stage.begin()
            with capture_logs() as logs:
                async with trouble(pool, kind):
                    await stage.park.arrive(bay.code)
                    await stage.fake.settled()
                    await until(lambda: any(line["event"] == "handler_retries" for line in logs))
            await stage.shows(bay, RED)
            await all_stored(stage)
            await stage.all_proven()
    pool.terminate()
