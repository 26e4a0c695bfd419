"""A stage with two bays, and a database server that a test may stop."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from baylight.lab.embedded.broker import EmbeddedBroker
from baylight.lab.embedded.postgres import EmbeddedPostgres
from baylight.store.pool import Pool
from tests.support.servers import Database, directory_of_postgres
from tests.support.stage import Stage, stage_on


@pytest.fixture
async def stage(database: Database, pool: Pool, broker: EmbeddedBroker) -> AsyncIterator[Stage]:
    """Yield a stage with two bays, one per type of sensor, and downlinks by gRPC."""
    async with stage_on(database, pool, broker) as stage:
        yield stage


@pytest.fixture
async def own_postgres() -> AsyncIterator[EmbeddedPostgres]:
    """Yield a server that the test may stop, unlike the shared one."""
    postgres = EmbeddedPostgres(directory_of_postgres())
    try:
        await postgres.start()
        yield postgres
    finally:
        await postgres.stop()
        postgres.delete()
