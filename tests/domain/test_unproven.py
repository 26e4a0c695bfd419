"""The mark `unproven` in the decision table, with the edges of its bound; the meaning of refusals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from baylight.domain.state import Inputs, Occupancy, Override, Policy, Reason, SensorView, State, decide
from baylight.domain.unproven import (
    MAX_OVERTAKEN,
    MEANINGS,
    MIN_SPREAD,
    Suspicion,
    Unproven,
    UnprovenReason,
    bound,
    overtaken,
    refusal,
)

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TICK, MINUTE, HOUR = timedelta(microseconds=1), timedelta(minutes=1), timedelta(hours=1)
BOUND, DEADLINE = timedelta(minutes=75), 3 * HOUR
R = UnprovenReason
LOST = (R.FRAMES_MISSING, R.SESSION_LOST, R.NETWORK_SERVER_AWAY)


def view(
    *, reported: timedelta = MINUTE, reason: UnprovenReason | None = R.REFUSED, marked: timedelta = timedelta()
) -> SensorView:
    """Return a sensor that reported FREE, and was marked, some time ago."""
    since = NOW - marked if reason else None
    return SensorView(
        Occupancy.FREE, NOW - reported, DEADLINE, bound=BOUND, unproven_reason=reason, unproven_since=since
    )


def outcome(sensor: SensorView, now: datetime = NOW) -> tuple[State, Reason, UnprovenReason | None]:
    decision = decide(Inputs(sensor), Policy(), now)
    return decision.state, decision.reason, decision.unproven.reason if decision.unproven else None


@pytest.mark.parametrize("reason", [reason for reason in R if reason is not R.TO_DECODE])
def test_i2_a_marked_space_keeps_its_state_until_exactly_the_bound_of_its_type(reason: UnprovenReason) -> None:
    decision = decide(Inputs(view(reason=reason)), Policy(), NOW)
    assert (decision.state, decision.reason) == (State.FREE, Reason.SENSOR)
    assert decision.unproven == Unproven(reason, NOW, NOW + BOUND)
    assert decision.considered[0].detail.endswith(f"; unproven since 2026-03-02T12:00:00Z: {MEANINGS[reason]}")
    assert outcome(view(reason=reason), NOW + BOUND - TICK) == (State.FREE, Reason.SENSOR, reason)
    assert outcome(view(reason=reason), NOW + BOUND) == (State.UNKNOWN, Reason.SENSOR_UNPROVEN, reason)


def test_the_next_change_is_each_edge_of_a_mark() -> None:
    sensor = view(reason=None, reported=timedelta())
    edges, at = [], NOW
    while (next_at := decide(Inputs(sensor), Policy(), at).next_change_at) is not None:
        edges.append(next_at - NOW)
        at = next_at
    assert edges == [BOUND, DEADLINE]
    assert decide(Inputs(view(marked=MINUTE)), Policy(), NOW).next_change_at == NOW - MINUTE + BOUND


def test_i18_a_report_that_is_overdue_marks_the_space_until_it_is_silent() -> None:
    sensor = view(reason=None, reported=timedelta())
    assert outcome(sensor, NOW + BOUND - TICK) == (State.FREE, Reason.SENSOR, None)
    assert outcome(sensor, NOW + BOUND) == (State.FREE, Reason.SENSOR, R.FRAMES_MISSING)
    decision = decide(Inputs(sensor), Policy(), NOW + BOUND)
    assert decision.unproven == Unproven(R.FRAMES_MISSING, NOW + BOUND, NOW + DEADLINE)
    assert outcome(sensor, NOW + DEADLINE) == (State.UNKNOWN, Reason.SENSOR_SILENT, None)


@pytest.mark.parametrize("reason", LOST)
def test_silence_wins_over_a_mark_of_a_sensor_that_does_not_send(reason: UnprovenReason) -> None:
    late = view(reported=DEADLINE - MINUTE, reason=reason)
    assert decide(Inputs(late), Policy(), NOW).unproven == Unproven(reason, NOW, NOW + MINUTE)
    assert outcome(late, NOW + MINUTE) == (State.UNKNOWN, Reason.SENSOR_SILENT, reason)


def test_i2_a_refused_sensor_is_not_called_silent() -> None:
    late = view(reported=DEADLINE - MINUTE)
    assert outcome(late, NOW + MINUTE) == (State.UNKNOWN, Reason.SENSOR_UNPROVEN, R.REFUSED)


def test_a4_an_uplink_to_decode_has_its_own_bound_beside_another_mark() -> None:
    sensor = view(reason=R.SESSION_LOST, marked=MINUTE)
    sensor.to_decode_since = NOW
    assert outcome(sensor) == (State.FREE, Reason.SENSOR, R.TO_DECODE)
    assert outcome(sensor, NOW + timedelta(seconds=30) - TICK)[0] is State.FREE
    assert outcome(sensor, NOW + timedelta(seconds=30)) == (State.UNKNOWN, Reason.SENSOR_UNPROVEN, R.TO_DECODE)
    sensor.to_decode_since = None
    assert outcome(sensor) == (State.FREE, Reason.SENSOR, R.SESSION_LOST)


def test_a_state_that_a_person_fixed_has_no_mark() -> None:
    fixed = Override(UUID(int=1), State.OUT_OF_ORDER, NOW - HOUR, NOW + HOUR)
    inputs = Inputs(view(), (fixed,))
    decision = decide(inputs, Policy(), NOW)
    assert (decision.state, decision.unproven) == (State.OUT_OF_ORDER, None)
    assert "unproven since" in decision.considered[-1].detail
    assert decide(Inputs(view(), maintenance=True), Policy(), NOW).unproven is None
    assert decide(inputs, Policy(), NOW + HOUR).unproven is not None


def test_the_absence_of_motion_proves_nothing_while_reports_may_be_missing() -> None:
    moved = SensorView(Occupancy.OCCUPIED, NOW, DEADLINE, free_from=NOW + 10 * MINUTE, bound=BOUND)
    assert outcome(moved, NOW + 10 * MINUTE)[0] is State.FREE
    moved.unproven_reason, moved.unproven_since = R.SESSION_LOST, NOW + 5 * MINUTE
    assert outcome(moved, NOW + 10 * MINUTE)[0] is State.OCCUPIED
    assert outcome(moved, NOW + 5 * MINUTE + BOUND)[0] is State.UNKNOWN
    moved.unproven_since = NOW + 11 * MINUTE
    assert outcome(moved, NOW + 11 * MINUTE)[0] is State.FREE


def test_a_bound_is_an_interval_and_a_quarter_at_most_the_silence_of_the_type() -> None:
    assert bound(3600, 3 * 3600) == BOUND
    assert bound(3600, 3600) == HOUR


@pytest.mark.parametrize(
    ("f_cnt", "newest", "after", "suspected", "expected"),
    [
        (15, 20, 0.0, None, True),
        (20, 20, 0.0, None, True),
        (20 - MAX_OVERTAKEN, 20, 0.0, None, True),
        (0, MAX_OVERTAKEN + 1, 0.0, None, False),
        (0, None, 0.0, None, False),
        (None, 20, 0.0, None, False),
        (25, 20, 0.0, None, True),
        (19, 20, 0.2, 15, True),
        (1, 20, 3.0, 0, False),
        (1, 20, 600.0, 0, False),
        (0, 20, 600.0, 1, True),
        (25, 20, 600.0, 22, False),
    ],
)
def test_i30_a_counter_just_below_the_newest_is_overtaken_unless_it_rises_again(
    f_cnt: int | None, newest: int | None, after: float, suspected: int | None, expected: bool
) -> None:
    suspicion = Suspicion(suspected, NOW) if suspected is not None else None
    assert overtaken(f_cnt, newest, NOW + timedelta(seconds=after), suspicion) is expected
    assert timedelta(seconds=3) == MIN_SPREAD


def test_i2_log_lines_that_refuse_have_a_meaning_and_a_remedy() -> None:
    refused = [refusal(code, "x") for code in ("UPLINK_F_CNT_RESET", "UPLINK_MIC", "OTAA")]
    refused.append(refusal("OTAA", "DevNonce has already been used"))
    assert len({(r.meaning, r.remedy) for r in refused if r is not None}) == 4
    for code in ("UPLINK_F_CNT_RETRANSMISSION", "UPLINK_CODEC", "DOWNLINK_GATEWAY", "EXPIRED", ""):
        assert refusal(code, "x") is None
