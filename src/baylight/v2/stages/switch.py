"""Switch from V2 to Baylight, the side that decides, and back.

The other side's copy follows in the same transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg

from baylight.store.pool import Connection
from baylight.store.query import Query, Statement
from baylight.v2.migration_run import FORGET_STAGE, NOTE_PLACE, WRITE_AS_COPY, Bar, MigrationRun, place_of

_SENSORS_PER_BATCH = 200
_SPACES_PER_BATCH = 500
_MAX_ROUNDS = 1000


LAST_READING = Query("v2.switch.last_reading", int)
NEWEST_READING = Query("v2.switch.newest_reading", int)
SET_LAST_READING = Statement("v2.switch.set_last_reading")
SENSORS_READ_SINCE = Query("v2.switch.sensors_read_since", UUID)
COPY_LAST_READINGS = Statement("v2.switch.copy_last_readings")
FORGET_ORPHANS = Statement("v2.switch.forget_orphans")
SUPERSEDE_OBSERVED_ACTUATIONS = Statement("v2.switch.supersede_observed_actuations")
FORGET_OBSERVED = Statement("v2.switch.forget_observed")
CLOSE_BY_HAND = Statement("v2.switch.close_by_hand")
RESERVE_BY_HAND = Statement("v2.switch.reserve_by_hand")
OPEN_BY_HAND = Statement("v2.switch.open_by_hand")
RELEASE_BY_HAND = Statement("v2.switch.release_by_hand")
LATE_STATES = Query("v2.switch.late_states", int)
RESTORE_STATES = Statement("v2.switch.restore_states")
FORGET_KEPT_STATES = Statement("v2.switch.forget_kept_states")
SET_OWNER = Statement("v2.switch.set_owner")
NEXT_DISPLAYS = Query("v2.switch.next_displays", UUID)
SHOWN_BY_V2 = Statement("v2.switch.shown_by_v2")
NEXT_SPACES = Query("v2.switch.next_spaces", UUID)
REDECIDE = Statement("v2.switch.redecide")
SPACES_NOT_FOLLOWING = Query("v2.switch.spaces_not_following", UUID)
FOLLOW_V2 = Statement("v2.switch.follow_v2")
ESTIMATE_SPACES = Query("v2.switch.estimate_spaces", int)
ESTIMATE_DISPLAYS = Query("v2.switch.estimate_display_devices", int)


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
    """Let Baylight decide and send, from one commit on.

    What people closed or reserved by hand in V2 stays so, if the operator chose that.
    """
    choices = migration.choices

    async def flip(connection: Connection) -> None:
        await WRITE_AS_COPY.run(connection)
        if choices.of("closed_by_hand") == "keep":
            await CLOSE_BY_HAND.run(connection)
        if choices.of("reserved_by_hand") == "keep":
            await RESERVE_BY_HAND.run(connection)
        await SUPERSEDE_OBSERVED_ACTUATIONS.run(connection)
        await SET_OWNER.run(connection, owner="baylight")

    await migration.run_locked([], "", flip, done="switch")


GIVE_SQL = (CLOSE_BY_HAND, RESERVE_BY_HAND, SUPERSEDE_OBSERVED_ACTUATIONS, SET_OWNER)


async def give_back_to_v2(migration: MigrationRun) -> None:
    """Let V2 decide again. V2's `state` has followed all the time. Where V2 has no word for Baylight's state, V2's last
    state counts."""

    async def flip(connection: Connection) -> None:
        if waiting := await LATE_STATES.one(connection):
            raise asyncpg.LockNotAvailableError(f"V2 holds {waiting} rows")
        await WRITE_AS_COPY.run(connection)
        await RESTORE_STATES.run(connection)
        await FORGET_KEPT_STATES.run(connection)
        await OPEN_BY_HAND.run(connection)
        await RELEASE_BY_HAND.run(connection)
        await SUPERSEDE_OBSERVED_ACTUATIONS.run(connection)
        await FORGET_OBSERVED.run(connection)
        await SET_OWNER.run(connection, owner="v2")
        await FORGET_STAGE.run(connection, stage="switch")

    await migration.run_locked([], "", flip)
    await _follow_v2(migration)


GIVE_BACK_SQL = (
    RESTORE_STATES,
    OPEN_BY_HAND,
    RELEASE_BY_HAND,
    SUPERSEDE_OBSERVED_ACTUATIONS,
    FORGET_OBSERVED,
    SET_OWNER,
    FORGET_STAGE,
    FOLLOW_V2,
)


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
