"""The live page in a real browser."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from baylight.control.events.ingest import Ingest
from baylight.domain.conditions import Condition, ConditionKind
from baylight.domain.events import Log
from baylight.domain.policies import Policies
from baylight.web import page
from tests.support.clock import Clock
from tests.support.factories import Bay
from tests.support.site import Site, serving
from tests.support.uplinks import FREE, uplink

pytestmark = pytest.mark.slow


def _tile(tab: Page, code: str) -> Locator:
    return tab.locator(f'[data-code="{code}"]')


async def _is_live(tab: Page) -> None:
    await expect(tab.locator("#connection")).to_have_attribute("data-is", "live")


async def _set_state(site: Site, code: str, state: str) -> None:
    await site.pool.execute(
        "UPDATE spaces SET current_state = $2, current_state_at = now() WHERE code = $1", code, state
    )
    await site.pool.execute("SELECT pg_notify('baylight_displays', '')")


async def test_it_shows_every_bay_by_floor_with_a_word_and_asks_no_other_server(
    site: Site, address: str, tab: Page, bays: dict[str, Bay]
) -> None:
    await tab.goto(f"{address}/#key={await site.key('read')}")
    await expect(tab).to_have_title(re.compile("^2 free"))
    floors = await tab.evaluate(
        "[...document.querySelectorAll('.floor')].map((f) => [f.querySelector('h2').textContent, "
        "f.querySelector('.counts').textContent, [...f.querySelectorAll('.bay')].map((b) => b.ariaLabel)])"
    )
    assert floors == [
        ["Garage › Floor 1", "1 free of 3 · 1 taken · 1 unknown", ["A-1, free", "A-2, taken", "A-10, unknown"]],
        ["Garage › Floor 2", "1 free of 1", ["B-1, free"]],
    ]
    assert tab.url == f"{address}/"
    assert (await tab.evaluate("sessionStorage.getItem('key')")).startswith("bl_")
    assert {urlsplit(request.url).netloc for request in await tab.requests()} == {urlsplit(address).netloc}
    assert [message.text for message in await tab.console_messages()] == []
    assert await tab.page_errors() == []


async def test_a_change_is_shown_and_announced(site: Site, address: str, tab: Page, bays: dict[str, Bay]) -> None:
    await tab.goto(f"{address}/#key={await site.key('read')}")
    await _is_live(tab)
    await _set_state(site, "A-1", "OCCUPIED")
    await expect(_tile(tab, "A-1")).to_contain_class("OCCUPIED", timeout=2_000)
    await expect(tab).to_have_title(re.compile("^1 free"))
    await expect(tab.locator("#news")).to_contain_text("A-1 is taken")


async def test_a_light_that_differs_is_marked_in_words(
    site: Site, address: str, tab: Page, bays: dict[str, Bay]
) -> None:
    await tab.goto(f"{address}/#key={await site.key('read')}")
    await _is_live(tab)
    await site.pool.execute("UPDATE display_devices SET sync_status = 'drifted' WHERE id = $1", bays["A-2"].display_id)
    await site.pool.execute("UPDATE spaces SET display_state = 'FREE' WHERE code = 'A-2'")
    await site.pool.execute("SELECT pg_notify('baylight_displays', '')")
    await expect(_tile(tab, "A-2").locator(".mark.drifted")).to_be_visible()
    label = await _tile(tab, "A-2").get_attribute("aria-label")
    assert label == "A-2, taken, light: free, The light shows something else than it must"
    assert await tab.locator("#attention-text").text_content() == "1 light needs attention"
    await tab.locator("#attention").click()
    assert [await bay.get_attribute("data-code") for bay in await tab.locator(".bay:visible").all()] == ["A-2"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_i2_a_state_that_may_be_out_of_date_is_marked_in_words(
    site: Site, address: str, tab: Page, bays: dict[str, Bay], scheme: Literal["light", "dark"]
) -> None:
    await tab.emulate_media(color_scheme=scheme)
    await tab.goto(f"{address}/#key={await site.key('read')}")
    await _is_live(tab)
    now = datetime.now(UTC)
    ingest = Ingest(site.pool, Clock(now), Policies())
    refused = Log(bays["A-1"].sensor_eui, "ERROR", "OTAA", "DevNonce has already been used", None, now)
    await ingest.store_batch([uplink(bays["A-1"].sensor_eui, now - timedelta(minutes=1), FREE)])
    await ingest.store_batch([refused])
    mark = _tile(tab, "A-1").locator(".unproven")
    await expect(mark).to_have_text("may be out of date", timeout=2_000)
    label = await _tile(tab, "A-1").get_attribute("aria-label")
    assert label is not None
    assert label.startswith("A-1, free, may be out of date: the network server refuses the sensor's uplinks")
    colours = "(e) => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]"
    assert await mark.evaluate(colours) == ["rgb(255, 213, 77)", "rgb(45, 34, 0)"]
    await _tile(tab, "A-1").click()
    why = tab.locator("#why-body")
    await expect(why).to_contain_text("This may be out of date since")
    await expect(why).to_contain_text("flush the OTAA device nonces of the device in ChirpStack")
    await expect(why).to_contain_text("sensor: sensor refused", ignore_case=True)
    await tab.keyboard.press("Escape")
    await ingest.store_batch([uplink(bays["A-1"].sensor_eui, now, FREE, f_cnt=2)])
    await expect(mark).to_have_count(0)


async def test_a_bay_is_explained_by_keyboard(site: Site, address: str, tab: Page, bays: dict[str, Bay]) -> None:
    async with site.client(await site.key("write")) as client:
        await client.put("/api/v1/spaces/A-1/maintenance", json={"on": True})
        start = datetime.now(UTC)
        booking = {"space": "A-1", "start_at": f"{start}", "end_at": f"{start + timedelta(hours=1)}"}
        await client.post("/api/v1/reservations", json=booking)
    await tab.goto(f"{address}/#key={await site.key('read')}")
    tile, why = _tile(tab, "A-1"), tab.locator("#why")
    await expect(tile).to_contain_class("MAINTENANCE")
    await tile.press("Enter")
    await expect(why.locator(".rules")).to_be_visible()
    text = await why.inner_text()
    assert "in maintenance" in text
    assert re.search(r"must show\n.*\nsent\nnothing\nreported\nnothing yet", text)
    assert "reserved until" in text
    assert "has sent no uplink yet" in text
    assert not re.search(r"\d\dT\d\d:", text)
    await tab.keyboard.press("Escape")
    await expect(why).to_be_hidden()
    await expect(tile).to_be_focused()


async def test_without_a_good_key_it_asks_for_one(site: Site, address: str, tab: Page, bays: dict[str, Bay]) -> None:
    await tab.goto(f"{address}/#key=bl_aaaaaaaa_{'a' * 43}")
    await expect(tab.locator("#refused")).to_contain_text("unknown or revoked")
    await tab.locator("#key").fill(await site.key("read"))
    await tab.locator("#ask button").click()
    await expect(tab.locator(".bay")).to_have_count(4)
    await expect(tab.locator("#ask")).to_be_hidden()


async def test_a_lost_connection_is_shown_and_comes_back(site: Site, tab: Page, bays: dict[str, Bay]) -> None:
    site.app.include_router(page.router())
    async with serving(site.app) as address:
        await tab.goto(f"{address}/#key={await site.key('read')}")
        await _is_live(tab)
    await expect(tab.locator("body")).to_contain_class("lost")
    await expect(tab.locator("#connection")).to_have_text(re.compile(r"Connection lost, data from \d+:\d\d:\d\d"))
    await expect(tab.locator(".bay")).to_have_count(4)
    await _set_state(site, "B-1", "OCCUPIED")
    async with serving(site.app, port=int(address.rsplit(":", 1)[1])):
        await _is_live(tab)
        await expect(_tile(tab, "B-1")).to_contain_class("OCCUPIED")


@pytest.mark.parametrize("width", [360, 1280])
async def test_nothing_needs_sideways_scrolling(
    site: Site, address: str, browser: Browser, bays: dict[str, Bay], width: int
) -> None:
    await site.pool.execute("UPDATE spaces SET current_state = 'MAINTENANCE' WHERE code = 'A-1'")
    await site.pool.execute("UPDATE spaces SET current_state = 'OUT_OF_ORDER' WHERE code = 'A-2'")
    tab = await browser.new_page(viewport={"width": width, "height": 900}, is_mobile=width < 600)
    await tab.goto(f"{address}/#key={await site.key('read')}")
    await expect(tab.locator(".bay")).to_have_count(4)
    assert await tab.evaluate("document.documentElement.scrollWidth") == width
    assert await tab.evaluate("[...document.querySelectorAll('.bay')].every((b) => b.scrollWidth <= b.clientWidth + 8)")


async def test_the_page_needs_no_key_and_allows_nothing_inline_or_foreign(site: Site) -> None:
    site.app.include_router(page.router())
    async with site.client() as client:
        for path in page.FILES:
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


async def test_i18_what_is_wrong_with_a_service_stands_on_the_page_until_it_is_over(
    site: Site, address: str, tab: Page, bays: dict[str, Bay]
) -> None:
    since = datetime.now(UTC) - timedelta(minutes=2)
    site.conditions.append(Condition(ConditionKind.NETWORK_SERVER_AWAY, "chirpstack", since, "connection refused"))
    await tab.goto(f"{address}/#key={await site.key('read')}")
    shown = tab.locator("#services li")
    await expect(shown).to_contain_text("The network server does not answer (chirpstack), since ")
    await expect(shown).to_contain_text("connection refused")
    await expect(tab.locator("#connection")).to_have_text("Connected, with trouble")
    site.conditions.clear()
    site.app.state.hub.wake()
    await expect(tab.locator("#services")).to_be_hidden()
    await expect(tab.locator("#connection")).to_have_text("Live")
