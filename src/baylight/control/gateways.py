"""Gateways: which of them acknowledge, refuse, or are silent, and how much airtime they use.

Ingest writes facts with `GatewayWriter`; the timer derives the conditions from them with `review`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from baylight.control import conditions
from baylight.domain.airtime import (
    FREE_AGAIN,
    HOUR,
    NEARLY_USED,
    Used,
)
from baylight.domain.conditions import Cause, Condition, ConditionKind
from baylight.log import logger
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement

log = logger("gateways")


LATE_AFTER = timedelta(seconds=10)
"""A command waits for its tx_ack from this age on. ChirpStack's scheduler and its locks take up to 6 s."""
REVIEW_MARGIN = timedelta(seconds=5)
"""Time between two reviews, and some more."""
SILENT_AFTER = timedelta(seconds=60)
"""A gateway is silent if commands have waited for so long and it has acknowledged nothing."""
FORGOTTEN_AFTER = timedelta(minutes=20)
"""Longer than the longest back-off of a display: after it no command waits any more."""
SLIDING_HOUR = HOUR + timedelta(minutes=1)
"""Airtime is stored by the minute: of the first minute some seconds are older than an hour."""
REFUSALS = {
    "TX_POWER": "the gateway has no such power: correct the antenna gain and the table of powers in its settings",
    "TX_FREQ": "the gateway does not send on this frequency: correct its channels or the region's RX2 frequency",
    "DUTY_CYCLE_OVERFLOW": "its airtime is used: set a faster RX2 data rate, or add a gateway",
    "TOO_LATE": "the downlink reached it too late: the way from the network server to the gateway is too slow",
    "TOO_EARLY": "the downlink reached it too early: check the clock of the gateway and its concentrator",
    "COLLISION_PACKET": "it was sending already: too many downlinks at once",
    "COLLISION_BEACON": "it was sending a beacon",
    "GPS_UNLOCKED": "it has no time from GPS",
    "QUEUE_FULL": "its queue is full: too many downlinks at once",
    "INTERNAL_ERROR": "its concentrator failed: restart the gateway",
}
"""Reasons of a gateway, as ChirpStack spells them (TxAckStatus in gw.proto), and what they mean for a person."""

_KINDS = (ConditionKind.GATEWAY_REFUSES, ConditionKind.GATEWAY_NO_ACK, ConditionKind.GATEWAY_AIRTIME)
_CAUSES = (ConditionKind.NETWORK_SERVER_AWAY, ConditionKind.BROKER_AWAY)


@dataclass(frozen=True, slots=True)
class Troubled:
    """Gateway behind which commands wait, that refuses, or whose tx_acks are lost.

    `refusals`: downlinks that it has refused since its last tx_ack. `proven_at`: when a display reported the light of a
    command of which no tx_ack had come. `waiting`: number of commands that wait now.
    """

    gateway_id: str
    last_seen_at: datetime
    last_ack_at: datetime | None
    proven_at: datetime | None
    unacked_since: datetime | None
    late_at: datetime | None
    refused_at: datetime | None
    refusal: str | None
    refusals: int
    refused_dev_eui: str | None
    waiting: int


MARK_LATE = Statement("control.gateways.mark_late")
UNMARK = Statement("control.gateways.unmark")
GIVE_CAUSES = Statement("control.gateways.give_causes")
ALONE = Query("control.gateways.alone", bool)
TROUBLED = Query("control.gateways.troubled", Troubled)
USED = Query("control.gateways.used", Used)


async def list_used(connection: Connection, now: datetime, gateway_id: str | None = None) -> list[Used]:
    """Return the airtime of the last hour by gateway and sub-band: of one gateway, or of all that sent."""
    return await USED.all(connection, since=now - SLIDING_HOUR, gateway_id=gateway_id)


async def review(connection: Connection, now: datetime) -> None:
    """Begin, renew and end the conditions of gateways. Idempotent. Of several at once, one does it.

    Must run in a transaction of the caller.
    """
    if not await ALONE.one(connection):
        return
    late_before = now - LATE_AFTER
    await MARK_LATE.run(connection, late_before=late_before, seen_since=late_before - REVIEW_MARGIN, now=now)
    await UNMARK.run(connection, before=now - FORGOTTEN_AFTER)
    troubled = await TROUBLED.all(connection)
    used = [u for u in await list_used(connection, now) if u.share >= FREE_AGAIN]
    lasting = await conditions.list_open(connection, kinds=[*_KINDS, *_CAUSES])
    before = {(c.kind, c.subject_id) for c in lasting if c.kind in _KINDS}
    if not (troubled or used or before):
        return
    cause = next((Cause(c.kind, c.subject_id) for c in lasting if c.kind in _CAUSES), None)
    found = judge(troubled, used, now, nearly_used=_subjects(before, ConditionKind.GATEWAY_AIRTIME), cause=cause)
    await conditions.begin(connection, found)
    await GIVE_CAUSES.run(connection, kinds=[ConditionKind.GATEWAY_NO_ACK, ConditionKind.GATEWAY_REFUSES])
    over = before - {(c.kind, c.subject_id) for c in found}
    await conditions.end(connection, over, now)
    for condition in found:
        if (condition.kind, condition.subject_id) not in before:
            log.warning(
                "condition_began", kind=condition.kind, gateway=condition.subject_id, evidence=condition.evidence
            )
    for kind, gateway_id in sorted(over):
        log.info("condition_ended", kind=kind, gateway=gateway_id)


def judge(
    troubled: Iterable[Troubled],
    used: Iterable[Used],
    now: datetime,
    *,
    nearly_used: Collection[str],
    cause: Cause | None = None,
) -> list[Condition]:
    """Return the conditions of gateways that last at `now`.

    `nearly_used`: gateways whose airtime was nearly used until now. `cause`: what keeps all gateways from
    acknowledging.
    """
    found = []
    for gateway in troubled:
        if gateway.refusals and gateway.refused_at:
            evidence = _refusal(gateway)
            found.append(Condition(ConditionKind.GATEWAY_REFUSES, gateway.gateway_id, gateway.refused_at, evidence))
        if since := _silent_since(gateway):
            found.append(Condition(ConditionKind.GATEWAY_NO_ACK, gateway.gateway_id, since, _silence(gateway), cause))
    full: dict[str, list[str]] = {}
    for u in used:
        if u.share >= (FREE_AGAIN if u.gateway_id in nearly_used else NEARLY_USED):
            full.setdefault(u.gateway_id, []).append(u.in_words())
    found += [Condition(ConditionKind.GATEWAY_AIRTIME, id, now, "; ".join(parts)) for id, parts in full.items()]
    return found


def _silent_since(gateway: Troubled) -> datetime | None:
    """Return since when the gateway has acknowledged nothing; None if that is not long enough to call it silent."""
    if gateway.proven_at is not None and _acks_lost(gateway):
        return gateway.last_ack_at or gateway.proven_at
    if gateway.unacked_since is None or gateway.late_at is None:
        return None
    since = gateway.unacked_since
    if gateway.refusals and gateway.refused_at is not None:
        since = max(since, gateway.refused_at)  # a refusal is an answer
    return since if gateway.late_at - since >= SILENT_AFTER else None


def _acks_lost(gateway: Troubled) -> bool:
    """Return True if displays prove that the gateway sends, and its tx_acks do not come."""
    proven, acked = gateway.proven_at, gateway.last_ack_at
    return proven is not None and (acked is None or proven - acked >= SILENT_AFTER)


def _refusal(gateway: Troubled) -> str:
    meaning = REFUSALS.get(gateway.refusal or "", "see the manual of the gateway")
    return (
        f"{gateway.refusal}: {meaning}. Refused since its last acknowledgement: {gateway.refusals}, the last "
        f"{_at(gateway.refused_at)} for {gateway.refused_dev_eui}. The network server does not name the gateway; "
        "it is the one that received the display last"
    )


def _silence(gateway: Troubled) -> str:
    sends = ""
    if _acks_lost(gateway):
        sends = (
            f". It sends: {_at(gateway.proven_at)} a display reported the light of a command without a tx_ack. Until "
            "one arrives the network server uses the same downlink counter again, and a lamp ignores its next commands"
        )
    return (
        f"Commands that wait behind it: {gateway.waiting}. Its last acknowledgement: {_at(gateway.last_ack_at)}; "
        f"its last uplink: {_at(gateway.last_seen_at)}{sends}"
    )


def _at(at: datetime | None) -> str:
    return f"at {at:%Y-%m-%d %H:%M:%S} UTC" if at else "never"


def _subjects(of: Iterable[tuple[ConditionKind, str]], kind: ConditionKind) -> set[str]:
    return {subject_id for k, subject_id in of if k is kind}
