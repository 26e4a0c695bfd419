"""Fields of one display, its unfinished actuations, its changes since it was loaded; and its sync status."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

import msgspec

from baylight.domain.assignment import SharedRule, combine, count_free
from baylight.domain.display_loop.actuation import (
    EXPIRED,
    FAILED,
    ON_ITS_WAY,
    PENDING,
    PROVEN_SENT,
    QUEUED,
    SHOWN,
    SUPERSEDED,
    Actuation,
    LoopPolicy,
    Step,
)
from baylight.domain.downlink import BY_HAND, ActuationStatus, SyncStatus, TriggerType
from baylight.domain.ids import DevEui
from baylight.domain.session import Session
from baylight.domain.state import State


def _identical(first: str, second: str) -> bool:
    return first == second


class Record(Session, gc=False):
    """Row of a display, its unfinished actuations, and what changed since it was loaded.

    The fields up to `shared` are the columns of `control.displays.lock`; the loader sets those that follow.
    """

    id: UUID
    dev_eui: DevEui
    codec: str
    codes: dict[str, str]
    f_port: int
    confirmed: bool = False
    usable: bool = True
    """Enabled and not decommissioned: commands may be sent to it."""
    reports: bool = True
    """The display can report what it shows."""
    asks_report: bool = True
    """Each command asks for a report. If False, a report comes with the next regular uplink."""
    silent_after_s: int = 7200
    rule: SharedRule = SharedRule.WORST_STATE
    desired_state: State | None = None
    desired_code: str | None = None
    desired_at: datetime | None = None
    commanded_id: UUID | None = None
    reported_code: str | None = None
    reported_at: datetime | None = None
    sync_status: SyncStatus = SyncStatus.UNKNOWN
    resend_after_uplink: bool = False
    failures: int = 0
    reconcile_at: datetime | None = None
    shared: bool = False

    policy: LoopPolicy = cast(LoopPolicy, None)
    """A display without the policy of the settings fails at the first use."""
    same: Callable[[str, str], bool] = _identical
    """Return True if a person sees the same light for both codes."""
    digits: Callable[[int], str] | None = None
    """Return the code for a number of free spaces; None if the display cannot count."""
    space_id: UUID | None = None
    space_states: dict[UUID, State] = msgspec.field(default_factory=dict)
    """States of the spaces that a shared display serves; empty for a display of one space."""
    waiting: list[Actuation] = msgspec.field(default_factory=list)
    """Actuations that are not at an end, oldest first; at most one of them is outstanding. Several may be pending:
    ingest decides without reading them, and the relay sends what is desired in place of all of them."""
    created: list[Actuation] = msgspec.field(default_factory=list)
    touched: dict[UUID, Actuation] = msgspec.field(default_factory=dict)
    """Actuations that were stored before and have changed."""
    steps: list[Step] = msgspec.field(default_factory=list)
    facts_changed: bool = False
    """An uplink or an event has changed the facts below, what is reported, or the session."""
    seen_at: datetime | None = None
    """Facts of the newest event since the display was loaded, here and below; None: nothing new."""
    rssi_dbm: int | None = None
    snr_db: float | None = None
    gateway_id: str | None = None
    battery_pct: float | None = None
    firmware: str | None = None

    def apply_space_state(self, space_id: UUID, state: State) -> None:
        """Set the state of one of the spaces of a shared display."""
        if self.space_states:
            self.space_states[space_id] = state

    def wanted(self, state: State) -> tuple[State, str | None]:
        """Return the state that the display must show, and its code, for its space in `state`.

        A shared display combines the states of all its spaces by its rule.
        """
        if self.space_states:
            state = combine(self.space_states.values(), self.rule)
            if self.rule is SharedRule.COUNT and self.digits is not None:
                return state, self.digits(count_free(self.space_states.values()))
        return state, self.codes.get(state)

    def state_shown(self) -> State | None:
        """Return the state whose code looks like the reported one (if the display cannot report: like the sent one)."""
        if not self.reports:
            sent = next((a for a in reversed(self.waiting) if a.status in PROVEN_SENT), None)
            return sent.new_state if sent else None
        if self.reported_code is None:
            return None
        if self.desired_code is not None and self.same(self.desired_code, self.reported_code):
            return self.desired_state
        return next((s for s in State if (c := self.codes.get(s)) and self.same(c, self.reported_code)), None)

    # For the loop ------------------------------------------------------------------------------------------------

    def _problem(self) -> str | None:
        if not self.usable:
            return "the display is disabled or decommissioned"
        if self.desired_code is None:
            return f"the display has no code for {self.desired_state}: add one to its display_codes"
        return None

    def _drifted(self) -> bool:
        """Return True if the display must show something else than it last reported, or has not reported."""
        if self.desired_code is None:
            return False
        if not self.reports:
            return not any(a.code == self.desired_code for a in self._in(*PROVEN_SENT))
        return self.reported_code is None or not self.same(self.desired_code, self.reported_code)

    def _in(self, *status: ActuationStatus) -> list[Actuation]:
        return [a for a in self.waiting if a.status in status]

    def _find(self, actuation_id: UUID) -> Actuation | None:
        return next((a for a in self.waiting if a.id == actuation_id), None)

    def _by_queue(self, queue_id: str | None) -> Actuation | None:
        return next((a for a in self.waiting if a.queue_id == queue_id), None) if queue_id else None

    def _claimed_at(self, actuation: Actuation) -> datetime:
        """Return when a sender claimed the actuation: the network server received it later."""
        return (actuation.expires_at or actuation.created_at) - self.policy.ttl

    def _claimed_since(self, at: datetime | None) -> bool:
        begun = [a for a in self.waiting if a.status is not ActuationStatus.PENDING]
        return at is not None and any(self._claimed_at(a) >= at for a in begun)

    def _note(self, step: Step | None, actuation: Actuation | None) -> None:
        if step is not None:
            self.steps.append(replace(step, actuation_id=actuation.id if actuation else None))

    def _touch(self, actuation: Actuation) -> None:
        if actuation not in self.created:
            self.touched[actuation.id] = actuation

    def _end(self, actuation: Actuation, status: ActuationStatus, detail: str | None, at: datetime) -> None:
        actuation.move(status)
        actuation.next_attempt_at = None
        if status in (FAILED, EXPIRED):
            actuation.error = detail
        self._touch(actuation)
        self.waiting.remove(actuation)
        if status is not SHOWN:
            self.steps.append(Step(status.value, at, actuation.id, detail))

    def _next(self) -> Actuation | None:
        """Return the pending actuation to send: the newest that shows what is desired.

        The newest by id is not enough: the clocks of two processes differ, and so do the lanes of one process.
        """
        return max(self._in(PENDING), key=lambda a: (a.code == self.desired_code, a.id.int), default=None)

    def _drop_outdated(self) -> None:
        """Supersede pending decisions that do not show what is desired.

        A decision made without reading them left them behind. They must not be sent, even if that decision failed.
        """
        outdated = [a for a in self._in(PENDING) if a.code != self.desired_code and a.trigger_type not in BY_HAND]
        if outdated:
            newest = self._next()
            self._supersede(outdated, by=newest.id if newest and newest not in outdated else None)

    def _supersede(self, older: Iterable[Actuation], *, by: UUID | None) -> None:
        for actuation in older:
            actuation.superseded_by = by
            actuation.move(SUPERSEDED)
            actuation.next_attempt_at = None
            self._touch(actuation)
            self.waiting.remove(actuation)

    def _fail(self, actuation: Actuation, why: str, now: datetime, status: ActuationStatus = FAILED) -> None:
        self._end(actuation, status, why, now)
        self.failures += 1
        self.reconcile_at = now + self.policy.wait(self.failures, actuation.id)

    def _end_older(self, newest: Actuation, now: datetime) -> None:
        """Supersede older commands that were proven sent: they need no report of their own any more."""
        for older in [a for a in self._in(*PROVEN_SENT) if a is not newest]:
            older.superseded_by = newest.id
            self._end(older, SUPERSEDED, None, now)

    def _shown(self, actuation: Actuation, at: datetime) -> None:
        self._end_older(actuation, at)
        actuation.shown_at = at
        actuation.confirmed_at = actuation.confirmed_at or at
        self._end(actuation, SHOWN, None, at)
        self.steps.append(Step("reported", at, actuation.id, actuation.code))
        if actuation.trigger_type is TriggerType.DEVICE_TEST:
            self.reconcile_at = at + self.policy.test_shown_for

    @property
    def silent_after(self) -> timedelta:
        """Return how long the display may send nothing before it counts as unreachable."""
        return timedelta(seconds=self.silent_after_s)

    def _report_by(self, actuation: Actuation) -> datetime:
        since = actuation.transmitted_at or actuation.confirmed_at or actuation.created_at
        return since + (self.policy.report_timeout if self.asks_report else self.silent_after)

    def _settle(self, now: datetime) -> None:
        """Derive `sync_status` and `reconcile_at` from the other fields."""
        on_its_way, sent, gives_up_at = False, None, None
        for actuation in self.waiting:
            if actuation.status in PROVEN_SENT:
                sent = actuation
            elif actuation.status in ON_ITS_WAY:
                on_its_way = True
                if actuation.status is QUEUED and actuation.expires_at and gives_up_at is None:
                    gives_up_at = actuation.expires_at + self.policy.grace
        if self.desired_state is None:
            self.sync_status, self.reconcile_at = SyncStatus.UNKNOWN, gives_up_at
        elif self._problem():
            self.sync_status, self.reconcile_at = SyncStatus.MISCONFIGURED, gives_up_at
        elif on_its_way:
            self.sync_status, self.reconcile_at = SyncStatus.PENDING, gives_up_at
        elif sent and self.reports:
            self.sync_status, self.reconcile_at = SyncStatus.PENDING, self._report_by(sent)
        elif not self._drifted():
            self._settle_in_sync(now)
        else:
            unreachable = self.failures >= self.policy.unreachable_after
            self.sync_status = SyncStatus.UNREACHABLE if unreachable else SyncStatus.DRIFTED
            if self.resend_after_uplink:
                self.reconcile_at = None
            elif self.reconcile_at is None:
                self.reconcile_at = now + self.policy.wait(self.failures, self.commanded_id)

    def _settle_in_sync(self, now: datetime) -> None:
        self.failures = 0
        newest_at = max(filter(None, (self.last_uplink_at, self.reported_at)), default=now)
        if not self.reports:
            self.sync_status, self.reconcile_at = SyncStatus.IN_SYNC, None
        elif newest_at + self.silent_after <= now:
            self.sync_status, self.reconcile_at = SyncStatus.UNREACHABLE, None
        else:
            # An early deadline does no harm: the timer looks at the display again, and moves the deadline. So it is
            # seldom written.
            self.sync_status = SyncStatus.IN_SYNC
            if self.reconcile_at is None or not now < self.reconcile_at <= newest_at + self.silent_after:
                self.reconcile_at = newest_at + self.silent_after
