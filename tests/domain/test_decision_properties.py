"""Properties of the decision for all inputs. Times lie on a coarse grid, so that edges often coincide."""

from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from baylight.domain.state import (
    Booking,
    Inputs,
    Occupancy,
    Override,
    Policy,
    Reason,
    SensorView,
    State,
    decide,
)
from baylight.domain.unproven import UnprovenReason

BASE = datetime(2026, 3, 2, tzinfo=UTC)
SPAN = timedelta(minutes=5)
TICK = timedelta(microseconds=1)

instants = st.integers(-6, 12).map(lambda steps: BASE + steps * SPAN)
spans = st.integers(0, 6).map(lambda steps: steps * SPAN)
ids = st.integers(0, 3).map(lambda number: UUID(int=number))
overrides = st.builds(Override, ids, st.sampled_from(State), instants, st.none() | instants, st.booleans())
bookings = st.builds(lambda id, start, length: Booking(id, start, start + length), ids, instants, spans)
unmarked = st.builds(
    SensorView, st.none() | st.sampled_from(Occupancy), st.none() | instants, spans, damaged=st.booleans()
)
marked = st.builds(
    SensorView,
    st.none() | st.sampled_from(Occupancy),
    st.none() | instants,
    spans,
    st.booleans(),
    st.none() | instants,
    st.none() | spans,
    st.none() | st.sampled_from(UnprovenReason),
    st.none() | instants,
    st.none() | instants,
)
sensors = unmarked | marked
inputs_ = st.builds(
    Inputs,
    st.none() | sensors,
    st.lists(overrides, max_size=3).map(tuple),
    st.lists(bookings, max_size=4).map(tuple),
    st.booleans(),
    st.sampled_from(State),
)
policies = st.builds(Policy, spans, st.booleans())
nows = st.builds(lambda instant, ticks: instant + ticks * TICK, instants, st.integers(-1, 1))


def moved_away(view: SensorView, now: datetime) -> bool:
    """Return whether the time for which a motion counts is over, and no report of motion may be missing."""
    free_from = view.free_from
    return free_from is not None and now >= free_from and all(mark.since > free_from for mark in view.marks(now))


def table(inputs: Inputs, policy: Policy, now: datetime) -> State:
    """Return the state by the table as the data model has it, rule by rule."""
    view = inputs.sensor
    fresh = (
        view is not None
        and not view.damaged
        and view.occupancy is not None
        and view.occupancy_at is not None
        and now < view.occupancy_at + view.deadline
        and not any(now >= mark.until for mark in view.marks(now))
    )
    taken = fresh and view is not None and view.occupancy is Occupancy.OCCUPIED and not moved_away(view, now)
    valid = [o for o in inputs.overrides if o.from_at <= now and (o.until_at is None or o.until_at > now)]
    if valid:
        near = [o for o in valid if o.on_space] or valid
        return max(near, key=lambda o: (o.from_at, o.id)).state
    if inputs.maintenance:
        return State.MAINTENANCE
    if any(b.start_at <= now and b.end_at > now for b in inputs.bookings):
        return State.OCCUPIED if taken and not policy.reserved_hides_occupied else State.RESERVED
    if not taken and any(b.start_at - policy.reserved_soon <= now < b.start_at for b in inputs.bookings):
        return State.RESERVED
    if fresh:
        return State.OCCUPIED if taken else State.FREE
    return inputs.default_state if view is None else State.UNKNOWN


@settings(deadline=None)
@given(inputs_, policies, nows)
def test_the_first_rule_of_the_table_that_matches_wins(inputs: Inputs, policy: Policy, now: datetime):
    decision = decide(inputs, policy, now)
    # Overrides that tie in all but their state cannot be distinguished: outside of this test no two have the same id.
    if len({o.id for o in inputs.overrides}) == len(inputs.overrides):
        assert decision.state is table(inputs, policy, now)
    assert decision.considered[0].reason is decision.reason
    assert decision.considered[0].state is decision.state
    order = list(Reason)
    ranks = [order.index(rule.reason) for rule in decision.considered]
    assert ranks == sorted(set(ranks))


@settings(deadline=None)
@given(inputs_, policies, nows)
def test_b1_free_is_shown_only_by_a_fresh_reading_or_a_person(inputs: Inputs, policy: Policy, now: datetime):
    decision = decide(inputs, policy, now)
    if decision.state is not State.FREE:
        return
    if decision.reason is Reason.OVERRIDE:
        assert any(o.id == decision.cause and o.state is State.FREE for o in inputs.overrides)
    elif decision.reason is Reason.NO_SENSOR:
        assert inputs.sensor is None
        assert inputs.default_state is State.FREE
    else:
        view = inputs.sensor
        assert decision.reason is Reason.SENSOR
        assert view is not None
        assert view.occupancy is Occupancy.FREE or moved_away(view, now)
        assert view.occupancy_at is not None
        assert now < view.occupancy_at + view.deadline
        assert not view.damaged


@settings(deadline=None)
@given(marked, nows)
def test_i2_a_state_stays_unproven_only_until_its_bound(view: SensorView, now: datetime):
    decision = decide(Inputs(view), Policy(), now)
    if decision.unproven is not None and now >= decision.unproven.until:
        assert decision.state is State.UNKNOWN
    plain = SensorView(view.occupancy, view.occupancy_at, view.deadline, view.damaged, view.free_from, view.bound)
    if decision.state is not State.UNKNOWN and (view.free_from is None or view.occupancy is Occupancy.FREE):
        assert decision.state is decide(Inputs(plain), Policy(), now).state


@settings(deadline=None)
@given(inputs_, policies, nows, st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=5))
def test_nothing_changes_before_next_change_at(inputs: Inputs, policy: Policy, now: datetime, fractions: list[float]):
    decision = decide(inputs, policy, now)
    end = decision.next_change_at or now + timedelta(days=400)
    assert end > now
    for later in [end - TICK, *(now + (end - now) * fraction for fraction in fractions)]:
        assert decide(inputs, policy, min(later, end - TICK)) == decision


@settings(deadline=None)
@given(inputs_, policies, nows)
def test_following_next_change_at_meets_every_state(inputs: Inputs, policy: Policy, now: datetime):
    """Compare a loop that decides only at `next_change_at` with one that decides each minute; the first ends."""
    followed, at = [], now
    for _ in range(40):
        decision = decide(inputs, policy, at)
        followed.append((at, decision.state))
        if decision.next_change_at is None:
            break
        at = decision.next_change_at
    else:
        raise AssertionError("next_change_at never ends")
    for minute in range(240):
        moment = now + timedelta(minutes=minute)
        known = [state for since, state in followed if since <= moment][-1]
        assert decide(inputs, policy, moment).state is known


@settings(deadline=None)
@given(inputs_, policies, nows, st.integers())
def test_a_replay_gives_the_same_decision_in_whatever_order_the_rows_come(
    inputs: Inputs, policy: Policy, now: datetime, seed: int
):
    random = Random(seed)
    distinct_overrides = list({o.id: o for o in inputs.overrides}.values())
    distinct_bookings = list({b.id: b for b in inputs.bookings}.values())
    given_order = Inputs(
        inputs.sensor,
        tuple(distinct_overrides),
        tuple(distinct_bookings),
        inputs.maintenance,
        inputs.default_state,
    )
    shuffled = Inputs(
        inputs.sensor,
        tuple(random.sample(distinct_overrides, len(distinct_overrides))),
        tuple(random.sample(distinct_bookings, len(distinct_bookings))),
        inputs.maintenance,
        inputs.default_state,
    )
    assert decide(given_order, policy, now) == decide(given_order, policy, now)
    assert decide(shuffled, policy, now) == decide(given_order, policy, now)
