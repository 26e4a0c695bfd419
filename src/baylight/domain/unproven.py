"""Mark `unproven`: the newest reading of a sensor may be missing. What makes the mark, and how long a state keeps it.

Pure: times are arguments. `domain/state.py` reads the mark, `control/sensors.py` stores it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from types import MappingProxyType


class UnprovenReason(StrEnum):
    """Reason of a mark. The order is the precedence: of two reasons, a sensor keeps the one that stands first."""

    REFUSED = "refused"
    TO_DECODE = "to_decode"
    FRAMES_MISSING = "frames_missing"
    SESSION_LOST = "session_lost"
    NETWORK_SERVER_AWAY = "network_server_away"


MEANINGS: MappingProxyType[UnprovenReason, str] = MappingProxyType(
    {
        UnprovenReason.REFUSED: "the network server refuses the sensor's uplinks",
        UnprovenReason.TO_DECODE: "the sensor's newest uplink waits to be decoded",
        UnprovenReason.FRAMES_MISSING: "uplinks of the sensor are missing",
        UnprovenReason.SESSION_LOST: "the broker lost Baylight's session, and uplinks with it",
        UnprovenReason.NETWORK_SERVER_AWAY: "the network server was away, and uplinks may be lost",
    }
)
TO_DECODE_LIMIT = timedelta(seconds=30)
"""Longest time for which a space keeps its state while the newest uplink of its sensor waits to be decoded."""
MARGIN = 1.25
"""Part of an interval that may pass until the next report: sensors' clocks are not exact, and frames are repeated."""


@dataclass(frozen=True, slots=True)
class Unproven:
    """Mark of a state. `since`: from when on a reading may be missing. `until`: when the state becomes UNKNOWN."""

    reason: UnprovenReason
    since: datetime
    until: datetime


@cache
def bound(interval_s: int, deadline_s: int) -> timedelta:
    """Return how long a state of a device type may stay unproven: one interval and a quarter, at most its silence.

    Within that time a sensor that works sends its next report, which ends the mark. There are few values: one for each
    device type.
    """
    return timedelta(seconds=min(interval_s * MARGIN, deadline_s))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Row of the table of refusals. `remedy`: what a person does about it."""

    meaning: str
    remedy: str


F_CNT_RESET = "UPLINK_F_CNT_RESET"
_JOIN = "OTAA"
_NONCE = Refusal(
    "it refuses the device's join, because the DevNonce was used before",
    "flush the OTAA device nonces of the device in ChirpStack",
)
REFUSALS: MappingProxyType[str, Refusal] = MappingProxyType(
    {
        F_CNT_RESET: Refusal(
            "it refuses the device's uplinks, because their frame counter fell",
            "reset the frame counter of the device in ChirpStack (activate the device again), or let the device join",
        ),
        "UPLINK_MIC": Refusal(
            "it refuses what the device sends, because its MIC is wrong",
            "correct the keys of the device in ChirpStack",
        ),
        _JOIN: Refusal("it refuses the device's join", "correct the join of the device in ChirpStack"),
    }
)
"""Codes of log lines that come instead of an uplink or a join: the network server received a frame and refuses it."""

MAX_OVERTAKEN = 32
"""Frames by which a refused counter may lie below the newest one because a later frame overtook it (I30)."""
MIN_SPREAD = timedelta(seconds=3)
"""Time between refusals of rising counters from which the device itself counts there, and no backlog is delivered."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Refused counters since the last accepted uplink that may be of overtaken frames: the highest, and since when."""

    f_cnt: int
    at: datetime


def refusal(code: str, description: str) -> Refusal | None:
    """Return the meaning of a log line of the network server, None if it refuses nothing."""
    if code == _JOIN and "nonce" in description.lower():
        return _NONCE
    return REFUSALS.get(code)


def overtaken(f_cnt: int | None, newest: int | None, at: datetime, suspicion: Suspicion | None) -> bool:
    """Decide whether a frame that was refused for its counter can have been overtaken by a later frame of the device.

    True for a counter just below the newest one. False if it fell far, or if counters rise again for MIN_SPREAD without
    an accepted uplink: the device has begun to count again. A counter above the newest one known is judged like one
    just below: the uplink that overtook it is on its way.
    """
    if f_cnt is None or newest is None or newest - f_cnt > MAX_OVERTAKEN:
        return False
    return suspicion is None or f_cnt <= suspicion.f_cnt or at - suspicion.at < MIN_SPREAD
