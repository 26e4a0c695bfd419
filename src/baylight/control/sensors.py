"""Sensors of a batch: rows that are locked and read once, and written once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from baylight.control import conditions
from baylight.domain.ids import DevEui
from baylight.domain.sensor import Sensor, sensor_view
from baylight.domain.state import Occupancy, SensorView
from baylight.domain.unproven import UnprovenReason
from baylight.store.pool import Connection, array_literal
from baylight.store.query import Query, RowsStatement, Statement


class _View(NamedTuple):
    """Sensor's id, and the arguments of `sensor_view`."""

    id: UUID
    occupancy: Occupancy | None
    occupancy_at: datetime | None
    deadline_s: int
    damaged: bool
    free_from: datetime | None
    interval_s: int
    unproven_reason: UnprovenReason | None
    unproven_since: datetime | None
    to_decode_since: datetime | None
    usable: bool


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
    frames_missing: int = 0


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
    battery_v: float | None = None


class _Marks(msgspec.Struct, omit_defaults=True, gc=False):
    """Row for `UPDATE_MARKS`."""

    id: UUID
    refused: bool
    undecodable: int
    unproven_reason: UnprovenReason | None = None
    unproven_since: datetime | None = None
    to_decode_since: datetime | None = None
    suspect_f_cnt: int | None = None
    suspect_at: datetime | None = None
    frames_since_gap: int | None = None
    network_log: str | None = None
    network_log_at: datetime | None = None


LOCK = Query("control.sensors.lock", Sensor)
VIEWS = Query("control.sensors.views", _View)
SERVING = Query("control.sensors.serving", UUID)
UPDATE = RowsStatement("control.sensors.update", _Update)
UPDATE_FACTS = RowsStatement("control.sensors.update_facts", _Facts)
UPDATE_MARKS = RowsStatement("control.sensors.update_marks", _Marks)
MARK = Query("control.sensors.mark", int)
BEGIN_SILENT = Statement("control.sensors.begin_silent")


async def lock(connection: Connection, dev_euis: Iterable[DevEui]) -> dict[DevEui, Sensor]:
    """Lock sensors in id order; return them by DevEUI. DevEUIs of other devices are left out."""
    return {s.dev_eui: s for s in await LOCK.all(connection, dev_euis=array_literal(dev_euis))}


async def views(connection: Connection, ids: Collection[UUID]) -> dict[UUID, SensorView]:
    """Return what decisions read of sensors, by id. Waits for no lock."""
    return {row.id: sensor_view(*row[1:]) for row in await VIEWS.all(connection, ids=list(ids))}


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
    if marks := [_marks(s) for s in sensors if s.marks_changed]:
        await UPDATE_MARKS.run_all(connection, marks)
        await conditions.end(connection, [(kind, str(s.id)) for s in sensors for kind in s.closed], now)
        await conditions.begin(connection, [c for s in sensors for c in s.opened])


async def mark_sensors(
    connection: Connection,
    reason: UnprovenReason,
    since: datetime,
    dev_euis: Collection[str] | None = None,
    *,
    network_server: str | None = None,
) -> int:
    """Mark sensors unproven whose newest reading may be missing; return how many spaces the timer will decide again.

    None: all sensors; of all network servers. One statement, whatever their number. A sensor that is marked already
    keeps its mark. The next report of a sensor ends it. Idempotent.
    """
    euis = None if dev_euis is None else list(dev_euis)
    return await MARK.one(connection, reason=reason, since=since, dev_euis=euis, network_server=network_server)


async def begin_silent(connection: Connection, space_ids: Collection[UUID], now: datetime) -> None:
    """Begin the condition of the sensors of spaces that have become silent. Idempotent. A report ends it."""
    await BEGIN_SILENT.run(connection, space_ids=list(space_ids), now=now)


def _marks(s: Sensor) -> _Marks:
    return _Marks(
        s.id, s.refused, s.undecodable, s.unproven_reason, s.unproven_since, s.to_decode_since,
        s.suspect_f_cnt, s.suspect_at, s.frames_since_gap, s.network_log, s.network_log_at,
    )  # fmt: skip


def _update(s: Sensor) -> _Update:
    occupancy_at = None if s.occupancy_at is s.last_uplink_at else s.occupancy_at
    reading_f_cnt = None if s.reading_f_cnt == s.last_f_cnt else s.reading_f_cnt
    return _Update(
        s.id, s.ctid, s.last_uplink_at, s.rssi_dbm, s.snr_db, s.gateway_id, s.battery_v, s.last_f_cnt, s.occupancy,
        occupancy_at, reading_f_cnt, s.frames_missing,
    )  # fmt: skip


def _facts(s: Sensor) -> _Facts:
    return _Facts(
        s.id, s.network_server, s.damaged, s.frames_missing, s.reading_f_cnt, s.session, s.dev_addr, s.former_dev_addr,
        s.last_uplink_at, s.last_f_cnt, s.first_f_cnt, s.session_since, s.application_id, s.battery_pct, s.last_join_at,
        s.last_join_id, s.occupancy, s.occupancy_at, s.free_from, s.battery_v,
    )  # fmt: skip
