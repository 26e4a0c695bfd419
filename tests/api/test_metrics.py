"""What a process counts, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from baylight.api.metrics import Counts


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
