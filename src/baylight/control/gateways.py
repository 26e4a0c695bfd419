"""Gateways: which of them acknowledge, refuse, or are silent, and how much airtime they use.

Ingest writes facts with `GatewayWriter`; the timer derives the conditions from them with `review`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from baylight.codecs.all import display_driver
from baylight.control import conditions
from baylight.control.uplinks import Arrival
from baylight.domain.airtime import (
    FRAME_OVERHEAD_BYTES,
    FREE_AGAIN,
    HOUR,
    NEARLY_USED,
    Used,
    sub_band,
    time_on_air,
)
from baylight.domain.conditions import Cause, Condition, ConditionKind
from baylight.domain.display_loop.display import Display
from baylight.domain.downlink import OUTSTANDING, TriggerType
from baylight.domain.events import Ack, DeviceStatus, Join, Log, TxAck
from baylight.domain.ids import DevEui
from baylight.errors import DeviceDataError, InputError
from baylight.log import logger
from baylight.store.connect import RETRY
from baylight.store.pool import Connection, Pool
from baylight.store.query import Query, RowsStatement, Statement

log = logger("gateways")

SEEN_INTERVAL = timedelta(minutes=1)
"""Least time between two writes of a gateway's `last_seen_at`."""
MAX_UNSAVED = 10_000
"""Facts that are kept for the next batch while the database cannot store them."""
MAX_AGE = timedelta(days=1)
"""A transmission that is dated earlier, or later than now, counts as made now: its clock is wrong."""
ASSUMED_PAYLOAD_BYTES = 6
"""Payload of a downlink to a device that is no display: the network server does not report it."""
ASSUMED_SPREADING_FACTOR, ASSUMED_BANDWIDTH_HZ = 12, 125_000

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

_MICROSECOND = timedelta(microseconds=1)
_KINDS = (ConditionKind.GATEWAY_REFUSES, ConditionKind.GATEWAY_NO_ACK, ConditionKind.GATEWAY_AIRTIME)
_CAUSES = (ConditionKind.NETWORK_SERVER_AWAY, ConditionKind.BROKER_AWAY)


class _Transmission(msgspec.Struct, gc=False):
    """Row for `TRANSMITTED`."""

    key: str
    acked_at: datetime
    sent_at: datetime
    gateway_id: str
    sub_band: str
    airtime_ms: float
    assumed: bool


class _Refusal(msgspec.Struct, gc=False):
    """Row for `REFUSED`."""

    at: datetime
    made_at: datetime
    dev_eui: DevEui
    reason: str


class Silent(NamedTuple):
    """Gateway that has acknowledged nothing for SILENT_AFTER. `unacked_since`: sending of the first waiting command."""

    gateway_id: str
    unacked_since: datetime


@dataclass(frozen=True, slots=True)
class Troubled:
    """Gateway behind which commands wait, or that has refused `refusals` downlinks since its last tx_ack.

    `waiting`: number of commands that wait now.
    """

    gateway_id: str
    last_seen_at: datetime
    last_ack_at: datetime | None
    unacked_since: datetime | None
    late_at: datetime | None
    refused_at: datetime | None
    refusal: str | None
    refusals: int
    refused_dev_eui: str | None
    waiting: int


SEEN = Statement("control.gateways.seen")
TRANSMITTED = RowsStatement("control.gateways.transmitted", _Transmission)
REFUSED = RowsStatement("control.gateways.refused", _Refusal)
MARK_LATE = Statement("control.gateways.mark_late")
UNMARK = Statement("control.gateways.unmark")
SILENT = Query("control.gateways.silent", Silent)
GIVE_CAUSES = Statement("control.gateways.give_causes")
ALONE = Query("control.gateways.alone", bool)
TROUBLED = Query("control.gateways.troubled", Troubled)
USED = Query("control.gateways.used", Used)

_Event = Arrival | Join | TxAck | Ack | Log | DeviceStatus


@dataclass(slots=True)
class GatewayFacts:
    """Facts of gateways that the events of one batch give. `seen`: ids of those that forwarded an uplink."""

    seen: set[str] = field(default_factory=set)
    transmissions: list[_Transmission] = field(default_factory=list)
    refusals: list[_Refusal] = field(default_factory=list)


def facts_of(events: Iterable[_Event], displays: Mapping[DevEui, Display], now: datetime) -> GatewayFacts:
    """Return what events say about gateways. `displays`: those that the events name, before they receive the events."""
    facts = GatewayFacts()
    for n, event in enumerate(events):
        if isinstance(event, Arrival):
            if event.uplink.gateway_id:
                facts.seen.add(event.uplink.gateway_id)
        elif isinstance(event, TxAck):
            if event.gateway_id:
                display, at = displays.get(event.dev_eui), now + n * _MICROSECOND
                facts.transmissions.append(_transmission(event, event.gateway_id, display, at))
        elif isinstance(event, Log) and event.code == "DOWNLINK_GATEWAY" and event.dev_eui in displays:
            reason = event.description.strip()[:100] or "no reason"
            if reason.upper() != "IGNORED":  # no refusal: the gateway sent the other frame of a class A window
                facts.refusals.append(_Refusal(now + n * _MICROSECOND, event.at(now), event.dev_eui, reason))
    return facts


class GatewayWriter:
    """Writer of the facts of gateways, after the commit of their batch.

    Its transactions are separate, because every batch would wait for the rows of gateways. The writes are idempotent: a
    batch that comes again changes nothing.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._seen: dict[str, datetime] = {}
        self._unsaved = GatewayFacts()

    async def write(self, facts: GatewayFacts, now: datetime) -> None:
        """Write facts. If the database cannot do it now, a later call writes them."""
        due = [g for g in facts.seen if now - self._seen.get(g, datetime.min.replace(tzinfo=UTC)) >= SEEN_INTERVAL]
        transmissions = self._unsaved.transmissions + facts.transmissions
        refusals = self._unsaved.refusals + facts.refusals
        if not (due or transmissions or refusals):
            return
        self._unsaved = GatewayFacts()
        try:
            async with self._pool.acquire() as connection:
                if due:
                    await SEEN.run(connection, gateway_ids=sorted(due), now=now)
                    self._seen.update(dict.fromkeys(due, now))
                if refusals:
                    await REFUSED.run(connection, rows=refusals)
                    refusals = []
                if transmissions:
                    await TRANSMITTED.run(connection, rows=transmissions)
        except RETRY as error:
            log.debug("gateways_not_updated", error=str(error))
            self._unsaved.transmissions += transmissions[:MAX_UNSAVED]
            self._unsaved.refusals += refusals[:MAX_UNSAVED]


def _transmission(event: TxAck, gateway_id: str, display: Display | None, at: datetime) -> _Transmission:
    payload = _payload_bytes(display, event.queue_item_id) if display else None
    spreading_factor, bandwidth_hz = event.spreading_factor, event.bandwidth_hz
    known = payload is not None and spreading_factor is not None and bandwidth_hz is not None
    airtime = time_on_air(
        FRAME_OVERHEAD_BYTES + (payload or _usual_payload_bytes(display)),
        spreading_factor or ASSUMED_SPREADING_FACTOR,
        bandwidth_hz or ASSUMED_BANDWIDTH_HZ,
    )
    return _Transmission(
        key=f"{event.queue_item_id}:{event.downlink_id}",
        acked_at=at,
        sent_at=event.observed_at if event.observed_at and at - MAX_AGE < event.observed_at < at else at,
        gateway_id=gateway_id,
        sub_band=sub_band(event.frequency_hz).name,
        airtime_ms=airtime / timedelta(milliseconds=1),
        assumed=not known,
    )


def _payload_bytes(display: Display, queue_item_id: str) -> int | None:
    """Return the size of the command that is this queue item; None if it is no command of ours, or a finished one.

    A command that is being sent may be meant: its answer, which names the item, can come after the tx_ack.
    """
    sent = [a for a in display.deliveries.waiting if a.queue_id == queue_item_id]
    sent = sent or [a for a in display.deliveries.waiting if a.queue_id is None and a.status in OUTSTANDING]
    if not sent or sent[0].code is None:
        return None
    by_hand = sent[0].trigger_type is TriggerType.DEVICE_COMMAND
    return len(sent[0].code) // 2 if by_hand else _command_bytes(display, sent[0].code)


def _usual_payload_bytes(display: Display | None) -> int:
    code = display and (display.desired_code or next(iter(display.codes.values()), None))
    return _command_bytes(display, code) if display and code else ASSUMED_PAYLOAD_BYTES


def _command_bytes(display: Display, code: str) -> int:
    """Return the number of bytes that the display's driver makes of a code."""
    driver = display_driver(display.codec)
    data = bytes.fromhex(code)
    if driver is None:
        return len(data)
    try:
        return len(driver.command(data, ask_report=display.asks_report and driver.reports))
    except (InputError, DeviceDataError):
        return len(data)


async def list_silent(connection: Connection) -> list[Silent]:
    """Return the gateways that have acknowledged nothing for SILENT_AFTER while commands waited."""
    return await SILENT.all(connection, at_least=SILENT_AFTER)


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
    """Return since when commands have waited without any answer; None if that is not long enough to call it silent."""
    if gateway.unacked_since is None or gateway.late_at is None:
        return None
    since = gateway.unacked_since
    if gateway.refusals and gateway.refused_at is not None:
        since = max(since, gateway.refused_at)  # a refusal is an answer
    return since if gateway.late_at - since >= SILENT_AFTER else None


def _refusal(gateway: Troubled) -> str:
    meaning = REFUSALS.get(gateway.refusal or "", "see the manual of the gateway")
    return (
        f"{gateway.refusal}: {meaning}. Refused since its last acknowledgement: {gateway.refusals}, the last "
        f"{_at(gateway.refused_at)} for {gateway.refused_dev_eui}. The network server does not name the gateway; "
        "it is the one that received the display last"
    )


def _silence(gateway: Troubled) -> str:
    return (
        f"Commands that wait behind it: {gateway.waiting}. Its last acknowledgement: {_at(gateway.last_ack_at)}; "
        f"its last uplink: {_at(gateway.last_seen_at)}"
    )


def _at(at: datetime | None) -> str:
    return f"at {at:%Y-%m-%d %H:%M:%S} UTC" if at else "never"


def _subjects(of: Iterable[tuple[ConditionKind, str]], kind: ConditionKind) -> set[str]:
    return {subject_id for k, subject_id in of if k is kind}
