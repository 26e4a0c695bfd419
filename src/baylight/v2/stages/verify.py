"""Comparison of both sides: all rows are there, and the same. It reads one snapshot, so it is right on live data."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import NamedTuple

from baylight.store.pool import Connection
from baylight.store.query import Query
from baylight.v2.migration_run import COUNT_QUARANTINE
from baylight.v2.schema import require_both_schemas
from baylight.v2.stages.queue import WAITING

_LOOKS = 3
_CALM_S = 2.0
"""Seconds for which a comparison waits for a queue that `baylight serve` works off."""


class Wrong(NamedTuple):
    """Row for which a check does not hold."""

    id: str
    detail: str | None


class TableCounts(NamedTuple):
    """Number of rows on both sides, and a checksum over the rows that both have."""

    name: str
    v2_rows: int
    rows: int
    v2_checksum: int | None
    checksum: int | None


CHECKS = {
    "queue": Query("v2.verify.queue", Wrong),
    "spaces_lost": Query("v2.verify.spaces_lost", Wrong),
    "spaces_unknown_to_v2": Query("v2.verify.spaces_unknown_to_v2", Wrong),
    "spaces_round_trip": Query("v2.verify.spaces_round_trip", Wrong),
    "devices_of_spaces": Query("v2.verify.devices_of_spaces", Wrong),
    "euis_unexplained": Query("v2.verify.euis_unexplained", Wrong),
    "assignments": Query("v2.verify.assignments", Wrong),
    "reservations": Query("v2.verify.reservations", Wrong),
    "state_changes": Query("v2.verify.state_changes", Wrong),
    "api_keys": Query("v2.verify.api_keys", Wrong),
    "triggers": Query("v2.verify.triggers", Wrong),
}
COUNTS = Query("v2.verify.counts", TableCounts)


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference between both sides. `check` names the rule that does not hold; `id` names the row."""

    check: str
    id: str
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Verdict of a comparison. `counts`: rows of V2 and rows of Baylight, by table.

    Each check lists at most 20 differences.
    """

    differences: list[Difference]
    counts: dict[str, tuple[int, int]]
    quarantined: int

    @property
    def green(self) -> bool:
        return not self.differences

    @property
    def waits(self) -> bool:
        """Return whether rows of V2 waited in the queue."""
        return any(difference.check == "queue" for difference in self.differences)


async def verify(connection: Connection) -> Verdict:
    """Compare both sides as they are at one instant, whatever is written meanwhile. This only reads.

    While `baylight serve` works off the queue, an instant is chosen at which nothing waits.
    Raises InputError `not_beside`.
    """
    await require_both_schemas(connection)
    for _ in range(_LOOKS):
        calm = await _is_calm(connection)
        verdict = await _compare(connection)
        if not (calm and verdict.waits):
            break
    return verdict


async def _is_calm(connection: Connection) -> bool:
    """Wait for an empty queue, some seconds at most. Return whether it is empty."""
    give_up = time.monotonic() + _CALM_S
    while await WAITING.one(connection):
        if time.monotonic() > give_up:
            return False
        await asyncio.sleep(0.02)
    return True


async def _compare(connection: Connection) -> Verdict:
    differences: list[Difference] = []
    counts: dict[str, tuple[int, int]] = {}
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute("SET LOCAL work_mem = '64MB'")
        # A LIMIT makes the planner hope for an early end, which never comes when both sides agree.
        await connection.execute("SET LOCAL enable_nestloop = off")
        for check, query in CHECKS.items():
            differences += [Difference(check, row.id, row.detail or "") for row in await query.all(connection)]
        await connection.execute("SET LOCAL enable_nestloop = on")
        for table in await COUNTS.all(connection):
            counts[table.name] = table.v2_rows, table.rows
            if table.v2_checksum != table.checksum:
                differences.append(Difference("checksum", table.name, "the rows that both sides have differ"))
        quarantined = await COUNT_QUARANTINE.one(connection)
    return Verdict(differences, counts, quarantined)
