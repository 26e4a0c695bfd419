"""Recompute the state of spaces, and hand changes to their displays. Every writer of `spaces.current_state` calls this.

The whole program locks rows in one order: sensors, spaces, displays, actuations, each by id. Each statement sees what
was committed before its locks were granted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

import msgspec

from baylight.control import displays as display_store
from baylight.control import sensors
from baylight.domain.display_loop import decisions
from baylight.domain.display_loop.actuation import FAILED, Actuation
from baylight.domain.display_loop.display import Display
from baylight.domain.display_loop.due import due
from baylight.domain.downlink import TriggerType
from baylight.domain.ids import DevEui, uuid7
from baylight.domain.policies import Policies
from baylight.domain.state import (
    Booking,
    Decision,
    Inputs,
    Override,
    Policy,
    Reason,
    SensorView,
    State,
    decide,
)
from baylight.domain.unproven import UnprovenReason
from baylight.store.pool import Connection, array_literal
from baylight.store.query import Copy, Query, RowsStatement, plain

_OF_RESERVATION = {Reason.RESERVATION, Reason.RESERVATION_SOON, Reason.RESERVED_AND_TAKEN}
_OF_SENSOR = {Reason.SENSOR_SILENT, Reason.SENSOR_DAMAGED, Reason.SENSOR_NEVER_HEARD, Reason.SENSOR_UNPROVEN}


class Change(msgspec.Struct, gc=False):
    """Change of a space's state that is not stored yet."""

    space_id: UUID
    previous: State
    decision: Decision
    trigger: TriggerType
    source: str | None
    at: datetime
    observed_at: datetime | None = None


class Space(msgspec.Struct, gc=False):
    """Locked space, its inputs, and what was decided in this transaction.

    The fields up to `ctid` are the columns of `LOCK`; `load_inputs` sets `inputs`.
    """

    id: UUID
    code: str
    location_id: UUID | None
    sensor_id: UUID | None
    display_id: UUID | None
    state: State
    reason: str | None
    sensor_state: str | None
    default_state: State
    maintenance: bool
    recompute_at: datetime | None
    unproven_reason: UnprovenReason | None
    unproven_since: datetime | None
    unproven_until: datetime | None
    ctid: str
    """Place of the row, valid while it is locked."""
    inputs: Inputs = msgspec.field(default_factory=partial(Inputs, None))
    changes: list[Change] = []
    dirty: bool = False

    def evaluate(
        self,
        policy: Policy,
        now: datetime,
        trigger: TriggerType | None,
        source: str | None,
        observed_at: datetime | None = None,
    ) -> bool:
        """Decide the space again; return True if the state changed.

        `trigger` None: only time has passed, and the cause follows from the rule that wins.
        """
        decision = decide(self.inputs, policy, now)
        sensor = self.inputs.sensor
        sensor_state = sensor.occupancy if sensor else None
        if self.sensor_state != sensor_state:
            self.sensor_state, self.dirty = sensor_state, True
        mark = decision.unproven
        unproven = (mark.reason, mark.since, mark.until) if mark is not None else (None, None, None)
        if unproven != (self.unproven_reason, self.unproven_since, self.unproven_until):
            self.unproven_reason, self.unproven_since, self.unproven_until = unproven
            self.dirty = True
        due = decision.next_change_at
        # A deadline that is too early does no harm. A write for each heartbeat would.
        early = due is not None and self.recompute_at is not None and now < self.recompute_at <= due
        if not early and due != self.recompute_at:
            self.recompute_at, self.dirty = due, True
        changed = decision.state is not self.state
        if changed or decision.reason != self.reason:
            if changed:
                cause = trigger or _cause(decision.reason, self.reason)
                # After the end of an override, the rule that wins now is not the cause.
                own = decision.reason is Reason.OVERRIDE or cause is TriggerType.RESERVATION_STARTED
                by = source or (str(decision.cause) if decision.cause and own else None)
                self.changes.append(Change(self.id, self.state, decision, cause, by, now, observed_at))
            self.state, self.reason, self.dirty = decision.state, decision.reason, True
        return changed


def _cause(reason: Reason, before: str | None) -> TriggerType:
    """Return the trigger of a change that time alone made."""
    if reason is Reason.OVERRIDE or before == Reason.OVERRIDE:
        return TriggerType.MANUAL_OVERRIDE
    if reason in _OF_RESERVATION:
        return TriggerType.RESERVATION_STARTED
    if before in _OF_RESERVATION:
        return TriggerType.RESERVATION_EXPIRED
    if reason is Reason.MAINTENANCE or before == Reason.MAINTENANCE:
        return TriggerType.MAINTENANCE
    return TriggerType.SENSOR_SILENT if reason in _OF_SENSOR else TriggerType.SYSTEM_CLEANUP


class _Wanted(msgspec.Struct, gc=False):
    """State that a space gives to its display. `changed_from` None: the space has not changed."""

    display: Display
    space_id: UUID
    state: State
    changed_from: State | None
    trigger: TriggerType
    source: str | None
    at: datetime


class _Rule(msgspec.Struct, gc=False):
    """Reservation, override or maintenance that applies to a space."""

    space_id: UUID
    kind: str
    id: UUID | None
    state: State | None
    from_at: datetime | None
    until_at: datetime | None


class _Update(msgspec.Struct, omit_defaults=True, gc=False):
    """Row for `UPDATE`. `current_state_at` None: unchanged."""

    id: UUID
    ctid: str
    current_state: State
    current_state_at: datetime | None = None
    state_reason: str | None = None
    sensor_state: str | None = None
    recompute_at: datetime | None = None
    unproven_reason: UnprovenReason | None = None
    unproven_since: datetime | None = None
    unproven_until: datetime | None = None


class _NewChange(NamedTuple):
    """Row of `state_changes`."""

    space_id: UUID
    previous_state: State
    new_state: State
    source: TriggerType
    trigger_source: str | None
    reason: Reason
    timestamp: datetime
    uplink_observed_at: datetime | None
    considered: object
    """JSON of the rules that apply, the winner first."""


LOCK = Query("control.spaces.lock", Space)
LOCK_OF_DEVICES = Query("control.spaces.lock_of_devices", Space)
LOCK_DUE = Query("control.spaces.lock_due", UUID)
RULES = Query("control.spaces.rules", _Rule)
UPDATE = RowsStatement("control.spaces.update", _Update)
INSERT_CHANGES = Copy("state_changes", _NewChange)
_change_row = plain(_NewChange)
_at = attrgetter("at")


async def redecide(
    connection: Connection,
    space_ids: Sequence[UUID],
    *,
    trigger: TriggerType | None,
    source: str | None,
    now: datetime,
    policies: Policies,
    released: Sequence[UUID] = (),
) -> int:
    """Decide spaces again in the caller's transaction, and give the result to their displays. Idempotent.

    Return how many spaces changed state. `source`: id of who or what caused it (API key, reservation, override).
    `released`: displays that have just stopped serving one of the spaces.
    """
    spaces = await LOCK.all(connection, ids=list(space_ids))
    await load_inputs(connection, spaces, now)
    changed = sum(space.evaluate(policies.decision, now, trigger, source) for space in spaces)
    serving = {space.display_id: (space.id, space.state) for space in spaces if space.display_id}
    displays = await display_store.load(connection, {*serving, *released}, policies.loop)
    for display_id in set(released) - serving.keys():
        if display := displays.get(display_id):
            if display.space_states:  # a shared display that still serves other spaces
                serving[display_id] = next(iter(display.space_states.items()))
            else:
                decisions.release(display, now)
    wanted, failed = _wanted_by_changes(spaces, displays)
    changing = {w.display.id for w in wanted}
    cause = trigger or TriggerType.SYSTEM_CLEANUP
    served = [(displays[id], space_id, state) for id, (space_id, state) in serving.items() if id in displays]
    for display, space_id, state in served:
        if display.id not in changing:
            wanted.append(_Wanted(display, space_id, state, None, cause, source, now))
    _request(wanted)
    for display, _, _ in served:
        due(display, now)  # the display may have been enabled again, or given a code that it lacked
    await save(connection, spaces, now)
    await display_store.insert_failed(connection, failed)
    await display_store.save(connection, displays.values())
    return changed


async def lock_of_devices(
    connection: Connection, sensor_ids: Collection[UUID], display_euis: Collection[DevEui]
) -> list[Space]:
    """Lock the live spaces that sensors or displays serve, in id order. `display_euis` may name other devices."""
    if not (sensor_ids or display_euis):
        return []
    return await LOCK_OF_DEVICES.all(
        connection, sensor_ids=array_literal(sensor_ids), display_euis=array_literal(display_euis)
    )


def request_changes(spaces: Iterable[Space], displays: Mapping[UUID, Display]) -> list[Actuation]:
    """Give each change of a space to its display; return failed actuations for the spaces without display."""
    wanted, failed = _wanted_by_changes(spaces, displays)
    _request(wanted)
    return failed


def _wanted_by_changes(
    spaces: Iterable[Space], displays: Mapping[UUID, Display]
) -> tuple[list[_Wanted], list[Actuation]]:
    """Return what changes give to displays, in the order of time; and failed actuations of spaces without display."""
    wanted, failed = [], []
    for space in spaces:
        for c in space.changes:
            display = displays.get(space.display_id) if space.display_id else None
            if display is None:
                failed.append(_no_display(c))
            else:
                wanted.append(_Wanted(display, c.space_id, c.decision.state, c.previous, c.trigger, c.source, c.at))
    wanted.sort(key=_at)
    return wanted, failed


def _request(wanted: Iterable[_Wanted]) -> None:
    """Let displays desire what is wanted.

    Each change of a space makes an actuation of its display. A shared display, or one whose space has not changed,
    gets an actuation only if it desires something else.
    """
    for w in wanted:
        display = w.display
        display.apply_space_state(w.space_id, w.state)
        state, code = display.wanted(w.state)
        previous = None if display.space_states else w.changed_from
        if previous is not None or (state, code) != (display.desired_state, display.desired_code):
            decisions.desire(
                display, w.space_id, state, previous=previous or display.desired_state, trigger=w.trigger,
                source=w.source, now=w.at, code=code,
            )  # fmt: skip


def _no_display(change: Change) -> Actuation:
    return Actuation(
        id=uuid7(change.at),
        space_id=change.space_id,
        trigger_type=change.trigger,
        trigger_source=change.source,
        previous_state=change.previous,
        new_state=change.decision.state,
        display_id=None,
        code=None,
        f_port=None,
        confirmed=False,
        created_at=change.at,
        status=FAILED,
        error="the space has no display",
    )


async def load_inputs(
    connection: Connection, spaces: Sequence[Space], now: datetime, known: Mapping[UUID, SensorView] | None = None
) -> None:
    """Set the inputs of spaces. `known`: views of sensors that the caller has locked and read."""
    views = dict(known or {})
    missing = {space.sensor_id for space in spaces if space.sensor_id} - views.keys()
    if missing:
        views |= await sensors.views(connection, missing)
    rules: dict[UUID, list[_Rule]] = {}
    found = await RULES.all(
        connection,
        space_ids=array_literal(space.id for space in spaces),
        location_ids=array_literal(space.location_id for space in spaces),
        now=now,
    )
    for rule in found:
        rules.setdefault(rule.space_id, []).append(rule)
    for space in spaces:
        sensor = views.get(space.sensor_id) if space.sensor_id else None
        of_space = rules.get(space.id) if rules else None
        space.inputs = (
            _with_rules(space, sensor, of_space)
            if of_space
            else Inputs(sensor, maintenance=space.maintenance, default_state=space.default_state)
        )


def _with_rules(space: Space, sensor: SensorView | None, rules: list[_Rule]) -> Inputs:
    bookings, overrides = [], []
    for rule in rules:
        if rule.kind == "maintenance":
            continue
        assert rule.id is not None
        assert rule.from_at is not None
        if rule.state is None:
            assert rule.until_at is not None
            bookings.append(Booking(rule.id, rule.from_at, rule.until_at))
        else:
            on_space = rule.kind == "override"
            overrides.append(Override(rule.id, rule.state, rule.from_at, rule.until_at, on_space=on_space))
    return Inputs(
        sensor,
        bookings=tuple(bookings),
        overrides=tuple(overrides),
        maintenance=space.maintenance or any(rule.kind == "maintenance" for rule in rules),
        default_state=space.default_state,
    )


async def save(connection: Connection, spaces: Iterable[Space], now: datetime) -> None:
    """Write the spaces that differ from what is stored, and the history of their states."""
    dirty = [space for space in spaces if space.dirty]
    if not dirty:
        return
    rows = [
        _Update(
            s.id, s.ctid, s.state, s.changes[-1].at if s.changes else None, s.reason, s.sensor_state, s.recompute_at,
            s.unproven_reason, s.unproven_since, s.unproven_until,
        )
        for s in dirty
    ]  # fmt: skip
    await UPDATE.run_all(connection, rows, now=now)
    changes = sorted((c for s in dirty for c in s.changes), key=_at)
    if changes:
        await INSERT_CHANGES.run(
            connection,
            [
                _change_row(
                    c.space_id, c.previous, c.decision.state, c.trigger, c.source, c.decision.reason, c.at,
                    c.observed_at, c.decision.considered,
                )
                for c in changes
            ],
        )  # fmt: skip
