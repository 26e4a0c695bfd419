"""The closed loop of one display, without database, network or clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from baylight.domain.display_loop.actuation import GAVE_UP
from baylight.domain.display_loop.display import Display
from baylight.domain.downlink import SyncStatus, TriggerType
from baylight.domain.state import State
from tests.support.clock import T0
from tests.support.display_loop import (
    DIM_GREEN,
    GRACE,
    GREEN,
    POLICY,
    RED,
    REPORT,
    TTL,
    S,
    make,
    seconds,
    send,
    show,
    want,
    want_unread,
)


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
