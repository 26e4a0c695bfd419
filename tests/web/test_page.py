"""The live page in a real browser."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from baylight.web import page
from tests.api.conftest import Site, serving
from tests.support.factories import Bay
from tests.web.browser import Tab

pytestmark = pytest.mark.slow

TILE = "document.querySelector('[data-code=\"%s\"]')"
LIVE = "document.getElementById('connection').dataset.is === 'live'"


async def _say(site: Site, code: str, state: str) -> None:
    await site.pool.execute(
        "UPDATE spaces SET current_state = $2, current_state_at = now() WHERE code = $1", code, state
    )
    await site.pool.execute("SELECT pg_notify('baylight_displays', '')")


async def test_it_shows_every_bay_by_floor_with_a_word_and_asks_nobody_else(
    site: Site, address: str, tab: Tab, bays: dict[str, Bay]
) -> None:
    await tab.open(f"{address}/#key={await site.key('read')}")
    await tab.until("document.title.startsWith('2 free')")
    floors = await tab.js(
        "[...document.querySelectorAll('.floor')].map((f) => [f.querySelector('h2').textContent, "
        "f.querySelector('.counts').textContent, [...f.querySelectorAll('.bay')].map((b) => b.ariaLabel)])"
    )
    assert floors == [
        ["Garage › Floor 1", "1 free of 3 · 1 occupied · 1 unknown", ["A-1, Free", "A-2, Occupied", "A-10, Unknown"]],
        ["Garage › Floor 2", "1 free of 1", ["B-1, Free"]],
    ]
    assert await tab.js("location.href") == f"{address}/"
    assert (await tab.js("sessionStorage.getItem('key')")).startswith("bl_")
    assert {url.split("/")[2] for url in tab.requested if not url.startswith("about:")} == {address.split("/")[2]}
    assert tab.complaints == []


async def test_a_change_is_seen_and_told(site: Site, address: str, tab: Tab, bays: dict[str, Bay]) -> None:
    await tab.open(f"{address}/#key={await site.key('read')}")
    await tab.until(LIVE)
    await _say(site, "A-1", "OCCUPIED")
    await tab.until(f"{TILE % 'A-1'}.classList.contains('OCCUPIED')", within_s=2)
    await tab.until("document.title.startsWith('1 free')")
    await tab.until("document.getElementById('news').textContent.includes('A-1 is occupied')")


async def test_a_light_that_differs_is_marked_in_words(
    site: Site, address: str, tab: Tab, bays: dict[str, Bay]
) -> None:
    await tab.open(f"{address}/#key={await site.key('read')}")
    await tab.until(LIVE)
    await site.pool.execute("UPDATE display_devices SET sync_status = 'drifted' WHERE id = $1", bays["A-2"].display_id)
    await site.pool.execute("UPDATE spaces SET display_state = 'FREE' WHERE code = 'A-2'")
    await site.pool.execute("SELECT pg_notify('baylight_displays', '')")
    await tab.until(f"{TILE % 'A-2'}.querySelector('.mark.drifted')")
    label = await tab.js(f"{TILE % 'A-2'}.ariaLabel")
    assert label == "A-2, Occupied, light: Free, The light shows something else than it must"
    assert await tab.js("document.getElementById('attention-text').textContent") == "1 light needs attention"
    await tab.js("document.getElementById('attention').click()")
    shown = "[...document.querySelectorAll('.bay')].filter((b) => b.offsetParent).map((b) => b.dataset.code)"
    assert await tab.js(shown) == ["A-2"]


async def test_a_bay_tells_why_by_keyboard(site: Site, address: str, tab: Tab, bays: dict[str, Bay]) -> None:
    async with site.client(await site.key("write")) as client:
        await client.put("/api/v1/spaces/A-1/maintenance", json={"on": True})
        start = datetime.now(UTC)
        booking = {"space": "A-1", "start_at": f"{start}", "end_at": f"{start + timedelta(hours=1)}"}
        await client.post("/api/v1/reservations", json=booking)
    await tab.open(f"{address}/#key={await site.key('read')}")
    await tab.until(f"{TILE % 'A-1'}?.classList.contains('MAINTENANCE')")
    await tab.js(f"{TILE % 'A-1'}.focus()")
    for kind in ("keyDown", "keyUp"):
        await tab.call(
            "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13
        )
    text = await tab.until("document.querySelector('#why[open] .rules') && document.getElementById('why').innerText")
    assert "in maintenance" in text
    assert "reserved until" in text
    assert "was never heard" in text
    assert not re.search(r"\d\dT\d\d:", text)
    for kind in ("keyDown", "keyUp"):
        await tab.call("Input.dispatchKeyEvent", type=kind, key="Escape", code="Escape", windowsVirtualKeyCode=27)
    await tab.until("!document.getElementById('why').open")
    assert await tab.js("document.activeElement.dataset.code") == "A-1"


async def test_without_a_good_key_it_asks_for_one(site: Site, address: str, tab: Tab, bays: dict[str, Bay]) -> None:
    await tab.open(f"{address}/#key=bl_aaaaaaaa_{'a' * 43}")
    await tab.until("document.getElementById('refused').textContent.includes('unknown or revoked')")
    key = await site.key("read")
    await tab.js(f"document.getElementById('key').value = {key!r}; document.querySelector('#ask button').click()")
    await tab.until("document.querySelectorAll('.bay').length === 4")
    assert await tab.js("document.getElementById('ask').offsetParent === null")


async def test_a_lost_connection_is_told_and_comes_back(site: Site, tab: Tab, bays: dict[str, Bay]) -> None:
    site.app.include_router(page.router())
    async with serving(site.app) as address:
        await tab.open(f"{address}/#key={await site.key('read')}")
        await tab.until(LIVE)
    text = await tab.until(
        "document.body.classList.contains('lost') && document.getElementById('connection').textContent"
    )
    assert re.match(r"Connection lost, data as of \d+:\d\d:\d\d", text)
    assert await tab.js("document.querySelectorAll('.bay').length") == 4
    await _say(site, "B-1", "OCCUPIED")
    async with serving(site.app, port=int(address.rsplit(":", 1)[1])):
        await tab.until(LIVE)
        await tab.until(f"{TILE % 'B-1'}.classList.contains('OCCUPIED')")


@pytest.mark.parametrize("width", [360, 1280])
async def test_nothing_needs_sideways_scrolling(
    site: Site, address: str, tab: Tab, bays: dict[str, Bay], width: int
) -> None:
    await site.pool.execute("UPDATE spaces SET current_state = 'MAINTENANCE' WHERE code = 'A-1'")
    await site.pool.execute("UPDATE spaces SET current_state = 'OUT_OF_ORDER' WHERE code = 'A-2'")
    await tab.open(f"{address}/#key={await site.key('read')}", width=width)
    await tab.until("document.querySelectorAll('.bay').length === 4")
    assert await tab.js("document.documentElement.scrollWidth") == width
    assert await tab.js("[...document.querySelectorAll('.bay')].every((b) => b.scrollWidth <= b.clientWidth + 8)")


async def test_the_page_needs_no_key_and_allows_nothing_inline_or_foreign(site: Site) -> None:
    site.app.include_router(page.router())
    async with site.client() as client:
        for path in ("/", "/live.js", "/live.css", "/icon.svg"):
            answer = await client.get(path)
            assert answer.status_code == 200
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            foreign = re.findall(r"https?://(?!www\.w3\.org/)[^\s\"']+", answer.text)
            assert foreign == []
        html = (await client.get("/")).text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|style=", html)
