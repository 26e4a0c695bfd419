"""Sensor as it receives events: its session, its reading, and what is known of the readings that are missing."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from uuid import UUID

import msgspec

from baylight.domain.conditions import Condition, ConditionKind
from baylight.domain.events import DeviceStatus, Event, Join, Log
from baylight.domain.ids import DevEui
from baylight.domain.session import Session
from baylight.domain.state import Occupancy, SensorView
from baylight.domain.unproven import F_CNT_RESET, Suspicion, UnprovenReason, bound, overtaken, refusal

MIN_UNDECODABLE = 3
"""Newest uplinks in a row that cannot be decoded, from which on this is a condition."""
FRAMES_IN_ORDER = 10
"""Frames in a row without a gap, from which on the condition of missing frames is over."""
_K = ConditionKind
_PRECEDENCE = {reason: place for place, reason in enumerate(UnprovenReason)}


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
    interval_s: int
    unproven_reason: UnprovenReason | None
    unproven_since: datetime | None
    to_decode_since: datetime | None
    refused: bool
    """Flag: the network server refused an uplink or a join since the last accepted uplink."""
    suspect_f_cnt: int | None
    suspect_at: datetime | None
    frames_since_gap: int | None
    undecodable: int
    ctid: str
    """Place of the row, valid while it is locked."""
    waits: dict[str, tuple[datetime, datetime]] = msgspec.field(default_factory=dict)
    """Uplinks that wait for their codec: when each was made, and when it arrived, by its deduplication id."""
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
    network_log: str | None = None
    network_log_at: datetime | None = None
    marks_changed: bool = False
    remarked: bool = False
    """Flag: its spaces must be decided again, because it got a mark, or another one, or lost it."""
    gap_since: datetime | None = None
    """Time of the first frame of the batch behind a gap, if no newer one has a reading."""
    opened: tuple[Condition, ...] = ()
    closed: tuple[ConditionKind, ...] = ()

    @property
    def deadline(self) -> timedelta:
        return _seconds(self.deadline_s)

    @property
    def bound(self) -> timedelta:
        """Time from its last reading within which a sensor that works reports again."""
        return bound(self.interval_s, self.deadline_s)

    def view(self) -> SensorView:
        """Return what decisions read of the sensor. An unusable sensor counts as one that never reported."""
        return sensor_view(
            self.occupancy, self.occupancy_at, self.deadline_s, self.damaged, self.free_from, self.interval_s,
            self.unproven_reason, self.unproven_since, self.to_decode_since, self.usable,
        )  # fmt: skip

    def note_waits(self) -> None:
        """Record since when an uplink waits that is newer than the newest reading. Without one, the mark is over."""
        if not self.waits and self.to_decode_since is None:
            return
        known = self.occupancy_at
        since = min((came for at, came in self.waits.values() if known is None or at >= known), default=None)
        if since != self.to_decode_since:
            self.to_decode_since = since
            self.marks_changed = self.remarked = True

    def note(self, event: Event, now: datetime) -> None:
        """Record a join, a battery level, or what the network server logs. Other events concern no sensor."""
        if isinstance(event, Join):
            if self.join(event, now):
                self.facts_changed = True
                self.begun |= self.last_f_cnt is None
                # The counters of the new session do not show what was lost at the end of the one before.
                self.mark(UnprovenReason.FRAMES_MISSING, self.last_join_at or now)
            self.facts_changed |= self.route(event)
        elif isinstance(event, DeviceStatus):
            self.facts_changed = True
            self.battery_pct = self.battery_pct if event.battery_pct is None else event.battery_pct
        elif isinstance(event, Log) and event.code.startswith(("UPLINK", "OTAA")):
            self._log(event, event.at(now))

    def _log(self, event: Log, at: datetime) -> None:
        """Keep a log line about an uplink or a join. A refusal that is older than the newest uplink proves nothing."""
        self.marks_changed = True
        self.network_log, self.network_log_at = f"{event.code}: {event.description}"[:2000], at
        meaning = refusal(event.code, event.description)
        if meaning is None or (self.last_uplink_at is not None and at <= self.last_uplink_at):
            return
        f_cnt = _counter(event)
        first = at
        if event.code == F_CNT_RESET and not self.refused:
            suspicion = None
            if self.suspect_f_cnt is not None and self.suspect_at is not None:
                suspicion = Suspicion(self.suspect_f_cnt, self.suspect_at)
            if overtaken(f_cnt, self.last_f_cnt, at, suspicion):
                self.suspect_f_cnt = max(f_cnt or 0, self.suspect_f_cnt or 0)
                self.suspect_at = suspicion.at if suspicion is not None else at
                return
            first = suspicion.at if suspicion is not None else at
        self.refused = True
        self.mark(UnprovenReason.REFUSED, first)
        counters = f" (counter {f_cnt}; newest accepted: {self.last_f_cnt})" if f_cnt is not None else ""
        self._open(_K.SENSOR_REFUSED, first, f"{self.network_log}{counters}: {meaning.meaning}; {meaning.remedy}")

    def received(self, missing: int, at: datetime, f_cnt: int | None) -> None:
        """Record the newest uplink, which the network server accepted, and how many frames before it are missing.

        An uplink that is older than a refusal does not end it: events of a network server come in any order.
        """
        older = self._refused_since(at)
        if self.suspect_at is not None:
            self.suspect_f_cnt = self.suspect_at = None
            self.marks_changed = True
        if self.refused and not older:
            self.refused, self.marks_changed = False, True
            self._close(_K.SENSOR_REFUSED)
            if self.unproven_reason is UnprovenReason.REFUSED:
                self.unproven_reason, self.remarked = UnprovenReason.FRAMES_MISSING, True
        if missing > 0:
            self.gap_since = self.gap_since or at
            if self.frames_since_gap != 0:  # else the frame before had a gap too: nothing is new
                self.frames_since_gap, self.marks_changed = 0, True
                self._open(_K.SENSOR_FRAMES_MISSING, at, f"{missing} frames are missing before the frame {f_cnt}")
        elif self.frames_since_gap is not None:
            self.frames_since_gap += 1
            self.marks_changed = True
            if self.frames_since_gap >= FRAMES_IN_ORDER:
                self.frames_since_gap = None
                self._close(_K.SENSOR_FRAMES_MISSING)

    def proved(self, before: datetime | None, at: datetime) -> None:
        """End the mark: the newest uplink has a reading. `before`: time of the reading that counted until then."""
        if self.unproven_since is not None and not self._refused_since(at):
            self.unproven_reason = self.unproven_since = None
            self.marks_changed = self.remarked = True
        self.gap_since = None
        if before is not None and at - before >= self.deadline:
            self._close(_K.SENSOR_SILENT)
            self.marks_changed = True

    def _refused_since(self, at: datetime) -> bool:
        return self.refused and self.unproven_since is not None and at < self.unproven_since

    def settle(self) -> None:
        """Mark the sensor if frames of the batch are missing, and no newer frame has a reading."""
        if self.gap_since is not None:
            self.mark(UnprovenReason.FRAMES_MISSING, self.gap_since)

    def decoded(self, error: str | None, at: datetime) -> None:
        """Count uplinks that cannot be decoded, in a row. `error` None: the newest one could be decoded."""
        if error is None:
            if self.undecodable:
                if self.undecodable >= MIN_UNDECODABLE:
                    self._close(_K.SENSOR_UNDECODABLE)
                self.undecodable, self.marks_changed = 0, True
            return
        if self.undecodable < MIN_UNDECODABLE:
            self.undecodable, self.marks_changed = self.undecodable + 1, True
            if self.undecodable == MIN_UNDECODABLE:
                self._open(_K.SENSOR_UNDECODABLE, at, f"{MIN_UNDECODABLE} uplinks in a row: {error}")

    def mark(self, reason: UnprovenReason, since: datetime) -> None:
        """Mark the sensor: its newest reading may be missing. A mark that holds keeps its `since`. Idempotent.

        A sensor without a reading has nothing to mark, but for a refusal, which says why there is none.
        """
        if self.occupancy is None and reason is not UnprovenReason.REFUSED:
            return
        if self.unproven_reason is None or _PRECEDENCE[reason] < _PRECEDENCE[self.unproven_reason]:
            self.unproven_reason, self.unproven_since = reason, self.unproven_since or since
            self.marks_changed = self.remarked = True

    def _close(self, kind: ConditionKind) -> None:
        self.opened = tuple(c for c in self.opened if c.kind is not kind)
        self.closed = (*self.closed, kind)

    def _open(self, kind: ConditionKind, since: datetime, evidence: str) -> None:
        earlier = tuple(c for c in self.opened if c.kind is not kind)
        self.opened = (*earlier, Condition(kind, str(self.id), since, evidence))


def sensor_view(
    occupancy: Occupancy | None,
    occupancy_at: datetime | None,
    deadline_s: int,
    damaged: bool,
    free_from: datetime | None,
    interval_s: int,
    unproven_reason: UnprovenReason | None,
    unproven_since: datetime | None,
    to_decode_since: datetime | None,
    usable: bool,
) -> SensorView:
    """Return what decisions read of a sensor. An unusable sensor counts as one that never reported."""
    deadline = _seconds(deadline_s)
    if not usable:
        return SensorView(None, occupancy_at, deadline, damaged, free_from)
    return SensorView(
        occupancy, occupancy_at, deadline, damaged, free_from, bound(interval_s, deadline_s), unproven_reason,
        unproven_since, to_decode_since,
    )  # fmt: skip


def _counter(event: Log) -> int | None:
    text = event.context.get("f_cnt_up", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


@cache
def _seconds(number: int) -> timedelta:
    """Return a deadline. There are few: one for each device type. Reading an interval costs ten times as much."""
    return timedelta(seconds=number)
