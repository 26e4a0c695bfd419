"""Decision table row by row, with the edges of its intervals."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from baylight.domain.state import (
    Booking,
    Decision,
    Inputs,
    Occupancy,
    Override,
    Policy,
    Reason,
    SensorView,
    State,
    decide,
)

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
POLICY = Policy()
FREE, OCCUPIED = Occupancy.FREE, Occupancy.OCCUPIED


def uid(number: int) -> UUID:
    return UUID(int=number)


def sensor(occupancy: Occupancy | None, age: timedelta = MINUTE, *, damaged: bool = False) -> SensorView:
    return SensorView(occupancy, NOW - age if occupancy else None, deadline=3 * HOUR, damaged=damaged)


def moved(ago: timedelta, hold: timedelta) -> SensorView:
    return SensorView(OCCUPIED, NOW - ago, deadline=3 * HOUR, free_from=NOW - ago + hold)


def booking(start: timedelta, end: timedelta, number: int = 1) -> Booking:
    return Booking(uid(number), NOW + start, NOW + end)


def override(
    state: State,
    start: timedelta = -HOUR,
    end: timedelta | None = None,
    *,
    number: int = 9,
    on_space: bool = True,
) -> Override:
    return Override(uid(number), state, NOW + start, None if end is None else NOW + end, on_space)


def outcome(inputs: Inputs, policy: Policy = POLICY, now: datetime = NOW) -> tuple[State, Reason]:
    decision = decide(inputs, policy, now)
    return decision.state, decision.reason


def losers(decision: Decision) -> list[Reason]:
    return [rule.reason for rule in decision.considered[1:]]


# Row 1: override


@pytest.mark.parametrize("state", State)
def test_an_override_beats_everything(state: State):
    everything = Inputs(
        sensor(OCCUPIED), (override(state),), (booking(-HOUR, HOUR),), maintenance=True, default_state=State.FREE
    )
    decision = decide(everything, POLICY, NOW)
    assert (decision.state, decision.reason, decision.cause) == (state, Reason.OVERRIDE, uid(9))
    assert losers(decision) == [Reason.MAINTENANCE, Reason.RESERVED_AND_TAKEN, Reason.SENSOR]


def test_an_override_holds_from_its_start_until_just_before_its_end():
    inputs = Inputs(sensor(FREE), (override(State.OUT_OF_ORDER, 10 * MINUTE, 20 * MINUTE),))
    at = [10 * MINUTE - TICK, 10 * MINUTE, 20 * MINUTE - TICK, 20 * MINUTE]
    assert [outcome(inputs, now=NOW + passed)[0] for passed in at] == [
        State.FREE,
        State.OUT_OF_ORDER,
        State.OUT_OF_ORDER,
        State.FREE,
    ]


def test_an_override_without_end_holds_for_ever():
    inputs = Inputs(None, (override(State.OUT_OF_ORDER, timedelta(0)),))
    assert outcome(inputs, now=NOW + 10000 * HOUR) == (State.OUT_OF_ORDER, Reason.OVERRIDE)
    assert decide(inputs, POLICY, NOW).next_change_at is None


def test_an_override_on_the_space_wins_over_a_later_one_on_its_location():
    on_space = override(State.FREE, -2 * HOUR, number=1)
    on_location = override(State.OUT_OF_ORDER, -HOUR, number=2, on_space=False)
    decision = decide(Inputs(None, (on_location, on_space)), POLICY, NOW)
    assert (decision.state, decision.cause) == (State.FREE, uid(1))
    assert decision.considered[0].detail == "override on the space"
    assert outcome(Inputs(None, (on_location,)))[0] is State.OUT_OF_ORDER


def test_of_two_overrides_on_locations_the_one_begun_last_wins():
    site = override(State.MAINTENANCE, -2 * HOUR, number=2, on_space=False)
    floor = override(State.OUT_OF_ORDER, -HOUR, number=1, on_space=False)
    assert outcome(Inputs(None, (floor, site)))[0] is State.OUT_OF_ORDER
    assert outcome(Inputs(None, (site, floor)))[0] is State.OUT_OF_ORDER


# Row 2: maintenance


def test_maintenance_beats_reservation_and_sensor():
    decision = decide(Inputs(sensor(FREE), (), (booking(-HOUR, HOUR),), maintenance=True), POLICY, NOW)
    assert (decision.state, decision.reason) == (State.MAINTENANCE, Reason.MAINTENANCE)
    assert decision.cause is None
    assert losers(decision) == [Reason.RESERVATION, Reason.SENSOR]


# Rows 3 and 4: active reservation


def test_a_taken_bay_shows_occupied_during_its_reservation():
    inputs = Inputs(sensor(OCCUPIED), (), (booking(-HOUR, HOUR),))
    decision = decide(inputs, POLICY, NOW)
    assert (decision.state, decision.reason, decision.cause) == (State.OCCUPIED, Reason.RESERVED_AND_TAKEN, uid(1))


def test_the_operator_may_have_a_taken_bay_shown_as_reserved():
    inputs = Inputs(sensor(OCCUPIED), (), (booking(-HOUR, HOUR),))
    assert outcome(inputs, Policy(reserved_hides_occupied=True)) == (State.RESERVED, Reason.RESERVED_AND_TAKEN)


@pytest.mark.parametrize(
    "view",
    [sensor(FREE), sensor(None), sensor(OCCUPIED, 4 * HOUR), sensor(OCCUPIED, damaged=True), None],
    ids=["free", "no reading yet", "silent", "damaged", "no sensor"],
)
def test_a_reserved_bay_shows_reserved_unless_a_fresh_reading_is_occupied(view: SensorView | None):
    inputs = Inputs(view, (), (booking(-HOUR, HOUR),), default_state=State.FREE)
    assert outcome(inputs) == (State.RESERVED, Reason.RESERVATION)


def test_a_reservation_holds_from_its_start_until_just_before_its_end():
    inputs = Inputs(sensor(FREE), (), (booking(timedelta(0), HOUR),))
    policy = Policy(reserved_soon=timedelta(0))
    at = [-TICK, timedelta(0), HOUR - TICK, HOUR]
    assert [outcome(inputs, policy, NOW + passed)[0] for passed in at] == [
        State.FREE,
        State.RESERVED,
        State.RESERVED,
        State.FREE,
    ]


def test_of_two_reservations_back_to_back_the_second_holds_at_the_border():
    inputs = Inputs(None, (), (booking(timedelta(0), HOUR, 2), booking(-HOUR, timedelta(0), 1)))
    assert decide(inputs, POLICY, NOW).cause == uid(2)
    assert decide(inputs, POLICY, NOW - TICK).cause == uid(1)


@pytest.mark.parametrize(
    ("view", "state"),
    [
        (sensor(OCCUPIED), State.OCCUPIED),
        (sensor(FREE), State.FREE),
        (sensor(OCCUPIED, 4 * HOUR), State.UNKNOWN),
        (sensor(None), State.UNKNOWN),
    ],
)
def test_b11_the_end_of_a_reservation_asks_the_sensor(view: SensorView, state: State):
    inputs = Inputs(view, (), (booking(-HOUR, timedelta(0)),))
    before = decide(inputs, POLICY, NOW - TICK)
    assert before.next_change_at == NOW
    assert decide(inputs, POLICY, NOW).state is state


def test_rows_of_reservations_that_overlap_give_one_cause_in_whatever_order_they_come():
    long, late = booking(-2 * HOUR, HOUR, 2), booking(-HOUR, HOUR, 1)
    soon = booking(5 * MINUTE, HOUR, 3), booking(5 * MINUTE, HOUR, 4)
    assert decide(Inputs(None, (), (long, late)), POLICY, NOW) == decide(Inputs(None, (), (late, long)), POLICY, NOW)
    assert decide(Inputs(None, (), soon), POLICY, NOW) == decide(Inputs(None, (), soon[::-1]), POLICY, NOW)


# Row 5: reservation soon


def test_a_reservation_is_shown_from_reserved_soon_before_its_start():
    inputs = Inputs(sensor(FREE), (), (booking(HOUR, 2 * HOUR),))
    begins = NOW + HOUR - POLICY.reserved_soon
    assert outcome(inputs, now=begins - TICK) == (State.FREE, Reason.SENSOR)
    assert outcome(inputs, now=begins) == (State.RESERVED, Reason.RESERVATION_SOON)
    assert outcome(inputs, now=NOW + HOUR - TICK) == (State.RESERVED, Reason.RESERVATION_SOON)
    assert outcome(inputs, now=NOW + HOUR) == (State.RESERVED, Reason.RESERVATION)
    assert decide(inputs, POLICY, NOW).next_change_at == begins


def test_a_bay_that_is_taken_shows_occupied_until_the_reservation_starts():
    inputs = Inputs(sensor(OCCUPIED), (), (booking(5 * MINUTE, HOUR),))
    assert outcome(inputs) == (State.OCCUPIED, Reason.SENSOR)


def test_of_two_reservations_soon_the_first_to_start_is_the_cause():
    inputs = Inputs(None, (), (booking(9 * MINUTE, HOUR, 2), booking(5 * MINUTE, 8 * MINUTE, 1)))
    assert decide(inputs, POLICY, NOW).cause == uid(1)


def test_reserved_soon_of_nothing_shows_no_reservation_early():
    inputs = Inputs(sensor(FREE), (), (booking(TICK, HOUR),))
    assert outcome(inputs, Policy(reserved_soon=timedelta(0))) == (State.FREE, Reason.SENSOR)


# Row 6: sensor


@pytest.mark.parametrize(("occupancy", "state"), [(FREE, State.FREE), (OCCUPIED, State.OCCUPIED)])
def test_b8_one_reading_is_enough(occupancy: Occupancy, state: State):
    assert outcome(Inputs(sensor(occupancy, timedelta(0)))) == (state, Reason.SENSOR)


def test_a_reading_from_a_clock_slightly_ahead_of_ours_counts():
    assert outcome(Inputs(sensor(OCCUPIED, timedelta(seconds=-131)))) == (State.OCCUPIED, Reason.SENSOR)


# Row 7: silent, damaged, no reading yet


def test_b9_a_reading_is_trusted_until_exactly_its_deadline():
    inputs = Inputs(sensor(FREE, timedelta(0)), default_state=State.FREE)
    deadline = NOW + 3 * HOUR
    assert decide(inputs, POLICY, NOW).next_change_at == deadline
    assert outcome(inputs, now=deadline - TICK) == (State.FREE, Reason.SENSOR)
    assert outcome(inputs, now=deadline) == (State.UNKNOWN, Reason.SENSOR_SILENT)
    assert decide(inputs, POLICY, deadline).next_change_at is None


def test_b9_a_gap_of_two_heartbeats_is_no_silence():
    assert outcome(Inputs(sensor(OCCUPIED, 2 * HOUR + 59 * MINUTE))) == (State.OCCUPIED, Reason.SENSOR)


@pytest.mark.parametrize("occupancy", Occupancy)
@pytest.mark.parametrize("days", [7, 292, 818])
def test_b21_a_state_of_days_ago_is_unknown(occupancy: Occupancy, days: int):
    inputs = Inputs(sensor(occupancy, timedelta(days=days)), default_state=State.FREE)
    assert outcome(inputs) == (State.UNKNOWN, Reason.SENSOR_SILENT)


def test_b9_without_a_reading_the_space_is_unknown_and_not_its_default():
    assert outcome(Inputs(sensor(None), default_state=State.FREE)) == (State.UNKNOWN, Reason.SENSOR_NEVER_HEARD)


@pytest.mark.parametrize("occupancy", [*Occupancy, None])
def test_a_damaged_sensor_is_not_trusted(occupancy: Occupancy | None):
    inputs = Inputs(sensor(occupancy, damaged=True), default_state=State.FREE)
    assert outcome(inputs) == (State.UNKNOWN, Reason.SENSOR_DAMAGED)


# Row 8: no sensor


@pytest.mark.parametrize("state", State)
def test_a_space_without_sensor_shows_its_default(state: State):
    assert outcome(Inputs(None, default_state=state)) == (state, Reason.NO_SENSOR)


def test_a_space_without_anything_is_unknown():
    decision = decide(Inputs(None), POLICY, NOW)
    assert (decision.state, decision.next_change_at, decision.cause) == (State.UNKNOWN, None, None)


@pytest.mark.parametrize(
    ("view", "expected", "next_change"),
    [
        (moved(10 * MINUTE, 10 * MINUTE + TICK), State.OCCUPIED, TICK),
        (moved(10 * MINUTE, 10 * MINUTE), State.FREE, 3 * HOUR - 10 * MINUTE),
        (moved(3 * HOUR, 10 * MINUTE), State.UNKNOWN, None),  # silent for too long (B9)
        (moved(MINUTE, 4 * HOUR), State.OCCUPIED, 3 * HOUR - MINUTE),
    ],
)
def test_motion_counts_for_its_time_and_silence_is_unknown(
    view: SensorView, expected: State, next_change: timedelta | None
) -> None:
    decision = decide(Inputs(view), POLICY, NOW)
    assert decision.state is expected
    assert decision.next_change_at == (None if next_change is None else NOW + next_change)
