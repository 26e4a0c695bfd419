"""Rules of assignments, pure: which device may serve which space, their intervals of time, and shared displays."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from baylight.domain.state import State
from baylight.errors import ConflictError, InputError

Role = Literal["sensor", "display"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that may come to serve a space. `shared`: a shared display or a mobile sensor, for several spaces."""

    dev_eui: str
    enabled: bool
    lifecycle_state: str
    shared: bool


def may_serve(role: Role, device: Candidate, space: str, *, others: Sequence[str], present: str | None = None) -> None:
    """Raise an error unless the device may begin to serve a space.

    `space`: the code of the space. `others`: codes of the other live spaces that the device serves. `present`: DevEUI
    of the device that would have to leave and may not be replaced.
    Raises ConflictError `role_taken`, `device_in_use`; InputError `device_disabled`.
    """
    if present is not None:
        raise ConflictError(
            "role_taken",
            f"{space} has the {role} {present} already: swap the two devices, or assign with a reason",
            space=space,
            dev_eui=present,
        )
    decommissioned = device.lifecycle_state == "decommissioned"
    if decommissioned or not device.enabled:
        remedy = "decommissioned: register it again" if decommissioned else "disabled: enable it"
        raise InputError(
            "device_disabled",
            f"{role} {device.dev_eui} is {remedy}, or choose another device",
            dev_eui=device.dev_eui,
        )
    if not device.shared:
        must_serve_at_most(0, role, device.dev_eui, others)


def must_serve_at_most(limit: int, role: Role, dev_eui: str, spaces: Sequence[str]) -> None:
    """Raise ConflictError `device_in_use` if a device serves more than `limit` spaces. `spaces`: their codes."""
    if len(spaces) > limit:
        raise ConflictError(
            "device_in_use",
            f"{role} {dev_eui} serves {', '.join(spaces)}: unassign it first",
            dev_eui=dev_eui,
            spaces=list(spaces),
        )


class SharedRule(StrEnum):
    """Rule by which a display that several spaces share combines their states into one."""

    ANY_FREE = "any_free"
    """FREE if at least one space is FREE, as on the sign at the entrance."""
    ALL_FREE = "all_free"
    COUNT = "count"
    """The number of free spaces. A display that shows no numbers follows `any_free`."""
    WORST_STATE = "worst_state"


_WORST_FIRST = (
    State.OUT_OF_ORDER,
    State.MAINTENANCE,
    State.UNKNOWN,
    State.OCCUPIED,
    State.RESERVED,
    State.FREE,
)
_NOT_FREE = (State.OCCUPIED, State.RESERVED, State.UNKNOWN, State.MAINTENANCE, State.OUT_OF_ORDER)
"""Order in which a sign that is not FREE chooses its state: the most frequent state first."""


def combine(states: Collection[State], rule: SharedRule) -> State:
    """Return the state that a display of several spaces must show. An UNKNOWN space does not count as free.

    Raises ValueError if `states` is empty.
    """
    if not states:
        raise ValueError("a display without spaces has no state")
    if rule is SharedRule.WORST_STATE:
        return next(state for state in _WORST_FIRST if state in states)
    free = State.FREE in states if rule in (SharedRule.ANY_FREE, SharedRule.COUNT) else set(states) == {State.FREE}
    return State.FREE if free else next(state for state in _NOT_FREE if state in states)


def count_free(states: Iterable[State]) -> int:
    """Return how many of the states are FREE."""
    return sum(state is State.FREE for state in states)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A device serves a space in [`from_at`, `until_at`); `until_at` None: until further notice.

    `id` None: not stored yet. `shared`: the device may serve other spaces at the same time.
    """

    space_id: UUID
    device_id: UUID
    from_at: datetime
    until_at: datetime | None
    shared: bool = False
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """Rows that no longer count, and the rows that count in their place. No row is rewritten."""

    superseded: tuple[Assignment, ...]
    inserted: tuple[Assignment, ...]


def replace_from(rows: Sequence[Assignment], new: Assignment | None, at: datetime) -> Correction:
    """Return how the rows of one space and role change if `new` serves it from `at` on; None: no device does.

    `new` begins at `at`. Rows that begin later were never true and no longer count.
    """
    ended = [row for row in rows if row.until_at is None or row.until_at > at]
    kept = [replace(row, until_at=at, id=None) for row in ended if row.from_at < at]
    return Correction(tuple(ended), (*kept, *((new,) if new else ())))
