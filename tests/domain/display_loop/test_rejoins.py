"""The closed loop of one display that joins again: what is lost, and when the light is sent again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from baylight.domain.conditions import ConditionKind
from baylight.domain.display_loop import sending, uplinks
from baylight.domain.display_loop.actuation import Actuation
from baylight.domain.display_loop.due import due
from baylight.domain.downlink import SyncStatus, TriggerType
from baylight.domain.state import State
from tests.support.clock import T0
from tests.support.display_loop import (
    DIM_GREEN,
    GREEN,
    RED,
    S,
    hand_over,
    join,
    make,
    seconds,
    send,
    show,
    uplink,
    want,
    want_unread,
)


def test_b2_after_a_join_the_colour_is_sent_again_but_not_before_the_next_uplink() -> None:
    display = make()
    show(display, State.OCCUPIED, T0)
    now = T0 + seconds(60)
    join(display, now, now)
    assert (display.sync_status, display.state_shown()) == (SyncStatus.UNREACHABLE, None)
    due(display, now + seconds(3600))
    assert display.deliveries.waiting == []
    uplink(display, f_cnt=0, dev_addr="0a0b0c0d", at=now + seconds(2), now=now + seconds(2))
    uplinks.reported(display, DIM_GREEN, now + seconds(2), now + seconds(2))
    (again,) = display.deliveries.waiting
    assert (again.trigger_type, again.code) == (TriggerType.REJOIN_RECOVERY, RED)


@pytest.mark.parametrize(("f_cnt", "dev_addr"), [(0, "01000001"), (9, "01000002")])
def test_b2_a_counter_that_fell_or_another_address_is_a_rejoin_without_a_join_event(f_cnt: int, dev_addr: str) -> None:
    display = make()
    uplink(display, f_cnt=8, dev_addr="01000001", at=T0, now=T0)
    show(display, State.OCCUPIED, T0)
    now = T0 + seconds(60)
    uplink(display, f_cnt=f_cnt, dev_addr=dev_addr, at=now, now=now)
    (again,) = display.deliveries.waiting
    assert (again.trigger_type, again.code) == (TriggerType.REJOIN_RECOVERY, RED)


def test_b2_a_join_event_after_the_first_uplink_sends_once() -> None:
    display = make()
    uplink(display, f_cnt=8, dev_addr="01000001", at=T0, now=T0)
    show(display, State.OCCUPIED, T0)
    joined_at, uplink_at = T0 + seconds(60), T0 + seconds(62)
    uplink(display, f_cnt=0, dev_addr="01000002", at=uplink_at, now=uplink_at)
    uplinks.reported(display, DIM_GREEN, uplink_at, uplink_at)
    join(display, joined_at, uplink_at + seconds(1))
    assert [a.trigger_type for a in display.deliveries.waiting] == [TriggerType.REJOIN_RECOVERY]
    again = send(display, uplink_at + seconds(1))
    join(display, joined_at, uplink_at + seconds(2))
    assert again.status is S.QUEUED


def test_a_join_loses_what_was_on_its_way() -> None:
    display = make()
    want(display, State.OCCUPIED, T0)
    lost = send(display, T0)
    join(display, T0 + seconds(1), T0 + seconds(1))
    assert (lost.status, lost.error) == (S.FAILED, "the display rejoined")


def test_b2_a_command_handed_over_during_a_join_is_sent_again_after_the_next_uplink() -> None:
    """The join empties the network server's queue, whether or not its answer has reached us."""
    display = make()
    show(display, State.FREE, T0)
    want(display, State.OCCUPIED, T0 + seconds(10))
    lost = hand_over(display, T0 + seconds(10))
    join(display, T0 + seconds(11), T0 + seconds(11))
    assert lost.status is S.SENDING, "a newer command could overtake it"
    sending.accepted(display, lost.id, "q", T0 + seconds(12))
    assert (lost.status, lost.error, display.deliveries.waiting) == (S.FAILED, "the display rejoined", [])
    uplink(display, f_cnt=0, dev_addr="0a0b0c0d", at=T0 + seconds(13), now=T0 + seconds(13))
    assert [(a.code, a.trigger_type) for a in display.deliveries.waiting] == [(RED, TriggerType.REJOIN_RECOVERY)]
    assert send(display, T0 + seconds(13)).status is S.QUEUED


@pytest.mark.parametrize("join_event", [True, False])
def test_b2_a_command_handed_over_during_a_join_and_an_uplink_is_sent_again_with_its_answer(join_event: bool) -> None:
    """Without a join event, the counter that falls shows the join."""
    display = make()
    uplink(display, f_cnt=8, dev_addr="01000001", at=T0, now=T0)
    want(display, State.OCCUPIED, T0 + seconds(10))
    lost = hand_over(display, T0 + seconds(10))
    if join_event:
        join(display, T0 + seconds(11), T0 + seconds(11))
    uplink(display, f_cnt=0, dev_addr="0a0b0c0d", at=T0 + seconds(13), now=T0 + seconds(13))
    assert sending.claim(display, T0 + seconds(13)) is None, "two at a time"
    sending.accepted(display, lost.id, "q", T0 + seconds(14))
    assert lost.status is S.FAILED
    assert send(display, T0 + seconds(14)).trigger_type is TriggerType.REJOIN_RECOVERY
    uplink(display, f_cnt=1, dev_addr="0a0b0c0d", at=T0 + seconds(15), now=T0 + seconds(15))
    assert [a.status for a in display.deliveries.waiting] == [S.QUEUED], "once is enough"


def test_b2_a_decision_made_while_the_lost_command_is_handed_over_goes_after_the_next_uplink() -> None:
    display = make()
    want(display, State.OCCUPIED, T0)
    lost = hand_over(display, T0)
    join(display, T0 + seconds(1), T0 + seconds(1))
    newer = want(display, State.FREE, T0 + seconds(2))
    sending.accepted(display, lost.id, "q", T0 + seconds(3))
    assert (lost.status, sending.claim(display, T0 + seconds(3))) == (S.FAILED, None)
    uplink(display, f_cnt=0, dev_addr=None, at=T0 + seconds(4), now=T0 + seconds(4))
    assert sending.claim(display, T0 + seconds(4)) is newer


@pytest.mark.parametrize("decide", [want, want_unread])
def test_a_decision_after_a_join_waits_for_the_first_uplink(decide: Callable[..., Actuation]) -> None:
    display = make()
    show(display, State.FREE, T0)
    join(display, T0 + seconds(10), T0 + seconds(10))
    red = decide(display, State.OCCUPIED, T0 + seconds(11))
    assert sending.claim(display, T0 + seconds(12)) is None
    assert ConditionKind.DISPLAY_WAITS_FOR_UPLINK in display.troubles
    uplink(display, f_cnt=0, dev_addr=None, at=T0 + seconds(13), now=T0 + seconds(13))
    assert sending.claim(display, T0 + seconds(13)) is red
    assert ConditionKind.DISPLAY_WAITS_FOR_UPLINK not in display.troubles


def test_b2_an_answer_that_came_before_the_news_of_the_join_does_not_save_the_command() -> None:
    display = make()
    want(display, State.OCCUPIED, T0)
    lost = hand_over(display, T0)
    sending.accepted(display, lost.id, "q", T0 + seconds(2))
    join(display, T0 + seconds(1), T0 + seconds(3))
    assert lost.status is S.FAILED


@pytest.mark.parametrize(("claimed_at", "recovered"), [(2, False), (0, True)])
def test_a_command_claimed_after_a_join_or_found_in_the_queue_counts(claimed_at: float, recovered: bool) -> None:
    """The news of the join comes late."""
    display = make()
    want(display, State.OCCUPIED, T0)
    kept = hand_over(display, T0 + seconds(claimed_at))
    join(display, T0 + seconds(1), T0 + seconds(3))
    sending.accepted(display, kept.id, "q", T0 + seconds(4), recovered=recovered)
    assert kept.status is S.QUEUED
    uplink(display, f_cnt=0, dev_addr=None, at=T0 + seconds(5), now=T0 + seconds(5))
    assert display.deliveries.waiting == [kept]


def test_a_join_with_a_clock_ahead_loses_one_command_not_all_that_follow() -> None:
    """B19: the gateway's clock may run minutes ahead."""
    display = make()
    want(display, State.OCCUPIED, T0)
    lost = hand_over(display, T0)
    join(display, T0 + seconds(131), T0 + seconds(1))
    uplink(display, f_cnt=0, dev_addr=None, at=T0 + seconds(2), now=T0 + seconds(2))
    sending.accepted(display, lost.id, "q", T0 + seconds(3))
    assert lost.status is S.FAILED
    assert send(display, T0 + seconds(3)).status is S.QUEUED


def test_a_display_without_address_is_sent_nothing_before_its_first_uplink() -> None:
    display = make()
    first = want(display, State.FREE, T0)
    hand_over(display, T0)
    sending.refused(display, first.id, "its application is not known", T0, permanent=True, until_uplink=True)
    assert (first.status, display.sync_status) == (S.FAILED, SyncStatus.UNREACHABLE)
    due(display, T0 + timedelta(days=2))
    assert display.deliveries.waiting == []
    uplink(display, f_cnt=1, dev_addr=None, at=T0 + timedelta(days=2), now=T0 + timedelta(days=2))
    assert [a.code for a in display.deliveries.waiting] == [GREEN]


def test_a_display_whose_first_uplink_comes_during_the_refusal_is_sent_its_colour_at_once() -> None:
    display = make()
    first = want(display, State.FREE, T0)
    hand_over(display, T0)
    # The network server received the uplink before the refusal, and reported it afterwards.
    display.application_id = "52f14cd4-c6f1-4fbd-8f87-4025e1d49242"
    uplink(display, f_cnt=1, dev_addr=None, at=T0 - seconds(0.01), now=T0 + seconds(1))
    sending.refused(
        display, first.id, "its application is not known", T0 + seconds(2), permanent=True, until_uplink=True
    )
    assert first.status is S.FAILED
    assert hand_over(display, T0 + seconds(2)).code == GREEN
