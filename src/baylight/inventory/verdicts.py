"""Verdicts on running device tests: whether the light was proven, and in time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from baylight.codecs.all import reports
from baylight.domain.downlink import ActuationStatus
from baylight.inventory.display_commands import FIND_CODEC, DisplayCodec
from baylight.store.pool import Connection
from baylight.store.query import Query

MAX_DETAIL_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class RunningTest:
    """Row of a device test without a result, locked. A pair test has a sensor; a pattern test has an actuation."""

    id: UUID
    kind: str
    space_id: UUID
    sensor_device_id: UUID | None
    display_device_id: UUID
    actuation_id: UUID | None
    started_at: datetime
    deadline_at: datetime
    within_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of a test and its reason. `seconds`: from the decision to the proof of the light."""

    passed: bool
    detail: str
    seconds: float | None = None
    actuation_id: UUID | None = None


class Delivery(NamedTuple):
    """Actuation, and what is proven of it."""

    id: UUID
    status: ActuationStatus
    downlink_error: str | None
    created_at: datetime
    transmitted_at: datetime | None
    shown_at: datetime | None


class SpaceChange(NamedTuple):
    """Change of a space's state."""

    new_state: str
    at: datetime


FIND_DELIVERY = Query("inventory.verdicts.find_delivery", Delivery)
FIND_FIRST_CHANGE = Query("inventory.verdicts.find_first_change", SpaceChange)
FIND_FIRST_DELIVERY = Query("inventory.verdicts.find_first_delivery", Delivery)
COUNT_UPLINKS = Query("inventory.verdicts.count_uplinks", int)


async def judge(connection: Connection, test: RunningTest, now: datetime) -> Verdict | None:
    """Return the verdict on a test, or None while it is not certain."""
    return await (_judge_pattern if test.kind == "pattern" else _judge_pair)(connection, test, now)


async def _judge_pattern(connection: Connection, test: RunningTest, now: datetime) -> Verdict | None:
    delivery = await FIND_DELIVERY.one(connection, id=test.actuation_id)
    codec = await FIND_CODEC.one(connection, display_id=test.display_device_id)
    return _judge_light(delivery, codec, delivery.created_at, test.deadline_at, now)


async def _judge_pair(connection: Connection, test: RunningTest, now: datetime) -> Verdict | None:
    change = await FIND_FIRST_CHANGE.first(connection, space_id=test.space_id, since=test.started_at)
    if change is None or change.at > test.deadline_at:
        if now <= test.deadline_at:
            return None
        count = await COUNT_UPLINKS.one(connection, sensor_id=test.sensor_device_id, since=test.started_at)
        sent = f"sent {count} uplinks, but no change" if count else "sent no uplink"
        return Verdict(False, f"the sensor {sent}")
    until = change.at + timedelta(seconds=test.within_s)
    delivery = await FIND_FIRST_DELIVERY.first(connection, display_id=test.display_device_id, since=change.at)
    if delivery is None:
        if now <= until:
            return None
        return Verdict(False, f"the space became {change.new_state}, but no command to its light followed")
    codec = await FIND_CODEC.one(connection, display_id=test.display_device_id)
    verdict = _judge_light(delivery, codec, change.at, until, now)
    return replace(verdict, detail=f"{change.new_state}: {verdict.detail}") if verdict else None


def _judge_light(
    delivery: Delivery, codec: DisplayCodec, since: datetime, until: datetime, now: datetime
) -> Verdict | None:
    """Return the verdict on a light that must be proven `until` a time.

    The proof of a display that reports is its report, and nothing else. The proof of another display is that a gateway
    sent the command.
    """
    display_reports = reports(codec.codec, codec.reports)
    proven_at = delivery.shown_at if display_reports else delivery.transmitted_at
    if proven_at is not None:
        seconds = max((proven_at - since).total_seconds(), 0.0)
        proof = "it reports the light" if display_reports else "the command was transmitted; this display cannot report"
        late = f", but only after {seconds:.1f} s" if proven_at > until else ""
        return Verdict(not late, proof + late, seconds, delivery.id)
    if delivery.status in (ActuationStatus.FAILED, ActuationStatus.EXPIRED):
        return Verdict(False, (delivery.downlink_error or "")[:MAX_DETAIL_LENGTH], None, delivery.id)
    if delivery.status is ActuationStatus.SUPERSEDED:
        return Verdict(False, "a newer decision superseded it before it was proven", None, delivery.id)
    if now > until:
        return Verdict(False, f"no proof of the light in time; the command is {delivery.status}", None, delivery.id)
    return None
