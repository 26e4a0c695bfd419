"""Uplinks of a display: joins, signs of life, and reports of what it shows."""

from __future__ import annotations

from datetime import datetime, timedelta

from baylight.domain.conditions import ConditionKind
from baylight.domain.display_loop.actuation import FAILED, PENDING, PROVEN_SENT, SENDING, Actuation, Step
from baylight.domain.display_loop.display import Display
from baylight.domain.display_loop.due import due
from baylight.domain.display_loop.sending import REJOINED, hold, recover
from baylight.domain.downlink import SyncStatus, TriggerType

_K = ConditionKind
_REACHED = (_K.DISPLAY_DISABLED, _K.DISPLAY_WAITS_FOR_UPLINK, _K.DISPLAY_REFUSED, _K.DISPLAY_SILENT)
"""Conditions that an uplink of the display ends."""


def joined(display: Display, at: datetime, now: datetime) -> None:
    """Record a join that is new: commands on their way are lost, and the display shows its default light (often green).

    Nothing reaches the display before its next uplink; then the desired state is sent again. Call `Session.join`
    before.
    """
    display.facts_changed = True
    display.deliveries.steps.append(Step("join", at, None, key=f"join:{display.dev_eui}:{display.last_join_id}"))
    _session_lost(display, at, now)
    if display.last_f_cnt is not None and display.resend_after_uplink:  # its first uplink came before the news of it
        recover(display, now)
    display.settle(now)


def received(
    display: Display, at: datetime, now: datetime, *, restarted: bool = False, device_class: str | None = None
) -> None:
    """Record an uplink that is newer than all before; call it before `reported`, and `Session.follow` before it.

    `restarted`: it is the first of a new session of which no join was received. `device_class`: the class by which the
    network server serves the display.
    """
    display.facts_changed = True
    if restarted and not display.resend_after_uplink:
        recent_join = display.last_join_at is not None and display.last_join_at > at - timedelta(minutes=5)
        if not recent_join or not _claimed_since(display, display.last_join_at):
            _session_lost(display, at, now)
    if _K.DISPLAY_SILENT in display.troubles and display.reconcile_at is not None:
        display.reconcile_at = min(display.reconcile_at, now)  # reachable again: its back-off is over
    display.end(_REACHED, now)
    if device_class == "A" and not display.class_a:
        display.begin(_K.DISPLAY_NOT_CLASS_C, "its uplink says that it is served as class A", now)
    elif device_class is not None:
        display.end([_K.DISPLAY_NOT_CLASS_C], now)
    if display.resend_after_uplink:
        recover(display, now)
    display.settle(now)


def refused_uplink(display: Display, evidence: str, at: datetime, now: datetime) -> None:
    """Record that the network server refused a join or an uplink: the display may have restarted."""
    display.possible = display.possible.unknown(at)
    display.begin(_K.DISPLAY_REFUSED, evidence, now)
    due(display, now)


def reported(display: Display, code: str, at: datetime, now: datetime) -> None:
    """Record what the display reports that it shows. The caller leaves out reports older than the newest."""
    display.facts_changed = True
    before, was_in_sync = display.reported_code, display.sync_status is SyncStatus.IN_SYNC
    display.reported_code, display.reported_at = code, at
    d = display.deliveries
    command = d.outstanding or next(iter(d.of(*PROVEN_SENT)), None)
    if command is not None and command.trigger_type is TriggerType.DEVICE_COMMAND:
        pass  # its bytes are not a light to compare with
    elif command is not None and command.code is not None:
        shows = display.same(command.code, code)
        changed = before is not None and not display.same(command.code, before)
        since = command.transmitted_at or command.sent_at or command.created_at
        after = at >= since - display.policy.settle
        if command.status in PROVEN_SENT:
            if shows and after:
                display.shown(command, at, changed=changed)
            elif not shows and at > since + display.policy.settle:
                d.steps.append(Step("drift", at, command.id, f"reports {code}, was sent {command.code}"))
                display.fail(command, f"the display reports {code}", now)
                display.wrong(code, now)
        elif shows and after and changed:
            display.shown(command, at, changed=True)  # the tx_ack is late or lost; the light proves the transmission
    elif display.desired_code is not None and not display.same(display.desired_code, code) and not d.of(PENDING):
        if was_in_sync:
            d.steps.append(Step("drift", at, display.commanded_id, f"reports {code}, must show {display.desired_code}"))
        display.wrong(code, now)
    due(display, now)


def _claimed_since(display: Display, at: datetime | None) -> bool:
    begun = [a for a in display.deliveries.waiting if a.status is not PENDING]
    return at is not None and any(_claimed_at(a) >= at for a in begun)


def _claimed_at(actuation: Actuation) -> datetime:
    return actuation.claimed_at or actuation.created_at


def _session_lost(display: Display, at: datetime, now: datetime) -> None:
    """End the commands begun before `at`: the network server flushed them, or the display showed them before.

    A command that is being handed over may be flushed too. Its answer is awaited, since nothing must overtake it;
    `resend_after_uplink` then means that it does not count.
    """
    d = display.deliveries
    begun = [a for a in d.waiting if a.status is not PENDING]
    for actuation in [a for a in begun if (a.transmitted_at or _claimed_at(a)) <= at]:
        if actuation.status is not SENDING:
            d.end(actuation, FAILED, REJOINED, now)
    display.possible = display.possible.unknown(at)
    display.down_f_cnt = display.down_queue_id = None
    if all(_claimed_at(a) <= at for a in d.of(SENDING)):
        display.begin(_K.DISPLAY_WAITS_FOR_UPLINK, "it joined, and no uplink has come since", now)
        hold(display)
