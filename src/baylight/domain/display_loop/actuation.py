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

    `ttl`: the longest life of a downlink in the network server's queue; `min_ttl`: the shortest. `report_timeout`: the
    longest wait for a report; `min_wait`: the shortest. `lease`: how long a sender may need to record the outcome.
    `ask_after`: how long after a command was accepted the network server is asked for its queue, if there is no news.
    `grace`: how long after an expiry we still wait for the network server's news. `settle`: how long after a
    transmission the display may receive it, and how long before it a report may have been made and still count.
    `quick_tries`: failures in a row after which the next try comes at once; then `backoff` doubles up to `max_backoff`.
    `unreachable_after`: failures in a row after which a display is silent. `calm_after`: a display that showed the
    desired light for this time begins its quick tries again.
    """

    ttl: timedelta = timedelta(seconds=60)
    min_ttl: timedelta = timedelta(seconds=8)
    report_timeout: timedelta = timedelta(seconds=30)
    min_wait: timedelta = timedelta(seconds=3)
    lease: timedelta = timedelta(seconds=30)
    ask_after: timedelta = timedelta(seconds=5)
    grace: timedelta = timedelta(seconds=2)
    settle: timedelta = timedelta(seconds=2)
    quick_tries: int = 3
    backoff: timedelta = timedelta(seconds=30)
    max_backoff: timedelta = timedelta(minutes=15)
    unreachable_after: int = 3
    calm_after: timedelta = timedelta(minutes=15)
    test_shown_for: timedelta = timedelta(seconds=10)
    """Time that the light of a test stays before the desired light comes back."""

    def wait(self, failures: int, seed: UUID | None) -> timedelta:
        """Return the pause before the next try: none for quick tries, then an exponential back-off.

        The back-off has up to 25 % of jitter; the same `seed` gives the same wait.
        """
        if failures <= self.quick_tries:
            return timedelta()
        base = min(self.backoff * (1 << min(failures - self.quick_tries - 1, 10)), self.max_backoff)
        return base * (1 + ((seed.int if seed else 0) & 0xFF) / 1024)

    def wait_for_report(self, answer_s: float | None, failures: int) -> timedelta:
        """Return how long a report may take: three times the usual answer time of the display, within its bounds.

        While that is not known, it is 40 % of the longest wait. Each failure doubles it, since a display may have
        become slower.
        """
        usual = self.report_timeout * 0.4 if answer_s is None else timedelta(seconds=3 * answer_s)
        return min(max(usual, self.min_wait) * (1 << min(failures, 4)), self.report_timeout)

    def life(self, tx_ack_s: float | None, failures: int) -> timedelta:
        """Return the life of a queue item: four times the usual time until its tx_ack, doubled by each failure."""
        usual = timedelta(seconds=4 * (tx_ack_s or 0)) * (1 << min(failures, 3))
        return min(max(usual, self.min_ttl * (1 << min(failures, 3))), max(self.ttl, self.min_ttl))


def usual(before: float | None, seconds: float) -> float:
    """Return the new estimate of a median after a sample, both in s: a step of 15 % towards the sample."""
    seconds = max(seconds, 0.05)
    if before is None:
        return seconds
    return min(before * 1.15, seconds) if seconds > before else max(before / 1.15, seconds)


class Actuation(msgspec.Struct, eq=False, gc=False):
    """Decision that a display must show something, and its delivery: one row of `actuations`.

    `display_id` None: the space has no display. The fields from `id` to `claimed_at` are the columns of
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
    claimed_at: datetime | None = None
    """Time when its last sender claimed it: the network server received it later."""
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
