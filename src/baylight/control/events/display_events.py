"""Apply events to the display that they come from: its uplinks with their reports, joins, and news of its downlinks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from baylight.codecs.all import display_driver
from baylight.codecs.registry import Report
from baylight.control.events.uplinks import Arrival, not_decoded, to_decode
from baylight.domain.display_loop import news, uplinks
from baylight.domain.display_loop.actuation import GAVE_UP, SENDING, Step
from baylight.domain.display_loop.display import Display
from baylight.domain.events import Ack, DeviceStatus, Join, Log, TxAck
from baylight.domain.session import Kind, Place
from baylight.errors import DeviceDataError, TransientError

REFUSED = {
    "OTAA": "the network server refused its join: correct its keys, or reset its join nonces there",
    "UPLINK_MIC": "the network server refused its frame for a wrong signature: correct its keys there",
    "UPLINK_F_CNT_RESET": "the network server refused its uplink for a lower frame counter: reset the counter there",
}
"""Log codes of ChirpStack about uplinks and joins that it refused: there is no other event."""


def receive_event(
    display: Display,
    event: Arrival | Join | TxAck | Ack | Log | DeviceStatus,
    now: datetime,
    own: Mapping[str, str | None] = MappingProxyType({}),
) -> None:
    """Apply an event to a display. Idempotent: the same event again changes nothing.

    `own`: lights of our actuations by the queue items that tx_acks name, at least of those that are at an end.
    """
    if isinstance(event, Arrival):
        _receive_report(display, event)
    elif isinstance(event, Join):
        display.facts_changed |= display.route(event)
        if display.join(event, now):
            uplinks.joined(display, event.at(now), now)
    elif isinstance(event, TxAck):
        _receive_tx_ack(display, event, now, own)
    elif isinstance(event, Ack):
        at = event.at(now)
        kind = "ack" if event.acknowledged else "nack"
        step = Step(kind, at, None, None, f"{kind}:{event.queue_item_id}", event.queue_item_id)
        news.ack(display, event.queue_item_id, event.acknowledged, at, step)
    elif isinstance(event, Log):
        _receive_log(display, event, now)
    else:
        display.battery_pct = event.battery_pct
        display.seen_at = display.seen_at or now
        display.facts_changed = True


def _receive_tx_ack(display: Display, event: TxAck, now: datetime, own: Mapping[str, str | None]) -> None:
    at = event.at(now)
    key = f"tx_ack:{event.queue_item_id}:{event.downlink_id}"
    step = Step(
        "tx_ack", at, None, None, key, event.queue_item_id, event.downlink_id, event.f_cnt_down, event.gateway_id
    )
    queue_id, f_cnt = event.queue_item_id, event.f_cnt_down
    if news.tx_ack(display, queue_id, at, step, f_cnt=f_cnt):
        return
    if queue_id in own:
        news.transmitted_late(display, own[queue_id], queue_id, f_cnt, at, now)
    elif display.deliveries.of(SENDING):
        news.transmitted_early(display, at, now)
    elif lost := next((a for a in display.deliveries.waiting if a.retry_count and a.claimed_at), None):
        news.transmitted_late(display, display.light_of(lost), queue_id, f_cnt, at, now)
    else:
        news.commanded_by_other(display, queue_id, f_cnt, at, now)


def _receive_report(display: Display, arrival: Arrival) -> None:
    newer = _receive_display_frame(display, arrival) if arrival.again_at is None else None
    if isinstance(arrival.decoded, TransientError):
        to_decode(arrival, arrival.decoded)
    elif not arrival.duplicate:
        _apply_report(display, arrival, newer)


def _receive_display_frame(display: Display, arrival: Arrival) -> Place:
    """Record the frame in the session; return its place."""
    uplink, at, now = arrival.uplink, arrival.at, arrival.received_at
    place = display.place(uplink, arrival.made_at, now, known=arrival.known)
    if place.kind is Kind.REDELIVERY:
        arrival.duplicate = True
        return place
    display.facts_changed = True
    if place.is_newest:
        display.route(uplink)  # before `follow`: the first uplink chooses the network server
    display.follow(uplink, place, at, now)
    arrival.session = display.session if place.in_session else display.session - 1
    if place.is_newest:
        display.seen_at = now
        display.rssi_dbm, display.snr_db, display.gateway_id = uplink.rssi_dbm, uplink.snr_db, uplink.gateway_id
        restarted = place.kind is Kind.RESTART
        uplinks.received(display, at, now, restarted=restarted, device_class=uplink.device_class)
    return place


def _apply_report(display: Display, arrival: Arrival, place: Place | None) -> None:
    """Apply a report. `place`: None if the frame was recorded before, and its codec answers only now."""
    at = arrival.at
    display.facts_changed = True
    try:
        report = _decode_report(display, arrival)
    except DeviceDataError as error:
        not_decoded(arrival, error)
        return
    if place is not None:
        newer = display.has_newer_reading(arrival.uplink, place, arrival.made_at, display.reported_at)
    else:
        newer = display.reported_at is None or at >= display.reported_at
    arrival.outcome = "display_report" if newer else "stale"
    arrival.reading = {**report.fields, "code": report.code.hex()} if report.code else report.fields
    firmware = report.fields.get("firmware")
    display.firmware = firmware if isinstance(firmware, str) else display.firmware
    if report.code is not None and newer:
        if place is not None:
            display.note_reading(arrival.uplink, place)
        uplinks.reported(display, report.code.hex(), at, arrival.again_at or arrival.received_at)


def _decode_report(display: Display, arrival: Arrival) -> Report:
    """Return the report. Raises DeviceDataError."""
    decoded = arrival.decoded
    if isinstance(decoded, DeviceDataError | TransientError):
        raise decoded
    if decoded is not None:
        return decoded.report(display.codes)
    driver = display_driver(display.codec)
    if driver is None:
        raise DeviceDataError("no_codec", f"there is no driver {display.codec}")
    return driver.decode_report(arrival.uplink.f_port, arrival.uplink.data)


def _receive_log(display: Display, event: Log, now: datetime) -> None:
    at = event.at(now)
    detail = f"{event.code}: {event.description}"[:2000]
    once = event.observed_at.isoformat() if event.observed_at else event.context.get("deduplication_id", detail)
    key = f"log:{display.dev_eui}:{event.code}:{once}:{event.queue_item_id or ''}"
    step = Step("log", at, None, detail, key, event.queue_item_id)
    if event.code in GAVE_UP and event.queue_item_id:
        news.gave_up(display, event.queue_item_id, GAVE_UP[event.code], detail, at, step)
    elif event.code == "DOWNLINK_GATEWAY" and event.description != "IGNORED":
        news.gateway_refused(display, step, event.description)
    elif event.code in REFUSED:
        uplinks.refused_uplink(display, f"{REFUSED[event.code]} ({detail})", at, now)
