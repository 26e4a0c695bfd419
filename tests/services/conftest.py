from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from baylight.domain.state import Policy
from baylight.inventory import device_types
from baylight.store.pool import Connection, Pool

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
BY = {"actor": "ann", "now": NOW, "policy": Policy()}
"""Who does it, when, and by which policy: arguments of most writes."""


@pytest.fixture
async def db(pool: Pool) -> AsyncIterator[Connection]:
    """A connection to a database with the shipped catalogue."""
    async with pool.acquire() as connection:
        await device_types.sync(connection)
        yield connection
