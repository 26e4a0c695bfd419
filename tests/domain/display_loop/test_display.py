"""The closed loop of one display, without database, network or clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from baylight.domain.conditions import ConditionKind
from baylight.domain.display_loop import decisions, news, sending, uplinks
from baylight.domain.display_loop.actuation import GAVE_UP
from baylight.domain.display_loop.display import Display
from baylight.domain.display_loop.due import due
from baylight.domain.downlink import SyncStatus, TriggerType
from baylight.domain.state import State
from tests.support.clock import T0
from tests.support.display_loop import (
    DIM_GREEN,
    GRACE,
    GREEN,
    POLICY,
    RED,
    S,
    make,
    seconds,
    send,
    show,
    uplink,
    want,
    want_unread,
)


def test_a_decision_is_sent_transmitted_and_proven_by_the_display() -> None:
    display = make()
    actuation = want(display, State.OCCUPIED, T0)
    assert (actuation.status, actuation.code, display.sync_status) == (S.PENDING, RED, SyncStatus.PENDING)
    assert sending.claim(display, T0) is actuation
    assert actuation.status is S.SENDING
    sending.accepted(display, actuation.id, "q", T0 + seconds(1))
    assert news.tx_ack(display, "q", T0 + seconds(2))
    assert (actuation.status, display.sync_status) == (S.TRANSMITTED, SyncStatus.PENDING)
    uplinks.reported(display, RED, T0 + seconds(3), T0 + seconds(3))
    assert (actuation.status, actuation.shown_at) == (S.SHOWN, T0 + seconds(3))
    assert (display.sync_status, display.deliveries.waiting, display.state_shown()) == (
        SyncStatus.IN_SYNC,
        [],
        State.OCCUPIED,
    )


def test_b3_a_transmission_alone_proves_nothing_about_the_light() -> None:
    display = make()
    want(display, State.OCCUPIED, T0)
    actuation = send(display, T0)
    news.tx_ack(display, f"q-{actuation.id}", T0)
    assert display.sync_status is SyncStatus.PENDING
    assert display.state_shown() is None
    news.ack(display, f"q-{actuation.id}", True, T0)
    assert (actuation.status, display.sync_status) == (S.ACKNOWLEDGED, SyncStatus.PENDING)


def test_b10_the_newest_decision_wins_and_waits_for_the_one_outstanding() -> None:
    display = make()
    want(display, State.FREE, T0)
    first = send(display, T0)
    second, third = want(display, State.OCCUPIED, T0), want(display, State.FREE, T0)
    assert (second.status, second.superseded_by, third.status) == (S.SUPERSEDED, third.id, S.PENDING)
    assert sending.claim(display, T0) is None
    news.tx_ack(display, f"q-{first.id}", T0)
    assert sending.claim(display, T0 + seconds(1)) is third


def test_b10_a_superseded_command_that_was_refused_is_not_sent_again() -> None:
    display = make()
    first = want(display, State.FREE, T0)
    sending.claim(display, T0)
    second = want(display, State.OCCUPIED, T0)
    sending.refused(display, first.id, "away", T0, permanent=False)
    assert (first.status, first.superseded_by) == (S.SUPERSEDED, second.id)
    assert sending.claim(display, T0) is second


def test_b10_of_decisions_that_did_not_know_of_each_other_the_last_is_sent() -> None:
    display = make()
    first, second = want_unread(display, State.OCCUPIED, T0), want_unread(display, State.FREE, T0 + seconds(1))
    third = want_unread(display, State.RESERVED, T0 - seconds(3))  # of a process whose clock is behind
    assert [a.status for a in display.deliveries.waiting] == [S.PENDING] * 3
    assert sending.claim(display, T0 + seconds(1)) is third
    assert [(a.status, a.superseded_by) for a in (first, second)] == [(S.SUPERSEDED, third.id)] * 2
    assert display.deliveries.waiting == [third]
    assert set(display.deliveries.touched.values()) <= {first, second, third}


def test_b10_what_waits_behind_the_one_outstanding_is_superseded_as_well() -> None:
    display = make()
    want(display, State.FREE, T0)
    sent = send(display, T0)
    red, green = want_unread(display, State.OCCUPIED, T0), want_unread(display, State.FREE, T0)
    assert sending.claim(display, T0) is None
    assert (red.status, red.superseded_by, green.status) == (S.SUPERSEDED, green.id, S.PENDING)
    news.tx_ack(display, f"q-{sent.id}", T0)
    assert sending.claim(display, T0) is green


def test_b10_a_refused_command_gives_way_to_the_newest_of_several() -> None:
    display = make()
    first = want(display, State.FREE, T0)
    sending.claim(display, T0)
    red, unknown = want_unread(display, State.OCCUPIED, T0), want_unread(display, State.UNKNOWN, T0 - seconds(3))
    sending.refused(display, first.id, "away", T0, permanent=False)
    assert (first.status, first.superseded_by) == (S.SUPERSEDED, unknown.id)
    assert sending.claim(display, T0) is unknown
    assert red.superseded_by == unknown.id


def test_a_decision_without_a_code_leaves_nothing_older_to_be_sent() -> None:
    display = make()
    red, failed = want_unread(display, State.OCCUPIED, T0), want_unread(display, State.MAINTENANCE, T0)
    assert (red.status, failed.status, display.sync_status) == (S.PENDING, S.FAILED, SyncStatus.MISCONFIGURED)
    assert sending.claim(display, T0) is None
    assert red.status is S.SUPERSEDED


@pytest.mark.parametrize("look_first", [True, False])
def test_b10_an_older_decision_is_not_sent_when_a_display_is_enabled_again(look_first: bool) -> None:
    display = make()
    green = want(display, State.FREE, T0)
    sending.claim(display, T0)
    sending.refused(display, green.id, "away", T0, permanent=False)
    display.usable = False
    assert want_unread(display, State.OCCUPIED, T0).status is S.FAILED
    display.usable = True
    now = T0 + seconds(30)
    if not look_first:
        assert sending.claim(display, now) is None
    due(display, now)
    assert (green.status, green.sent_at) == (S.SUPERSEDED, None)
    due(display, now + seconds(30))
    red = sending.claim(display, now + seconds(30))
    assert red is not None
    assert red.code == RED


def test_a_newer_decision_of_a_process_whose_clock_is_behind_still_wins() -> None:
    display = make()
    behind = T0 - seconds(3)
    first = want(display, State.FREE, T0)
    sending.claim(display, T0)
    second = want(display, State.OCCUPIED, behind)
    sending.refused(display, first.id, "away", T0, permanent=False)
    assert (first.status, [a.id for a in display.deliveries.waiting]) == (S.SUPERSEDED, [second.id])


def test_a_newer_command_of_a_process_whose_clock_is_behind_ends_the_older_one() -> None:
    display = make()
    want(display, State.FREE, T0)
    first = send(display, T0)
    news.tx_ack(display, f"q-{first.id}", T0)
    want(display, State.OCCUPIED, T0 - seconds(3))
    second = send(display, T0)
    assert (first.status, first.superseded_by) == (S.SUPERSEDED, second.id)


def test_a_refusal_is_tried_again_later_and_later() -> None:
    display = make()
    actuation = want(display, State.FREE, T0)
    now, waits = T0, []
    for _ in range(4):
        assert sending.claim(display, now) is actuation
        sending.refused(display, actuation.id, "away", now, permanent=False)
        assert sending.claim(display, now) is None
        assert actuation.next_attempt_at is not None
        waits.append(actuation.next_attempt_at - now)
        now = actuation.next_attempt_at
    assert waits[:3] == [seconds(1)] * 3
    assert seconds(30) <= waits[3] < seconds(38)
    assert actuation.retry_count == 4


def test_a_refusal_for_good_fails_and_is_tried_anew_by_reconciliation() -> None:
    display = make()
    first = want(display, State.FREE, T0)
    sending.claim(display, T0)
    sending.refused(display, first.id, "no such device", T0, permanent=True)
    assert (first.status, display.sync_status) == (S.FAILED, SyncStatus.UNREACHABLE)
    assert display.reconcile_at is not None
    assert display.reconcile_at >= T0 + POLICY.backoff, "at once, it would be refused again"
    due(display, display.reconcile_at)
    (again,) = display.deliveries.waiting
    assert (again.trigger_type, again.new_state, again.status) == (TriggerType.RECONCILIATION, State.FREE, S.PENDING)


def test_what_no_gateway_sent_expires_at_a_network_server_that_reports_no_queue() -> None:
    display = make()
    want(display, State.FREE, T0)
    actuation = send(display, T0)
    assert actuation.next_attempt_at == T0 + POLICY.ask_after
    sending.expired_unseen(display, actuation.id, T0 + POLICY.ask_after)
    assert (actuation.status, actuation.next_attempt_at) == (S.QUEUED, T0 + POLICY.min_ttl + GRACE)
    sending.expired_unseen(display, actuation.id, T0 + POLICY.min_ttl + GRACE)
    assert (actuation.status, display.sync_status) == (S.EXPIRED, SyncStatus.UNREACHABLE)
    assert ConditionKind.DISPLAY_UNDELIVERABLE in display.troubles


@pytest.mark.parametrize("code", sorted(GAVE_UP))
def test_a_downlink_that_the_network_server_dropped_ends_at_once(code: str) -> None:
    display = make()
    want(display, State.FREE, T0)
    actuation = send(display, T0)
    assert news.gave_up(display, f"q-{actuation.id}", GAVE_UP[code], code, T0)
    assert (actuation.status, actuation.error) == (GAVE_UP[code], code)


def test_a_display_that_never_reports_is_silent_after_three_quick_failures_and_recovers() -> None:
    display, now = make(), T0
    want(display, State.OCCUPIED, now)
    seen = []
    for _ in range(4):
        actuation = send(display, now)
        news.tx_ack(display, f"q-{actuation.id}", now)
        assert display.reconcile_at is not None
        now = display.reconcile_at
        due(display, now)
        assert actuation.status is S.FAILED
        seen.append((display.sync_status, bool(display.deliveries.waiting)))
    assert seen == [
        (SyncStatus.PENDING, True),
        (SyncStatus.PENDING, True),
        (SyncStatus.UNREACHABLE, True),
        (SyncStatus.UNREACHABLE, False),  # now with a back-off
    ]
    assert display.reconcile_at is not None
    assert display.reconcile_at >= now + POLICY.backoff
    since = display.troubles.open[ConditionKind.DISPLAY_SILENT].since
    now = display.reconcile_at
    due(display, now)
    actuation = send(display, now)
    assert (display.sync_status, display.troubles.open[ConditionKind.DISPLAY_SILENT].since) == (
        SyncStatus.UNREACHABLE,
        since,
    ), "a retry does not reset the condition"
    news.tx_ack(display, f"q-{actuation.id}", now)
    now += seconds(1)
    uplink(display, f_cnt=1, dev_addr=None, at=now, now=now)
    uplinks.reported(display, RED, now, now)
    assert (display.sync_status, display.failures, display.troubles.open) == (SyncStatus.IN_SYNC, 0, {})


def test_a_display_that_reports_another_colour_is_sent_its_own_again() -> None:
    display = make()
    show(display, State.OCCUPIED, T0)
    now = T0 + seconds(600)
    uplinks.reported(display, GREEN, now, now)
    (again,) = display.deliveries.waiting
    assert (again.trigger_type, again.code) == (TriggerType.RECONCILIATION, RED)
    assert [s.kind for s in display.deliveries.steps].count("drift") == 1


def test_a_report_that_overtook_its_tx_ack_proves_the_light() -> None:
    display = make()
    want(display, State.OCCUPIED, T0)
    actuation = send(display, T0)
    uplinks.reported(display, RED, T0 + seconds(3), T0 + seconds(3))
    news.tx_ack(display, f"q-{actuation.id}", T0 + seconds(2))
    assert (actuation.status, display.sync_status) == (S.SHOWN, SyncStatus.IN_SYNC)


def test_a_report_from_before_the_transmission_proves_nothing() -> None:
    display = make()
    want(display, State.OCCUPIED, T0)
    actuation = send(display, T0)
    uplinks.reported(display, RED, T0 - seconds(60), T0 + seconds(1))
    news.tx_ack(display, f"q-{actuation.id}", T0 + seconds(2))
    assert (actuation.status, display.sync_status) == (S.TRANSMITTED, SyncStatus.PENDING)


def test_a_light_that_a_report_proved_before_the_answer_ends_the_older_commands_too() -> None:
    display = make()
    want(display, State.FREE, T0)
    first = send(display, T0)
    news.tx_ack(display, f"q-{first.id}", T0)
    uplinks.reported(display, DIM_GREEN, T0, T0)
    second = want(display, State.OCCUPIED, T0 + seconds(2))
    sending.claim(display, T0 + seconds(2))
    uplinks.reported(display, RED, T0 + seconds(4), T0 + seconds(4))
    assert (second.status, first.status) == (S.SHOWN, S.SUPERSEDED)
    assert (display.deliveries.waiting, display.sync_status) == ([], SyncStatus.IN_SYNC)


def test_b14_without_a_code_it_fails_and_says_so() -> None:
    display = make()
    actuation = want(display, State.MAINTENANCE, T0)
    assert (actuation.status, display.sync_status) == (S.FAILED, SyncStatus.MISCONFIGURED)
    assert actuation.error == "the display has no code for MAINTENANCE: add one to its display_codes"


def test_a_display_that_was_disabled_holds_up_nothing() -> None:
    display = make()
    actuation = want(display, State.OCCUPIED, T0)
    display.usable = False
    assert sending.claim(display, T0) is None
    assert (actuation.status, actuation.error) == (S.FAILED, "the display is disabled or decommissioned")
    assert (display.deliveries.waiting, display.sync_status) == ([], SyncStatus.MISCONFIGURED)
    display.usable = True
    due(display, T0 + seconds(1))
    assert [a.code for a in display.deliveries.waiting] == [RED]


@pytest.mark.parametrize("end", [lambda s: decisions.release(s, T0), lambda s: setattr(s, "usable", False)])
def test_a_queued_downlink_of_a_display_that_serves_no_more_still_comes_to_an_end(
    end: Callable[[Display], None],
) -> None:
    display = make()
    want(display, State.OCCUPIED, T0)
    actuation = send(display, T0)
    end(display)
    due(display, T0)
    assert actuation.next_attempt_at is not None
    sending.not_found_in_queue(display, actuation.id, actuation.next_attempt_at)
    assert (actuation.status, display.reconcile_at, display.deliveries.waiting) == (S.FAILED, None, [])


def test_a_display_that_cannot_report_is_in_sync_once_its_newest_light_was_transmitted() -> None:
    display = make(reports=False)
    want(display, State.FREE, T0)
    actuation = send(display, T0)
    news.tx_ack(display, f"q-{actuation.id}", T0)
    assert (display.sync_status, display.state_shown()) == (SyncStatus.IN_SYNC, State.FREE)
    second = want(display, State.OCCUPIED, T0 + seconds(5))
    sending.claim(display, T0 + seconds(5))
    sending.refused(display, second.id, "no such device", T0 + seconds(5), permanent=True)
    assert (display.sync_status, display.state_shown()) == (SyncStatus.UNREACHABLE, State.FREE)


def test_a_silent_display_is_unreachable_until_its_next_uplink() -> None:
    display = make(silent_after_s=7200)
    show(display, State.OCCUPIED, T0)
    while display.reconcile_at is not None:
        now = display.reconcile_at
        due(display, now)
    assert (now, display.sync_status) == (T0 + seconds(1) + timedelta(hours=2), SyncStatus.UNREACHABLE)
    now = T0 + timedelta(hours=3)
    uplink(display, f_cnt=3, dev_addr=None, at=now, now=now)
    uplinks.reported(display, RED, now, now)
    assert display.sync_status is SyncStatus.IN_SYNC


def test_a_sign_of_life_ends_a_long_back_off() -> None:
    display, now = make(), T0
    want(display, State.OCCUPIED, now)
    for _ in range(7):
        actuation = send(display, now)
        news.tx_ack(display, f"q-{actuation.id}", now)
        while actuation.status is S.TRANSMITTED or not display.deliveries.waiting:
            assert display.reconcile_at is not None
            now = max(now, display.reconcile_at)
            due(display, now)
    actuation = send(display, now)
    news.tx_ack(display, f"q-{actuation.id}", now)
    now += seconds(30)
    due(display, now)
    assert (actuation.status, display.sync_status) == (S.FAILED, SyncStatus.UNREACHABLE)
    assert display.reconcile_at is not None
    assert display.reconcile_at > now + 10 * POLICY.backoff
    uplink(display, f_cnt=1, dev_addr=None, at=now, now=now)
    uplinks.reported(display, GREEN, now, now)
    assert [a.code for a in display.deliveries.waiting] == [RED]


def test_an_expiry_is_unique_for_each_try() -> None:
    display = make()
    want(display, State.OCCUPIED, T0)
    first = send(display, T0)
    news.tx_ack(display, f"q-{first.id}", T0)
    want(display, State.FREE, T0)
    second = sending.claim(display, T0)
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
        news.replay(display, kind, f"q-{actuation.id}", detail, T0)
        assert actuation.status is status
