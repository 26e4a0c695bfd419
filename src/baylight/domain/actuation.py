"""An actuation and its delivery, step by step; the numbers that the closed loop goes by."""

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
"""Log codes that tell the end of a downlink, and the status that it ends in: ChirpStack's LogCode; DOWNLINK_FAILED is
The Things Stack's."""


@dataclass(frozen=True, slots=True)
class LoopPolicy:
    """`ttl`: after this the network server gives up a downlink that no gateway sent. `lease`: how long a sender may
    take to tell the outcome. `grace`: how much later than the network server we believe in an expiry. `settle`: how
    old a report may be that was made before the command arrived. `unreachable_after`: failures in a row."""

    ttl: timedelta = timedelta(seconds=60)
    report_timeout: timedelta = timedelta(seconds=60)
    lease: timedelta = timedelta(seconds=30)
    grace: timedelta = timedelta(seconds=5)
    settle: timedelta = timedelta(seconds=2)
    backoff: timedelta = timedelta(seconds=5)
    backoff_most: timedelta = timedelta(minutes=15)
    unreachable_after: int = 3
    test_shown_for: timedelta = timedelta(seconds=10)
    """How long the light of a test stays before the desired one comes back."""

    def wait(self, failures: int, seed: UUID | None) -> timedelta:
        """Exponential back-off with up to a quarter of jitter; the same `seed` gives the same wait."""
        base = min(self.backoff * 2 ** min(failures - 1, 10), self.backoff_most) if failures else timedelta()
        return base * (1 + ((seed.int if seed else 0) & 0xFF) / 1024)


class Actuation(msgspec.Struct, eq=False, gc=False):
    """A decision that a display must show something, and its delivery: one row of `actuations`."""

    id: UUID
    space_id: UUID
    trigger_type: TriggerType
    trigger_source: str | None
    previous_state: State | None
    new_state: State
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
        """Raises ValueError for a step that TRANSITIONS does not have."""
        if status not in TRANSITIONS[self.status]:
            raise ValueError(f"actuation {self.id} cannot go from {self.status} to {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Step:
    """One row of `actuation_events`. `key`: same network event, same key; None for steps of our own."""

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
