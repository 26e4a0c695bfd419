"""Switch from V2 to Baylight, the side that decides, and back.

The other side's copy follows in the same transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from baylight.store.pool import Connection
from baylight.store.query import Query, Statement
from baylight.v2.migration_run import FORGET_STAGE, NOTE_PLACE, WRITE_AS_COPY, Bar, MigrationRun, place_of
from baylight.v2.schema import require_both_schemas

_SENSORS_PER_BATCH = 200
_SPACES_PER_BATCH = 500
_MAX_ROUNDS = 1000


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Space whose state differs. `v2_since` and `decided_at`: instants since which each side has had its state."""

    id: UUID
    code: str
    v2_state: str
    v2_since: datetime
    state: str
    reason: str | None
    decided_at: datetime


class DisagreementCount(NamedTuple):
    """Number of spaces in which V2 has one state and Baylight, for this reason, another."""

    v2_state: str
    state: str
    reason: str | None
    spaces: int


LAST_READING = Query("v2.switch.last_reading", int)
NEWEST_READING = Query("v2.switch.newest_reading", int)
SET_LAST_READING = Statement("v2.switch.set_last_reading")
SENSORS_READ_SINCE = Query("v2.switch.sensors_read_since", UUID)
COPY_LAST_READINGS = Statement("v2.switch.copy_last_readings")
FORGET_ORPHANS = Statement("v2.switch.forget_orphans")
SUPERSEDE_OBSERVED_ACTUATIONS = Statement("v2.switch.supersede_observed_actuations")
FORGET_OBSERVED = Statement("v2.switch.forget_observed")
SET_OWNER = Statement("v2.switch.set_owner")
NEXT_DISPLAYS = Query("v2.switch.next_displays", UUID)
SHOWN_BY_V2 = Statement("v2.switch.shown_by_v2")
NEXT_SPACES = Query("v2.switch.next_spaces", UUID)
REDECIDE = Statement("v2.switch.redecide")
SPACES_NOT_FOLLOWING = Query("v2.switch.spaces_not_following", UUID)
FOLLOW_V2 = Statement("v2.switch.follow_v2")
ESTIMATE_SPACES = Query("v2.switch.estimate_spaces", int)
ESTIMATE_DISPLAYS = Query("v2.switch.estimate_display_devices", int)
OBSERVE_REPORT = Query("v2.switch.observe_report", Disagreement)
OBSERVE_SUMMARY = Query("v2.switch.observe_summary", DisagreementCount)


async def catch_up(migration: MigrationRun) -> None:
    """Copy what V2 received since the backfill, and what its displays show."""
    connection = migration.connection
    since = await LAST_READING.one(connection)
    until = await NEWEST_READING.one(connection)
    sensors = await SENSORS_READ_SINCE.all(connection, last=since)
    for first in range(0, len(sensors), _SENSORS_PER_BATCH):
        part = sensors[first : first + _SENSORS_PER_BATCH]

        async def batch(part: list[UUID] = part) -> int:
            return await COPY_LAST_READINGS.run(connection, ids=part)

        await migration.run_batch(batch)
    await SET_LAST_READING.run(connection, last=until)

    async def tidy() -> int:
        await FORGET_ORPHANS.run(connection)
        await SUPERSEDE_OBSERVED_ACTUATIONS.run(connection)
        return 0

    await migration.run_batch(tidy)
    await _walk(migration, "catch_up", await ESTIMATE_DISPLAYS.one(connection), NEXT_DISPLAYS, SHOWN_BY_V2)


async def give_to_baylight(migration: MigrationRun) -> None:
    """Let Baylight decide and send, from one commit on."""

    async def flip(connection: Connection) -> None:
        await SUPERSEDE_OBSERVED_ACTUATIONS.run(connection)
        await SET_OWNER.run(connection, owner="baylight")

    await migration.run_locked([], "", flip, done="switch")


async def give_back_to_v2(migration: MigrationRun) -> None:
    """Let V2 decide again. V2's `state` has followed all the time. Where V2 has no word for Baylight's state, V2's last
    state counts."""

    async def flip(connection: Connection) -> None:
        await SUPERSEDE_OBSERVED_ACTUATIONS.run(connection)
        await FORGET_OBSERVED.run(connection)
        await SET_OWNER.run(connection, owner="v2")
        await FORGET_STAGE.run(connection, stage="switch")

    await migration.run_locked([], "", flip)
    await _follow_v2(migration)


GIVE_BACK_SQL = (SUPERSEDE_OBSERVED_ACTUATIONS, FORGET_OBSERVED, SET_OWNER, FORGET_STAGE, FOLLOW_V2)


async def redecide(migration: MigrationRun) -> None:
    """Mark every space: Baylight's timer decides it once by Baylight's rules, when it runs."""
    await _walk(migration, "redecide", await ESTIMATE_SPACES.one(migration.connection), NEXT_SPACES, REDECIDE)


async def _follow_v2(migration: MigrationRun) -> None:
    for _ in range(_MAX_ROUNDS):
        ids = await SPACES_NOT_FOLLOWING.all(migration.connection, limit=_SPACES_PER_BATCH)
        if not ids:
            return

        async def batch(ids: list[UUID] = ids) -> int:
            await WRITE_AS_COPY.run(migration.connection)
            return await FOLLOW_V2.run(migration.connection, ids=ids)

        await migration.run_batch(batch)


async def _walk(migration: MigrationRun, step: str, total: int, query: Query[UUID], statement: Statement) -> None:
    """Run `statement` on all ids that `query` returns, in batches."""
    bar = Bar(migration, step, total)
    bar.start()
    place = await place_of(migration.connection, step) or str(UUID(int=0))
    while ids := await query.all(migration.connection, after=UUID(place), limit=migration.pace.size):
        place = str(ids[-1])
        await migration.run_batch(_batch(migration, step, statement, ids, place))
        bar.move(bar.done + len(ids))
    bar.end()


def _batch(
    migration: MigrationRun, step: str, statement: Statement, ids: list[UUID], place: str
) -> Callable[[], Awaitable[int]]:
    async def run() -> int:
        # No row here is a decision, and V2 has no column for any of them.
        await WRITE_AS_COPY.run(migration.connection)
        await statement.run(migration.connection, ids=ids)
        await NOTE_PLACE.run(migration.connection, step=step, place=place, rows=len(ids))
        return len(ids)

    return run


@dataclass(frozen=True, slots=True)
class ObserveReport:
    """Report of the spaces in which an observing Baylight disagrees with V2."""

    summary: list[DisagreementCount]
    spaces: list[Disagreement]


async def observe_report(connection: Connection, *, grace_s: float = 60.0, limit: int = 50) -> ObserveReport:
    """Return the spaces in which an observing Baylight disagrees with V2 for more than `grace_s` seconds.

    Raises InputError `not_beside`.
    """
    await require_both_schemas(connection)
    summary = await OBSERVE_SUMMARY.all(connection, grace_s=grace_s)
    return ObserveReport(summary, await OBSERVE_REPORT.all(connection, grace_s=grace_s, limit=limit))
