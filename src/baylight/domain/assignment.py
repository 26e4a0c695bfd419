"""Which device serves which space, as intervals of time; and what a display makes of several spaces. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from baylight.domain.state import State


class SharedRule(StrEnum):
    """How a display that several spaces share makes one state of theirs."""

    ANY_FREE = "any_free"
    """Free if one of them is: the sign at the entrance."""
    ALL_FREE = "all_free"
    COUNT = "count"
    """How many are free; as `any_free` on a display that shows no numbers."""
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
"""What a sign that is not free says of a mixture: the most usual one first."""


def combine(states: Collection[State], rule: SharedRule) -> State:
    """What a display over spaces of these states must show. A space of which nothing is known is not free.

    Raises ValueError without states.
    """
    if not states:
        raise ValueError("a display without spaces shows nothing")
    if rule is SharedRule.WORST_STATE:
        return next(state for state in _WORST_FIRST if state in states)
    free = State.FREE in states if rule in (SharedRule.ANY_FREE, SharedRule.COUNT) else set(states) == {State.FREE}
    return State.FREE if free else next(state for state in _NOT_FREE if state in states)


def count_free(states: Iterable[State]) -> int:
    return sum(state is State.FREE for state in states)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A device serves a space in [`from_at`, `until_at`); None: until further notice. `shared`: it may serve others at
    the same time. `id` None: not stored."""

    space_id: UUID
    device_id: UUID
    from_at: datetime
    until_at: datetime | None
    shared: bool = False
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """Rows that count no more, and those that count in their place. Nothing is rewritten."""

    superseded: tuple[Assignment, ...]
    inserted: tuple[Assignment, ...]


def replace_from(rows: Sequence[Assignment], new: Assignment | None, at: datetime) -> Correction:
    """What becomes of one space's rows of one role if from `at` on `new` serves it, None: nobody.

    `new` begins at `at`. Rows that begin later were never true and count no more.
    """
    ended = [row for row in rows if row.until_at is None or row.until_at > at]
    kept = [replace(row, until_at=at, id=None) for row in ended if row.from_at < at]
    return Correction(tuple(ended), (*kept, *((new,) if new else ())))
