"""News of the network server: what it and the gateways did with downlinks to a display."""

from __future__ import annotations

from datetime import datetime

from baylight.domain.conditions import ConditionKind
from baylight.domain.display_loop.actuation import (
    ACKNOWLEDGED,
    GAVE_UP,
    QUEUED,
    SUPERSEDED,
    TRANSMITTED,
    Actuation,
    Step,
    usual,
)
from baylight.domain.display_loop.display import Display
from baylight.domain.display_loop.due import due
from baylight.domain.downlink import OUTSTANDING, ActuationStatus, TriggerType

_K = ConditionKind


def tx_ack(
    display: Display, queue_id: str, at: datetime, step: Step | None = None, *, f_cnt: int | None = None
) -> bool:
    """Record that a gateway sent the downlink. Return False if no unfinished actuation has that queue item.

    A counter that is not above the last one of the session, with another queue item, was used twice: the display
    drops the frame as a replay, and the command fails at once.
    """
    d = display.deliveries
    actuation = d.by_queue(queue_id)
    d.note(step, actuation)
    if actuation is None:
        return False
    reused = _count(display, queue_id, f_cnt)
    if actuation.status in OUTSTANDING:
        actuation.move(TRANSMITTED)
        _transmitted(display, actuation, at)
        if reused:
            display.fail(actuation, f"the network server used the downlink counter {f_cnt} twice", at)
        else:
            _after_transmission(display, actuation, at)
    due(display, at)
    return True


def transmitted_late(
    display: Display, code: str | None, queue_id: str, f_cnt: int | None, at: datetime, now: datetime
) -> None:
    """Record the tx_ack of an actuation of ours that is at an end. Idempotent."""
    _count_other(display, queue_id, f_cnt)
    display.end([_K.DISPLAY_UNDELIVERABLE], now)
    display.possible = display.possible.add(code, at + display.policy.settle)
    due(display, now)


def transmitted_early(display: Display, at: datetime, now: datetime) -> None:
    """Record a tx_ack that came while a command is handed over: it is the command's, or foreign.

    The answer of the network server shows which: then `replay` applies it.
    """
    display.possible = display.possible.add(None, at + display.policy.settle)
    due(display, now)


def commanded_by_other(display: Display, queue_id: str, f_cnt: int | None, at: datetime, now: datetime) -> None:
    """Record the tx_ack of a downlink that Baylight did not make: the light may be any. Idempotent."""
    display.possible = display.possible.unknown(at + display.policy.settle)
    if queue_id != display.down_queue_id:  # a redelivery changes nothing
        _count_other(display, queue_id, f_cnt)
        counter = "" if f_cnt is None else f" with the counter {f_cnt}"
        display.begin(_K.DISPLAY_COMMANDED_BY_OTHER, f"a gateway sent the queue item {queue_id}{counter}", now)
        if display.drifted_at is None:
            display.drifted_at = now  # the condition ends when the display has been calm since
    due(display, now)


def ack(display: Display, queue_id: str, acknowledged: bool, at: datetime, step: Step | None = None) -> bool:
    """Record that the device confirmed the downlink, or that the network server stopped waiting for that."""
    d = display.deliveries
    actuation = d.by_queue(queue_id)
    d.note(step, actuation)
    if actuation is None:
        return False
    if acknowledged:
        if actuation.status in OUTSTANDING or actuation.status is TRANSMITTED:
            actuation.move(ACKNOWLEDGED)
            actuation.confirmed_at = at
            _transmitted(display, actuation, actuation.transmitted_at or at)
            _after_transmission(display, actuation, at)
    elif actuation.status in OUTSTANDING or actuation.status is TRANSMITTED:
        display.fail(actuation, "the device did not acknowledge it", at)
    due(display, at)
    return True


def gave_up(
    display: Display, queue_id: str, status: ActuationStatus, error: str, at: datetime, step: Step | None = None
) -> bool:
    """Record that the network server dropped the downlink (`status` EXPIRED or FAILED)."""
    d = display.deliveries
    actuation = d.by_queue(queue_id)
    d.note(step, actuation)
    if actuation is None:
        return False
    if actuation.status in OUTSTANDING:
        display.fail(actuation, error, at, status)
        if status is ActuationStatus.EXPIRED:
            display.undeliverable("the network server dropped a command that no gateway had acknowledged", at)
    due(display, at)
    return True


def replay(
    display: Display, kind: str, queue_id: str, detail: str | None, at: datetime, f_cnt: int | None = None
) -> None:
    """Apply a step that was stored before its actuation had this queue item."""
    if kind == "tx_ack":
        tx_ack(display, queue_id, at, f_cnt=f_cnt)
    elif kind in ("ack", "nack"):
        ack(display, queue_id, kind == "ack", at)
    elif kind == "log" and detail and (code := detail.partition(":")[0]) in GAVE_UP:
        gave_up(display, queue_id, GAVE_UP[code], detail, at)


def gateway_refused(display: Display, step: Step, reason: str) -> None:
    """Record that a gateway refused a downlink to the display.

    The network server does not say which one. It is the queued command, or one that the network server made itself.
    A repetition renews the evidence, and adds no step.
    """
    queued = next((a for a in display.deliveries.of(QUEUED) if a.sent_at and a.sent_at <= step.at), None)
    if queued is None:
        return
    text = f"a gateway refused it: {reason}"
    if queued.error != text:
        queued.error = text
        display.deliveries.touch(queued)
        display.deliveries.note(step, queued)
    display.undeliverable(f"a gateway refuses downlinks to the display: {reason}", step.at)
    display.settle(step.at)


def _count(display: Display, queue_id: str, f_cnt: int | None) -> bool:
    """Record the downlink counter of a tx_ack; return True if another queue item of the session used it before.

    A counter below the last one is recorded as well: if the session is another one, it counts on from there.
    """
    before = display.down_f_cnt
    if f_cnt is None:
        return False
    reused = before is not None and f_cnt <= before and queue_id != display.down_queue_id
    display.down_f_cnt, display.down_queue_id = f_cnt, queue_id
    return reused


def _count_other(display: Display, queue_id: str, f_cnt: int | None) -> None:
    """Record the downlink counter of a tx_ack that is late or foreign, if it is the newest of the session."""
    if f_cnt is not None and (display.down_f_cnt is None or f_cnt > display.down_f_cnt):
        display.down_f_cnt, display.down_queue_id = f_cnt, queue_id


def _transmitted(display: Display, actuation: Actuation, at: datetime) -> None:
    actuation.transmitted_at = at
    display.deliveries.touch(actuation)
    display.possible = display.possible.over(at).add(display.light_of(actuation), at + display.policy.settle)
    if actuation.sent_at is not None:
        display.tx_ack_s = usual(display.tx_ack_s, (at - actuation.sent_at).total_seconds())
    display.end([_K.DISPLAY_UNDELIVERABLE], at)


def _after_transmission(display: Display, actuation: Actuation, at: datetime) -> None:
    d = display.deliveries
    if actuation.trigger_type is TriggerType.DEVICE_COMMAND:
        # The effect of the command on the light is unknown.
        d.end(actuation, SUPERSEDED, None, at)
        actuation.superseded_by = d.waiting[-1].id if d.waiting else None
        display.reconcile_at = at
    elif actuation.trigger_type is TriggerType.DEVICE_TEST and not display.reports:
        display.reconcile_at = at + display.policy.test_shown_for
    else:
        _apply_earlier_report(display, actuation, at)


def _apply_earlier_report(display: Display, actuation: Actuation, at: datetime) -> None:
    """Apply a report that came before the tx_ack of the transmission that it proves: events overtake each other."""
    if display.reported_code is None or display.reported_at is None or actuation.code is None:
        return
    after = display.reported_at >= (actuation.transmitted_at or at)
    if after and display.same(actuation.code, display.reported_code):
        display.shown(actuation, display.reported_at, changed=False)
