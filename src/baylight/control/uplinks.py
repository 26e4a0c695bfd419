"""What an event means for the device that it comes from: sensors' readings, displays' reports and downlink news."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from baylight.codecs.all import display_driver, sensor_codec
from baylight.codecs.registry import Reading, Report
from baylight.codecs.ts013 import Decoded
from baylight.control.vocabulary import OCCUPANCIES, span
from baylight.domain.actuation import GAVE_UP, Step
from baylight.domain.closed_loop import Shadow
from baylight.domain.events import Ack, DeviceStatus, Event, Join, Log, TxAck, Uplink
from baylight.domain.state import Occupancy, SensorView
from baylight.errors import DeviceDataError

_NUMBER = (int, float)
STILL_BELIEVED = timedelta(minutes=15)
"""Nobody can take a sensor for silent that is believed for so long: no batch waits so long for its commit."""


class Arrival(msgspec.Struct):
    """A new uplink on its way into the table. `outcome` as in the column. `decoded`: what the codec `decoded_by` made
    of it before the transaction, if that is a JavaScript one."""

    uplink: Uplink
    observed_at: datetime
    received_at: datetime
    outcome: str = "unknown_device"
    occupancy: Occupancy | None = None
    reading: Mapping[str, object] | None = None
    error: str | None = None
    decoded: Decoded | DeviceDataError | None = None
    decoded_by: str | None = None

    COLUMNS = (
        "dev_eui", "deduplication_id", "observed_at", "received_at", "network_at", "f_cnt", "f_port", "data",
        "reading", "occupancy", "rssi_dbm", "snr_db", "gateway_id", "outcome", "error",
        "network_server",
    )  # fmt: skip

    @property
    def at(self) -> datetime:
        """When it was made, for order and age: by the network server's clock, never later than it came (B19)."""
        network_at = self.uplink.network_at
        return self.received_at if network_at is None or network_at > self.received_at else network_at

    def row(self) -> tuple[object, ...]:
        """In the order of COLUMNS."""
        u = self.uplink
        return (
            u.dev_eui, u.deduplication_id, self.observed_at, self.received_at, u.network_at, u.f_cnt, u.f_port,
            u.data, self.reading, self.occupancy, u.rssi_dbm, u.snr_db, u.gateway_id, self.outcome, self.error,
            u.network_server,
        )  # fmt: skip


class Radio(msgspec.Struct, kw_only=True):
    """Radio facts of the newest uplink; None where it told nothing new. `network_server`, `application_id`: where
    downlinks for it go. `dev_addr`, `f_cnt`: of its newest frame."""

    network_server: str
    application_id: str | None
    dev_addr: str | None
    f_cnt: int | None

    seen_at: datetime | None = None
    rssi_dbm: int | None = None
    snr_db: float | None = None
    gateway_id: str | None = None
    battery_pct: float | None = None

    def hear(self, uplink: Uplink, received_at: datetime) -> None:
        self.seen_at = received_at
        self.rssi_dbm, self.snr_db, self.gateway_id = uplink.rssi_dbm, uplink.snr_db, uplink.gateway_id

    def reached(self, event: Uplink | Join) -> bool:
        """Downlinks go through the network server that it joined through, else the first that heard it. True if that
        changes something."""
        never_heard = self.application_id is None or self.f_cnt is None
        if not event.application_id or not (
            isinstance(event, Join) or never_heard or event.network_server == self.network_server
        ):
            return False
        before = (self.network_server, self.application_id)
        self.network_server, self.application_id = event.network_server, event.application_id
        return before != (self.network_server, self.application_id)

    def frames_ahead(self, uplink: Uplink) -> int | None:
        """How far this frame's counter lies beyond that of the newest stored one of the same session: above 0 it is
        surely new, else it may be stored already or a copy. None if they cannot be compared."""
        if self.f_cnt is None or uplink.f_cnt is None or uplink.dev_addr != self.dev_addr:
            return None
        return uplink.f_cnt - self.f_cnt


class SensorHeard(msgspec.Struct, omit_defaults=True, gc=False):
    """A row for `update_sensors`; as JSON without what is None."""

    id: UUID
    lies_at: str
    heard_at: datetime | None = None
    rssi_dbm: int | None = None
    snr_db: float | None = None
    gateway_id: str | None = None
    battery_v: float | None = None
    f_cnt: int | None = None
    occupancy: Occupancy | None = None
    occupancy_at: datetime | None = None
    """None: at `heard_at`."""


class Sensor(Radio):
    """A locked sensor, and what the batch tells of it."""

    id: UUID
    codec: str
    usable: bool
    deadline: timedelta
    occupancy: Occupancy | None
    occupancy_at: datetime | None
    free_from: datetime | None
    damaged: bool
    heard_at: datetime | None
    lies_at: str
    """Its row's place, as long as it is locked."""
    battery_v: float | None = None
    join_at: datetime | None = None
    facts_changed: bool = False

    @classmethod
    def of(cls, row: asyncpg.Record) -> Sensor:
        """From a row of `lock_sensors`."""
        (
            id, _, codec, occupancy, occupancy_at, free_from, damaged, heard_at, dev_addr, f_cnt, network_server,
            application_id, battery_pct, usable, deadline_s, lies_at,
        ) = row  # fmt: skip
        return cls(
            id, codec, usable, span(deadline_s), OCCUPANCIES[occupancy], occupancy_at, free_from, damaged, heard_at,
            lies_at, network_server=network_server, application_id=application_id, dev_addr=dev_addr, f_cnt=f_cnt,
            battery_pct=battery_pct,
        )  # fmt: skip

    def view(self) -> SensorView:
        """A disabled or decommissioned sensor says nothing."""
        said = self.occupancy if self.usable else None
        return SensorView(said, self.occupancy_at, self.deadline, self.damaged, self.free_from)

    def note(self, event: Join | DeviceStatus) -> None:
        self.facts_changed = True
        if isinstance(event, Join):
            self.join_at = event.observed_at
            self.reached(event)
        elif event.battery_pct is not None:
            self.battery_pct = event.battery_pct

    def row(self) -> SensorHeard:
        return SensorHeard(
            self.id, self.lies_at, self.heard_at, self.rssi_dbm, self.snr_db, self.gateway_id, self.battery_v,
            self.f_cnt, self.occupancy, None if self.occupancy_at is self.heard_at else self.occupancy_at,
        )  # fmt: skip

    def facts(self) -> dict[str, object]:
        """For `update_sensor_facts`."""
        return {
            "id": self.id,
            "dev_addr": self.dev_addr,
            "application_id": self.application_id,
            "battery_pct": self.battery_pct,
            "join_at": self.join_at,
            "damaged": self.damaged,
            "free_from": self.free_from,
            "network_server": self.network_server,
        }


class DisplaySeen(Radio, kw_only=True):
    """A display that events name; its shadow is loaded apart."""

    id: UUID
    codec: str
    firmware: str | None = None

    @classmethod
    def of(cls, row: asyncpg.Record) -> DisplaySeen:
        """From a row of `find_displays`."""
        return cls(
            id=row["id"],
            codec=row["codec"],
            network_server=row["network_server"],
            application_id=row["application_id"],
            dev_addr=row["dev_addr"],
            f_cnt=row["last_f_cnt"],
        )

    def row(self) -> dict[str, object]:
        """For `update_heard_displays`."""
        return {
            "id": self.id,
            "seen_at": self.seen_at,
            "rssi_dbm": self.rssi_dbm,
            "snr_db": self.snr_db,
            "gateway_id": self.gateway_id,
            "battery_pct": self.battery_pct,
            "application_id": self.application_id,
            "firmware": self.firmware,
            "network_server": self.network_server,
        }


def hear_sensor(sensor: Sensor, arrival: Arrival) -> bool:
    """Decodes an uplink and takes over what it says; True if its spaces must be decided anew.

    Only a positive reading says anything about a bay (B1). One older than the newest is kept as `stale`: it must not
    turn time back. A frame without occupancy proves that the radio lives, no more. One that repeats what is known
    (B6) changes no decision, if it comes long before anyone could take the sensor for silent.
    """
    uplink, at = arrival.uplink, arrival.at
    sensor.hear(uplink, arrival.received_at)
    if sensor.heard_at is None or at >= sensor.heard_at:
        sensor.heard_at = at
        if sensor.reached(uplink) or sensor.dev_addr != uplink.dev_addr:
            sensor.dev_addr = uplink.dev_addr
            sensor.facts_changed = True
        sensor.f_cnt = uplink.f_cnt
    try:
        reading = _read(sensor, arrival)
    except DeviceDataError as error:
        arrival.outcome = "not_occupancy" if error.code == "no_data" else "not_decodable"
        arrival.error = f"{error.code}: {error.message}"
        if not sensor.usable:
            arrival.outcome = "device_disabled"
        return False
    arrival.reading, arrival.occupancy = reading.fields, reading.occupancy
    battery_v, battery_pct = reading.fields.get("battery_v"), reading.fields.get("battery_pct")
    if isinstance(battery_v, _NUMBER):
        sensor.battery_v = float(battery_v)
    if isinstance(battery_pct, _NUMBER) and sensor.battery_pct != battery_pct:
        sensor.battery_pct, sensor.facts_changed = float(battery_pct), True
    if not sensor.usable:
        arrival.outcome = "device_disabled"
        return False
    if sensor.occupancy_at is not None and at < sensor.occupancy_at:
        arrival.outcome = "stale"
        return False
    turned = sensor.damaged != reading.damaged
    if turned:
        sensor.damaged, sensor.facts_changed = reading.damaged, True
    if reading.occupancy is None:
        arrival.outcome = "not_occupancy"
        return turned
    repeats = (
        sensor.occupancy is reading.occupancy
        and sensor.occupancy_at is not None
        and sensor.occupancy_at + sensor.deadline - arrival.received_at > STILL_BELIEVED
        and sensor.free_from is None  # motion that is renewed moves the end of what it told before
    )
    sensor.occupancy, sensor.occupancy_at = reading.occupancy, at
    if reading.hold or sensor.free_from:
        sensor.free_from, sensor.facts_changed = at + reading.hold if reading.hold else None, True
    arrival.outcome = "unchanged"
    return turned or not repeats


def _read(sensor: Sensor, arrival: Arrival) -> Reading:
    """Raises DeviceDataError."""
    decoded = arrival.decoded
    if isinstance(decoded, DeviceDataError):
        raise decoded
    if decoded is not None:
        age = arrival.at - sensor.occupancy_at if sensor.occupancy_at else None
        believed = age is not None and age < sensor.deadline and not sensor.damaged
        return decoded.reading(sensor.occupancy if believed else None, age.total_seconds() if age is not None else None)
    codec = sensor_codec(sensor.codec)
    if codec is None:
        raise DeviceDataError("no_codec", f"there is no codec {sensor.codec}")
    return codec.decode(arrival.uplink.f_port, arrival.uplink.data)


def hear_display(shadow: Shadow, seen: DisplaySeen, event: Event, arrival: Arrival | None, now: datetime) -> None:
    """Tells a display's shadow of an event. Each is idempotent: redelivered, it changes nothing."""
    if isinstance(event, Uplink):
        assert arrival is not None
        _hear_report(shadow, seen, arrival)
    elif isinstance(event, Join):
        seen.reached(event)
        shadow.joined(event.observed_at, now)
    elif isinstance(event, TxAck):
        at = min(event.observed_at, now)
        key = f"tx_ack:{event.queue_item_id}:{event.downlink_id}"
        shadow.tx_ack(event.queue_item_id, at, Step(
            "tx_ack", at, None, None, key, event.queue_item_id, event.downlink_id, event.f_cnt_down, event.gateway_id
        ))  # fmt: skip
    elif isinstance(event, Ack):
        at = min(event.observed_at, now)
        kind = "ack" if event.acknowledged else "nack"
        step = Step(kind, at, None, None, f"{kind}:{event.queue_item_id}", event.queue_item_id)
        shadow.ack(event.queue_item_id, event.acknowledged, at, step)
    elif isinstance(event, Log):
        _hear_log(shadow, event, now)
    else:
        seen.battery_pct = event.battery_pct
        seen.seen_at = seen.seen_at or now


def _hear_report(shadow: Shadow, seen: DisplaySeen, arrival: Arrival) -> None:
    uplink, at = arrival.uplink, arrival.at
    seen.hear(uplink, arrival.received_at)
    seen.reached(uplink)
    if shadow.heard_at is None or at >= shadow.heard_at:
        shadow.heard(f_cnt=uplink.f_cnt, dev_addr=uplink.dev_addr, at=at, now=arrival.received_at)
    try:
        report = _read_report(shadow, seen, arrival)
    except DeviceDataError as error:
        arrival.outcome = "not_occupancy" if error.code == "no_data" else "not_decodable"
        arrival.error = f"{error.code}: {error.message}"
        return
    arrival.outcome = "display_report"
    arrival.reading = {**report.fields, "code": report.code.hex()} if report.code else report.fields
    firmware = report.fields.get("firmware")
    seen.firmware = firmware if isinstance(firmware, str) else seen.firmware
    if report.code is not None and (shadow.reported_at is None or at >= shadow.reported_at):
        shadow.report(report.code.hex(), at, arrival.received_at)


def _read_report(shadow: Shadow, seen: DisplaySeen, arrival: Arrival) -> Report:
    """Raises DeviceDataError."""
    decoded = arrival.decoded
    if isinstance(decoded, DeviceDataError):
        raise decoded
    if decoded is not None:
        return decoded.report(shadow.codes)
    driver = display_driver(seen.codec)
    if driver is None:
        raise DeviceDataError("no_codec", f"there is no driver {seen.codec}")
    return driver.decode_report(arrival.uplink.f_port, arrival.uplink.data)


def _hear_log(shadow: Shadow, event: Log, now: datetime) -> None:
    at = min(event.observed_at, now)
    detail = f"{event.code}: {event.description}"[:2000]
    key = f"log:{shadow.dev_eui}:{event.code}:{event.observed_at.isoformat()}:{event.queue_item_id or ''}"
    step = Step("log", at, None, detail, key, event.queue_item_id)
    if event.code in GAVE_UP and event.queue_item_id:
        shadow.gave_up(event.queue_item_id, GAVE_UP[event.code], detail, at, step)
    elif event.code.startswith("DOWNLINK"):
        shadow.trouble(step)
