"""What Baylight's database claims about the lights, sampled, and the seconds in which a claim was certainly false."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import asyncpg

from bench.loop_parts.course import CODES, Course, alike, light_of

EVERY_S = 0.2
DELIVERY_S = 2.0
"""Time after which an uplink that was not lost has surely been stored."""
BOUND_S = 15.0
"""Time in which Baylight must mark the spaces after the network server stopped: it asks each 10 s, and waits 2 s."""
_MARKED = "to_jsonb(s) ->> 'unproven_reason' IS NOT NULL"
"""SQL expression on `spaces AS s`: the space has the mark `unproven`. False for a schema without the column."""
_CLAIMS = f"""
SELECT d.dev_eui, d.sync_status = 'in_sync' AS in_sync, d.desired_code, s.sensor_state, {_MARKED} AS marked
FROM display_devices AS d INNER JOIN spaces AS s ON s.display_device_id = d.id
WHERE d.dev_eui = ANY($1::text[])
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """Row of a sample: what the database says about a display and its space."""

    in_sync: bool
    desired_code: str | None
    sensor_state: str | None
    marked: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """Claims by the DevEUI of the display, read in one statement that ran between `began` and `ended`."""

    began: float
    ended: float
    claims: Mapping[str, Claim]


async def read(connection: asyncpg.Connection[asyncpg.Record], dev_euis: list[str]) -> Sample:
    began = time.monotonic()
    rows = await connection.fetch(_CLAIMS, dev_euis)
    claims = {
        row["dev_eui"]: Claim(row["in_sync"], row["desired_code"], row["sensor_state"], row["marked"]) for row in rows
    }
    return Sample(began, time.monotonic(), claims)


@dataclass(slots=True)
class Judge:
    """Sum of the seconds in which claims were certainly false.

    A claim is certainly false in a sample when the lamp showed one light, another than the desired one, during the
    whole read. Seconds count between two samples in a row that are both false about the same light and desired code:
    from the end of the first read to the beginning of the second. So a false claim shorter than one sample's interval
    does not count.
    """

    courses: Mapping[str, Course]
    false_in_sync_s: float = 0.0
    unmarked_green_s: float = 0.0
    away_since: float | None = None
    """Time from which uplinks are lost and Baylight could know it: the network server is away, or was."""
    examples: dict[str, float] = field(default_factory=dict)
    """Seconds of false `in_sync` by DevEUI."""
    _before: Sample | None = None

    def add(self, sample: Sample) -> None:
        before, self._before = self._before, sample
        if before is None:
            return
        for dev_eui, claim in sample.claims.items():
            course, last = self.courses[dev_eui], before.claims.get(dev_eui)
            if last is None or course.lights[-1][0] > before.began:
                continue
            seconds = max(0.0, sample.began - before.ended)
            if last.desired_code == claim.desired_code and _false(last, course) and _false(claim, course):
                self.false_in_sync_s += seconds
                self.examples[dev_eui] = self.examples.get(dev_eui, 0.0) + seconds
            if self._unmarked(before, last, course) and self._unmarked(sample, claim, course):
                self.unmarked_green_s += seconds

    def _unmarked(self, sample: Sample, claim: Claim, course: Course) -> bool:
        """Return True if a car has stood under green because its uplink was lost, for longer than the bound."""
        since, occupied = course.cars[-1]
        if self.away_since is None or not occupied:
            return False
        due_at = max(since + DELIVERY_S, self.away_since + BOUND_S)
        return (
            sample.began > due_at
            and claim.sensor_state != "OCCUPIED"
            and alike(course.light, light_of(CODES["FREE"]))
            and not claim.marked
        )


def _false(claim: Claim, course: Course) -> bool:
    return claim.in_sync and claim.desired_code is not None and not alike(course.light, light_of(claim.desired_code))
