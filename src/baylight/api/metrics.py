"""Metrics for Prometheus. What is counted as it happens lies in the registry; the present is read when asked for."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from baylight.api.deps import Database, Given, Reading
from baylight.insight import live

router = APIRouter(tags=["operation"])


class _Present:
    """A collector of one scrape."""

    def __init__(self, summary: live.Summary) -> None:
        self._summary = summary

    def collect(self) -> list[GaugeMetricFamily]:
        return [
            _gauge("baylight_spaces", "Live spaces by state", "state", self._summary.spaces),
            _gauge("baylight_displays", "Displays that serve a space, by sync status", "sync", self._summary.displays),
            _gauge(
                "baylight_actuations_waiting", "Unfinished actuations by status", "status", self._summary.actuations
            ),
        ]


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(key: Reading, connection: Database, given: Given) -> Response:
    present = CollectorRegistry()
    present.register(_Present(await live.summary(connection)))
    return Response(generate_latest(given.registry) + generate_latest(present), media_type=CONTENT_TYPE_LATEST)


def _gauge(name: str, text: str, label: str, counts: dict[str, int]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, text, labels=[label])
    for word, amount in counts.items():
        gauge.add_metric([word], amount)
    return gauge
