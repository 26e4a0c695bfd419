"""Actuation with its delivery, step by step; and the time limits of the closed loop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from baylight.domain.downlink import TRANSITIONS, ActuationStatus, TriggerType
from baylight.domain.state import State

PENDING, SENDING, QUEUED = ActuationStatus.PENDING, ActuationStatus.SENDING, ActuationStatus.QUEUED
TRANSMITTED, ACKNOWLEDGED, SHOWN = ActuationStatus.TRANSMITTED, ActuationStatus.ACKNOWLEDGED, ActuationStatus.SHOWN
FAILED, EXPIRED, SUPERSEDED = ActuationStatus.FAILED, ActuationStatus.EXPIRED, ActuationStatus.SUPERSEDED
ON_ITS_WAY = frozenset({PENDING, SENDING, QUEUED})
PROVEN_SENT = frozenset({TRANSMITTED, ACKNOWLEDGED})
GAVE_UP = {"EXPIRED": EXPIRED, "DOWNLINK_PAYLOAD_SIZE": FAILED, "F_CNT_DOWN": FAILED, "DOWNLINK_FAILED": FAILED}
"""Log codes that end a downlink, with the status that it ends in. ChirpStack's LogCode; DOWNLINK_FAILED is from The
Things Stack."""


@dataclass(frozen=True, slots=True)
class LoopPolicy:
    """Time limits of the closed loop.

    `ttl`: after this time the network server drops a downlink that no gateway sent. `report_timeout`: how long a
    display may need to report what it shows. `lease`: how long a sender may need to record the outcome. `grace`: how
    long after an expiry we still wait for the network server's news. `settle`: how long before the command's arrival a
    report may have been made and still count for it. `unreachable_after`: number of failures in a row.
    """

    ttl: timedelta = timedelta(seconds=60)
    report_timeout: timedelta = timedelta(seconds=60)
    lease: timedelta = timedelta(seconds=30)
    grace: timedelta = timedelta(seconds=5)
    settle: timedelta = timedelta(seconds=2)
    backoff: timedelta = timedelta(seconds=5)
    max_backoff: timedelta = timedelta(minutes=15)
    unreachable_after: int = 3
    test_shown_for: timedelta = timedelta(seconds=10)
    """Time that the light of a test stays before the desired light comes back."""

    def wait(self, failures: int, seed: UUID | None) -> timedelta:
        """Return the exponential back-off with up to 25 % of jitter; the same `seed` gives the same wait."""
        base = min(self.backoff * 2 ** min(failures - 1, 10), self.max_backoff) if failures else timedelta()
        return base * (1 + ((seed.int if seed else 0) & 0xFF) / 1024)


class Actuation(msgspec.Struct, eq=False, gc=False):
    """Decision that a display must show something, and its delivery: one row of `actuations`.

    `display_id` None: the space has no display. The fields from `id` to `shown_at` are the columns of
    `control.displays.unfinished_actuations`.
    """

    id: UUID
    space_id: UUID
    trigger_type: TriggerType
    trigger_source: str | None
    previous_state: State | None
    new_state: State
    display_id: UUID | None
    code: str | None
    f_port: int | None
    confirmed: bool
    created_at: datetime
    status: ActuationStatus = PENDING
    error: str | None = None
    queue_id: str | None = None
    retry_count: int = 0
    next_attempt_at: datetime | None = None
    expires_at: datetime | None = None
    sent_at: datetime | None = None
    transmitted_at: datetime | None = None
    confirmed_at: datetime | None = None
    shown_at: datetime | None = None
    superseded_by: UUID | None = None

    def move(self, status: ActuationStatus) -> None:
        """Set the status. Raises ValueError for a step that TRANSITIONS does not have."""
        if status not in TRANSITIONS[self.status]:
            raise ValueError(f"actuation {self.id} cannot go from {self.status} to {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Step:
    """Row of `actuation_events`. `key`: the same for each copy of a network event; None for our own steps."""

    kind: str
    at: datetime
    actuation_id: UUID | None
    detail: str | None = None
    key: str | None = None
    queue_id: str | None = None
    downlink_id: int | None = None
    f_cnt_down: int | None = None
    gateway_id: str | None = None
    attempt: int | None = None
