"""Time: what is due by itself, and the end of back-offs."""

from __future__ import annotations

from datetime import datetime

from baylight.domain.conditions import ConditionKind
from baylight.domain.display_loop.actuation import PENDING, PROVEN_SENT
from baylight.domain.display_loop.decisions import resend
from baylight.domain.display_loop.display import Display
from baylight.domain.downlink import TriggerType

_K = ConditionKind


def due(display: Display, now: datetime) -> None:
    """Apply what follows from time alone: missing reports, the next try, a silent display."""
    d = display.deliveries
    d.drop_outdated(display.desired_code)
    for actuation in d.of(*PROVEN_SENT):
        by = display.news_by(actuation)
        if by is not None and by <= now and not d.outstanding and not d.of(PENDING):
            awaited = "report what it shows" if display.reports else "acknowledge it"
            if actuation.transmitted_at is not None:  # an older report proves nothing: the lamp may have lost power
                display.possible = display.possible.unknown(actuation.transmitted_at)
            display.fail(actuation, f"the display did not {awaited}", now)
            if display.failures >= display.policy.unreachable_after:
                display.begin(_K.DISPLAY_SILENT, f"it did not {awaited} after {display.failures} commands", now)
    display.settle(now)
    may_send = not display.resend_after_uplink and not d.outstanding and not d.of(PENDING, *display.awaited())
    if may_send and not display.proven() and display.reconcile_at is not None and display.reconcile_at <= now:
        resend(display, TriggerType.RECONCILIATION, now)
        display.settle(now)


def retry_now(display: Display, now: datetime) -> None:
    """End the back-off: the common cause of its failures is over."""
    if display.failures and not display.proven():
        display.failures = min(display.failures, display.policy.quick_tries)
        display.reconcile_at = now
    for actuation in display.deliveries.of(PENDING):
        if actuation.next_attempt_at is not None and actuation.next_attempt_at > now:
            actuation.next_attempt_at = now
            display.deliveries.touch(actuation)
    due(display, now)
