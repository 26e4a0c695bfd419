"""Decisions: what a display must show, and commands that a person sends by hand."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from baylight.domain.display_loop.actuation import FAILED, PENDING, SENDING, Actuation
from baylight.domain.display_loop.display import Display
from baylight.domain.downlink import TriggerType
from baylight.domain.ids import uuid7
from baylight.domain.state import State


def desire(
    display: Display,
    space_id: UUID,
    state: State,
    *,
    previous: State | None,
    trigger: TriggerType,
    source: str | None,
    now: datetime,
    code: str | None = None,
) -> Actuation:
    """Decide that the display must show `state` from now on, by `code` or by its own code for the state.

    Pending actuations that are loaded are superseded; `claim` supersedes the rest.
    """
    code = code or display.codes.get(state)
    at = display.after_all_others(now)
    actuation = Actuation(
        uuid7(at), space_id, trigger, source, previous, state, display.id, code, display.f_port, display.confirmed, now
    )
    display.space_id = space_id
    if (display.desired_state, display.desired_code) != (state, code):
        display.desired_state, display.desired_code, display.desired_at, display.failures = state, code, at, 0
    d = display.deliveries
    d.supersede(d.of(PENDING), by=actuation.id)
    if problem := display.problem():
        actuation.status, actuation.error = FAILED, problem
    else:
        actuation.next_attempt_at = None if display.resend_after_uplink and not d.of(SENDING) else now
        d.waiting.append(actuation)
    d.created.append(actuation)
    display.settle(now)
    return actuation


def command(
    display: Display,
    space_id: UUID,
    code: str,
    *,
    trigger: TriggerType,
    source: str | None,
    now: datetime,
    f_port: int | None,
) -> Actuation:
    """Send something that is not desired, once: the light of a test, or a command of an operator.

    The desired state stays the same. It is sent again afterwards.
    """
    actuation = Actuation(
        id=uuid7(display.after_all_others(now)),
        space_id=space_id,
        trigger_type=trigger,
        trigger_source=source,
        previous_state=display.desired_state,
        new_state=display.desired_state or State.UNKNOWN,
        display_id=display.id,
        code=code,
        f_port=f_port or display.f_port,
        confirmed=display.confirmed,
        created_at=now,
        next_attempt_at=now,
    )
    d = display.deliveries
    if problem := display.problem():
        actuation.status, actuation.error, actuation.next_attempt_at = FAILED, problem, None
    elif display.resend_after_uplink or d.of(PENDING):
        actuation.status, actuation.next_attempt_at = FAILED, None
        actuation.error = "a decision waits to be sent to this display: try again"
    else:
        d.waiting.append(actuation)
    d.created.append(actuation)
    display.settle(now)
    return actuation


def release(display: Display, now: datetime) -> None:
    """Stop serving a space: nothing is desired, and nothing more is sent."""
    for actuation in display.deliveries.of(PENDING):
        display.deliveries.end(actuation, FAILED, "the display no longer serves the space", now)
    display.desired_state = display.desired_code = display.desired_at = display.space_id = None
    display.resend_after_uplink = False
    display.settle(now)


def resend(display: Display, trigger: TriggerType, now: datetime) -> None:
    """Send what is desired again."""
    if display.desired_state is not None and display.space_id is not None and display.problem() is None:
        desire(
            display,
            display.space_id,
            display.desired_state,
            previous=display.desired_state,
            trigger=trigger,
            source=None,
            now=now,
            code=display.desired_code,
        )
