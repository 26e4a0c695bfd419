"""What a process counts, as Prometheus reads it."""

from __future__ import annotations

from datetime import timedelta

import httpx
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from baylight.api.metrics import Counts
from tests.support.clock import T0
from tests.support.factories import add_bay
from tests.support.site import Site
from tests.support.uplinks import OCCUPIED, receive_at, uplink


def test_counts_are_read_at_each_scrape() -> None:
    messages, downlinks, waiting = {("uplink", "unchanged"): 2}, {"accepted": 1}, 5
    registry = CollectorRegistry()
    registry.register(Counts(messages, downlinks, lambda: waiting))

    def scrape() -> list[str]:
        return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]

    assert scrape() == [
        'baylight_messages_total{kind="uplink",outcome="unchanged"} 2.0',
        'baylight_downlinks_total{answer="accepted"} 1.0',
        "baylight_messages_waiting 5.0",
    ]
    messages["rejected", "bad_json"] = 1
    waiting = 0
    assert 'baylight_messages_total{kind="rejected",outcome="bad_json"} 1.0' in scrape()
    assert scrape()[-1] == "baylight_messages_waiting 0.0"


async def test_i18_missing_frames_of_devices_are_shown_and_summed_up(site: Site, client: httpx.AsyncClient) -> None:
    bay = await add_bay(site.pool, "A-1")
    frames = [uplink(bay.sensor_eui, T0, OCCUPIED, f_cnt=f_cnt) for f_cnt in (1, 4, 9)]
    await receive_at(site.pool, frames, T0 + timedelta(minutes=1))
    assert (await client.get(f"/api/v1/sensors/{bay.sensor_eui}")).json()["frames_missing"] == 6
    assert (await client.get(f"/api/v1/displays/{bay.display_eui}")).json()["frames_missing"] == 0
    metrics = (await client.get("/metrics")).text.splitlines()
    assert 'baylight_frames_missing{role="sensor"} 6.0' in metrics
    assert 'baylight_frames_missing{role="display"} 0.0' in metrics
