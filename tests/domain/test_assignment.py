from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baylight.domain.assignment import (
    Assignment,
    Candidate,
    SharedRule,
    combine,
    count_free,
    may_serve,
    must_serve_at_most,
    replace_from,
)
from baylight.domain.state import State
from baylight.errors import InputError
from tests.support.clock import T0

SPACE, A, B = UUID(int=1), UUID(int=2), UUID(int=3)
STATES = st.lists(st.sampled_from(list(State)), min_size=1, max_size=8)


@given(STATES, st.sampled_from(list(SharedRule)))
def test_a_shared_display_is_never_green_without_a_free_space(states: list[State], rule: SharedRule) -> None:
    shown = combine(states, rule)
    assert shown in states
    assert shown is not State.FREE or State.FREE in states
    assert combine(list(reversed(states)), rule) is shown


@given(STATES)
def test_all_free_and_worst_state_are_green_only_if_every_space_is_free(states: list[State]) -> None:
    for rule in (SharedRule.ALL_FREE, SharedRule.WORST_STATE):
        assert (combine(states, rule) is State.FREE) == (set(states) == {State.FREE})


@given(st.sampled_from(list(State)), st.sampled_from(list(SharedRule)))
def test_of_one_space_every_rule_makes_its_state(state: State, rule: SharedRule) -> None:
    assert combine([state], rule) is state


@pytest.mark.parametrize(
    ("rule", "states", "shown"),
    [
        (SharedRule.ANY_FREE, "FREE UNKNOWN OCCUPIED", State.FREE),
        (SharedRule.ANY_FREE, "UNKNOWN OCCUPIED", State.OCCUPIED),
        (SharedRule.ANY_FREE, "UNKNOWN MAINTENANCE", State.UNKNOWN),
        (SharedRule.ALL_FREE, "FREE UNKNOWN", State.UNKNOWN),
        (SharedRule.ALL_FREE, "FREE RESERVED", State.RESERVED),
        (SharedRule.COUNT, "FREE OCCUPIED", State.FREE),
        (SharedRule.WORST_STATE, "FREE UNKNOWN OCCUPIED", State.UNKNOWN),
        (SharedRule.WORST_STATE, "OCCUPIED OUT_OF_ORDER MAINTENANCE", State.OUT_OF_ORDER),
        (SharedRule.WORST_STATE, "RESERVED OCCUPIED", State.OCCUPIED),
    ],
)
def test_rules_of_mixtures(rule: SharedRule, states: str, shown: State) -> None:
    assert combine([State(word) for word in states.split()], rule) is shown


def test_an_unknown_space_is_not_counted_as_free() -> None:
    assert count_free([State.FREE, State.UNKNOWN, State.FREE, State.OCCUPIED]) == 2
    with pytest.raises(ValueError, match="without spaces"):
        combine([], SharedRule.COUNT)


def at(minute: int) -> datetime:
    return T0 + timedelta(minutes=minute)


def test_a_change_recorded_late_ends_what_was_before_and_replaces_what_was_never_true() -> None:
    before = Assignment(SPACE, A, at(0), None, id=UUID(int=9))
    new = Assignment(SPACE, B, at(10), None)
    change = replace_from([before], new, at(10))
    assert change.superseded == (before,)
    assert change.inserted == (Assignment(SPACE, A, at(0), at(10)), new)
    assert replace_from([before], new, at(0)).inserted == (new,)
    assert replace_from([before], None, at(5)).inserted == (Assignment(SPACE, A, at(0), at(5)),)


EUI = "58a0cb00000000a1"


@pytest.mark.parametrize(
    ("enabled", "lifecycle_state", "shared", "others", "present", "code"),
    [
        (True, "registered", False, [], None, None),
        (True, "maintenance", True, ["A-2"], None, None),
        (True, "active", False, ["A-2"], None, "device_in_use"),
        (False, "active", True, [], None, "device_disabled"),
        (True, "decommissioned", False, [], None, "device_disabled"),
        (False, "active", False, ["A-2"], None, "device_disabled"),
        (True, "active", True, [], "58a0cb00000000a2", "role_taken"),
    ],
)
def test_a_device_may_serve_a_space_if_it_is_enabled_and_free_or_shared(
    enabled: bool, lifecycle_state: str, shared: bool, others: list[str], present: str | None, code: str | None
) -> None:
    device = Candidate(EUI, enabled, lifecycle_state, shared)
    if code is None:
        may_serve("sensor", device, "A-1", others=others, present=present)
        return
    with pytest.raises(InputError) as refused:
        may_serve("sensor", device, "A-1", others=others, present=present)
    assert refused.value.code == code


def test_a_device_that_serves_too_many_spaces_is_refused_with_their_codes() -> None:
    must_serve_at_most(1, "display", EUI, ["A-1"])
    with pytest.raises(InputError, match=f"display {EUI} serves A-1, A-2: unassign it first") as refused:
        must_serve_at_most(1, "display", EUI, ["A-1", "A-2"])
    assert refused.value.facts["spaces"] == ["A-1", "A-2"]
