"""Partitions made ahead, and what is older than its retention removed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from baylight.store.pool import Connection
from baylight.store.query import queries

REJECTED_KEPT = timedelta(days=90)
ORPHANS_KEPT = timedelta(days=30)
"""After its last word; its uplinks go with it."""
BATCH, FEW = 10_000, 100
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
"""Who waits for the lock of a partitioned table makes all who come after wait: better to try in the next hour."""


@dataclass(frozen=True, slots=True)
class Kept:
    """`made`: partitions made; `dropped`: names of those dropped; `pruned`: rows deleted elsewhere."""

    made: int
    dropped: list[str]
    pruned: int


async def run(connection: Connection, now: datetime, *, uplink_months: int, actuation_months: int) -> Kept:
    """Idempotent; may run in several processes at once. Not inside a transaction of the caller's.

    Raises asyncpg.LockNotAvailableError if the tables are too busy now: try later.
    """
    sql = queries("control.retention")
    async with connection.transaction():
        await connection.execute(LOCK_TIMEOUT)
        made = await connection.fetchval(sql["ensure_partitions"], now)
    dropped: list[str] = []
    for table, months in (("uplinks", uplink_months), ("actuations", actuation_months)):
        async with connection.transaction():
            await connection.execute(LOCK_TIMEOUT)
            dropped += [row["name"] for row in await connection.fetch(sql["drop_partitions"], table, now, months)]
    pruned = await _prune(connection, sql["prune_events"], now, actuation_months)
    pruned += await _prune(connection, sql["prune_rejected"], now - REJECTED_KEPT)
    pruned += await _prune_orphans(connection, now - ORPHANS_KEPT)
    return Kept(made, dropped, pruned)


async def _prune_orphans(connection: Connection, before: datetime) -> int:
    """Few at a time, so that the planner finds what they sent by the index of devices."""
    sql, total = queries("control.retention"), 0
    while True:
        async with connection.transaction():
            gone = await connection.fetch(sql["prune_orphans"], before, FEW)
            await connection.execute(sql["forget_strangers"], [row["dev_eui"] for row in gone if row["expired"]])
        total += len(gone)
        if len(gone) < FEW:
            return total


async def _prune(connection: Connection, statement: str, *arguments: object) -> int:
    """In batches, so that no lock is held for long."""
    total = 0
    while True:
        done = int((await connection.execute(statement, *arguments, BATCH)).split()[-1])
        total += done
        if done < BATCH:
            return total
