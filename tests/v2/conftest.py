"""V2 databases, one for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.servers import Server
from tests.support.v2 import V2Database, v2_database


@pytest.fixture
async def v2(server: Server) -> AsyncIterator[V2Database]:
    async with v2_database(server) as database:
        yield database


@pytest.fixture
async def any_v2(any_server: Server) -> AsyncIterator[V2Database]:
    async with v2_database(any_server) as database:
        yield database
