"""Apply events to the device that they come from: sensors' readings, displays' reports, news of downlinks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from baylight.codecs.all import sensor_codec
from baylight.codecs.registry import Reading
from baylight.codecs.ts013.calls import Decoded
from baylight.domain.events import Uplink
from baylight.domain.ids import DevEui
from baylight.domain.sensor import Sensor
from baylight.domain.session import Kind, Place
from baylight.domain.state import Occupancy
from baylight.errors import DeviceDataError, TransientError

_NUMBER = (int, float)
REPEAT_MARGIN = timedelta(minutes=5)
"""A repeated reading is not decided again while the time at which its sensor's next report is overdue is further away
than this. No commit of a batch needs so long."""


class Arrival(msgspec.Struct):
    """New uplink on its way into the table. `outcome`: as in the column.

    `at`: when it was made, for age, and for order where the counter says nothing: by the network server's clock, never
    later than it came (B19). `network_at`: that clock, None if it is unusable. `timeless`: no clock of the event is
    usable, so `observed_at` is its arrival. `known`: a frame with its counter is stored, with the same data or not.
    `session`: number of the session of its device.
    `decoded`: what the JavaScript codec `decoded_by` made of it before the transaction; TransientError: nothing yet.
    `tries`: calls that used too much CPU time, or ended their worker. `again_at`: the present time, if the uplink was
    stored before with the outcome `to_decode`. `outdated`: its sensor has come to another place since.
    """

    uplink: Uplink
    dev_eui: DevEui
    observed_at: datetime
    network_at: datetime | None
    received_at: datetime
    at: datetime
    outcome: str = "unknown_device"
    occupancy: Occupancy | None = None
    reading: dict[str, object] | None = None
    error: str | None = None
    decoded: Decoded | DeviceDataError | TransientError | None = None
    decoded_by: str | None = None
    tries: int = 0
    again_at: datetime | None = None
    outdated: bool = False
    duplicate: bool = False
    timeless: bool = False
    known: bool | None = None
    session: int = 0

    def receive(self, received_at: datetime) -> None:
        """Set the time of arrival, and the times that depend on it."""
        self.received_at = received_at
        self.at = received_at if self.network_at is None or self.network_at > received_at else self.network_at
        if self.timeless:
            self.observed_at = received_at

    @property
    def made_at(self) -> datetime:
        """Return the earliest time that a usable clock gives for the uplink."""
        return self.observed_at if self.observed_at < self.at else self.at


class Waiting(msgspec.Struct, gc=False):
    """Row of `uplinks_to_decode`."""

    observed_at: datetime
    deduplication_id: str
    dev_eui: str
    received_at: datetime
    at: datetime
    dev_addr: str | None
    tries: int

    @classmethod
    def of(cls, arrival: Arrival) -> Waiting:
        return cls(
            arrival.observed_at, arrival.uplink.deduplication_id, arrival.dev_eui, arrival.received_at, arrival.at,
            arrival.uplink.dev_addr, arrival.tries,
        )  # fmt: skip


class NewUplink(NamedTuple):
    """Row of `uplinks`."""

    dev_eui: str
    deduplication_id: str
    observed_at: datetime
    received_at: datetime
    network_at: datetime | None
    f_cnt: int | None
    f_port: int | None
    data: bytes
    reading: dict[str, object] | None
    occupancy: Occupancy | None
    rssi_dbm: int | None
    snr_db: float | None
    gateway_id: str | None
    outcome: str
    error: str | None
    network_server: str
    session: int


def receive_reading(sensor: Sensor, arrival: Arrival) -> bool:
    """Decode an uplink and apply it to its sensor; return True if the sensor's spaces must be decided again.

    An uplink whose codec has not answered waits. While it is newer than the sensor's reading, the reading is in doubt.
    """
    place = _place(sensor, arrival)
    if place.kind is Kind.REDELIVERY:
        arrival.duplicate = True
        return False
    newer = sensor.has_newer_reading(arrival.uplink, place, arrival.made_at, sensor.occupancy_at)
    if arrival.again_at is None:
        _follow(sensor, arrival, place)
    before, decide = sensor.to_decode_since, False
    if isinstance(arrival.decoded, TransientError):
        to_decode(arrival, arrival.decoded)
        sensor.waits[arrival.uplink.deduplication_id] = (arrival.at, arrival.received_at)
    else:
        sensor.waits.pop(arrival.uplink.deduplication_id, None)
        decide = _apply_reading(sensor, arrival, place, newer=newer and not arrival.outdated)
        sensor.facts_changed |= arrival.again_at is not None
    sensor.note_waits()
    return decide or sensor.to_decode_since != before


def _place(sensor: Sensor, arrival: Arrival) -> Place:
    """Return the place of a frame. One that was stored before has its place already, and is only compared."""
    uplink = arrival.uplink
    if arrival.again_at is None:
        return sensor.place(uplink, arrival.made_at, arrival.received_at, known=_is_known(sensor, arrival))
    since = sensor.session_since
    in_session = uplink.dev_addr == sensor.dev_addr and (since is None or arrival.received_at >= since)
    newest = in_session and uplink.f_cnt in (None, sensor.last_f_cnt) and sensor.last_uplink_at == arrival.at
    kind = Kind.NEWEST if newest else Kind.STALE
    return Place(kind, sensor.frames_missing, sensor.first_f_cnt, in_session)


def _apply_reading(sensor: Sensor, arrival: Arrival, place: Place, *, newer: bool) -> bool:
    """Decode an uplink and apply its reading; return True if the sensor's spaces must be decided again.

    Only a positive reading proves anything about a bay (B1). A reading older than the newest is stored as `stale`: it
    must not turn time back. A frame without occupancy proves that the radio works, and no more. A reading that repeats
    what is known (B6) changes no decision, if it comes at least REPEAT_MARGIN before the sensor counts as silent.
    """
    uplink, at = arrival.uplink, arrival.at
    try:
        reading = _decode(sensor, arrival)
    except DeviceDataError as error:
        not_decoded(arrival, error)
        if place.is_newest and arrival.outcome == "not_decodable":
            sensor.decoded(arrival.error, at)
        if not sensor.usable:
            arrival.outcome = "device_disabled"
        return False
    arrival.reading, arrival.occupancy = reading.fields, reading.occupancy
    if place.is_newest:
        sensor.decoded(None, at)
        _note_battery(sensor, reading)
    if not sensor.usable:
        arrival.outcome = "device_disabled"
        return False
    if not newer:
        arrival.outcome = "stale"
        return False
    damage_changed = place.is_newest and sensor.damaged != reading.damaged
    if damage_changed:
        sensor.damaged, sensor.facts_changed = reading.damaged, True
    if reading.occupancy is None:
        arrival.outcome = "not_occupancy"
        return damage_changed
    if place.is_newest:
        sensor.proved(sensor.occupancy_at, at)
    repeats = (
        sensor.occupancy is reading.occupancy
        and not sensor.remarked
        and sensor.occupancy_at is not None
        and sensor.occupancy_at + sensor.bound - arrival.received_at > REPEAT_MARGIN
        and sensor.free_from is None  # each motion moves the time from which the bay counts as free
    )
    sensor.occupancy, sensor.occupancy_at = reading.occupancy, at
    sensor.note_reading(uplink, place)
    sensor.facts_changed |= not place.is_newest
    if reading.hold or sensor.free_from:
        sensor.free_from, sensor.facts_changed = at + reading.hold if reading.hold else None, True
    arrival.outcome = "unchanged"
    return damage_changed or not repeats


def _is_known(sensor: Sensor, arrival: Arrival) -> bool | None:
    """Return whether a frame with this counter is known in the session: with the same data, with other data, or not."""
    uplink = arrival.uplink
    if uplink.dev_addr == sensor.dev_addr and (in_batch := sensor.frames.get(uplink.f_cnt)):
        return in_batch == (uplink.f_port, uplink.data)
    return None if sensor.begun and uplink.dev_addr == sensor.dev_addr else arrival.known


def _follow(sensor: Sensor, arrival: Arrival, place: Place) -> None:
    """Record the frame in the session, and the radio facts of the newest frame."""
    uplink = arrival.uplink
    if place.is_newest:
        restart = place.kind is Kind.RESTART
        sensor.received(0 if restart else place.missing - sensor.frames_missing, arrival.at, uplink.f_cnt)
        if restart:  # the counter does not show what was lost before
            sensor.gap_since = sensor.gap_since or arrival.at
    if place.kind is Kind.RESTART:
        sensor.begun = True
        sensor.frames.clear()
    if place.is_newest:
        sensor.facts_changed |= sensor.route(uplink)  # before `follow`: the first uplink chooses the network server
    sensor.facts_changed |= sensor.follow(uplink, place, arrival.at, arrival.received_at)
    arrival.session = sensor.session if place.in_session else sensor.session - 1
    if place.in_session:
        sensor.frames[uplink.f_cnt] = (uplink.f_port, uplink.data)
    if place.is_newest:
        sensor.seen_at = arrival.received_at
        sensor.rssi_dbm, sensor.snr_db, sensor.gateway_id = uplink.rssi_dbm, uplink.snr_db, uplink.gateway_id


def _note_battery(sensor: Sensor, reading: Reading) -> None:
    battery_v, battery_pct = reading.fields.get("battery_v"), reading.fields.get("battery_pct")
    if isinstance(battery_v, _NUMBER):
        sensor.battery_v = float(battery_v)
    if isinstance(battery_pct, _NUMBER) and sensor.battery_pct != battery_pct:
        sensor.battery_pct, sensor.facts_changed = float(battery_pct), True


def to_decode(arrival: Arrival, error: TransientError) -> None:
    arrival.outcome, arrival.error = "to_decode", f"{error.code}: {error.message}"


def not_decoded(arrival: Arrival, error: DeviceDataError) -> None:
    arrival.outcome = "not_occupancy" if error.code == "no_data" else "not_decodable"
    arrival.error = f"{error.code}: {error.message}"


def _decode(sensor: Sensor, arrival: Arrival) -> Reading:
    """Return the reading. Raises DeviceDataError."""
    decoded = arrival.decoded
    if isinstance(decoded, DeviceDataError | TransientError):
        raise decoded
    if decoded is not None:
        age = arrival.at - sensor.occupancy_at if sensor.occupancy_at else None
        trusted = age is not None and age < sensor.deadline and not sensor.damaged
        return decoded.reading(sensor.occupancy if trusted else None, age.total_seconds() if age is not None else None)
    codec = sensor_codec(sensor.codec)
    if codec is None:
        raise DeviceDataError("no_codec", f"there is no codec {sensor.codec}")
    return codec.decode(arrival.uplink.f_port, arrival.uplink.data)
