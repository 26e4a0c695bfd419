"""The API on a real database: in process, and behind a real server for streams."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from baylight.store.pool import Pool
from tests.support.servers import Database
from tests.support.site import Site, serving, site_on


@pytest.fixture
def site(pool: Pool, database: Database) -> Site:
    return site_on(database, pool)


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """Client with a key of scope write."""
    async with site.client(await site.key("write")) as client:
        yield client


@pytest.fixture
async def address(site: Site) -> AsyncIterator[str]:
    async with serving(site.app) as address:
        yield address
