"""Closed loop of one display: desired, commanded, reported, and what follows when they differ.

A `Display` is loaded, receives events, and is saved. It does no I/O; `now` is an argument. Codes are lower-case hex, as
stored in `display_codes`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from baylight.domain.display_loop.actuation import (
    ACKNOWLEDGED,
    EXPIRED,
    FAILED,
    GAVE_UP,
    ON_ITS_WAY,
    PENDING,
    PROVEN_SENT,
    QUEUED,
    SENDING,
    SUPERSEDED,
    TRANSMITTED,
    Actuation,
    Step,
)
from baylight.domain.display_loop.record import Record
from baylight.domain.downlink import OUTSTANDING, ActuationStatus, SyncStatus, TriggerType
from baylight.domain.ids import uuid7
from baylight.domain.state import State

REJOINED = "the display rejoined"


class Display(Record, gc=False):
    """State machine of one display. Feed it events; `created`, `touched` and `steps` then hold what must be stored.

    `Record` has the fields.
    """

    # Decisions -------------------------------------------------------------------------------------------------

    def desire(
        self,
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
        code = code or self.codes.get(state)
        actuation = Actuation(
            uuid7(now), space_id, trigger, source, previous, state, self.id, code, self.f_port, self.confirmed, now
        )
        self.space_id = space_id
        if (self.desired_state, self.desired_code) != (state, code):
            self.desired_state, self.desired_code, self.desired_at, self.failures = state, code, now, 0
        self._supersede(self._in(PENDING), by=actuation.id)
        if problem := self._problem():
            actuation.status, actuation.error = FAILED, problem
        else:
            actuation.next_attempt_at = now
            self.waiting.append(actuation)
            if not self._in(SENDING):
                self.resend_after_uplink = False
        self.created.append(actuation)
        self._settle(now)
        return actuation

    def command(
        self, space_id: UUID, code: str, *, trigger: TriggerType, source: str | None, now: datetime, f_port: int | None
    ) -> Actuation:
        """Send something that is not desired, once: the light of a test, or a command of an operator.

        The desired state stays the same. It is sent again afterwards.
        """
        actuation = Actuation(
            id=uuid7(now),
            space_id=space_id,
            trigger_type=trigger,
            trigger_source=source,
            previous_state=self.desired_state,
            new_state=self.desired_state or State.UNKNOWN,
            display_id=self.id,
            code=code,
            f_port=f_port or self.f_port,
            confirmed=self.confirmed,
            created_at=now,
            next_attempt_at=now,
        )
        if problem := self._problem():
            actuation.status, actuation.error, actuation.next_attempt_at = FAILED, problem, None
        elif self._in(PENDING):
            actuation.status, actuation.next_attempt_at = FAILED, None
            actuation.error = "a decision waits to be sent to this display: try again"
        else:
            self.waiting.append(actuation)
        self.created.append(actuation)
        self._settle(now)
        return actuation

    def release(self, now: datetime) -> None:
        """Stop serving a space: nothing is desired, and nothing more is sent."""
        for actuation in self._in(PENDING):
            self._end(actuation, FAILED, "the display no longer serves the space", now)
        self.desired_state = self.desired_code = self.desired_at = self.space_id = None
        self.resend_after_uplink = False
        self._settle(now)

    # Sending ---------------------------------------------------------------------------------------------------

    def claim(self, now: datetime) -> Actuation | None:
        """Return the actuation to send now, marked as being sent; None if there is none, or another one is outstanding.

        All other pending actuations are superseded. `expires_at` is unique to the microsecond for this display.
        """
        self._drop_outdated()
        if problem := self._problem():
            for actuation in self._in(PENDING):
                self._end(actuation, FAILED, problem, now)
            self._settle(now)
            return None
        newest = self._next()
        if newest is None:
            self._settle(now)
            return None
        self._supersede([a for a in self._in(PENDING) if a is not newest], by=newest.id)
        due = newest.next_attempt_at is None or newest.next_attempt_at <= now
        if not due or self._in(*OUTSTANDING):
            return None
        newest.move(SENDING)
        newest.next_attempt_at = now + self.policy.lease
        earlier = [a.expires_at for a in self.waiting if a.expires_at is not None]
        newest.expires_at = max([now + self.policy.ttl, *(at + timedelta(microseconds=1) for at in earlier)])
        self.resend_after_uplink = False  # this command is for the session that the display has now
        self._touch(newest)
        self.steps.append(Step("sending", now, newest.id, attempt=newest.retry_count + 1))
        self._settle(now)
        return newest

    def accepted(self, actuation_id: UUID, queue_id: str, now: datetime, *, recovered: bool = False) -> None:
        """Record that the network server accepted the actuation. Idempotent; a late answer becomes a step and no more.

        If the display rejoined meanwhile, the actuation counts only if the network server's queue still had it
        afterwards (`recovered`).
        """
        actuation = self._find(actuation_id)
        if actuation is None or actuation.status is not SENDING:
            self.steps.append(Step("queued", now, actuation_id, "answered after it was given up", queue_id=queue_id))
            return
        actuation.move(QUEUED)
        actuation.queue_id, actuation.sent_at, actuation.next_attempt_at = queue_id, now, None
        self._touch(actuation)
        self.commanded_id = actuation.id
        self._end_older(actuation, now)
        self.steps.append(Step("recovered" if recovered else "queued", now, actuation_id, queue_id=queue_id))
        if self.resend_after_uplink and not recovered:
            self._end(actuation, FAILED, REJOINED, now)
        self.resend_after_uplink = self.resend_after_uplink and not recovered and not self._in(PENDING)
        self._settle(now)

    def refused(
        self, actuation_id: UUID, error: str, now: datetime, *, permanent: bool, until_uplink: bool = False
    ) -> None:
        """Record that the network server refused the actuation: try again later, or end it (`permanent`). Idempotent.

        `until_uplink`: no command can reach the display before its next uplink.
        """
        actuation = self._find(actuation_id)
        if actuation is None or actuation.status is not SENDING:
            return
        actuation.retry_count += 1
        actuation.error = error
        newer = self._next()
        if permanent:
            self._fail(actuation, error, now)
            self.resend_after_uplink = self.resend_after_uplink or (until_uplink and not newer)
            if until_uplink and self.application_id is not None:  # an uplink came meanwhile
                self._recover(now)
        elif newer:
            actuation.superseded_by = newer.id
            self._end(actuation, SUPERSEDED, error, now)
        else:
            actuation.move(PENDING)
            actuation.next_attempt_at = now + self.policy.wait(actuation.retry_count, actuation.id)
            actuation.expires_at = None
            self._touch(actuation)
            self.steps.append(Step("retry", now, actuation.id, error, attempt=actuation.retry_count))
        self._settle(now)

    # Events from the network server -----------------------------------------------------------------------------

    def tx_ack(self, queue_id: str, at: datetime, step: Step | None = None) -> bool:
        """Record that a gateway sent the downlink. Return False if no actuation has that queue item (yet)."""
        actuation = self._by_queue(queue_id)
        self._note(step, actuation)
        if actuation is None:
            return False
        if actuation.status in OUTSTANDING:
            actuation.move(TRANSMITTED)
            actuation.transmitted_at = at
            self._touch(actuation)
            self._after_transmission(actuation, at)
        self._settle(at)
        return True

    def ack(self, queue_id: str, acknowledged: bool, at: datetime, step: Step | None = None) -> bool:
        """Record that the device confirmed the downlink, or that the network server stopped waiting for that."""
        actuation = self._by_queue(queue_id)
        self._note(step, actuation)
        if actuation is None:
            return False
        if acknowledged:
            if actuation.status in OUTSTANDING or actuation.status is TRANSMITTED:
                actuation.move(ACKNOWLEDGED)
                actuation.transmitted_at = actuation.transmitted_at or at
                actuation.confirmed_at = at
                self._touch(actuation)
                self._after_transmission(actuation, at)
        elif actuation.status in OUTSTANDING or actuation.status is TRANSMITTED:
            self._fail(actuation, "the device did not acknowledge it", at)
        self._settle(at)
        return True

    def gave_up(
        self, queue_id: str, status: ActuationStatus, error: str, at: datetime, step: Step | None = None
    ) -> bool:
        """Record that the network server dropped the downlink (`status` EXPIRED or FAILED)."""
        actuation = self._by_queue(queue_id)
        self._note(step, actuation)
        if actuation is None:
            return False
        if actuation.status in OUTSTANDING:
            self._fail(actuation, error, at, status)
        self._settle(at)
        return True

    def replay(self, kind: str, queue_id: str, detail: str | None, at: datetime) -> None:
        """Apply a step that was stored before its actuation had this queue item."""
        if kind == "tx_ack":
            self.tx_ack(queue_id, at)
        elif kind in ("ack", "nack"):
            self.ack(queue_id, kind == "ack", at)
        elif kind == "log" and detail and (code := detail.partition(":")[0]) in GAVE_UP:
            self.gave_up(queue_id, GAVE_UP[code], detail, at)

    def logged(self, step: Step) -> None:
        """Add a log line that ends nothing (a gateway refused one try) to the outstanding actuation."""
        self._note(step, next((a for a in self.waiting if a.status in OUTSTANDING), None))

    def joined(self, observed_at: datetime, now: datetime) -> None:
        """Record a join: commands on their way are lost, and the display shows its default light (often green).

        Nothing reaches the display before its next uplink; then the desired state is sent again. Idempotent.
        """
        if self.last_join_at is not None and observed_at <= self.last_join_at:
            return
        self.facts_changed = True
        self.last_join_at = observed_at
        at = min(observed_at, now)
        uplink_since = self.last_uplink_at is not None and self.last_uplink_at > at
        self.steps.append(Step("join", at, None, key=f"join:{self.dev_eui}:{observed_at.isoformat()}"))
        self._session_lost(at, now)
        if uplink_since and self.resend_after_uplink:
            self._recover(now)
        self._settle(now)

    def received(self, *, f_cnt: int | None, dev_addr: str | None, at: datetime, now: datetime) -> None:
        """Record an uplink that is newer than all before; call it before `reported`.

        A counter that fell or another address means that the display rejoined, even if no join was received.
        """
        fell = f_cnt is not None and self.last_f_cnt is not None and f_cnt < self.last_f_cnt
        moved = dev_addr is not None and self.dev_addr is not None and dev_addr != self.dev_addr
        self.facts_changed = True
        self.last_uplink_at = at
        self.last_f_cnt = f_cnt if f_cnt is not None else self.last_f_cnt
        self.dev_addr = dev_addr or self.dev_addr
        if (fell or moved) and not self.resend_after_uplink:
            recent_join = self.last_join_at is not None and self.last_join_at > at - timedelta(minutes=5)
            if not recent_join or not self._claimed_since(self.last_join_at):
                self._session_lost(at, now)
        if self.resend_after_uplink:
            self._recover(now)
        self._settle(now)
        if self.sync_status is SyncStatus.UNREACHABLE and self.reconcile_at is not None:
            # The display is reachable: do not wait out a back-off that grew while it was not.
            self.reconcile_at = min(self.reconcile_at, now + self.policy.backoff)

    def reported(self, code: str, at: datetime, now: datetime) -> None:
        """Record what the display reports that it shows. The caller leaves out reports older than the newest."""
        self.facts_changed = True
        before = self.reported_code
        self.reported_code, self.reported_at = code, at
        command = next(iter(self._in(*OUTSTANDING) or self._in(*PROVEN_SENT)), None)
        if command is not None and command.trigger_type is TriggerType.DEVICE_COMMAND:
            pass  # its bytes are not a light to compare with
        elif command is not None and command.code is not None:
            shows = self.same(command.code, code)
            since = command.transmitted_at or command.sent_at or command.created_at
            after = at >= since - self.policy.settle
            if command.status in PROVEN_SENT:
                if shows and after:
                    self._shown(command, at)
                elif not shows and at > since + self.policy.settle:
                    self.steps.append(Step("drift", at, command.id, f"reports {code}, was sent {command.code}"))
                    self._fail(command, f"the display reports {code}", now)
            elif shows and after and before is not None and not self.same(command.code, before):
                self._shown(command, at)  # the tx_ack is late or lost; the light proves the transmission
        elif self._drifted() and self.sync_status is SyncStatus.IN_SYNC:
            self.steps.append(Step("drift", at, self.commanded_id, f"reports {code}, must show {self.desired_code}"))
            self.reconcile_at = now
        self._settle(now)
        self.due(now)

    # Time --------------------------------------------------------------------------------------------------------

    def due(self, now: datetime) -> None:
        """Apply what follows from time alone: expired downlinks, missing reports, the next try, a silent display."""
        self._drop_outdated()
        for actuation in list(self.waiting):
            expires_at = actuation.expires_at if actuation.status is QUEUED else None
            if expires_at is not None and expires_at + self.policy.grace <= now:
                self._fail(actuation, "no gateway sent it in time", now, EXPIRED)
            waits = actuation.status in PROVEN_SENT and self.reports and not self._in(*ON_ITS_WAY)
            if waits and self._report_by(actuation) <= now:
                self._fail(actuation, "the display did not report what it shows", now)
        self._settle(now)
        if (
            self.sync_status in (SyncStatus.DRIFTED, SyncStatus.UNREACHABLE)
            and not self.resend_after_uplink
            and self.reconcile_at is not None
            and self.reconcile_at <= now
        ):
            if self._drifted():
                self._resend(TriggerType.RECONCILIATION, now)
            self._settle(now)

    # ---------------------------------------------------------------------------------------------------------------

    def _after_transmission(self, actuation: Actuation, at: datetime) -> None:
        if actuation.trigger_type is TriggerType.DEVICE_COMMAND:
            # The effect of the command on the light is unknown.
            self._end(actuation, SUPERSEDED, "sent; what must be shown is sent again", at)
            self.reported_code, self.facts_changed = None, True
            self.space_id = self.space_id or actuation.space_id
            self._resend(TriggerType.RECONCILIATION, at)
            actuation.superseded_by = self.waiting[-1].id if self.waiting else None
        elif actuation.trigger_type is TriggerType.DEVICE_TEST and not self.reports:
            self.reconcile_at = at + self.policy.test_shown_for
        else:
            self._apply_earlier_report(actuation, at)

    def _apply_earlier_report(self, actuation: Actuation, at: datetime) -> None:
        """Apply a report that came before the tx_ack of the transmission that it proves: events overtake each other."""
        if self.reported_code is None or self.reported_at is None or actuation.code is None:
            return
        if self.reported_at >= (actuation.transmitted_at or at) and self.same(actuation.code, self.reported_code):
            self._shown(actuation, self.reported_at)

    def _session_lost(self, at: datetime, now: datetime) -> None:
        """End the commands begun before `at`: the network server flushed them, or the display showed them before.

        A command that is being handed over may be flushed too. Its answer is awaited, since nothing must overtake it;
        `resend_after_uplink` then means that it does not count.
        """
        begun = [a for a in self.waiting if a.status is not PENDING]
        for actuation in [a for a in begun if (a.transmitted_at or self._claimed_at(a)) <= at]:
            if actuation.status is not SENDING:
                self._end(actuation, FAILED, REJOINED, now)
        self.reported_code = None
        self.resend_after_uplink = all(self._claimed_at(a) <= at for a in self._in(SENDING))

    def _recover(self, now: datetime) -> None:
        being_sent = self._in(SENDING)
        if not being_sent:
            self.resend_after_uplink = False
        if not self._in(PENDING) and (being_sent or not self._in(*OUTSTANDING)):
            self._resend(TriggerType.REJOIN_RECOVERY, now)

    def _resend(self, trigger: TriggerType, now: datetime) -> None:
        if self.desired_state is not None and self.space_id is not None and self._problem() is None:
            self.desire(
                self.space_id,
                self.desired_state,
                previous=self.desired_state,
                trigger=trigger,
                source=None,
                now=now,
                code=self.desired_code,
            )
