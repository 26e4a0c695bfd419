"""The page, served with the API, in a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from baylight.store.pool import Pool
from baylight.web import page
from tests.api.conftest import Site, serving
from tests.api.conftest import site as site  # the fixture
from tests.conftest import Database
from tests.support.factories import Bay, add_bay, add_location
from tests.web.browser import Tab, browser


@pytest.fixture
async def bays(pool: Pool, database: Database) -> dict[str, Bay]:
    """Two floors: A-1, A-2, A-10 and B-1."""
    garage = await add_location(pool, "Garage", kind="site")
    made = {}
    for name, codes in (("Floor 1", ("A-10", "A-2", "A-1")), ("Floor 2", ("B-1",))):
        floor = await add_location(pool, name, parent_id=garage["id"])
        for code in codes:
            made[code] = await add_bay(pool, code, floor=floor["id"])
    await pool.execute("UPDATE spaces SET current_state = 'FREE' WHERE code IN ('A-1', 'B-1')")
    await pool.execute("UPDATE spaces SET current_state = 'OCCUPIED' WHERE code = 'A-2'")
    await pool.execute("UPDATE spaces SET display_state = current_state")
    await pool.execute("UPDATE display_devices SET sync_status = 'in_sync'")
    return made


@pytest.fixture
async def address(site: Site) -> AsyncIterator[str]:
    site.app.include_router(page.router())
    async with serving(site.app) as address:
        yield address


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async with browser(tmp_path) as tab:
        yield tab
