"""Each recorded scenario of a real ChirpStack, played to the simulated one: it publishes the same."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from tests.lab.sim import recorded
from tests.lab.sim.recorded import Comparison, Message, Payload
from tests.lab.sim.scenarios import BEHAVIOUR, LAMP, OTAA, SCENARIOS, SENSOR, SPEED, Recorded
from tests.support.chirpstack_site import DEADLINE_S, Site, Sites


async def played(site: Site, name: str, count: int) -> list[Message]:
    """Play a scenario; return the first messages, and those that come too many."""
    it = Recorded(site)

    def found() -> list[tuple[str, str, Payload]]:
        joined_before = name == "up-after-join"
        return [e for e in site.events if e[1] in (SENSOR, LAMP, OTAA) and not (joined_before and e[0] == "join")]

    await SCENARIOS[name](it)
    async with asyncio.timeout(DEADLINE_S):
        while len(found()) < count:
            site.news.clear()
            await site.news.wait()
    await site.quiet()
    return [Message(event, eui, datetime.fromisoformat(p["time"]).timestamp(), p) for event, eui, p in found()]


@pytest.mark.parametrize("name", SCENARIOS)
async def test_recorded_scenario(sites: Sites, name: str) -> None:
    real = recorded.read(f"{name}.jsonl")
    if not real:
        pytest.skip(f"no recording {name}.jsonl in {recorded.SHARED}")
    site = await sites(**BEHAVIOUR)
    fake = await played(site, name, len(real))
    for one, other in zip(real, fake, strict=False):
        if other.dev_eui == OTAA and "devAddr" in one.payload:  # made by the server
            one.payload["devAddr"] = other.payload["devAddr"] = "made"
    comparison = Comparison(SPEED)
    comparison.sequences(real, fake)
    assert comparison.differences == []


def test_every_recording_has_its_scenario() -> None:
    if not recorded.SHARED.exists():
        pytest.skip(f"no recordings in {recorded.SHARED}")
    found = {path.stem for path in recorded.SHARED.glob("*.jsonl")} - {"kinds", "grpc"}
    assert found == set(SCENARIOS)


def test_a_difference_is_found() -> None:
    [real] = recorded.rows("up-counter-reset.jsonl")
    for change in (
        {"code": "UPLINK_F_CNT_RETRANSMISSION"},
        {"context": {}},
        {"level": None},
        {"relayRxInfo": None},
        {"time": "2026-11-27T18:59:04Z"},
    ):
        comparison = Comparison(1.0)
        comparison.value("log", real["payload"], real["payload"] | change)
        assert len(comparison.differences) == 1
