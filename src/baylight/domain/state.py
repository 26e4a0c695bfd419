"""States, and the decision: what a space's light must show, and why. Pure: `now` is an argument.

SensorView, Inputs, Considered and Decision are values that never change. Each uplink makes new ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from baylight.domain.unproven import MEANINGS, TO_DECODE_LIMIT, Unproven, UnprovenReason


class State(StrEnum):
    """State of a space. Silence is never shown as FREE: UNKNOWN is a state of its own."""

    FREE = "FREE"
    OCCUPIED = "OCCUPIED"
    RESERVED = "RESERVED"
    MAINTENANCE = "MAINTENANCE"
    OUT_OF_ORDER = "OUT_OF_ORDER"
    UNKNOWN = "UNKNOWN"


class Occupancy(StrEnum):
    """Positive statement of a sensor. "No occupancy in this frame" is None, never FREE."""

    FREE = "FREE"
    OCCUPIED = "OCCUPIED"


class Reason(StrEnum):
    """Rule that won. The order is the precedence: the first rule of the table that matches wins."""

    OVERRIDE = "override"
    MAINTENANCE = "maintenance"
    RESERVED_AND_TAKEN = "reserved_and_taken"
    RESERVATION = "reservation"
    RESERVATION_SOON = "reservation_soon"
    SENSOR = "sensor"
    SENSOR_DAMAGED = "sensor_damaged"
    SENSOR_UNPROVEN = "sensor_unproven"
    SENSOR_SILENT = "sensor_silent"
    SENSOR_NEVER_HEARD = "sensor_never_heard"
    NO_SENSOR = "no_sensor"


@dataclass(frozen=True, slots=True)
class Override:
    """State that an operator fixed, valid in [`from_at`, `until_at`); None = open end."""

    id: UUID
    state: State
    from_at: datetime
    until_at: datetime | None
    on_space: bool = True
    """Flag: the override is on the space itself. It wins over one on a location above the space."""


@dataclass(frozen=True, slots=True)
class Booking:
    """Id and interval [`start_at`, `end_at`) of a live reservation."""

    id: UUID
    start_at: datetime
    end_at: datetime


class SensorView(msgspec.Struct, gc=False):
    """State of the sensor of a space, as far as it is known.

    `occupancy_at`: time of its last reading with occupancy, by the network server's clock (or ours). `deadline`: the
    maximum silence that its type allows, counted from that reading. A frame without occupancy does not extend it: the
    frame proves that the radio works, not that the bay is unchanged. `free_from`: for a motion sensor that reported
    OCCUPIED, the time from which this counts as FREE unless the sensor reports motion before.

    `bound`: how long its type lets a state stay unproven (`domain/unproven.py`); None: as long as `deadline`.
    `unproven_since` with its reason: from when on its newest reading may be missing. `to_decode_since`: arrival of its
    newest uplink, if that waits to be decoded.
    """

    occupancy: Occupancy | None
    occupancy_at: datetime | None
    deadline: timedelta
    damaged: bool = False
    free_from: datetime | None = None
    bound: timedelta | None = None
    unproven_reason: UnprovenReason | None = None
    unproven_since: datetime | None = None
    to_decode_since: datetime | None = None

    def marks(self, now: datetime) -> list[Unproven]:
        """Return the marks that hold: of an uplink to decode, the stored one, and of a report that is overdue."""
        found = []
        at = self.occupancy_at
        if self.to_decode_since is not None:
            since = self.to_decode_since
            found.append(Unproven(UnprovenReason.TO_DECODE, since, since + TO_DECODE_LIMIT))
        if self.unproven_reason is not None and self.unproven_since is not None:
            since = self.unproven_since
            until = since + (self.deadline if self.bound is None else self.bound)
            if at is not None and at + self.deadline < until:
                until = at + self.deadline
            found.append(Unproven(self.unproven_reason, since, until))
        bound = self.bound
        if at is not None and bound is not None and at + bound <= now < at + self.deadline and self.occupancy:
            found.append(Unproven(UnprovenReason.FRAMES_MISSING, at + bound, at + self.deadline))
        return found


class Inputs(msgspec.Struct, gc=False):
    """All facts that the decision for one space depends on."""

    sensor: SensorView | None
    overrides: tuple[Override, ...] = ()
    bookings: tuple[Booking, ...] = ()
    maintenance: bool = False
    default_state: State = State.UNKNOWN

    def with_sensor(self, sensor: SensorView | None) -> Inputs:
        """Return the same facts with another view of the sensor."""
        return Inputs(sensor, self.overrides, self.bookings, self.maintenance, self.default_state)


@dataclass(frozen=True, slots=True)
class Policy:
    """Choices of the operator. `reserved_soon`: how long before its start a reservation is shown."""

    reserved_soon: timedelta = timedelta(minutes=15)
    reserved_hides_occupied: bool = False


class Considered(msgspec.Struct, gc=False):
    """Rule that was considered: the state it would show (None: it did not apply), and its fact in short."""

    reason: Reason
    state: State | None
    detail: str


class Decision(msgspec.Struct, gc=False):
    """Result for one space.

    `cause`: id of the override or reservation that won. `next_change_at`: when time alone could change the decision.
    `unproven`: mark of the state, if the sensor's newest reading may be missing. A state that a person fixed has none.
    """

    state: State
    reason: Reason
    considered: tuple[Considered, ...]
    next_change_at: datetime | None
    cause: UUID | None = None
    unproven: Unproven | None = None


_iso: Callable[[datetime], str] = msgspec.to_builtins
"""Fast form of `datetime.isoformat`: it needs an eighth of the time."""
_SENSOR = Reason.SENSOR
_SHOWS = {Occupancy.FREE: State.FREE, Occupancy.OCCUPIED: State.OCCUPIED}
_OF_PEOPLE = (Reason.OVERRIDE, Reason.MAINTENANCE)
_LOUD = (UnprovenReason.REFUSED, UnprovenReason.TO_DECODE)
"""Reasons of a sensor that sends: its silence is not its own."""


def decide(inputs: Inputs, policy: Policy, now: datetime) -> Decision:
    """Return the decision of the whole table of rules: the first match wins. There is an answer for every input.

    `considered` lists every rule that applies, the winner first, so that `why` can name the rules that lost.
    """
    sensor = inputs.sensor
    marks = sensor.marks(now) if sensor is not None else []
    mark = min(marks, key=_until) if marks else None
    reading, silence = _fresh_reading(sensor, marks, mark, now)
    by_sensor = _sensor_rule(inputs, reading, silence, mark)
    if not (inputs.overrides or inputs.bookings or inputs.maintenance):
        # The common case: only the sensor counts.
        assert by_sensor.state is not None
        return Decision(by_sensor.state, by_sensor.reason, (by_sensor,), _deadline(sensor, marks, now), unproven=mark)
    override = _override(inputs.overrides, now)
    bookings = sorted(inputs.bookings, key=lambda b: (b.start_at, b.id))
    booking = next((b for b in bookings if b.start_at <= now < b.end_at), None)
    soon = next((b for b in bookings if now < b.start_at <= now + policy.reserved_soon), None)

    applies: list[tuple[Considered, UUID | None]] = []
    if override is not None:
        where = "space" if override.on_space else "location"
        applies.append((Considered(Reason.OVERRIDE, override.state, f"override on the {where}"), override.id))
    if inputs.maintenance:
        applies.append((Considered(Reason.MAINTENANCE, State.MAINTENANCE, "in maintenance"), None))
    if booking is not None:
        until = f"reserved until {_iso(booking.end_at)}"
        if reading is Occupancy.OCCUPIED:
            taken = State.RESERVED if policy.reserved_hides_occupied else State.OCCUPIED
            applies.append(
                (Considered(Reason.RESERVED_AND_TAKEN, taken, f"{until}, sensor reports OCCUPIED"), booking.id)
            )
        else:
            applies.append((Considered(Reason.RESERVATION, State.RESERVED, until), booking.id))
    elif soon is not None and reading is not Occupancy.OCCUPIED:
        applies.append(
            (
                Considered(Reason.RESERVATION_SOON, State.RESERVED, f"reserved from {_iso(soon.start_at)}"),
                soon.id,
            )
        )
    applies.append((by_sensor, None))

    winner, cause = applies[0]
    assert winner.state is not None
    return Decision(
        state=winner.state,
        reason=winner.reason,
        considered=tuple(c for c, _ in applies),
        next_change_at=_next_change(inputs, policy, marks, now),
        cause=cause,
        unproven=None if winner.reason in _OF_PEOPLE else mark,
    )


def _until(mark: Unproven) -> datetime:
    return mark.until


def _fresh_reading(
    sensor: SensorView | None, marks: list[Unproven], mark: Unproven | None, now: datetime
) -> tuple[Occupancy | None, Reason]:
    """Return the sensor's occupancy if it is fresh, else None and the reason why there is none."""
    if sensor is None:
        return None, Reason.NO_SENSOR
    if sensor.damaged:
        return None, Reason.SENSOR_DAMAGED
    if sensor.occupancy is None or sensor.occupancy_at is None:
        return None, Reason.SENSOR_NEVER_HEARD
    silent = now - sensor.occupancy_at >= sensor.deadline
    if mark is not None and now >= mark.until and (not silent or mark.reason in _LOUD):
        return None, Reason.SENSOR_UNPROVEN
    if silent:
        return None, Reason.SENSOR_SILENT
    free_from = sensor.free_from
    # The absence of motion proves nothing while a report of motion may be missing.
    if free_from is not None and now >= free_from and all(m.since > free_from for m in marks):
        return Occupancy.FREE, _SENSOR
    return sensor.occupancy, _SENSOR


def _sensor_rule(inputs: Inputs, reading: Occupancy | None, silence: Reason, mark: Unproven | None) -> Considered:
    sensor = inputs.sensor
    if sensor is None:
        return Considered(Reason.NO_SENSOR, inputs.default_state, "no sensor assigned: the space's default state")
    unproven = f"unproven since {_iso(mark.since)}: {MEANINGS[mark.reason]}" if mark is not None else ""
    if reading is not None:
        assert sensor.occupancy is not None
        assert sensor.occupancy_at is not None
        detail = f"sensor reported {sensor.occupancy} at {_iso(sensor.occupancy_at)}"
        if reading is not sensor.occupancy:
            detail += ", and no motion for as long as one motion counts"
        return Considered(_SENSOR, _SHOWS[reading], f"{detail}; {unproven}" if unproven else detail)
    detail = {
        Reason.SENSOR_DAMAGED: "sensor reports itself damaged",
        Reason.SENSOR_NEVER_HEARD: "sensor has never reported its occupancy",
        Reason.SENSOR_UNPROVEN: unproven,
    }.get(silence, f"sensor silent for longer than {sensor.deadline}")
    return Considered(silence, State.UNKNOWN, detail)


def _override(overrides: tuple[Override, ...], now: datetime) -> Override | None:
    """Return the override in force: one on the space wins over one on a location, then the latest start wins."""
    valid = [o for o in overrides if o.from_at <= now and (o.until_at is None or now < o.until_at)]
    return max(valid, key=lambda o: (o.on_space, o.from_at, o.id), default=None)


def _next_change(inputs: Inputs, policy: Policy, marks: list[Unproven], now: datetime) -> datetime | None:
    """Return the earliest edge after `now` of any interval that the decision reads. An edge may change nothing."""
    edges: list[datetime] = []
    for override in inputs.overrides:
        edges.append(override.from_at)
        if override.until_at is not None:
            edges.append(override.until_at)
    for booking in inputs.bookings:
        edges += [booking.start_at - policy.reserved_soon, booking.start_at, booking.end_at]
    deadline = _deadline(inputs.sensor, marks, now)
    if deadline is not None:
        edges.append(deadline)
    return min((edge for edge in edges if edge > now), default=None)


def _deadline(sensor: SensorView | None, marks: list[Unproven], now: datetime) -> datetime | None:
    """Return when the sensor's rule may change next: by silence, motion, a mark, or the end of a bound."""
    if sensor is None or sensor.damaged:
        return None
    at, bound = sensor.occupancy_at, sensor.bound
    if at is not None and bound is not None and not marks and sensor.free_from is None and bound < sensor.deadline:
        # The common case. Without a mark no report is overdue, unless the sensor is silent.
        edge = at + bound
        return edge if edge > now else None
    edges = [sensor.free_from, *(mark.until for mark in marks)]
    if at is not None:
        edges.append(at + sensor.deadline)
        if bound is not None and bound < sensor.deadline:
            edges.append(at + bound)
    return min((edge for edge in edges if edge is not None and edge > now), default=None)
