"""Decides what spaces are, and makes their displays want it. Every writer of `spaces.current_state` comes through here.

Locks are taken in one order by the whole program: sensors, spaces, displays, actuations, each by id; each statement
sees what was committed before its locks were granted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from baylight.control import displays as shadow_store
from baylight.control.vocabulary import OCCUPANCIES, STATES, span
from baylight.domain.actuation import FAILED, Actuation
from baylight.domain.closed_loop import Shadow
from baylight.domain.downlink import TriggerType
from baylight.domain.ids import uuid7
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
from baylight.store.pool import Connection, array_literal, update_all
from baylight.store.query import queries

_OF_RESERVATION = {Reason.RESERVATION, Reason.RESERVATION_SOON, Reason.RESERVED_AND_TAKEN}
_OF_SENSOR = {Reason.SENSOR_SILENT, Reason.SENSOR_DAMAGED, Reason.SENSOR_NEVER_HEARD}


class Change(msgspec.Struct):
    """One row of `state_changes`."""

    space_id: UUID
    previous: State
    decision: Decision
    trigger: TriggerType
    source: str | None
    at: datetime
    observed_at: datetime | None = None


class _Decided(msgspec.Struct, omit_defaults=True, gc=False):
    """A row for `update_spaces`; as JSON without what is None."""

    id: UUID
    lies_at: str
    current_state: State
    current_state_at: datetime | None = None
    state_reason: str | None = None
    sensor_state: str | None = None
    recompute_at: datetime | None = None


class Space(msgspec.Struct):
    """A locked space, its inputs, and what was decided in this transaction."""

    id: UUID
    code: str
    location_id: UUID | None
    sensor_id: UUID | None
    display_id: UUID | None
    state: State
    reason: str | None
    sensor_state: str | None
    recompute_at: datetime | None
    lies_at: str
    """Its row's place, as long as it is locked."""
    inputs: Inputs
    changes: list[Change] = []
    written: bool = True
    """False once there is something to write."""

    def evaluate(
        self,
        policy: Policy,
        now: datetime,
        trigger: TriggerType | None,
        source: str | None,
        observed_at: datetime | None = None,
    ) -> bool:
        """Decides anew; True if the state changed. `trigger` None: only time has passed, it follows from the rule."""
        decision = decide(self.inputs, policy, now)
        sensor = self.inputs.sensor
        sensor_state = sensor.occupancy if sensor else None
        if self.sensor_state != sensor_state:
            self.sensor_state, self.written = sensor_state, False
        due = decision.next_change_at
        # Too early a look is harmless, a write for each heartbeat is not.
        early = due is not None and self.recompute_at is not None and now < self.recompute_at <= due
        if not early and due != self.recompute_at:
            self.recompute_at, self.written = due, False
        changed = decision.state is not self.state
        if changed or decision.reason != self.reason:
            if changed:
                cause = trigger or _cause(decision.reason, self.reason)
                # When an override ended, what took over is not what caused it.
                own = decision.reason is Reason.OVERRIDE or cause is TriggerType.RESERVATION_STARTED
                by = source or (str(decision.cause) if decision.cause and own else None)
                self.changes.append(Change(self.id, self.state, decision, cause, by, now, observed_at))
            self.state, self.reason, self.written = decision.state, decision.reason, False
        return changed


def _cause(reason: Reason, before: str | None) -> TriggerType:
    """What let time alone change the decision."""
    if reason is Reason.OVERRIDE or before == Reason.OVERRIDE:
        return TriggerType.MANUAL_OVERRIDE
    if reason in _OF_RESERVATION:
        return TriggerType.RESERVATION_STARTED
    if before in _OF_RESERVATION:
        return TriggerType.RESERVATION_EXPIRED
    if reason is Reason.MAINTENANCE or before == Reason.MAINTENANCE:
        return TriggerType.MAINTENANCE
    return TriggerType.SENSOR_SILENT if reason in _OF_SENSOR else TriggerType.SYSTEM_CLEANUP


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
    """Decides spaces anew inside the caller's transaction and hands the result to their displays; returns how many
    changed state. Idempotent: a second call changes nothing.

    `source` is the id of who or what caused it (API key, reservation, override). `released`: displays that have just
    stopped serving one of the spaces.
    """
    spaces = [
        to_space(row) for row in await connection.fetch(queries("control.spaces")["lock_spaces"], list(space_ids))
    ]
    await load_inputs(connection, spaces, now)
    changed = sum(space.evaluate(policies.decision, now, trigger, source) for space in spaces)
    displays = {space.display_id for space in spaces if space.display_id}
    shadows = await shadow_store.load(connection, displays | set(released), policies.loop)
    failed = actuate(spaces, shadows)
    wanted = {s.display_id: (s.id, s.state) for s in spaces if s.display_id}
    for display_id in set(released) - displays:
        if shadow := shadows.get(display_id):
            if shadow.members:  # it was shared, and still serves others
                wanted[display_id] = next(iter(shadow.members.items()))
            else:
                shadow.release(now)
    for display_id, (space_id, space_state) in wanted.items():
        if (shadow := shadows.get(display_id)) is None:
            continue
        state, code = shadow.wants(space_id, space_state)
        if (shadow.desired_state, shadow.desired_code) != (state, code):
            cause = trigger or TriggerType.SYSTEM_CLEANUP
            before = shadow.desired_state
            shadow.desire(space_id, state, previous=before, trigger=cause, source=source, now=now, code=code)
        else:
            shadow.due(now)  # it may have been enabled again, or given the code that it lacked
    await save(connection, spaces, now)
    await shadow_store.insert_failed(connection, failed)
    await shadow_store.save(connection, shadows.values())
    return changed


def actuate(spaces: Iterable[Space], shadows: Mapping[UUID, Shadow]) -> list[Actuation]:
    """Gives each change to the display of its space, in the order of time. Returns failed actuations for the spaces
    that have no display. A shared display is told only of what changes the one state that its rule makes of all."""
    failed = []
    changes = [(change, space) for space in spaces for change in space.changes]
    for change, space in sorted(changes, key=lambda pair: pair[0].at):
        shadow = shadows.get(space.display_id) if space.display_id else None
        if shadow is None:
            failed.append(_no_display(change))
            continue
        state, code = shadow.wants(space.id, change.decision.state)
        if shadow.members and (state, code) == (shadow.desired_state, shadow.desired_code):
            continue
        previous = shadow.desired_state if shadow.members else change.previous
        shadow.desire(
            space.id, state, previous=previous, trigger=change.trigger, source=change.source, now=change.at, code=code
        )
    return failed


def _no_display(change: Change) -> Actuation:
    return Actuation(
        id=uuid7(change.at),
        space_id=change.space_id,
        trigger_type=change.trigger,
        trigger_source=change.source,
        previous_state=change.previous,
        new_state=change.decision.state,
        code=None,
        f_port=None,
        confirmed=False,
        created_at=change.at,
        status=FAILED,
        error="the space has no display",
    )


def to_space(row: asyncpg.Record) -> Space:
    """A row of `lock_spaces`; its inputs are still those of a space without sensor."""
    (
        id, code, location_id, sensor_id, display_id, state, reason, sensor_state, default, maintenance, recompute_at,
        lies_at,
    ) = row  # fmt: skip
    inputs = Inputs(None, maintenance=maintenance, default_state=STATES[default])
    return Space(
        id, code, location_id, sensor_id, display_id, STATES[state], reason, sensor_state, recompute_at, lies_at, inputs
    )


async def load_inputs(
    connection: Connection, spaces: Sequence[Space], now: datetime, known: Mapping[UUID, SensorView] | None = None
) -> None:
    """Fills the inputs of locked spaces. `known`: views of sensors that the caller has locked and read."""
    sql = queries("control.spaces")
    views = dict(known or {})
    missing = {space.sensor_id for space in spaces if space.sensor_id} - views.keys()
    if missing:
        views |= {row["id"]: to_view(row) for row in await connection.fetch(sql["sensors_of_spaces"], list(missing))}
    rules: dict[UUID, list[asyncpg.Record]] = {}
    ids, places = array_literal(space.id for space in spaces), [space.location_id for space in spaces]
    for row in await connection.fetch(sql["rules_of_spaces"], ids, array_literal(places), now):
        rules.setdefault(row["space_id"], []).append(row)
    for space in spaces:
        space.inputs = space.inputs.with_sensor(views.get(space.sensor_id) if space.sensor_id else None)
        if found := rules.get(space.id):
            space.inputs = _with_rules(space.inputs, found)


def _with_rules(inputs: Inputs, rows: list[asyncpg.Record]) -> Inputs:
    return Inputs(
        inputs.sensor,
        bookings=tuple(Booking(r["id"], r["from_at"], r["until_at"]) for r in rows if r["kind"] == "reservation"),
        overrides=tuple(
            Override(r["id"], STATES[r["state"]], r["from_at"], r["until_at"], on_space=r["kind"] == "override")
            for r in rows
            if r["kind"] in ("override", "location_override")
        ),
        maintenance=inputs.maintenance or any(r["kind"] == "maintenance" for r in rows),
        default_state=inputs.default_state,
    )


def to_view(row: asyncpg.Record) -> SensorView:
    """A disabled or decommissioned sensor counts as one that was never heard."""
    occupancy = OCCUPANCIES[row["occupancy"]] if row["usable"] else None
    deadline = span(row["deadline_s"])
    return SensorView(occupancy, row["occupancy_at"], deadline, row["damaged"], row["free_from"])


async def save(connection: Connection, spaces: Iterable[Space], now: datetime) -> None:
    """Writes spaces that differ from what is stored, and the history of their states."""
    dirty = [space for space in spaces if not space.written]
    if dirty:
        rows = [
            _Decided(
                s.id,
                s.lies_at,
                s.state,
                s.changes[-1].at if s.changes else None,
                s.reason,
                s.sensor_state,
                s.recompute_at,
            )
            for s in dirty
        ]
        await update_all(connection, queries("control.spaces")["update_spaces"], rows, now)
    changes = sorted((c for s in dirty for c in s.changes), key=lambda c: c.at)
    if changes:
        await connection.copy_records_to_table(
            "state_changes",
            columns=[
                "space_id",
                "previous_state",
                "new_state",
                "source",
                "trigger_source",
                "reason",
                "timestamp",
                "uplink_observed_at",
                "considered",
            ],
            records=[
                (
                    c.space_id,
                    c.previous,
                    c.decision.state,
                    c.trigger,
                    c.source,
                    c.decision.reason,
                    c.at,
                    c.observed_at,
                    c.decision.considered,
                )
                for c in changes
            ],
        )
