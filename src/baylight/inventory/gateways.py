"""Gateways as people see them: what they do with downlinks, and the airtime that they use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from baylight.control import conditions
from baylight.control.gateways import list_used
from baylight.domain.airtime import SUB_BANDS, Used
from baylight.domain.conditions import KINDS, ConditionKind, Subject
from baylight.domain.paging import PAGE_SIZE, check_page_size
from baylight.errors import NotFoundError
from baylight.store.pool import Connection
from baylight.store.query import Query

HOURS_SHOWN = timedelta(hours=24)
_KINDS = [kind for kind, row in KINDS.items() if row.subject is Subject.GATEWAY]


@dataclass(frozen=True, slots=True)
class Airtime:
    """Airtime that a gateway used in the last hour in a sub-band.

    `sub_band`: letter of ETSI EN 300 220-2, or `other` for frequencies without a known limit; these have None as
    `low_hz`, `high_hz`, `limit_s` and `used_pct`. `assumed_frames`: downlinks whose size or data rate the network
    server did not report, counted with an assumed one.
    """

    sub_band: str
    low_hz: int | None
    high_hz: int | None
    limit_s: float | None
    used_s: float
    used_pct: float | None
    frames: int
    assumed_frames: int

    def __str__(self) -> str:
        of_limit = "" if self.used_pct is None else f" ({self.used_pct:g} % of {self.limit_s:g} s)"
        return f"{self.sub_band} {self.used_s:g} s{of_limit}"


@dataclass(frozen=True, slots=True)
class AirtimeOfHour:
    """Airtime that a gateway used in an hour of the clock (UTC) in a sub-band."""

    hour_at: datetime
    sub_band: str
    frames: int
    used_s: float

    def __str__(self) -> str:
        return f"{self.hour_at:%H:%M} UTC {self.sub_band} {self.used_s:g} s"


@dataclass(frozen=True, slots=True)
class GatewayCondition:
    """Condition of a gateway that lasts. `remedy`: what a person does about it."""

    kind: ConditionKind
    since: datetime
    evidence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.kind} since {self.since:%Y-%m-%d %H:%M:%S} UTC: {self.evidence}. {self.remedy}"


@dataclass(frozen=True, slots=True)
class Gateway:
    """Gateway that forwarded an uplink or sent a downlink.

    `last_ack_at`: its newest acknowledgement of a downlink (up to 5 s older than the true one). `unacked_since`: since
    when commands have waited for one. `refusal`: the reason of its newest refusal. `displays`: number of displays whose
    newest uplink came through it. `hours`: empty in lists.
    """

    gateway_id: str
    first_seen_at: datetime
    last_seen_at: datetime
    last_ack_at: datetime | None
    unacked_since: datetime | None
    refused_at: datetime | None
    refusal: str | None
    displays: int
    airtime: list[Airtime] = field(default_factory=list)
    conditions: list[GatewayCondition] = field(default_factory=list)
    hours: list[AirtimeOfHour] = field(default_factory=list)

    @property
    def wrong(self) -> str:
        """The kinds of its conditions."""
        return ", ".join(condition.kind for condition in self.conditions)

    @property
    def airtime_used(self) -> str:
        return ", ".join(map(str, self.airtime))


class _Hour(NamedTuple):
    hour_at: datetime
    sub_band: str
    frames: int
    airtime_ms: float


LIST = Query("inventory.gateways.list", Gateway)
HOURS = Query("inventory.gateways.hours", _Hour)


async def list_gateways(
    connection: Connection, now: datetime, *, after: str | None = None, limit: int = PAGE_SIZE
) -> list[Gateway]:
    """Return a page of gateways by id, after an id."""
    found = await LIST.all(connection, gateway_id=None, after=after, limit=check_page_size(limit))
    return await _completed(connection, found, now)


async def get_gateway(connection: Connection, gateway_id: str, now: datetime) -> Gateway:
    """Return a gateway, with its airtime of the last 24 hours. Raises NotFoundError `unknown_gateway`."""
    id = gateway_id.strip().lower()
    found = await LIST.all(connection, gateway_id=id, after=None, limit=1)
    if not found:
        text = f"no gateway {gateway_id} has forwarded an uplink or sent a downlink"
        raise NotFoundError("unknown_gateway", text, gateway_id=gateway_id)
    hours = await HOURS.all(connection, gateway_id=id, since=now - HOURS_SHOWN)
    (gateway,) = await _completed(connection, found, now)
    return replace(
        gateway,
        hours=[AirtimeOfHour(h.hour_at, h.sub_band, h.frames, _seconds(h.airtime_ms)) for h in hours],
    )


async def _completed(connection: Connection, found: Sequence[Gateway], now: datetime) -> list[Gateway]:
    """Return the gateways with their airtime and their conditions."""
    only = found[0].gateway_id if len(found) == 1 else None
    airtime: dict[str, list[Airtime]] = defaultdict(list)
    for used in await list_used(connection, now, only):
        airtime[used.gateway_id].append(_airtime(used))
    wrong: dict[str, list[GatewayCondition]] = defaultdict(list)
    ids = [gateway.gateway_id for gateway in found]
    for c in await conditions.list_open(connection, kinds=_KINDS, subject_ids=ids):
        wrong[c.subject_id].append(GatewayCondition(c.kind, c.since, c.evidence, KINDS[c.kind].remedy))
    return [
        replace(gateway, airtime=airtime[gateway.gateway_id], conditions=wrong[gateway.gateway_id]) for gateway in found
    ]


def _airtime(used: Used) -> Airtime:
    band = SUB_BANDS[used.sub_band]
    limited = band.limit is not None
    return Airtime(
        sub_band=band.name,
        low_hz=band.low_hz if limited else None,
        high_hz=band.high_hz if limited else None,
        limit_s=band.limit.total_seconds() if band.limit else None,
        used_s=_seconds(used.airtime_ms),
        used_pct=round(100 * used.share, 1) if limited else None,
        frames=used.frames,
        assumed_frames=used.assumed_frames,
    )


def _seconds(ms: float) -> float:
    return round(ms / 1000, 3)
