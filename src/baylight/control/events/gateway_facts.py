"""Facts that events give of gateways: which forwarded, sent and refused. Ingest writes them after its commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from baylight.codecs.all import display_driver
from baylight.control.events.uplinks import Arrival
from baylight.domain.airtime import FRAME_OVERHEAD_BYTES, sub_band, time_on_air
from baylight.domain.display_loop.actuation import Actuation
from baylight.domain.display_loop.display import Display
from baylight.domain.downlink import OUTSTANDING, ActuationStatus, TriggerType
from baylight.domain.events import Ack, DeviceStatus, Join, Log, TxAck
from baylight.domain.ids import DevEui
from baylight.errors import DeviceDataError, InputError
from baylight.log import logger
from baylight.store.connect import RETRY
from baylight.store.pool import Pool
from baylight.store.query import RowsStatement, Statement

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

_MICROSECOND = timedelta(microseconds=1)


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


SEEN = Statement("control.gateways.seen")
PROVEN = Statement("control.gateways.proven")
TRANSMITTED = RowsStatement("control.gateways.transmitted", _Transmission)
REFUSED = RowsStatement("control.gateways.refused", _Refusal)

_Event = Arrival | Join | TxAck | Ack | Log | DeviceStatus


@dataclass(slots=True)
class GatewayFacts:
    """Facts of gateways that the events of one batch give. `seen`: ids of those that forwarded an uplink.

    `proven`: ids of those that sent a command of which no tx_ack has come.
    """

    seen: set[str] = field(default_factory=set)
    proven: set[str] = field(default_factory=set)
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


def proven_by(displays: Iterable[Display]) -> set[str]:
    """Return the gateways that sent, as displays prove: a report ended a command of which no tx_ack has come."""
    return {
        display.sent_through
        for display in displays
        if display.sent_through and any(_shown_unacknowledged(a) for a in display.deliveries.touched.values())
    }


def _shown_unacknowledged(actuation: Actuation) -> bool:
    return actuation.status is ActuationStatus.SHOWN and actuation.transmitted_at is None


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
        proven = self._unsaved.proven | facts.proven
        if not (due or transmissions or refusals or proven):
            return
        self._unsaved = GatewayFacts()
        try:
            async with self._pool.acquire() as connection:
                if due:
                    await SEEN.run(connection, gateway_ids=sorted(due), now=now)
                    self._seen.update(dict.fromkeys(due, now))
                if proven:
                    await PROVEN.run(connection, gateway_ids=sorted(proven), now=now)
                    proven = set()
                if refusals:
                    await REFUSED.run(connection, rows=refusals)
                    refusals = []
                if transmissions:
                    await TRANSMITTED.run(connection, rows=transmissions)
        except RETRY as error:
            log.debug("gateways_not_updated", error=str(error))
            self._unsaved.transmissions += transmissions[:MAX_UNSAVED]
            self._unsaved.refusals += refusals[:MAX_UNSAVED]
            self._unsaved.proven |= proven


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
