"""Sending: a relay claims the actuation to send, and records what the network server answered and still has."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from baylight.domain.conditions import ConditionKind
from baylight.domain.display_loop.actuation import FAILED, PENDING, QUEUED, SENDING, SUPERSEDED, Actuation, Step
from baylight.domain.display_loop.decisions import resend
from baylight.domain.display_loop.display import Display
from baylight.domain.display_loop.due import due
from baylight.domain.downlink import BY_HAND, ActuationStatus, TriggerType

REJOINED = "the display rejoined"
NEEDLESS = "nothing is sent: the display shows this light already"
_K = ConditionKind


def claim(display: Display, now: datetime) -> Actuation | None:
    """Return the actuation to send now, marked as being sent; None if there is none, or another one is outstanding.

    All other pending actuations are superseded, and this one too if it is needless. `expires_at` is unique to the
    microsecond for this display.
    """
    d = display.deliveries
    d.drop_outdated(display.desired_code)
    if problem := display.problem():
        for actuation in d.of(PENDING):
            d.end(actuation, FAILED, problem, now)
        display.settle(now)
        return None
    newest = d.next(display.desired_code)
    if newest is None:
        display.settle(now)
        return None
    d.supersede([a for a in d.of(PENDING) if a is not newest], by=newest.id)
    if d.outstanding or newest.next_attempt_at is None or newest.next_attempt_at > now:
        return None
    if _is_needless(display, newest):
        d.end(newest, SUPERSEDED, NEEDLESS, now)
        display.settle(now)
        return None
    newest.move(SENDING)
    newest.claimed_at, newest.next_attempt_at = now, now + display.policy.lease
    earlier = [a.expires_at for a in d.waiting if a.expires_at is not None]
    newest.expires_at = max([now + display.life(), *(at + timedelta(microseconds=1) for at in earlier)])
    d.touch(newest)
    d.steps.append(Step("sending", now, newest.id, attempt=newest.retry_count + 1))
    display.settle(now)
    return newest


def _is_needless(display: Display, actuation: Actuation) -> bool:
    """Return True if a report proves the light, and the display may have received nothing else since.

    So it is if a change came and went before anything was sent.
    """
    return actuation.trigger_type not in BY_HAND and display.reports and display.proven()


def accepted(display: Display, actuation_id: UUID, queue_id: str, now: datetime, *, recovered: bool = False) -> None:
    """Record that the network server accepted the actuation. Idempotent; a late answer becomes a step and no more.

    If the display rejoined meanwhile, the actuation counts only if the network server's queue still had it
    afterwards (`recovered`).
    """
    d = display.deliveries
    actuation = d.find(actuation_id)
    if actuation is None or actuation.status is not SENDING:
        d.steps.append(Step("queued", now, actuation_id, "answered after it was given up", queue_id=queue_id))
        return
    actuation.move(QUEUED)
    actuation.queue_id, actuation.sent_at, actuation.next_attempt_at = queue_id, now, now + display.policy.ask_after
    d.touch(actuation)
    display.commanded_id = actuation.id
    _may_be_received(display, actuation)
    d.end_older(actuation, now)
    d.steps.append(Step("recovered" if recovered else "queued", now, actuation_id, queue_id=queue_id))
    if display.resend_after_uplink and not recovered:
        d.end(actuation, FAILED, REJOINED, now)
        if has_uplink_since_join(display):
            recover(display, now)
        else:
            hold(display)
    elif recovered:
        _unhold(display, now)
    display.settle(now)


def refused(
    display: Display, actuation_id: UUID, error: str, now: datetime, *, permanent: bool, until_uplink: bool = False
) -> None:
    """Record that the network server refused the actuation: try again later, or end it (`permanent`). Idempotent.

    `until_uplink`: no command can reach the display before its next uplink.
    """
    d = display.deliveries
    actuation = d.find(actuation_id)
    if actuation is None or actuation.status is not SENDING:
        return
    actuation.retry_count += 1
    actuation.error = error
    newer = d.next(display.desired_code)
    if until_uplink:
        d.end(actuation, FAILED, error, now)
        if has_uplink_since_join(display) and display.last_uplink_at is not None:
            recover(display, now)  # an uplink came meanwhile
        else:
            display.begin(_K.DISPLAY_WAITS_FOR_UPLINK, error, now)
            hold(display)
    elif permanent:
        display.failures = max(display.failures, display.policy.quick_tries)  # at once, it would be refused again
        display.fail(actuation, error, now)
        display.undeliverable(error, now)
    elif newer:
        _may_be_received(display, actuation)
        actuation.superseded_by = newer.id
        d.end(actuation, SUPERSEDED, error, now)
    else:
        _may_be_received(display, actuation)
        actuation.move(PENDING)
        pause = max(display.policy.wait(actuation.retry_count, actuation.id), timedelta(seconds=1))
        actuation.next_attempt_at = now + pause
        actuation.expires_at = None
        d.touch(actuation)
        d.steps.append(Step("retry", now, actuation.id, error, attempt=actuation.retry_count))
    display.settle(now)


def not_found_in_queue(display: Display, actuation_id: UUID, now: datetime) -> None:
    """Record that the network server no longer has the command, and reported no transmission: it is lost."""
    actuation = display.deliveries.find(actuation_id)
    if actuation is not None and actuation.status is QUEUED:
        display.fail(actuation, "the network server no longer has it, and reported no transmission", now)
    due(display, now)


def still_queued(
    display: Display, actuation_id: UUID, evidence: str, now: datetime, *, disabled: bool, without_uplink: bool
) -> None:
    """Record that the network server still has the command. It stays the only one until it is gone.

    `disabled`: the device is disabled there. `without_uplink`: no uplink of it came since its activation.
    """
    actuation = display.deliveries.find(actuation_id)
    if actuation is None or actuation.status is not QUEUED:
        return
    if disabled:
        display.begin(_K.DISPLAY_DISABLED, evidence, now)
    elif without_uplink:
        display.begin(_K.DISPLAY_WAITS_FOR_UPLINK, evidence, now)
    else:
        display.undeliverable(evidence, now)
    actuation.retry_count += 1
    over = actuation.expires_at is not None and actuation.expires_at + display.policy.grace <= now
    pause = display.policy.backoff * 2 ** min(actuation.retry_count, 5) if over else display.policy.ask_after
    actuation.next_attempt_at = now + min(pause, display.policy.max_backoff)
    display.deliveries.touch(actuation)
    display.settle(now)


def expired_unseen(display: Display, actuation_id: UUID, now: datetime) -> None:
    """Record that a command's time is over at a network server that reports no queue."""
    actuation = display.deliveries.find(actuation_id)
    if actuation is not None and actuation.status is QUEUED and actuation.expires_at is not None:
        if actuation.expires_at + display.policy.grace <= now:
            display.fail(actuation, "no gateway sent it in time", now, ActuationStatus.EXPIRED)
            display.undeliverable("no gateway acknowledged a command in time", now)
        else:
            actuation.next_attempt_at = actuation.expires_at + display.policy.grace
            display.deliveries.touch(actuation)
    due(display, now)


def _may_be_received(display: Display, actuation: Actuation) -> None:
    """Record that the network server has the command, or may have it, until its life ends."""
    assert actuation.expires_at is not None
    until = actuation.expires_at + display.policy.settle
    display.possible = display.possible.add(display.light_of(actuation), until)


def hold(display: Display) -> None:
    """Send nothing before the next uplink of the display: no command reaches it before."""
    display.resend_after_uplink = True
    for actuation in display.deliveries.of(PENDING):
        if actuation.next_attempt_at is not None:
            actuation.next_attempt_at = None
            display.deliveries.touch(actuation)


def _unhold(display: Display, now: datetime) -> None:
    display.resend_after_uplink = False
    for actuation in display.deliveries.of(PENDING):
        if actuation.next_attempt_at is None:
            actuation.next_attempt_at = now
            display.deliveries.touch(actuation)


def recover(display: Display, now: datetime) -> None:
    """Send what is desired after an uplink. A command that is being handed over is awaited first."""
    d = display.deliveries
    waits = bool(d.of(SENDING))
    _unhold(display, now)
    display.resend_after_uplink = waits
    if not d.of(PENDING) and (d.of(SENDING) or not d.outstanding):
        resend(display, TriggerType.REJOIN_RECOVERY, now)


def has_uplink_since_join(display: Display) -> bool:
    """Return True if an uplink came after the last join, or if no join is known."""
    return display.last_join_at is None or display.last_f_cnt is not None
