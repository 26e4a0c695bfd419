"""Metrics for Prometheus. What is counted as it happens lies in the registry; the present is read when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from baylight.api.deps import Database, Given, Reading
from baylight.control.gateways import list_used
from baylight.domain.airtime import SUB_BANDS, Used
from baylight.domain.conditions import Condition
from baylight.insight import live

router = APIRouter(tags=["operation"])


class Counts:
    """Collector of what one process has counted since its start, and of the messages that wait in it."""

    def __init__(
        self,
        messages: Mapping[tuple[str, str], int],
        downlinks: Mapping[str, int],
        waiting: Callable[[], int],
        conditions: Callable[[], Sequence[Condition]] = tuple,
    ) -> None:
        """`messages`: by (kind, outcome). `downlinks`: by answer. `conditions`: those of services that last."""
        self._messages = messages
        self._downlinks = downlinks
        self._waiting = waiting
        self._conditions = conditions

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        messages = CounterMetricFamily(
            "baylight_messages", "Messages taken, by kind and what became of them", labels=["kind", "outcome"]
        )
        for labels, count in self._messages.items():
            messages.add_metric(labels, count)
        yield messages
        downlinks = CounterMetricFamily(
            "baylight_downlinks", "Downlinks handed to the network server, by answer", labels=["answer"]
        )
        for answer, count in self._downlinks.items():
            downlinks.add_metric([answer], count)
        yield downlinks
        yield GaugeMetricFamily(
            "baylight_messages_waiting", "Messages received and not yet begun with", self._waiting()
        )
        lasting = GaugeMetricFamily(
            "baylight_service_condition_since_seconds",
            "Conditions of services that last: the time when they began",
            labels=["kind", "service"],
        )
        for condition in self._conditions():
            lasting.add_metric([condition.kind, condition.subject_id], condition.since.timestamp())
        yield lasting


class _Present:
    """A collector of one scrape."""

    def __init__(self, summary: live.Summary) -> None:
        self._summary = summary

    def collect(self) -> list[GaugeMetricFamily]:
        return [
            _gauge("baylight_spaces", "Live spaces by state", "state", self._summary.spaces),
            _gauge(
                "baylight_spaces_unproven", "Live spaces whose state may be out of date, by reason", "reason",
                self._summary.unproven,
            ),
            _gauge("baylight_conditions", "Conditions that last, by kind", "kind", self._summary.conditions),
            _gauge("baylight_displays", "Displays that serve a space, by sync status", "sync", self._summary.displays),
            _gauge(
                "baylight_actuations_waiting", "Unfinished actuations by status", "status", self._summary.actuations
            ),
            _gauge(
                "baylight_frames_missing",
                "Frames that counters show as lost, in the present sessions of devices, by role",
                "role",
                self._summary.frames_missing,
            ),
        ]  # fmt: skip


class _Airtime:
    """A collector of one scrape. Only gateways that sent a downlink in the last hour have a series."""

    def __init__(self, used: Sequence[Used]) -> None:
        self._used = used

    def collect(self) -> list[GaugeMetricFamily]:
        labels = ["gateway", "sub_band"]
        seconds = GaugeMetricFamily(
            "baylight_gateway_airtime_seconds", "Airtime that a gateway used in the last hour", labels=labels
        )
        limits = GaugeMetricFamily(
            "baylight_gateway_airtime_limit_seconds", "Airtime that the sub-band allows in an hour", labels=labels
        )
        for used in self._used:
            seconds.add_metric([used.gateway_id, used.sub_band], used.airtime_ms / 1000)
            if limit := SUB_BANDS[used.sub_band].limit:
                limits.add_metric([used.gateway_id, used.sub_band], limit.total_seconds())
        return [seconds, limits]


@router.get(
    "/metrics",
    summary="Get the metrics of this process and the counts of the present",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
async def get_metrics(key: Reading, connection: Database, given: Given) -> Response:
    present = CollectorRegistry()
    present.register(_Present(await live.get_summary(connection)))
    present.register(_Airtime(await list_used(connection, given.clock.now())))
    return Response(generate_latest(given.registry) + generate_latest(present), media_type=CONTENT_TYPE_LATEST)


def _gauge(name: str, text: str, label: str, counts: dict[str, int]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, text, labels=[label])
    for word, amount in counts.items():
        gauge.add_metric([word], amount)
    return gauge
