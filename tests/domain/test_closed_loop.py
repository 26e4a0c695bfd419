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

from baylight.domain.display_loop.actuation import GAVE_UP, Actuation, LoopPolicy, Step
from baylight.domain.display_loop.display import Display
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


def make(**more: Any) -> Display:
    given: dict[str, Any] = {
        "application_id": None,
        "dev_addr": None,
        "last_f_cnt": None,
        "f_port": 15,
        "policy": POLICY,
    }
    given |= {"id": uuid4(), "dev_eui": DevEui("2020200000000001"), "codec": "kuando_busylight", "codes": CODES}
    return Display(network_server="chirpstack", **given | more)


def want_unread(display: Display, state: State, now: datetime) -> Actuation:
    """As ingest decides: without what waits to be sent, which is there again when the display is loaded next."""
    unread = [a for a in display.waiting if a.status is S.PENDING]
    display.waiting = [a for a in display.waiting if a.status is not S.PENDING]
    actuation = want(display, state, now)
    display.waiting = sorted([*display.waiting, *unread], key=lambda a: a.id.int)
    return actuation


def want(display: Display, state: State, now: datetime, trigger: TriggerType = TriggerType.SENSOR_UPLINK) -> Actuation:
    return display.desire(SPACE, state, previous=display.desired_state, trigger=trigger, source=None, now=now)


def send(display: Display, now: datetime) -> Actuation:
    """Claim an actuation and let it be accepted. Its queue item is named after it."""
    actuation = display.claim(now)
    assert actuation is not None
    display.accepted(actuation.id, f"q-{actuation.id}", now)
    return actuation


def show(display: Display, state: State, now: datetime) -> Actuation:
    """The whole way without trouble."""
    want(display, state, now)
    actuation = send(display, now)
    display.tx_ack(f"q-{actuation.id}", now)
    assert actuation.code is not None
    display.reported(actuation.code, now + seconds(1), now + seconds(1))
    return actuation


def test_a_decision_is_sent_transmitted_and_proven_by_the_display() -> None:
    display = make()
    actuation = want(display, State.OCCUPIED, T0)
    assert (actuation.status, actuation.code, display.sync_status) == (S.PENDING, RED, SyncStatus.PENDING)
    assert display.claim(T0) is actuation
    assert actuation.status is S.SENDING
    display.accepted(actuation.id, "q", T0 + seconds(1))
    assert display.tx_ack("q", T0 + seconds(2))
    assert (actuation.status, display.sync_status) == (S.TRANSMITTED, SyncStatus.PENDING)
    display.reported(RED, T0 + seconds(3), T0 + seconds(3))
    assert (actuation.status, actuation.shown_at) == (S.SHOWN, T0 + seconds(3))
    assert (display.sync_status, display.waiting, display.state_shown()) == (SyncStatus.IN_SYNC, [], State.OCCUPIED)


def test_b3_a_transmission_alone_proves_nothing_about_the_light() -> None:
    display = make()
    want(display, State.OCCUPIED, T0)
    actuation = send(display, T0)
    display.tx_ack(f"q-{actuation.id}", T0)
    assert display.sync_status is SyncStatus.PENDING
    assert display.state_shown() is None
    display.ack(f"q-{actuation.id}", True, T0)
    assert (actuation.status, display.sync_status) == (S.ACKNOWLEDGED, SyncStatus.PENDING)


def test_b10_the_newest_decision_wins_and_waits_for_the_one_outstanding() -> None:
    display = make()
    want(display, State.FREE, T0)
    first = send(display, T0)
    second, third = want(display, State.OCCUPIED, T0), want(display, State.FREE, T0)
    assert (second.status, second.superseded_by, third.status) == (S.SUPERSEDED, third.id, S.PENDING)
    assert display.claim(T0) is None
    display.tx_ack(f"q-{first.id}", T0)
    assert display.claim(T0 + seconds(1)) is third


def test_b10_a_superseded_command_that_was_refused_is_not_sent_again() -> None:
    display = make()
    first = want(display, State.FREE, T0)
    display.claim(T0)
    second = want(display, State.OCCUPIED, T0)
    display.refused(first.id, "away", T0, permanent=False)
    assert (first.status, first.superseded_by) == (S.SUPERSEDED, second.id)
    assert display.claim(T0) is second


def test_b10_of_decisions_that_did_not_know_of_each_other_the_last_is_sent() -> None:
    display = make()
    first, second = want_unread(display, State.OCCUPIED, T0), want_unread(display, State.FREE, T0 + seconds(1))
    third = want_unread(display, State.RESERVED, T0 - seconds(3))  # of a process whose clock is behind
    assert [a.status for a in display.waiting] == [S.PENDING] * 3
    assert display.claim(T0 + seconds(1)) is third
    assert [(a.status, a.superseded_by) for a in (first, second)] == [(S.SUPERSEDED, third.id)] * 2
    assert display.waiting == [third]
    assert set(display.touched.values()) <= {first, second, third}


def test_b10_what_waits_behind_the_one_outstanding_is_superseded_as_well() -> None:
    display = make()
    want(display, State.FREE, T0)
    sent = send(display, T0)
    red, green = want_unread(display, State.OCCUPIED, T0), want_unread(display, State.FREE, T0)
    assert display.claim(T0) is None
    assert (red.status, red.superseded_by, green.status) == (S.SUPERSEDED, green.id, S.PENDING)
    display.tx_ack(f"q-{sent.id}", T0)
    assert display.claim(T0) is green


def test_b10_a_refused_command_gives_way_to_the_newest_of_several() -> None:
    display = make()
    first = want(display, State.FREE, T0)
    display.claim(T0)
    red, unknown = want_unread(display, State.OCCUPIED, T0), want_unread(display, State.UNKNOWN, T0 - seconds(3))
    display.refused(first.id, "away", T0, permanent=False)
    assert (first.status, first.superseded_by) == (S.SUPERSEDED, unknown.id)
    assert display.claim(T0) is unknown
    assert red.superseded_by == unknown.id


def test_a_decision_without_a_code_leaves_nothing_older_to_be_sent() -> None:
    display = make()
    red, failed = want_unread(display, State.OCCUPIED, T0), want_unread(display, State.MAINTENANCE, T0)
    assert (red.status, failed.status, display.sync_status) == (S.PENDING, S.FAILED, SyncStatus.MISCONFIGURED)
    assert display.claim(T0) is None
    assert red.status is S.SUPERSEDED


@pytest.mark.parametrize("look_first", [True, False])
def test_b10_an_older_decision_is_not_sent_when_a_display_is_enabled_again(look_first: bool) -> None:
    display = make()
    green = want(display, State.FREE, T0)
    display.claim(T0)
    display.refused(green.id, "away", T0, permanent=False)
    display.usable = False
    assert want_unread(display, State.OCCUPIED, T0).status is S.FAILED
    display.usable = True
    now = T0 + seconds(30)
    if not look_first:
        assert display.claim(now) is None
    display.due(now)
    assert (green.status, green.sent_at) == (S.SUPERSEDED, None)
    display.due(now + seconds(30))
    red = display.claim(now + seconds(30))
    assert red is not None
    assert red.code == RED


def test_a_newer_decision_of_a_process_whose_clock_is_behind_still_wins() -> None:
    display = make()
    behind = T0 - seconds(3)
    first = want(display, State.FREE, T0)
    display.claim(T0)
    second = want(display, State.OCCUPIED, behind)
    display.refused(first.id, "away", T0, permanent=False)
    assert (first.status, [a.id for a in display.waiting]) == (S.SUPERSEDED, [second.id])


def test_a_newer_command_of_a_process_whose_clock_is_behind_ends_the_older_one() -> None:
    display = make()
    want(display, State.FREE, T0)
    first = send(display, T0)
    display.tx_ack(f"q-{first.id}", T0)
    want(display, State.OCCUPIED, T0 - seconds(3))
    second = send(display, T0)
    assert (first.status, first.superseded_by) == (S.SUPERSEDED, second.id)


def test_a_refusal_is_tried_again_later_and_later() -> None:
    display = make()
    actuation = want(display, State.FREE, T0)
    now, waits = T0, []
    for _ in range(4):
        assert display.claim(now) is actuation
        display.refused(actuation.id, "away", now, permanent=False)
        assert display.claim(now) is None
        assert actuation.next_attempt_at is not None
        waits.append(actuation.next_attempt_at - now)
        now = actuation.next_attempt_at
    assert waits == sorted(waits)
    assert seconds(5) <= waits[0] < seconds(7)
    assert actuation.retry_count == 4


def test_a_refusal_for_good_fails_and_is_tried_anew_by_reconciliation() -> None:
    display = make()
    first = want(display, State.FREE, T0)
    display.claim(T0)
    display.refused(first.id, "no such device", T0, permanent=True)
    assert (first.status, display.sync_status) == (S.FAILED, SyncStatus.DRIFTED)
    assert display.reconcile_at is not None
    display.due(display.reconcile_at)
    (again,) = display.waiting
    assert (again.trigger_type, again.new_state, again.status) == (TriggerType.RECONCILIATION, State.FREE, S.PENDING)


def test_what_no_gateway_sent_expires_later_than_the_network_server_gives_it_up() -> None:
    display = make()
    want(display, State.FREE, T0)
    actuation = send(display, T0)
    display.due(T0 + TTL)
    assert actuation.status is S.QUEUED
    assert display.reconcile_at == T0 + TTL + GRACE
    display.due(T0 + TTL + GRACE)
    assert (actuation.status, display.sync_status) == (S.EXPIRED, SyncStatus.DRIFTED)


@pytest.mark.parametrize("code", sorted(GAVE_UP))
def test_a_downlink_that_the_network_server_dropped_ends_at_once(code: str) -> None:
    display = make()
    want(display, State.FREE, T0)
    actuation = send(display, T0)
    assert display.gave_up(f"q-{actuation.id}", GAVE_UP[code], code, T0)
    assert (actuation.status, actuation.error) == (GAVE_UP[code], code)


def test_a_display_that_never_reports_is_unreachable_after_three_failures_and_recovers() -> None:
    display, now = make(), T0
    want(display, State.OCCUPIED, now)
    seen = []
    for _ in range(3):
        actuation = send(display, now)
        display.tx_ack(f"q-{actuation.id}", now)
        now += REPORT
        display.due(now)
        assert actuation.status is S.FAILED
        seen.append(display.sync_status)
        assert display.reconcile_at is not None
        now = display.reconcile_at
        display.due(now)
    assert seen == [SyncStatus.DRIFTED, SyncStatus.DRIFTED, SyncStatus.UNREACHABLE]
    actuation = send(display, now)
    display.tx_ack(f"q-{actuation.id}", now)
    display.reported(RED, now + seconds(1), now + seconds(1))
    assert (display.sync_status, display.failures) == (SyncStatus.IN_SYNC, 0)


def test_a_display_that_reports_another_colour_is_sent_its_own_again() -> None:
    display = make()
    show(display, State.OCCUPIED, T0)
    now = T0 + seconds(600)
    display.reported(GREEN, now, now)
    (again,) = display.waiting
    assert (again.trigger_type, again.code) == (TriggerType.RECONCILIATION, RED)
    assert [s.kind for s in display.steps].count("drift") == 1


def test_b2_after_a_join_the_colour_is_sent_again_but_not_before_the_next_uplink() -> None:
    display = make()
    show(display, State.OCCUPIED, T0)
    now = T0 + seconds(60)
    display.joined(now, now)
    assert (display.sync_status, display.reported_code) == (SyncStatus.DRIFTED, None)
    display.due(now + seconds(3600))
    assert display.waiting == []
    display.received(f_cnt=0, dev_addr="0a0b0c0d", at=now + seconds(2), now=now + seconds(2))
    display.reported(DIM_GREEN, now + seconds(2), now + seconds(2))
    (again,) = display.waiting
    assert (again.trigger_type, again.code) == (TriggerType.REJOIN_RECOVERY, RED)


@pytest.mark.parametrize(("f_cnt", "dev_addr"), [(0, "01000001"), (9, "01000002")])
def test_b2_a_counter_that_fell_or_another_address_is_a_rejoin_without_a_join_event(f_cnt: int, dev_addr: str) -> None:
    display = make()
    display.received(f_cnt=8, dev_addr="01000001", at=T0, now=T0)
    show(display, State.OCCUPIED, T0)
    now = T0 + seconds(60)
    display.received(f_cnt=f_cnt, dev_addr=dev_addr, at=now, now=now)
    (again,) = display.waiting
    assert (again.trigger_type, again.code) == (TriggerType.REJOIN_RECOVERY, RED)


def test_b2_a_join_event_after_the_first_uplink_sends_once() -> None:
    display = make()
    display.received(f_cnt=8, dev_addr="01000001", at=T0, now=T0)
    show(display, State.OCCUPIED, T0)
    joined_at, uplink_at = T0 + seconds(60), T0 + seconds(62)
    display.received(f_cnt=0, dev_addr="01000002", at=uplink_at, now=uplink_at)
    display.reported(DIM_GREEN, uplink_at, uplink_at)
    display.joined(joined_at, uplink_at + seconds(1))
    assert [a.trigger_type for a in display.waiting] == [TriggerType.REJOIN_RECOVERY]
    again = send(display, uplink_at + seconds(1))
    display.joined(joined_at, uplink_at + seconds(2))
    assert again.status is S.QUEUED


def test_a_join_loses_what_was_on_its_way() -> None:
    display = make()
    want(display, State.OCCUPIED, T0)
    lost = send(display, T0)
    display.joined(T0 + seconds(1), T0 + seconds(1))
    assert (lost.status, lost.error) == (S.FAILED, "the display rejoined")


def hand_over(display: Display, now: datetime) -> Actuation:
    """Claim an actuation for a sender that has no answer yet."""
    actuation = display.claim(now)
    assert actuation is not None
    return actuation


def test_b2_a_command_handed_over_during_a_join_is_sent_again_after_the_next_uplink() -> None:
    """The join empties the network server's queue, whether or not its answer has reached us."""
    display = make()
    show(display, State.FREE, T0)
    want(display, State.OCCUPIED, T0 + seconds(10))
    lost = hand_over(display, T0 + seconds(10))
    display.joined(T0 + seconds(11), T0 + seconds(11))
    assert lost.status is S.SENDING, "a newer command could overtake it"
    display.accepted(lost.id, "q", T0 + seconds(12))
    assert (lost.status, lost.error, display.waiting) == (S.FAILED, "the display rejoined", [])
    display.received(f_cnt=0, dev_addr="0a0b0c0d", at=T0 + seconds(13), now=T0 + seconds(13))
    assert [(a.code, a.trigger_type) for a in display.waiting] == [(RED, TriggerType.REJOIN_RECOVERY)]
    assert send(display, T0 + seconds(13)).status is S.QUEUED


@pytest.mark.parametrize("join_event", [True, False])
def test_b2_a_command_handed_over_during_a_join_and_an_uplink_is_sent_again_with_its_answer(join_event: bool) -> None:
    """Without a join event, the counter that falls shows the join."""
    display = make()
    display.received(f_cnt=8, dev_addr="01000001", at=T0, now=T0)
    want(display, State.OCCUPIED, T0 + seconds(10))
    lost = hand_over(display, T0 + seconds(10))
    if join_event:
        display.joined(T0 + seconds(11), T0 + seconds(11))
    display.received(f_cnt=0, dev_addr="0a0b0c0d", at=T0 + seconds(13), now=T0 + seconds(13))
    assert display.claim(T0 + seconds(13)) is None, "two at a time"
    display.accepted(lost.id, "q", T0 + seconds(14))
    assert lost.status is S.FAILED
    assert send(display, T0 + seconds(14)).trigger_type is TriggerType.REJOIN_RECOVERY
    display.received(f_cnt=1, dev_addr="0a0b0c0d", at=T0 + seconds(15), now=T0 + seconds(15))
    assert [a.status for a in display.waiting] == [S.QUEUED], "once is enough"


def test_b2_a_decision_made_while_the_lost_command_is_handed_over_goes_at_once() -> None:
    display = make()
    want(display, State.OCCUPIED, T0)
    lost = hand_over(display, T0)
    display.joined(T0 + seconds(1), T0 + seconds(1))
    newer = want(display, State.FREE, T0 + seconds(2))
    display.accepted(lost.id, "q", T0 + seconds(3))
    assert (lost.status, display.claim(T0 + seconds(3))) == (S.FAILED, newer)


def test_b2_an_answer_that_came_before_the_news_of_the_join_does_not_save_the_command() -> None:
    display = make()
    want(display, State.OCCUPIED, T0)
    lost = hand_over(display, T0)
    display.accepted(lost.id, "q", T0 + seconds(2))
    display.joined(T0 + seconds(1), T0 + seconds(3))
    assert lost.status is S.FAILED


def test_a_command_claimed_after_the_join_or_found_in_the_queue_still_counts() -> None:
    for event_at, claimed_at, recovered in ((1, 2, False), (3, 2, False), (3, 0, True)):
        display = make()
        want(display, State.OCCUPIED, T0)
        late_event = event_at > claimed_at
        if not late_event:
            display.joined(T0 + seconds(1), T0 + seconds(event_at))
        kept = hand_over(display, T0 + seconds(claimed_at))
        if late_event:
            display.joined(T0 + seconds(1), T0 + seconds(event_at))
        display.accepted(kept.id, "q", T0 + seconds(4), recovered=recovered)
        assert kept.status is S.QUEUED
        display.received(f_cnt=0, dev_addr=None, at=T0 + seconds(5), now=T0 + seconds(5))
        assert display.waiting == [kept]


def test_a_join_with_a_clock_ahead_loses_one_command_not_all_that_follow() -> None:
    """B19: the gateway's clock may run minutes ahead."""
    display = make()
    want(display, State.OCCUPIED, T0)
    lost = hand_over(display, T0)
    display.joined(T0 + seconds(131), T0 + seconds(1))
    display.received(f_cnt=0, dev_addr=None, at=T0 + seconds(2), now=T0 + seconds(2))
    display.accepted(lost.id, "q", T0 + seconds(3))
    assert lost.status is S.FAILED
    assert send(display, T0 + seconds(3)).status is S.QUEUED


def test_a_display_without_address_is_sent_nothing_before_its_first_uplink() -> None:
    display = make()
    first = want(display, State.FREE, T0)
    hand_over(display, T0)
    display.refused(first.id, "its application is not known", T0, permanent=True, until_uplink=True)
    assert (first.status, display.sync_status) == (S.FAILED, SyncStatus.DRIFTED)
    display.due(T0 + timedelta(days=2))
    assert display.waiting == []
    display.received(f_cnt=1, dev_addr=None, at=T0 + timedelta(days=2), now=T0 + timedelta(days=2))
    assert [a.code for a in display.waiting] == [GREEN]


def test_a_display_whose_first_uplink_comes_during_the_refusal_is_sent_its_colour_at_once() -> None:
    display = make()
    first = want(display, State.FREE, T0)
    hand_over(display, T0)
    # The network server received the uplink before the refusal, and reported it afterwards.
    display.application_id = "52f14cd4-c6f1-4fbd-8f87-4025e1d49242"
    display.received(f_cnt=1, dev_addr=None, at=T0 - seconds(0.01), now=T0 + seconds(1))
    display.refused(first.id, "its application is not known", T0 + seconds(2), permanent=True, until_uplink=True)
    assert first.status is S.FAILED
    assert hand_over(display, T0 + seconds(2)).code == GREEN


def test_a_report_that_overtook_its_tx_ack_proves_the_light() -> None:
    display = make()
    want(display, State.OCCUPIED, T0)
    actuation = send(display, T0)
    display.reported(RED, T0 + seconds(3), T0 + seconds(3))
    display.tx_ack(f"q-{actuation.id}", T0 + seconds(2))
    assert (actuation.status, display.sync_status) == (S.SHOWN, SyncStatus.IN_SYNC)


def test_a_report_from_before_the_transmission_proves_nothing() -> None:
    display = make()
    want(display, State.OCCUPIED, T0)
    actuation = send(display, T0)
    display.reported(RED, T0 - seconds(60), T0 + seconds(1))
    display.tx_ack(f"q-{actuation.id}", T0 + seconds(2))
    assert (actuation.status, display.sync_status) == (S.TRANSMITTED, SyncStatus.PENDING)


def test_a_light_that_a_report_proved_before_the_answer_ends_the_older_commands_too() -> None:
    display = make()
    want(display, State.FREE, T0)
    first = send(display, T0)
    display.tx_ack(f"q-{first.id}", T0)
    display.reported(DIM_GREEN, T0, T0)
    second = want(display, State.OCCUPIED, T0 + seconds(2))
    display.claim(T0 + seconds(2))
    display.reported(RED, T0 + seconds(4), T0 + seconds(4))
    assert (second.status, first.status) == (S.SHOWN, S.SUPERSEDED)
    assert (display.waiting, display.sync_status) == ([], SyncStatus.IN_SYNC)


def test_b14_without_a_code_it_fails_and_says_so() -> None:
    display = make()
    actuation = want(display, State.MAINTENANCE, T0)
    assert (actuation.status, display.sync_status) == (S.FAILED, SyncStatus.MISCONFIGURED)
    assert actuation.error == "the display has no code for MAINTENANCE: add one to its display_codes"


def test_a_display_that_was_disabled_holds_up_nothing() -> None:
    display = make()
    actuation = want(display, State.OCCUPIED, T0)
    display.usable = False
    assert display.claim(T0) is None
    assert (actuation.status, actuation.error) == (S.FAILED, "the display is disabled or decommissioned")
    assert (display.waiting, display.sync_status) == ([], SyncStatus.MISCONFIGURED)
    display.usable = True
    display.due(T0 + seconds(1))
    assert [a.code for a in display.waiting] == [RED]


@pytest.mark.parametrize("end", [lambda s: s.release(T0), lambda s: setattr(s, "usable", False)])
def test_a_queued_downlink_of_a_display_that_serves_no_more_still_comes_to_an_end(
    end: Callable[[Display], None],
) -> None:
    display = make()
    want(display, State.OCCUPIED, T0)
    actuation = send(display, T0)
    end(display)
    display.due(T0)
    assert display.reconcile_at == T0 + TTL + GRACE
    display.due(T0 + TTL + GRACE)
    assert (actuation.status, display.reconcile_at) == (S.EXPIRED, None)


def test_a_display_that_cannot_report_is_in_sync_once_its_newest_light_was_transmitted() -> None:
    display = make(reports=False)
    want(display, State.FREE, T0)
    actuation = send(display, T0)
    display.tx_ack(f"q-{actuation.id}", T0)
    assert (display.sync_status, display.state_shown()) == (SyncStatus.IN_SYNC, State.FREE)
    second = want(display, State.OCCUPIED, T0 + seconds(5))
    display.claim(T0 + seconds(5))
    display.refused(second.id, "no such device", T0 + seconds(5), permanent=True)
    assert (display.sync_status, display.state_shown()) == (SyncStatus.DRIFTED, State.FREE)


def test_a_silent_display_is_unreachable_until_its_next_uplink() -> None:
    display = make(silent_after_s=7200)
    show(display, State.OCCUPIED, T0)
    while display.reconcile_at is not None:
        now = display.reconcile_at
        display.due(now)
    assert (now, display.sync_status) == (T0 + seconds(1) + timedelta(hours=2), SyncStatus.UNREACHABLE)
    now = T0 + timedelta(hours=3)
    display.received(f_cnt=3, dev_addr=None, at=now, now=now)
    display.reported(RED, now, now)
    assert display.sync_status is SyncStatus.IN_SYNC


def test_a_sign_of_life_shortens_a_long_back_off() -> None:
    display, now = make(), T0
    want(display, State.OCCUPIED, now)
    for _ in range(8):
        send(display, now)
        now += TTL + GRACE + seconds(1)
        display.due(now)
        now = max(now, display.reconcile_at or now)
        display.due(now)
    actuation = send(display, now)
    now += TTL + GRACE + seconds(1)
    display.due(now)
    assert (actuation.status, display.sync_status) == (S.EXPIRED, SyncStatus.UNREACHABLE)
    assert display.reconcile_at is not None
    assert display.reconcile_at > now + 10 * POLICY.backoff
    display.received(f_cnt=1, dev_addr=None, at=now, now=now)
    assert display.reconcile_at == now + POLICY.backoff


def test_an_expiry_is_unique_for_each_try() -> None:
    display = make()
    want(display, State.OCCUPIED, T0)
    first = send(display, T0)
    display.tx_ack(f"q-{first.id}", T0)
    want(display, State.FREE, T0)
    second = display.claim(T0)
    assert second is not None
    assert second.expires_at is not None
    assert first.expires_at is not None
    assert second.expires_at > first.expires_at


def test_steps_that_came_before_the_answer_are_replayed() -> None:
    outcomes = [("tx_ack", None, S.TRANSMITTED), ("ack", None, S.ACKNOWLEDGED), ("nack", None, S.FAILED)]
    outcomes += [("log", "EXPIRED: too late", S.EXPIRED), ("log", "DOWNLINK_GATEWAY: TOO_LATE", S.QUEUED)]
    for kind, detail, status in outcomes:
        display = make()
        want(display, State.OCCUPIED, T0)
        actuation = send(display, T0)
        display.replay(kind, f"q-{actuation.id}", detail, T0)
        assert actuation.status is status


# Any order of anything --------------------------------------------------------------------------------------------

STATES = st.sampled_from([State.FREE, State.OCCUPIED, State.RESERVED, State.MAINTENANCE, State.UNKNOWN])
SHOWN_CODES = st.sampled_from([*CODES.values(), DIM_GREEN])


class Loop(RuleBasedStateMachine):
    """A display's life: decisions, answers, events and time in any order, stored and loaded after each."""

    @initialize(reports=st.booleans(), confirmed=st.booleans())
    def begin(self, reports: bool, confirmed: bool) -> None:
        self.now = T0
        self.display = make(reports=reports, confirmed=confirmed)
        self.all: dict[UUID, Actuation] = {}
        self.stored: dict[UUID, tuple[object, ...]] = {}
        self.queue: dict[UUID, str] = {}
        self.f_cnt = 1

    def keep(self) -> None:
        """Act as the store: insert new actuations, update touched ones."""
        before = {key: row[11] for key, row in self.stored.items()}
        for actuation in [*self.display.created, *self.display.touched.values()]:
            self.all[actuation.id] = actuation
            self.stored[actuation.id] = astuple(actuation)
        assert {a.id: astuple(a) for a in self.all.values()} == self.stored, "changed without being touched"
        for key, status in before.items():
            assert TRANSITIONS[status] or self.all[key].status is status, "left an end"
        self.display.created.clear()
        self.display.touched.clear()
        self.display.steps.clear()

    def picture(self) -> object:
        s = self.display
        return (
            s.desired_state, s.desired_code, s.desired_at, s.commanded_id, s.reported_code, s.reported_at,
            s.sync_status, s.resend_after_uplink, s.failures, s.reconcile_at, s.last_join_at, s.last_uplink_at,
            s.dev_addr, s.last_f_cnt, [astuple(a) for a in s.waiting],
        )  # fmt: skip

    def twice(self, event: Callable[[], object]) -> None:
        """Apply a network event twice: the second time changes nothing."""
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
    def desire(self, state: State, decide: Callable[[Display, State, datetime], Actuation], behind: int) -> None:
        decide(self.display, state, self.now - seconds(behind))
        self.keep()

    @rule()
    def release(self) -> None:
        self.display.release(self.now)
        self.keep()

    @rule(usable=st.booleans())
    def enable(self, usable: bool) -> None:
        self.display.usable = usable
        self.due()

    @rule()
    def claim(self) -> None:
        claimed = self.display.claim(self.now)
        if claimed is not None:
            assert claimed.code == self.display.desired_code, "an older decision is sent after a newer one"
        assert [a.status for a in self.display.waiting].count(S.PENDING) <= 1
        self.keep()

    @precondition(lambda self: self.all)
    @rule(data=st.data(), how=st.sampled_from(["accepted", "refused", "refused for good", "refused until an uplink"]))
    def answer(self, data: st.DataObject, how: str) -> None:
        """Mostly to the one being sent, sometimes far too late."""
        sending = [a.id for a in self.display.waiting if a.status is S.SENDING]
        actuation_id = data.draw(st.sampled_from(sending or list(self.all)))
        if how == "accepted":
            queue_id = self.queue.setdefault(actuation_id, f"q-{len(self.queue)}")
            self.twice(lambda: self.display.accepted(actuation_id, queue_id, self.now))
        else:
            permanent, until_uplink = how != "refused", how == "refused until an uplink"
            self.twice(
                lambda: self.display.refused(
                    actuation_id, "no", self.now, permanent=permanent, until_uplink=until_uplink
                )
            )

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), kind=st.sampled_from(["tx_ack", "ack", "nack", "EXPIRED", "DOWNLINK_PAYLOAD_SIZE"]))
    def network_tells(self, data: st.DataObject, kind: str) -> None:
        queue_id = data.draw(st.sampled_from(list(self.queue.values())))
        at = self.now - seconds(data.draw(st.sampled_from([0, 0, 1, 30])))
        step = Step(kind, at, None, queue_id=queue_id)
        if kind == "tx_ack":
            self.twice(lambda: self.display.tx_ack(queue_id, at, step))
        elif kind in ("ack", "nack"):
            self.twice(lambda: self.display.ack(queue_id, kind == "ack", at, step))
        else:
            self.twice(lambda: self.display.gave_up(queue_id, GAVE_UP[kind], kind, at, step))

    @rule(ago=st.sampled_from([0, 0, 5, 100]))
    def join(self, ago: int) -> None:
        at = self.now - seconds(ago)
        self.twice(lambda: self.display.joined(at, self.now))

    @rule(rejoined=st.booleans(), code=st.none() | SHOWN_CODES)
    def uplink(self, rejoined: bool, code: str | None) -> None:
        self.f_cnt = 0 if rejoined else self.f_cnt + 1
        self.display.received(f_cnt=self.f_cnt, dev_addr=None, at=self.now, now=self.now)
        if code is not None and self.display.reports:
            self.display.reported(code, self.now, self.now)
        self.keep()

    @rule()
    def due(self) -> None:
        self.display.due(self.now)
        self.keep()
        assert self.display.reconcile_at is None or self.display.reconcile_at > self.now, "its time does not move on"

    @invariant()
    def one_command_at_a_time(self) -> None:
        statuses = [a.status for a in self.display.waiting]
        assert sum(status in OUTSTANDING for status in statuses) <= 1
        assert sum(status in (S.TRANSMITTED, S.ACKNOWLEDGED) for status in statuses) <= 1
        assert {a.id for a in self.display.waiting} == {a.id for a in self.all.values() if TRANSITIONS[a.status]}

    @invariant()
    def in_sync_only_if_it_shows_what_it_must(self) -> None:
        display = self.display
        if display.sync_status is SyncStatus.IN_SYNC:
            if display.reports:
                assert display.reported_code == display.desired_code
            else:
                sent = [a for a in display.waiting if a.status in (S.TRANSMITTED, S.ACKNOWLEDGED)]
                assert sent
                assert sent[-1].code == display.desired_code

    @invariant()
    def nothing_is_forgotten(self) -> None:
        display = self.display
        if any(a.status is S.QUEUED for a in display.waiting):
            assert display.reconcile_at is not None, "a queued downlink without a deadline"
        if display.sync_status is SyncStatus.DRIFTED and not display.resend_after_uplink:
            assert display.reconcile_at is not None, "a drift without a next try"

    def teardown(self) -> None:
        """Outages end, and the display does what it is sent."""
        if not hasattr(self, "display") or self.display.desired_state is None:
            return
        display = self.display
        display.usable = True
        if display.desired_code is None:
            want(display, State.FREE, self.now)
        display.due(self.now)
        for _ in range(10):
            for actuation in list(display.waiting):
                if actuation.status is S.SENDING:
                    display.accepted(actuation.id, f"q-{actuation.id}", self.now, recovered=True)
                if actuation.status is S.QUEUED:
                    assert actuation.queue_id is not None
                    display.tx_ack(actuation.queue_id, self.now)
                    if display.reports:
                        assert actuation.code is not None
                        display.reported(actuation.code, self.now, self.now)
            self.now += seconds(1200)
            self.f_cnt += 1
            display.received(f_cnt=self.f_cnt, dev_addr=None, at=self.now, now=self.now)
            display.due(self.now)
            display.claim(self.now)
            self.keep()
        assert display.sync_status is SyncStatus.IN_SYNC
        assert not any(a.status in (S.PENDING, *OUTSTANDING) for a in display.waiting)


Loop.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLoop = Loop.TestCase
