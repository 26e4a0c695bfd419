"""Deliveries of one display: its unfinished actuations, and what changed of them since they were loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import msgspec

from baylight.domain.display_loop.actuation import (
    EXPIRED,
    FAILED,
    PENDING,
    PROVEN_SENT,
    SHOWN,
    SUPERSEDED,
    Actuation,
    Step,
)
from baylight.domain.downlink import BY_HAND, OUTSTANDING, ActuationStatus


class Deliveries(msgspec.Struct, gc=False):
    """Unfinished actuations of a display. `created`, `touched` and `steps` hold what must be stored.

    `waiting`: oldest first; at most one of them is outstanding. Several may be pending: ingest decides without reading
    them, and the relay sends what is desired in place of all of them.
    `touched`: actuations that were stored before and have changed.
    """

    waiting: list[Actuation] = msgspec.field(default_factory=list)
    created: list[Actuation] = msgspec.field(default_factory=list)
    touched: dict[UUID, Actuation] = msgspec.field(default_factory=dict)
    steps: list[Step] = msgspec.field(default_factory=list)

    def of(self, *status: ActuationStatus) -> list[Actuation]:
        """Return the unfinished actuations of these statuses, oldest first."""
        return [a for a in self.waiting if a.status in status]

    @property
    def outstanding(self) -> Actuation | None:
        """Return the actuation whose command is with the network server."""
        return next((a for a in self.waiting if a.status in OUTSTANDING), None)

    @property
    def sent(self) -> Actuation | None:
        """Return the newest actuation that a gateway sent and that awaits its report."""
        return next((a for a in reversed(self.waiting) if a.status in PROVEN_SENT), None)

    def find(self, actuation_id: UUID) -> Actuation | None:
        return next((a for a in self.waiting if a.id == actuation_id), None)

    def by_queue(self, queue_id: str | None) -> Actuation | None:
        return next((a for a in self.waiting if a.queue_id == queue_id), None) if queue_id else None

    def next(self, desired_code: str | None) -> Actuation | None:
        """Return the pending actuation to send: the newest that shows what is desired.

        The newest by id is not enough: the clocks of two processes differ, and so do the lanes of one process.
        """
        return max(self.of(PENDING), key=lambda a: (a.code == desired_code, a.id.int), default=None)

    def note(self, step: Step | None, actuation: Actuation | None) -> None:
        """Add a step of the network server to an actuation; None: to none."""
        if step is not None:
            self.steps.append(replace(step, actuation_id=actuation.id if actuation else None))

    def touch(self, actuation: Actuation) -> None:
        if actuation not in self.created:
            self.touched[actuation.id] = actuation

    def end(self, actuation: Actuation, status: ActuationStatus, detail: str | None, at: datetime) -> None:
        """End an actuation. `detail`: the error, if it failed or expired."""
        actuation.move(status)
        actuation.next_attempt_at = None
        if status in (FAILED, EXPIRED):
            actuation.error = detail
        self.touch(actuation)
        self.waiting.remove(actuation)
        if status is not SHOWN:
            self.steps.append(Step(status.value, at, actuation.id, detail))

    def drop_outdated(self, desired_code: str | None) -> None:
        """Supersede pending decisions that do not show what is desired.

        A decision made without reading them left them behind. They must not be sent, even if that decision failed.
        """
        outdated = [a for a in self.of(PENDING) if a.code != desired_code and a.trigger_type not in BY_HAND]
        if outdated:
            newest = self.next(desired_code)
            self.supersede(outdated, by=newest.id if newest and newest not in outdated else None)

    def supersede(self, older: Iterable[Actuation], *, by: UUID | None) -> None:
        for actuation in older:
            actuation.superseded_by = by
            actuation.move(SUPERSEDED)
            actuation.next_attempt_at = None
            self.touch(actuation)
            self.waiting.remove(actuation)

    def end_older(self, newest: Actuation, now: datetime) -> None:
        """Supersede older commands that were proven sent: they need no report of their own any more."""
        for older in [a for a in self.of(*PROVEN_SENT) if a is not newest]:
            older.superseded_by = newest.id
            self.end(older, SUPERSEDED, None, now)
