"""Sensors of a batch: rows that are locked and read once, and written once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID

import msgspec

from baylight.domain.events import DeviceStatus, Event, Join
from baylight.domain.ids import DevEui
from baylight.domain.session import Session
from baylight.domain.state import Occupancy, SensorView
from baylight.store.pool import Connection, array_literal
from baylight.store.query import Query, RowsStatement


class Sensor(Session, gc=False):
    """Locked sensor, and what the batch changes of it. The fields up to `ctid` are the columns of `LOCK`."""

    id: UUID
    dev_eui: DevEui
    codec: str
    occupancy: Occupancy | None
    occupancy_at: datetime | None
    free_from: datetime | None
    damaged: bool
    battery_pct: float | None
    usable: bool
    """Enabled and not decommissioned."""
    deadline_s: int
    ctid: str
    """Place of the row, valid while it is locked."""
    seen_at: datetime | None = None
    """Arrival of the newest uplink of the batch. It and the facts below are None before that."""
    rssi_dbm: int | None = None
    snr_db: float | None = None
    gateway_id: str | None = None
    battery_v: float | None = None
    facts_changed: bool = False
    begun: bool = False
    """The session began in this batch."""
    frames: dict[int | None, tuple[int | None, bytes]] = msgspec.field(default_factory=dict)
    """FPort and data of the batch's frames in the session, by counter."""

    @property
    def deadline(self) -> timedelta:
        return _seconds(self.deadline_s)

    def view(self) -> SensorView:
        """Return what decisions read of the sensor. An unusable sensor counts as one that never reported."""
        occupancy = self.occupancy if self.usable else None
        return SensorView(occupancy, self.occupancy_at, _seconds(self.deadline_s), self.damaged, self.free_from)

    def note(self, event: Event, now: datetime) -> None:
        """Record a join or a battery level. Other events concern no sensor."""
        if isinstance(event, Join):
            if self.join(event, now):
                self.facts_changed = True
                self.begun |= self.last_f_cnt is None
            self.facts_changed |= self.route(event)
        elif isinstance(event, DeviceStatus):
            self.facts_changed = True
            self.battery_pct = self.battery_pct if event.battery_pct is None else event.battery_pct


class _Update(msgspec.Struct, omit_defaults=True, gc=False):
    """Row for `UPDATE`. `occupancy_at`, `reading_f_cnt` None: the same as `last_uplink_at`, `f_cnt`."""

    id: UUID
    ctid: str
    last_uplink_at: datetime | None = None
    rssi_dbm: int | None = None
    snr_db: float | None = None
    gateway_id: str | None = None
    battery_v: float | None = None
    f_cnt: int | None = None
    occupancy: Occupancy | None = None
    occupancy_at: datetime | None = None
    reading_f_cnt: int | None = None


class _Facts(msgspec.Struct, omit_defaults=True, gc=False):
    """Row for `UPDATE_FACTS`."""

    id: UUID
    network_server: str
    damaged: bool
    frames_missing: int
    reading_f_cnt: int
    session: int
    dev_addr: str | None = None
    former_dev_addr: str | None = None
    last_uplink_at: datetime | None = None
    last_f_cnt: int | None = None
    first_f_cnt: int | None = None
    session_since: datetime | None = None
    application_id: str | None = None
    battery_pct: float | None = None
    last_join_at: datetime | None = None
    last_join_id: str | None = None
    occupancy: Occupancy | None = None
    occupancy_at: datetime | None = None
    free_from: datetime | None = None


LOCK = Query("control.sensors.lock", Sensor)
SERVING = Query("control.sensors.serving", UUID)
UPDATE = RowsStatement("control.sensors.update", _Update)
UPDATE_FACTS = RowsStatement("control.sensors.update_facts", _Facts)


async def lock(connection: Connection, dev_euis: Iterable[DevEui]) -> dict[DevEui, Sensor]:
    """Lock sensors in id order; return them by DevEUI. DevEUIs of other devices are left out."""
    return {s.dev_eui: s for s in await LOCK.all(connection, dev_euis=array_literal(dev_euis))}


async def serving(connection: Connection, sensor_ids: Iterable[UUID]) -> set[UUID]:
    """Return which of the sensors serve a space. Waits for no lock."""
    return set(await SERVING.all(connection, ids=array_literal(sensor_ids)))


async def save(connection: Connection, sensors: Iterable[Sensor], now: datetime) -> None:
    """Write what the batch changed of sensors."""
    sensors = list(sensors)
    if rows := [_update(s) for s in sensors if s.seen_at is not None]:
        await UPDATE.run_all(connection, rows, now=now)
    if facts := [_facts(s) for s in sensors if s.facts_changed]:
        await UPDATE_FACTS.run_all(connection, facts)


def _update(s: Sensor) -> _Update:
    occupancy_at = None if s.occupancy_at is s.last_uplink_at else s.occupancy_at
    reading_f_cnt = None if s.reading_f_cnt == s.last_f_cnt else s.reading_f_cnt
    return _Update(
        s.id, s.ctid, s.last_uplink_at, s.rssi_dbm, s.snr_db, s.gateway_id, s.battery_v, s.last_f_cnt, s.occupancy,
        occupancy_at, reading_f_cnt,
    )  # fmt: skip


def _facts(s: Sensor) -> _Facts:
    return _Facts(
        s.id, s.network_server, s.damaged, s.frames_missing, s.reading_f_cnt, s.session, s.dev_addr, s.former_dev_addr,
        s.last_uplink_at, s.last_f_cnt, s.first_f_cnt, s.session_since, s.application_id, s.battery_pct, s.last_join_at,
        s.last_join_id, s.occupancy, s.occupancy_at, s.free_from,
    )  # fmt: skip


@cache
def _seconds(number: int) -> timedelta:
    """Return a deadline. There are few: one for each device type. Reading an interval costs ten times as much."""
    return timedelta(seconds=number)
