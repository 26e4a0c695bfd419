"""Make partitions ahead, and remove what is older than its retention."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from baylight.store.pool import Connection
from baylight.store.query import Query, Statement

REJECTED_KEPT = timedelta(days=90)
REJECTED_ROWS_KEPT = 5_000
"""Half of the rejected messages that are stored, so that there is room for an hour."""
GATEWAYS_KEPT = timedelta(days=90)
"""Time since a gateway was last seen, unless the newest uplink of a device came by it."""
ORPHANS_KEPT = timedelta(days=30)
"""Time since the last uplink of an unknown device. Its uplinks are deleted with it."""
AIRTIME_KEPT = timedelta(days=2)
COUNTED_KEPT = timedelta(hours=6)
"""Longer than a redelivered tx_ack may come late and still count in the sliding hour."""
ANSWERS_KEPT = timedelta(hours=24)
"""Time in which a request with the same Idempotency-Key has the same answer."""
BATCH_LIMIT = 10_000
"""Rows deleted in one statement, so that no lock is held for long."""
STRANGERS_LIMIT = 100
"""Unknown devices deleted in one transaction: so few that the planner finds their uplinks by the index of devices."""
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
"""A statement that waits for the lock of a partitioned table stops all later ones: better try in the next hour."""


class _Deleted(NamedTuple):
    dev_eui: str
    expired: bool


ENSURE_PARTITIONS = Query("control.retention.ensure_partitions", int)
DROP_PARTITIONS = Query("control.retention.drop_partitions", str)
DELETE_STEPS = Statement("control.retention.delete_steps")
DELETE_REJECTED = Statement("control.retention.delete_rejected")
DELETE_REJECTED_BEYOND = Statement("control.retention.delete_rejected_beyond")
DELETE_GATEWAYS = Statement("control.retention.delete_gateways")
DELETE_CONDITIONS = Statement("control.retention.delete_conditions")
DELETE_AIRTIME = Statement("control.retention.delete_airtime")
DELETE_COUNTED = Statement("control.retention.delete_counted")
DELETE_ANSWERS = Statement("control.retention.delete_answers")
DELETE_STRANGERS = Query("control.retention.delete_strangers", _Deleted)
DELETE_DROPPED = Statement("control.later.delete_dropped")
DELETE_UPLINKS = Statement("control.retention.delete_uplinks")


@dataclass(frozen=True, slots=True)
class Retained:
    """`made`: partitions made; `dropped`: names of those dropped; `pruned`: rows deleted elsewhere."""

    made: int
    dropped: list[str]
    pruned: int


async def run(connection: Connection, now: datetime, *, uplink_months: int, actuation_months: int) -> Retained:
    """Make and drop partitions, delete old rows. Idempotent; several processes may do it at once.

    Must not run in a transaction of the caller. Raises asyncpg.LockNotAvailableError if the tables are too busy now:
    try later.
    """
    async with connection.transaction():
        await connection.execute(LOCK_TIMEOUT)
        made = await ENSURE_PARTITIONS.one(connection, now=now)
    dropped: list[str] = []
    for parent, months in (("uplinks", uplink_months), ("actuations", actuation_months)):
        async with connection.transaction():
            await connection.execute(LOCK_TIMEOUT)
            dropped += await DROP_PARTITIONS.all(connection, parent=parent, now=now, months=months)
    pruned = await _prune(connection, DELETE_STEPS, now=now, months=actuation_months)
    pruned += await _prune(connection, DELETE_REJECTED, before=now - REJECTED_KEPT)
    pruned += await _prune(connection, DELETE_REJECTED_BEYOND, kept=REJECTED_ROWS_KEPT)
    pruned += await _prune(connection, DELETE_GATEWAYS, before=now - GATEWAYS_KEPT)
    pruned += await _prune(connection, DELETE_CONDITIONS, now=now, months=actuation_months)
    pruned += await _prune(connection, DELETE_AIRTIME, before=now - AIRTIME_KEPT)
    pruned += await _prune(connection, DELETE_COUNTED, before=now - COUNTED_KEPT)
    pruned += await _prune(connection, DELETE_ANSWERS, before=now - ANSWERS_KEPT)
    pruned += await _prune(connection, DELETE_DROPPED)
    pruned += await _prune_strangers(connection, now - ORPHANS_KEPT)
    return Retained(made, dropped, pruned)


async def _prune_strangers(connection: Connection, before: datetime) -> int:
    total = 0
    while True:
        async with connection.transaction():
            deleted = await DELETE_STRANGERS.all(connection, before=before, limit=STRANGERS_LIMIT)
            await DELETE_UPLINKS.run(connection, dev_euis=[row.dev_eui for row in deleted if row.expired])
        total += len(deleted)
        if len(deleted) < STRANGERS_LIMIT:
            return total


async def _prune(connection: Connection, statement: Statement, **parameters: object) -> int:
    total = 0
    while True:
        deleted = await statement.run(connection, limit=BATCH_LIMIT, **parameters)
        total += deleted
        if deleted < BATCH_LIMIT:
            return total
