"""The closed loop of one display, without database, network or clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import astuple

from baylight.domain.actuation import GAVE_UP, Actuation, LoopPolicy, Step
from baylight.domain.closed_loop import Shadow
from baylight.domain.downlink import OUTSTANDING, TRANSITIONS, ActuationStatus, SyncStatus, TriggerType
from baylight.domain.ids import DevEui
from baylight.domain.state import State

S = ActuationStatus
T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SPACE = uuid4()
CODES = {"FREE": "0000ff6400", "OCCUPIED": "ff00006400", "RESERVED": "ff00ff6400", "UNKNOWN": "0000000000"}
RED, GREEN, DIM_GREEN = CODES["OCCUPIED"], CODES["FREE"], "000035ff00"
POLICY = LoopPolicy()
TTL, GRACE, REPORT = POLICY.ttl, POLICY.grace, POLICY.report_timeout


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def make(**more: Any) -> Shadow:
    given: dict[str, Any] = {"codes": CODES, "f_port": 15, "policy": POLICY}
    return Shadow(uuid4(), DevEui("2020200000000001"), "kuando_busylight", **given | more)


def want_unread(shadow: Shadow, state: State, now: datetime) -> Actuation:
    """As ingest decides: without what waits to be sent, which is there again when the display is loaded next."""
    unread = [a for a in shadow.waiting if a.status is S.PENDING]
    shadow.waiting = [a for a in shadow.waiting if a.status is not S.PENDING]
    actuation = want(shadow, state, now)
    shadow.waiting = sorted([*shadow.waiting, *unread], key=lambda a: a.id.int)
    return actuation


def want(shadow: Shadow, state: State, now: datetime, trigger: TriggerType = TriggerType.SENSOR_UPLINK) -> Actuation:
    return shadow.desire(SPACE, state, previous=shadow.desired_state, trigger=trigger, source=None, now=now)


def send(shadow: Shadow, now: datetime) -> Actuation:
    """Taken and accepted; its queue item is named after it."""
    actuation = shadow.take(now)
    assert actuation is not None
    shadow.accepted(actuation.id, f"q-{actuation.id}", now)
    return actuation


def show(shadow: Shadow, state: State, now: datetime) -> Actuation:
    """The whole way without trouble."""
    want(shadow, state, now)
    actuation = send(shadow, now)
    shadow.tx_ack(f"q-{actuation.id}", now)
    assert actuation.code is not None
    shadow.report(actuation.code, now + seconds(1), now + seconds(1))
    return actuation


def test_a_decision_is_sent_transmitted_and_proven_by_the_display() -> None:
    shadow = make()
    actuation = want(shadow, State.OCCUPIED, T0)
    assert (actuation.status, actuation.code, shadow.sync_status) == (S.PENDING, RED, SyncStatus.PENDING)
    assert shadow.take(T0) is actuation
    assert actuation.status is S.SENDING
    shadow.accepted(actuation.id, "q", T0 + seconds(1))
    assert shadow.tx_ack("q", T0 + seconds(2))
    assert (actuation.status, shadow.sync_status) == (S.TRANSMITTED, SyncStatus.PENDING)
    shadow.report(RED, T0 + seconds(3), T0 + seconds(3))
    assert (actuation.status, actuation.shown_at) == (S.SHOWN, T0 + seconds(3))
    assert (shadow.sync_status, shadow.waiting, shadow.state_shown()) == (SyncStatus.IN_SYNC, [], State.OCCUPIED)


def test_b3_a_transmission_alone_proves_nothing_about_the_light() -> None:
    shadow = make()
    want(shadow, State.OCCUPIED, T0)
    actuation = send(shadow, T0)
    shadow.tx_ack(f"q-{actuation.id}", T0)
    assert shadow.sync_status is SyncStatus.PENDING
    assert shadow.state_shown() is None
    shadow.ack(f"q-{actuation.id}", True, T0)
    assert (actuation.status, shadow.sync_status) == (S.ACKNOWLEDGED, SyncStatus.PENDING)


def test_b10_the_newest_decision_wins_and_waits_for_the_one_outstanding() -> None:
    shadow = make()
    want(shadow, State.FREE, T0)
    first = send(shadow, T0)
    second, third = want(shadow, State.OCCUPIED, T0), want(shadow, State.FREE, T0)
    assert (second.status, second.superseded_by, third.status) == (S.SUPERSEDED, third.id, S.PENDING)
    assert shadow.take(T0) is None
    shadow.tx_ack(f"q-{first.id}", T0)
    assert shadow.take(T0 + seconds(1)) is third


def test_b10_a_superseded_command_that_was_refused_is_not_sent_again() -> None:
    shadow = make()
    first = want(shadow, State.FREE, T0)
    shadow.take(T0)
    second = want(shadow, State.OCCUPIED, T0)
    shadow.refused(first.id, "away", T0, permanent=False)
    assert (first.status, first.superseded_by) == (S.SUPERSEDED, second.id)
    assert shadow.take(T0) is second


def test_b10_of_decisions_that_did_not_know_of_each_other_the_last_is_sent() -> None:
    shadow = make()
    first, second = want_unread(shadow, State.OCCUPIED, T0), want_unread(shadow, State.FREE, T0 + seconds(1))
    third = want_unread(shadow, State.RESERVED, T0 - seconds(3))  # of a process whose clock is behind
    assert [a.status for a in shadow.waiting] == [S.PENDING] * 3
    assert shadow.take(T0 + seconds(1)) is third
    assert [(a.status, a.superseded_by) for a in (first, second)] == [(S.SUPERSEDED, third.id)] * 2
    assert shadow.waiting == [third]
    assert set(shadow.touched.values()) <= {first, second, third}


def test_b10_what_waits_behind_the_one_outstanding_is_superseded_as_well() -> None:
    shadow = make()
    want(shadow, State.FREE, T0)
    sent = send(shadow, T0)
    red, green = want_unread(shadow, State.OCCUPIED, T0), want_unread(shadow, State.FREE, T0)
    assert shadow.take(T0) is None
    assert (red.status, red.superseded_by, green.status) == (S.SUPERSEDED, green.id, S.PENDING)
    shadow.tx_ack(f"q-{sent.id}", T0)
    assert shadow.take(T0) is green


def test_b10_a_refused_command_gives_way_to_the_newest_of_several() -> None:
    shadow = make()
    first = want(shadow, State.FREE, T0)
    shadow.take(T0)
    red, unknown = want_unread(shadow, State.OCCUPIED, T0), want_unread(shadow, State.UNKNOWN, T0 - seconds(3))
    shadow.refused(first.id, "away", T0, permanent=False)
    assert (first.status, first.superseded_by) == (S.SUPERSEDED, unknown.id)
    assert shadow.take(T0) is unknown
    assert red.superseded_by == unknown.id


def test_a_decision_without_a_code_leaves_nothing_older_to_be_sent() -> None:
    shadow = make()
    red, failed = want_unread(shadow, State.OCCUPIED, T0), want_unread(shadow, State.MAINTENANCE, T0)
    assert (red.status, failed.status, shadow.sync_status) == (S.PENDING, S.FAILED, SyncStatus.MISCONFIGURED)
    assert shadow.take(T0) is None
    assert red.status is S.SUPERSEDED


@pytest.mark.parametrize("look_first", [True, False])
def test_b10_an_older_decision_is_not_sent_when_a_display_is_enabled_again(look_first: bool) -> None:
    shadow = make()
    green = want(shadow, State.FREE, T0)
    shadow.take(T0)
    shadow.refused(green.id, "away", T0, permanent=False)
    shadow.usable = False
    assert want_unread(shadow, State.OCCUPIED, T0).status is S.FAILED
    shadow.usable = True
    now = T0 + seconds(30)
    if not look_first:
        assert shadow.take(now) is None
    shadow.due(now)
    assert (green.status, green.sent_at) == (S.SUPERSEDED, None)
    shadow.due(now + seconds(30))
    red = shadow.take(now + seconds(30))
    assert red is not None
    assert red.code == RED


def test_a_newer_decision_of_a_process_whose_clock_is_behind_still_wins() -> None:
    shadow = make()
    behind = T0 - seconds(3)
    first = want(shadow, State.FREE, T0)
    shadow.take(T0)
    second = want(shadow, State.OCCUPIED, behind)
    shadow.refused(first.id, "away", T0, permanent=False)
    assert (first.status, [a.id for a in shadow.waiting]) == (S.SUPERSEDED, [second.id])


def test_a_newer_command_of_a_process_whose_clock_is_behind_ends_the_older_one() -> None:
    shadow = make()
    want(shadow, State.FREE, T0)
    first = send(shadow, T0)
    shadow.tx_ack(f"q-{first.id}", T0)
    want(shadow, State.OCCUPIED, T0 - seconds(3))
    second = send(shadow, T0)
    assert (first.status, first.superseded_by) == (S.SUPERSEDED, second.id)


def test_a_refusal_is_tried_again_later_and_later() -> None:
    shadow = make()
    actuation = want(shadow, State.FREE, T0)
    now, waits = T0, []
    for _ in range(4):
        assert shadow.take(now) is actuation
        shadow.refused(actuation.id, "away", now, permanent=False)
        assert shadow.take(now) is None
        assert actuation.next_attempt_at is not None
        waits.append(actuation.next_attempt_at - now)
        now = actuation.next_attempt_at
    assert waits == sorted(waits)
    assert seconds(5) <= waits[0] < seconds(7)
    assert actuation.retry_count == 4


def test_a_refusal_for_good_fails_and_is_tried_anew_by_reconciliation() -> None:
    shadow = make()
    first = want(shadow, State.FREE, T0)
    shadow.take(T0)
    shadow.refused(first.id, "no such device", T0, permanent=True)
    assert (first.status, shadow.sync_status) == (S.FAILED, SyncStatus.DRIFTED)
    assert shadow.reconcile_at is not None
    shadow.due(shadow.reconcile_at)
    (again,) = shadow.waiting
    assert (again.trigger_type, again.new_state, again.status) == (TriggerType.RECONCILIATION, State.FREE, S.PENDING)


def test_what_no_gateway_sent_expires_later_than_the_network_server_gives_it_up() -> None:
    shadow = make()
    want(shadow, State.FREE, T0)
    actuation = send(shadow, T0)
    shadow.due(T0 + TTL)
    assert actuation.status is S.QUEUED
    assert shadow.reconcile_at == T0 + TTL + GRACE
    shadow.due(T0 + TTL + GRACE)
    assert (actuation.status, shadow.sync_status) == (S.EXPIRED, SyncStatus.DRIFTED)


@pytest.mark.parametrize("code", sorted(GAVE_UP))
def test_a_downlink_that_the_network_server_dropped_ends_at_once(code: str) -> None:
    shadow = make()
    want(shadow, State.FREE, T0)
    actuation = send(shadow, T0)
    assert shadow.gave_up(f"q-{actuation.id}", GAVE_UP[code], code, T0)
    assert (actuation.status, actuation.error) == (GAVE_UP[code], code)


def test_a_display_that_never_reports_is_unreachable_after_three_failures_and_recovers() -> None:
    shadow, now = make(), T0
    want(shadow, State.OCCUPIED, now)
    seen = []
    for _ in range(3):
        actuation = send(shadow, now)
        shadow.tx_ack(f"q-{actuation.id}", now)
        now += REPORT
        shadow.due(now)
        assert actuation.status is S.FAILED
        seen.append(shadow.sync_status)
        assert shadow.reconcile_at is not None
        now = shadow.reconcile_at
        shadow.due(now)
    assert seen == [SyncStatus.DRIFTED, SyncStatus.DRIFTED, SyncStatus.UNREACHABLE]
    actuation = send(shadow, now)
    shadow.tx_ack(f"q-{actuation.id}", now)
    shadow.report(RED, now + seconds(1), now + seconds(1))
    assert (shadow.sync_status, shadow.failures) == (SyncStatus.IN_SYNC, 0)


def test_a_light_that_lies_is_told_its_colour_again() -> None:
    shadow = make()
    show(shadow, State.OCCUPIED, T0)
    now = T0 + seconds(600)
    shadow.report(GREEN, now, now)
    (again,) = shadow.waiting
    assert (again.trigger_type, again.code) == (TriggerType.RECONCILIATION, RED)
    assert [s.kind for s in shadow.steps].count("drift") == 1


def test_b2_after_a_join_it_is_told_its_colour_again_but_not_before_its_next_uplink() -> None:
    shadow = make()
    show(shadow, State.OCCUPIED, T0)
    now = T0 + seconds(60)
    shadow.joined(now, now)
    assert (shadow.sync_status, shadow.reported_code) == (SyncStatus.DRIFTED, None)
    shadow.due(now + seconds(3600))
    assert shadow.waiting == []
    shadow.heard(f_cnt=0, dev_addr="0a0b0c0d", at=now + seconds(2), now=now + seconds(2))
    shadow.report(DIM_GREEN, now + seconds(2), now + seconds(2))
    (again,) = shadow.waiting
    assert (again.trigger_type, again.code) == (TriggerType.REJOIN_RECOVERY, RED)


@pytest.mark.parametrize(("f_cnt", "dev_addr"), [(0, "01000001"), (9, "01000002")])
def test_b2_a_counter_that_fell_or_another_address_is_a_rejoin_that_nobody_told(f_cnt: int, dev_addr: str) -> None:
    shadow = make()
    shadow.heard(f_cnt=8, dev_addr="01000001", at=T0, now=T0)
    show(shadow, State.OCCUPIED, T0)
    now = T0 + seconds(60)
    shadow.heard(f_cnt=f_cnt, dev_addr=dev_addr, at=now, now=now)
    (again,) = shadow.waiting
    assert (again.trigger_type, again.code) == (TriggerType.REJOIN_RECOVERY, RED)


def test_b2_a_join_that_is_told_after_the_first_uplink_sends_once() -> None:
    shadow = make()
    shadow.heard(f_cnt=8, dev_addr="01000001", at=T0, now=T0)
    show(shadow, State.OCCUPIED, T0)
    joined_at, heard_at = T0 + seconds(60), T0 + seconds(62)
    shadow.heard(f_cnt=0, dev_addr="01000002", at=heard_at, now=heard_at)
    shadow.report(DIM_GREEN, heard_at, heard_at)
    shadow.joined(joined_at, heard_at + seconds(1))
    assert [a.trigger_type for a in shadow.waiting] == [TriggerType.REJOIN_RECOVERY]
    again = send(shadow, heard_at + seconds(1))
    shadow.joined(joined_at, heard_at + seconds(2))
    assert again.status is S.QUEUED


def test_a_join_loses_what_was_on_its_way() -> None:
    shadow = make()
    want(shadow, State.OCCUPIED, T0)
    lost = send(shadow, T0)
    shadow.joined(T0 + seconds(1), T0 + seconds(1))
    assert (lost.status, lost.error) == (S.FAILED, "the display rejoined")


def hand_over(shadow: Shadow, now: datetime) -> Actuation:
    """Taken by a sender that has no answer yet."""
    actuation = shadow.take(now)
    assert actuation is not None
    return actuation


def test_b2_what_is_handed_over_while_it_joins_is_sent_again_as_soon_as_it_is_heard() -> None:
    """The join empties the network server's queue, whether or not its answer has reached us."""
    shadow = make()
    show(shadow, State.FREE, T0)
    want(shadow, State.OCCUPIED, T0 + seconds(10))
    lost = hand_over(shadow, T0 + seconds(10))
    shadow.joined(T0 + seconds(11), T0 + seconds(11))
    assert lost.status is S.SENDING, "a newer command could overtake it"
    shadow.accepted(lost.id, "q", T0 + seconds(12))
    assert (lost.status, lost.error, shadow.waiting) == (S.FAILED, "the display rejoined", [])
    shadow.heard(f_cnt=0, dev_addr="0a0b0c0d", at=T0 + seconds(13), now=T0 + seconds(13))
    assert [(a.code, a.trigger_type) for a in shadow.waiting] == [(RED, TriggerType.REJOIN_RECOVERY)]
    assert send(shadow, T0 + seconds(13)).status is S.QUEUED


@pytest.mark.parametrize("told", [True, False])
def test_b2_what_is_handed_over_while_it_joins_and_speaks_is_sent_again_with_its_answer(told: bool) -> None:
    """Also if nobody tells of the join: its counter falls."""
    shadow = make()
    shadow.heard(f_cnt=8, dev_addr="01000001", at=T0, now=T0)
    want(shadow, State.OCCUPIED, T0 + seconds(10))
    lost = hand_over(shadow, T0 + seconds(10))
    if told:
        shadow.joined(T0 + seconds(11), T0 + seconds(11))
    shadow.heard(f_cnt=0, dev_addr="0a0b0c0d", at=T0 + seconds(13), now=T0 + seconds(13))
    assert shadow.take(T0 + seconds(13)) is None, "two at a time"
    shadow.accepted(lost.id, "q", T0 + seconds(14))
    assert lost.status is S.FAILED
    assert send(shadow, T0 + seconds(14)).trigger_type is TriggerType.REJOIN_RECOVERY
    shadow.heard(f_cnt=1, dev_addr="0a0b0c0d", at=T0 + seconds(15), now=T0 + seconds(15))
    assert [a.status for a in shadow.waiting] == [S.QUEUED], "once is enough"


def test_b2_a_decision_made_while_the_lost_command_is_handed_over_goes_at_once() -> None:
    shadow = make()
    want(shadow, State.OCCUPIED, T0)
    lost = hand_over(shadow, T0)
    shadow.joined(T0 + seconds(1), T0 + seconds(1))
    newer = want(shadow, State.FREE, T0 + seconds(2))
    shadow.accepted(lost.id, "q", T0 + seconds(3))
    assert (lost.status, shadow.take(T0 + seconds(3))) == (S.FAILED, newer)


def test_b2_an_answer_that_came_before_the_news_of_the_join_does_not_save_the_command() -> None:
    shadow = make()
    want(shadow, State.OCCUPIED, T0)
    lost = hand_over(shadow, T0)
    shadow.accepted(lost.id, "q", T0 + seconds(2))
    shadow.joined(T0 + seconds(1), T0 + seconds(3))
    assert lost.status is S.FAILED


def test_what_was_taken_after_the_join_or_is_found_in_the_queue_still_counts() -> None:
    for join_told_at, taken_at, recovered in ((1, 2, False), (3, 2, False), (3, 0, True)):
        shadow = make()
        want(shadow, State.OCCUPIED, T0)
        told_late = join_told_at > taken_at
        if not told_late:
            shadow.joined(T0 + seconds(1), T0 + seconds(join_told_at))
        kept = hand_over(shadow, T0 + seconds(taken_at))
        if told_late:
            shadow.joined(T0 + seconds(1), T0 + seconds(join_told_at))
        shadow.accepted(kept.id, "q", T0 + seconds(4), recovered=recovered)
        assert kept.status is S.QUEUED
        shadow.heard(f_cnt=0, dev_addr=None, at=T0 + seconds(5), now=T0 + seconds(5))
        assert shadow.waiting == [kept]


def test_a_join_with_a_clock_ahead_loses_one_command_not_all_that_follow() -> None:
    """B19: the gateway's clock may run minutes ahead."""
    shadow = make()
    want(shadow, State.OCCUPIED, T0)
    lost = hand_over(shadow, T0)
    shadow.joined(T0 + seconds(131), T0 + seconds(1))
    shadow.heard(f_cnt=0, dev_addr=None, at=T0 + seconds(2), now=T0 + seconds(2))
    shadow.accepted(lost.id, "q", T0 + seconds(3))
    assert lost.status is S.FAILED
    assert send(shadow, T0 + seconds(3)).status is S.QUEUED


def test_a_display_that_cannot_be_addressed_before_it_is_heard_is_left_alone_until_then() -> None:
    shadow = make()
    first = want(shadow, State.FREE, T0)
    hand_over(shadow, T0)
    shadow.refused(first.id, "its application is not known", T0, permanent=True, until_heard=True)
    assert (first.status, shadow.sync_status) == (S.FAILED, SyncStatus.DRIFTED)
    shadow.due(T0 + timedelta(days=2))
    assert shadow.waiting == []
    shadow.heard(f_cnt=1, dev_addr=None, at=T0 + timedelta(days=2), now=T0 + timedelta(days=2))
    assert [a.code for a in shadow.waiting] == [GREEN]


def test_a_display_that_is_heard_while_it_cannot_be_addressed_yet_is_told_at_once() -> None:
    shadow = make()
    first = want(shadow, State.FREE, T0)
    hand_over(shadow, T0)
    # The network server received it before that, and told it after.
    shadow.application_id = "52f14cd4-c6f1-4fbd-8f87-4025e1d49242"
    shadow.heard(f_cnt=1, dev_addr=None, at=T0 - seconds(0.01), now=T0 + seconds(1))
    shadow.refused(first.id, "its application is not known", T0 + seconds(2), permanent=True, until_heard=True)
    assert first.status is S.FAILED
    assert hand_over(shadow, T0 + seconds(2)).code == GREEN


def test_a_report_that_overtook_its_tx_ack_proves_the_light() -> None:
    shadow = make()
    want(shadow, State.OCCUPIED, T0)
    actuation = send(shadow, T0)
    shadow.report(RED, T0 + seconds(3), T0 + seconds(3))
    shadow.tx_ack(f"q-{actuation.id}", T0 + seconds(2))
    assert (actuation.status, shadow.sync_status) == (S.SHOWN, SyncStatus.IN_SYNC)


def test_a_report_from_before_the_transmission_proves_nothing() -> None:
    shadow = make()
    want(shadow, State.OCCUPIED, T0)
    actuation = send(shadow, T0)
    shadow.report(RED, T0 - seconds(60), T0 + seconds(1))
    shadow.tx_ack(f"q-{actuation.id}", T0 + seconds(2))
    assert (actuation.status, shadow.sync_status) == (S.TRANSMITTED, SyncStatus.PENDING)


def test_a_light_that_a_report_proved_before_the_answer_ends_the_older_commands_too() -> None:
    shadow = make()
    want(shadow, State.FREE, T0)
    first = send(shadow, T0)
    shadow.tx_ack(f"q-{first.id}", T0)
    shadow.report(DIM_GREEN, T0, T0)
    second = want(shadow, State.OCCUPIED, T0 + seconds(2))
    shadow.take(T0 + seconds(2))
    shadow.report(RED, T0 + seconds(4), T0 + seconds(4))
    assert (second.status, first.status) == (S.SHOWN, S.SUPERSEDED)
    assert (shadow.waiting, shadow.sync_status) == ([], SyncStatus.IN_SYNC)


def test_b14_without_a_code_it_fails_and_says_so() -> None:
    shadow = make()
    actuation = want(shadow, State.MAINTENANCE, T0)
    assert (actuation.status, shadow.sync_status) == (S.FAILED, SyncStatus.MISCONFIGURED)
    assert actuation.error == "the display has no code for MAINTENANCE: add one to its display_codes"


def test_a_display_that_was_disabled_holds_up_nothing() -> None:
    shadow = make()
    actuation = want(shadow, State.OCCUPIED, T0)
    shadow.usable = False
    assert shadow.take(T0) is None
    assert (actuation.status, actuation.error) == (S.FAILED, "the display is disabled or decommissioned")
    assert (shadow.waiting, shadow.sync_status) == ([], SyncStatus.MISCONFIGURED)
    shadow.usable = True
    shadow.due(T0 + seconds(1))
    assert [a.code for a in shadow.waiting] == [RED]


@pytest.mark.parametrize("end", [lambda s: s.release(T0), lambda s: setattr(s, "usable", False)])
def test_a_queued_downlink_of_a_display_that_serves_no_more_still_comes_to_an_end(
    end: Callable[[Shadow], None],
) -> None:
    shadow = make()
    want(shadow, State.OCCUPIED, T0)
    actuation = send(shadow, T0)
    end(shadow)
    shadow.due(T0)
    assert shadow.reconcile_at == T0 + TTL + GRACE
    shadow.due(T0 + TTL + GRACE)
    assert (actuation.status, shadow.reconcile_at) == (S.EXPIRED, None)


def test_a_display_that_cannot_report_is_in_sync_once_its_newest_light_was_transmitted() -> None:
    shadow = make(reports=False)
    want(shadow, State.FREE, T0)
    actuation = send(shadow, T0)
    shadow.tx_ack(f"q-{actuation.id}", T0)
    assert (shadow.sync_status, shadow.state_shown()) == (SyncStatus.IN_SYNC, State.FREE)
    second = want(shadow, State.OCCUPIED, T0 + seconds(5))
    shadow.take(T0 + seconds(5))
    shadow.refused(second.id, "no such device", T0 + seconds(5), permanent=True)
    assert (shadow.sync_status, shadow.state_shown()) == (SyncStatus.DRIFTED, State.FREE)


def test_a_display_that_fell_silent_is_unreachable_until_it_is_heard() -> None:
    shadow = make(silent_after=timedelta(hours=2))
    show(shadow, State.OCCUPIED, T0)
    while shadow.reconcile_at is not None:
        now = shadow.reconcile_at
        shadow.due(now)
    assert (now, shadow.sync_status) == (T0 + seconds(1) + timedelta(hours=2), SyncStatus.UNREACHABLE)
    now = T0 + timedelta(hours=3)
    shadow.heard(f_cnt=3, dev_addr=None, at=now, now=now)
    shadow.report(RED, now, now)
    assert shadow.sync_status is SyncStatus.IN_SYNC


def test_a_sign_of_life_shortens_a_long_back_off() -> None:
    shadow, now = make(), T0
    want(shadow, State.OCCUPIED, now)
    for _ in range(8):
        send(shadow, now)
        now += TTL + GRACE + seconds(1)
        shadow.due(now)
        now = max(now, shadow.reconcile_at or now)
        shadow.due(now)
    actuation = send(shadow, now)
    now += TTL + GRACE + seconds(1)
    shadow.due(now)
    assert (actuation.status, shadow.sync_status) == (S.EXPIRED, SyncStatus.UNREACHABLE)
    assert shadow.reconcile_at is not None
    assert shadow.reconcile_at > now + 10 * POLICY.backoff
    shadow.heard(f_cnt=1, dev_addr=None, at=now, now=now)
    assert shadow.reconcile_at == now + POLICY.backoff


def test_an_expiry_is_unique_for_each_try() -> None:
    shadow = make()
    want(shadow, State.OCCUPIED, T0)
    first = send(shadow, T0)
    shadow.tx_ack(f"q-{first.id}", T0)
    want(shadow, State.FREE, T0)
    second = shadow.take(T0)
    assert second is not None
    assert second.expires_at is not None
    assert first.expires_at is not None
    assert second.expires_at > first.expires_at


def test_steps_that_came_before_the_answer_are_replayed() -> None:
    outcomes = [("tx_ack", None, S.TRANSMITTED), ("ack", None, S.ACKNOWLEDGED), ("nack", None, S.FAILED)]
    outcomes += [("log", "EXPIRED: too late", S.EXPIRED), ("log", "DOWNLINK_GATEWAY: TOO_LATE", S.QUEUED)]
    for kind, detail, status in outcomes:
        shadow = make()
        want(shadow, State.OCCUPIED, T0)
        actuation = send(shadow, T0)
        shadow.replay(kind, f"q-{actuation.id}", detail, T0)
        assert actuation.status is status


# Any order of anything --------------------------------------------------------------------------------------------

STATES = st.sampled_from([State.FREE, State.OCCUPIED, State.RESERVED, State.MAINTENANCE, State.UNKNOWN])
SHOWN_CODES = st.sampled_from([*CODES.values(), DIM_GREEN])


class Loop(RuleBasedStateMachine):
    """A display's life: decisions, answers, events and time in any order, stored and loaded after each."""

    @initialize(reports=st.booleans(), confirmed=st.booleans())
    def begin(self, reports: bool, confirmed: bool) -> None:
        self.now = T0
        self.shadow = make(reports=reports, confirmed=confirmed)
        self.all: dict[UUID, Actuation] = {}
        self.stored: dict[UUID, tuple[object, ...]] = {}
        self.queue: dict[UUID, str] = {}
        self.f_cnt = 1

    def keep(self) -> None:
        """As the store does: what is new is inserted, what was touched updated, what waits loaded again."""
        before = {key: row[10] for key, row in self.stored.items()}
        for actuation in [*self.shadow.created, *self.shadow.touched.values()]:
            self.all[actuation.id] = actuation
            self.stored[actuation.id] = astuple(actuation)
        assert {a.id: astuple(a) for a in self.all.values()} == self.stored, "changed without being touched"
        for key, status in before.items():
            assert TRANSITIONS[status] or self.all[key].status is status, "left an end"
        self.shadow.created.clear()
        self.shadow.touched.clear()
        self.shadow.steps.clear()

    def picture(self) -> object:
        s = self.shadow
        return (
            s.desired_state, s.desired_code, s.desired_at, s.commanded_id, s.reported_code, s.reported_at,
            s.sync_status, s.resend_after_uplink, s.failures, s.reconcile_at, s.last_join_at, s.heard_at, s.dev_addr,
            s.last_f_cnt, [astuple(a) for a in s.waiting],
        )  # fmt: skip

    def told(self, event: Callable[[], object]) -> None:
        """A network event, and the same again: the second changes nothing."""
        event()
        self.keep()
        once = self.picture()
        event()
        assert self.picture() == once
        self.keep()

    @rule(gone=st.integers(0, 90) | st.integers(0, 20_000))
    def time_passes(self, gone: int) -> None:
        self.now += seconds(gone)

    @rule(state=STATES, decide=st.sampled_from([want, want_unread]), behind=st.sampled_from([0, 0, 2]))
    def desire(self, state: State, decide: Callable[[Shadow, State, datetime], Actuation], behind: int) -> None:
        decide(self.shadow, state, self.now - seconds(behind))
        self.keep()

    @rule()
    def release(self) -> None:
        self.shadow.release(self.now)
        self.keep()

    @rule(usable=st.booleans())
    def enable(self, usable: bool) -> None:
        self.shadow.usable = usable
        self.due()

    @rule()
    def take(self) -> None:
        taken = self.shadow.take(self.now)
        if taken is not None:
            assert taken.code == self.shadow.desired_code, "an older decision is sent after a newer one"
        assert [a.status for a in self.shadow.waiting].count(S.PENDING) <= 1
        self.keep()

    @precondition(lambda self: self.all)
    @rule(data=st.data(), how=st.sampled_from(["accepted", "refused", "refused for good", "refused until heard"]))
    def answer(self, data: st.DataObject, how: str) -> None:
        """Mostly to the one being sent, sometimes far too late."""
        sending = [a.id for a in self.shadow.waiting if a.status is S.SENDING]
        actuation_id = data.draw(st.sampled_from(sending or list(self.all)))
        if how == "accepted":
            queue_id = self.queue.setdefault(actuation_id, f"q-{len(self.queue)}")
            self.told(lambda: self.shadow.accepted(actuation_id, queue_id, self.now))
        else:
            permanent, until_heard = how != "refused", how == "refused until heard"
            self.told(
                lambda: self.shadow.refused(actuation_id, "no", self.now, permanent=permanent, until_heard=until_heard)
            )

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), kind=st.sampled_from(["tx_ack", "ack", "nack", "EXPIRED", "DOWNLINK_PAYLOAD_SIZE"]))
    def network_tells(self, data: st.DataObject, kind: str) -> None:
        queue_id = data.draw(st.sampled_from(list(self.queue.values())))
        at = self.now - seconds(data.draw(st.sampled_from([0, 0, 1, 30])))
        step = Step(kind, at, None, queue_id=queue_id)
        if kind == "tx_ack":
            self.told(lambda: self.shadow.tx_ack(queue_id, at, step))
        elif kind in ("ack", "nack"):
            self.told(lambda: self.shadow.ack(queue_id, kind == "ack", at, step))
        else:
            self.told(lambda: self.shadow.gave_up(queue_id, GAVE_UP[kind], kind, at, step))

    @rule(ago=st.sampled_from([0, 0, 5, 100]))
    def join(self, ago: int) -> None:
        at = self.now - seconds(ago)
        self.told(lambda: self.shadow.joined(at, self.now))

    @rule(rejoined=st.booleans(), code=st.none() | SHOWN_CODES)
    def uplink(self, rejoined: bool, code: str | None) -> None:
        self.f_cnt = 0 if rejoined else self.f_cnt + 1
        self.shadow.heard(f_cnt=self.f_cnt, dev_addr=None, at=self.now, now=self.now)
        if code is not None and self.shadow.reports:
            self.shadow.report(code, self.now, self.now)
        self.keep()

    @rule()
    def due(self) -> None:
        self.shadow.due(self.now)
        self.keep()
        assert self.shadow.reconcile_at is None or self.shadow.reconcile_at > self.now, "its time does not move on"

    @invariant()
    def one_command_at_a_time(self) -> None:
        statuses = [a.status for a in self.shadow.waiting]
        assert sum(status in OUTSTANDING for status in statuses) <= 1
        assert sum(status in (S.TRANSMITTED, S.ACKNOWLEDGED) for status in statuses) <= 1
        assert {a.id for a in self.shadow.waiting} == {a.id for a in self.all.values() if TRANSITIONS[a.status]}

    @invariant()
    def in_sync_only_if_it_shows_what_it_must(self) -> None:
        shadow = self.shadow
        if shadow.sync_status is SyncStatus.IN_SYNC:
            if shadow.reports:
                assert shadow.reported_code == shadow.desired_code
            else:
                sent = [a for a in shadow.waiting if a.status in (S.TRANSMITTED, S.ACKNOWLEDGED)]
                assert sent
                assert sent[-1].code == shadow.desired_code

    @invariant()
    def nothing_is_forgotten(self) -> None:
        shadow = self.shadow
        if any(a.status is S.QUEUED for a in shadow.waiting):
            assert shadow.reconcile_at is not None, "a queued downlink that nobody looks after"
        if shadow.sync_status is SyncStatus.DRIFTED and not shadow.resend_after_uplink:
            assert shadow.reconcile_at is not None, "a drift that nobody repairs"

    def teardown(self) -> None:
        """Trouble ends, and the display does what it is told."""
        if not hasattr(self, "shadow") or self.shadow.desired_state is None:
            return
        shadow = self.shadow
        shadow.usable = True
        if shadow.desired_code is None:
            want(shadow, State.FREE, self.now)
        shadow.due(self.now)
        for _ in range(10):
            for actuation in list(shadow.waiting):
                if actuation.status is S.SENDING:
                    shadow.accepted(actuation.id, f"q-{actuation.id}", self.now, recovered=True)
                if actuation.status is S.QUEUED:
                    assert actuation.queue_id is not None
                    shadow.tx_ack(actuation.queue_id, self.now)
                    if shadow.reports:
                        assert actuation.code is not None
                        shadow.report(actuation.code, self.now, self.now)
            self.now += seconds(1200)
            self.f_cnt += 1
            shadow.heard(f_cnt=self.f_cnt, dev_addr=None, at=self.now, now=self.now)
            shadow.due(self.now)
            shadow.take(self.now)
            self.keep()
        assert shadow.sync_status is SyncStatus.IN_SYNC
        assert not any(a.status in (S.PENDING, *OUTSTANDING) for a in shadow.waiting)


Loop.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLoop = Loop.TestCase
