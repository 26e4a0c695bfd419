"""Closed loop of one display: desired, commanded, reported, and what follows when they differ.

A `Display` is loaded, receives events, and is saved. It does no I/O; `now` is an argument. Codes are lower-case hex, as
stored in `display_codes`. The modules `sending`, `news`, `uplinks` and
`due` hold its events; `events` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

import msgspec

from baylight.domain.assignment import SharedRule, combine, count_free
from baylight.domain.conditions import ConditionKind
from baylight.domain.display_loop.actuation import (
    ACKNOWLEDGED,
    FAILED,
    PENDING,
    PROVEN_SENT,
    SHOWN,
    TRANSMITTED,
    Actuation,
    LoopPolicy,
    Step,
    usual,
)
from baylight.domain.display_loop.deliveries import Deliveries
from baylight.domain.display_loop.lamp import Possible
from baylight.domain.display_loop.troubles import Troubles
from baylight.domain.downlink import ActuationStatus, SyncStatus, TriggerType
from baylight.domain.ids import DevEui, time_of
from baylight.domain.session import Session
from baylight.domain.state import State

_K = ConditionKind


_UNREACHABLE = (
    _K.DISPLAY_SILENT,
    _K.DISPLAY_UNDELIVERABLE,
    _K.DISPLAY_WAITS_FOR_UPLINK,
    _K.DISPLAY_DISABLED,
    _K.DISPLAY_REFUSED,
    _K.DISPLAY_NOT_CLASS_C,
)
_DRIFTED = (_K.DISPLAY_WRONG, _K.DISPLAY_COMMANDED_BY_OTHER)


def _identical(first: str, second: str) -> bool:
    return first == second


class Display(Session, gc=False):
    """State machine of one display.

    The fields up to `sent_through` are the columns of `control.displays.lock`; the loader sets those that follow.
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
    class_a: bool = False
    """Devices of the type are served as class A: a command waits for the next uplink."""
    silent_after_s: int = 7200
    rule: SharedRule = SharedRule.WORST_STATE
    desired_state: State | None = None
    desired_code: str | None = None
    desired_at: datetime | None = None
    commanded_id: UUID | None = None
    reported_code: str | None = None
    reported_at: datetime | None = None
    possible_code: str | None = None
    possible_until: datetime | None = None
    others_until: datetime | None = None
    unknown_until: datetime | None = None
    """The last four fields: see `Possible`."""
    down_f_cnt: int | None = None
    down_queue_id: str | None = None
    """Counter and queue item of the last tx_ack in this session."""
    answer_s: float | None = None
    """Usual time from a tx_ack to the report."""
    tx_ack_s: float | None = None
    """Usual time from the acceptance of a command to its tx_ack."""
    drifts: int = 0
    """Times in a row that a proven light was lost: to another light, or to a foreign command."""
    drifted_at: datetime | None = None
    sync_status: SyncStatus = SyncStatus.UNKNOWN
    resend_after_uplink: bool = False
    failures: int = 0
    reconcile_at: datetime | None = None
    shared: bool = False
    troubled: bool = False
    """Conditions of the display last."""
    sent_through: str | None = None
    """Gateway of its newest uplink when the display was loaded: the network server sends through it."""

    policy: LoopPolicy = cast(LoopPolicy, None)
    """A display without the policy of the settings fails at the first use."""
    same: Callable[[str, str], bool] = _identical
    """Return True if a person sees the same light for both codes."""
    digits: Callable[[int], str] | None = None
    """Return the code for a number of free spaces; None if the display cannot count."""
    space_id: UUID | None = None
    space_states: dict[UUID, State] = msgspec.field(default_factory=dict)
    """States of the spaces that a shared display serves; empty for a display of one space."""
    deliveries: Deliveries = msgspec.field(default_factory=Deliveries)
    troubles: Troubles = msgspec.field(default_factory=Troubles)
    facts_changed: bool = False
    """An uplink or an event has changed the facts below, what is reported, or the session."""
    seen_at: datetime | None = None
    """Facts of the newest event since the display was loaded, here and below; None: nothing new."""
    rssi_dbm: int | None = None
    snr_db: float | None = None
    gateway_id: str | None = None
    battery_pct: float | None = None
    firmware: str | None = None

    # What it must show ---------------------------------------------------------------------------------------------

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

    # Facts -----------------------------------------------------------------------------------------------------------

    @property
    def possible(self) -> Possible:
        """Return the commands that the display may have received."""
        return Possible(self.possible_code, self.possible_until, self.others_until, self.unknown_until)

    @possible.setter
    def possible(self, value: Possible) -> None:
        self.possible_code, self.possible_until = value.code, value.until
        self.others_until, self.unknown_until = value.others_until, value.unknown_until

    @property
    def silent_after(self) -> timedelta:
        """Return how long the display may send nothing before it counts as silent."""
        return timedelta(seconds=self.silent_after_s)

    def problem(self) -> str | None:
        """Return why nothing can be sent to the display; None if something can."""
        if not self.usable:
            return "the display is disabled or decommissioned"
        if self.desired_code is None:
            return f"the display has no code for {self.desired_state}: add one to its display_codes"
        return None

    def proven(self) -> bool:
        """Return True if the display shows what it must, on the newest evidence, and may have received nothing else."""
        code = self.desired_code
        shown = self._evidence()
        if code is None or shown is None or not self.same(code, shown[0]):
            return False
        outstanding = self.deliveries.outstanding
        if outstanding is not None and (outstanding.code is None or not self.same(code, outstanding.code)):
            return False
        return not self.possible.disproves(code, shown[1], self.same)

    def state_shown(self) -> State | None:
        """Return the state whose code looks like the light that is known; None if it may be any."""
        shown = self._evidence()
        if shown is None or self.possible.disproves(*shown, self.same):
            return None
        if self.desired_code is not None and self.same(self.desired_code, shown[0]):
            return self.desired_state
        return next((s for s in State if (c := self.codes.get(s)) and self.same(c, shown[0])), None)

    def news_by(self, actuation: Actuation) -> datetime | None:
        """Return when the news that a sent actuation still waits for must have come; None: it waits for none."""
        if actuation.status not in self.awaited() or actuation.transmitted_at is None:
            return None
        if self.reports and not self.asks_report:
            return actuation.transmitted_at + self.silent_after
        return actuation.transmitted_at + self.policy.wait_for_report(self.answer_s, self.failures)

    def _evidence(self) -> tuple[str, datetime] | None:
        """Return the newest light that is proven as far as the display can prove one, and when."""
        if self.reports:
            return (self.reported_code, self.reported_at) if self.reported_code and self.reported_at else None
        done = (ACKNOWLEDGED,) if self.confirmed else PROVEN_SENT
        sent = next((a for a in reversed(self.deliveries.waiting) if a.status in done), None)
        return (sent.code, sent.transmitted_at) if sent and sent.code and sent.transmitted_at else None

    def awaited(self) -> frozenset[ActuationStatus]:
        """Return the statuses of a sent actuation in which more news of it must come."""
        if self.reports:
            return PROVEN_SENT
        return frozenset({TRANSMITTED}) if self.confirmed else frozenset()

    # What follows ----------------------------------------------------------------------------------------------------

    def begin(self, kind: ConditionKind, evidence: str, at: datetime) -> None:
        """Begin a condition of this display, or renew its evidence."""
        self.troubles.begin(kind, str(self.id), evidence, at)

    def end(self, kinds: Iterable[ConditionKind], at: datetime) -> None:
        """End conditions of this display."""
        if self.troubles.open:
            self.troubles.end(kinds, at)

    def undeliverable(self, evidence: str, at: datetime) -> None:
        self.begin(_K.DISPLAY_UNDELIVERABLE, evidence, at)

    def wrong(self, code: str, at: datetime) -> None:
        """Record that the display answers, with another light than it must show."""
        self.begin(_K.DISPLAY_WRONG, f"it reports {code}, and must show {self.desired_code}", at)

    def fail(self, actuation: Actuation, why: str, now: datetime, status: ActuationStatus = FAILED) -> None:
        """End an actuation without success. The next try comes at once, or after a back-off."""
        self.deliveries.end(actuation, status, why, now)
        self.failures += 1
        self.reconcile_at = now + self.policy.wait(self.failures, actuation.id)

    def shown(self, actuation: Actuation, at: datetime, *, changed: bool) -> None:
        """End an actuation with success. `changed`: the report before this one showed another light."""
        d = self.deliveries
        d.end_older(actuation, at)
        if actuation.transmitted_at is not None:
            self.answer_s = usual(self.answer_s, (at - actuation.transmitted_at).total_seconds())
        if changed:
            self.possible = self.possible.over(at)
        actuation.shown_at = at
        actuation.confirmed_at = actuation.confirmed_at or at
        d.end(actuation, SHOWN, None, at)
        d.steps.append(Step("reported", at, actuation.id, actuation.code))
        if actuation.trigger_type is TriggerType.DEVICE_TEST:
            self.reconcile_at = at + self.policy.test_shown_for

    def light_of(self, actuation: Actuation) -> str | None:
        """Return the code that the display shows after a command; None if the command is no light."""
        return None if actuation.trigger_type is TriggerType.DEVICE_COMMAND else actuation.code

    def settle(self, now: datetime) -> None:
        """Derive `sync_status`, `reconcile_at` and the conditions that follow from the other fields."""
        was_in_sync = self.sync_status is SyncStatus.IN_SYNC
        if self.desired_state is None:
            self.end(list(self.troubles.open), now)
            self.sync_status, self.reconcile_at = SyncStatus.UNKNOWN, None
            return
        if problem := self.problem():
            self.begin(_K.DISPLAY_MISCONFIGURED, problem, now)
            self.sync_status, self.reconcile_at = SyncStatus.MISCONFIGURED, None
            return
        self.end([_K.DISPLAY_MISCONFIGURED], now)
        d = self.deliveries
        proven = self.proven()
        if proven:
            self.failures = 0
            self.end([_K.DISPLAY_WRONG, _K.DISPLAY_UNDELIVERABLE], now)
        if d.outstanding or d.of(PENDING):
            self.reconcile_at = None
        elif (sent := d.sent) and (by := self.news_by(sent)):
            self.reconcile_at = by
        elif proven:
            self._rest(now)
            return
        elif self.resend_after_uplink:
            self.reconcile_at = None
        elif was_in_sync:
            self._lost_its_light(now)
        elif self.reconcile_at is None:
            self.reconcile_at = now + self.policy.wait(self.failures, self.commanded_id)
        self.sync_status = self._status()

    def _rest(self, now: datetime) -> None:
        """Settle a display that is proven, and for which nothing is on its way."""
        if self.drifted_at is not None and self.drifted_at + self.policy.calm_after <= now:
            self.drifts, self.drifted_at = 0, None
            self.end([_K.DISPLAY_COMMANDED_BY_OTHER], now)
        silent_at = None
        if self.reports:
            newest_at = max(filter(None, (self.last_uplink_at, self.reported_at)), default=now)
            silent_at = newest_at + self.silent_after
        if silent_at is not None and silent_at <= now:
            self.begin(_K.DISPLAY_SILENT, f"its last uplink came more than {self.silent_after} ago", now)
            self.sync_status, self.reconcile_at = SyncStatus.UNREACHABLE, None
            return
        self.sync_status = SyncStatus.IN_SYNC
        calm_at = self.drifted_at and self.drifted_at + self.policy.calm_after
        by = min(filter(None, (silent_at, calm_at)), default=None)
        # An early deadline does no harm: the timer looks at the display again, and moves the deadline. So it is seldom
        # written.
        if by is None or self.reconcile_at is None or not now < self.reconcile_at <= by:
            self.reconcile_at = by

    def _status(self) -> SyncStatus:
        """Return the status of a display that is not proven, or for which a command is on its way."""
        open = self.troubles.open
        if any(kind in open for kind in _UNREACHABLE):
            return SyncStatus.UNREACHABLE
        return SyncStatus.DRIFTED if any(kind in open for kind in _DRIFTED) else SyncStatus.PENDING

    def _lost_its_light(self, now: datetime) -> None:
        """Plan the next try of a display that was proven and no longer is: at once, then with a back-off."""
        if self.drifted_at is None or self.drifted_at + self.policy.calm_after <= now:
            self.drifts = 0
        self.drifts, self.drifted_at = self.drifts + 1, now
        self.reconcile_at = now + self.policy.wait(self.drifts + self.policy.quick_tries - 1, self.commanded_id)

    def life(self) -> timedelta:
        """Return how long the network server may keep a command of this display."""
        life = self.policy.life(self.tx_ack_s, self.failures)
        return max(life, self.silent_after) if self.class_a or _K.DISPLAY_NOT_CLASS_C in self.troubles else life

    def after_all_others(self, now: datetime) -> datetime:
        """Return `now`, or a time after those of the ids of all decisions so far.

        Clocks differ, and a batch may have waited for the lock. The ids keep the order of decisions.
        """
        known = [time_of(a.id) for a in self.deliveries.waiting]
        if self.commanded_id is not None:
            known.append(time_of(self.commanded_id))
        if self.desired_at is not None:
            known.append(self.desired_at)
        newest = max(known, default=None)
        return now if newest is None or newest < now else newest + timedelta(microseconds=1)
