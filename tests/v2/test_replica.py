"""A backfill waits for replicas that do not follow."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import asyncpg
import pytest

from baylight.v2 import run
from tests.support.eventually import until
from tests.support.v2 import BASELINE, CHOICES
from tests.v2.replica import binaries, primary_and_replica

PROGRAMS = binaries()
SPACES = 60_000
STILL_S = 2.0


@pytest.mark.skipif(PROGRAMS is None, reason="this PostgreSQL comes without pg_basebackup")
async def test_the_backfill_waits_while_a_replica_is_behind_and_goes_on_when_it_has_caught_up() -> None:
    assert PROGRAMS
    async with primary_and_replica(PROGRAMS) as pair:
        primary, replica = await asyncpg.connect(pair.primary), await asyncpg.connect(pair.replica)
        await primary.execute(BASELINE)
        await primary.execute(
            "INSERT INTO spaces (name, code, sensor_eui)"
            " SELECT 'Bay', 'S' || n, '58a0cb' || lpad(to_hex(n), 10, '0') FROM generate_series(1, $1::integer) AS n",
            SPACES,
        )
        await run.apply(pair.primary, to="expand", choices=CHOICES)
        await replica.execute("SELECT pg_wal_replay_pause()")
        doing = asyncio.create_task(
            run.apply(pair.primary, to="backfill", choices=replace(CHOICES, replication_lag_s=0.1))
        )
        carried = await _standstill(primary)
        assert not doing.done()
        assert carried < SPACES
        await replica.execute("SELECT pg_wal_replay_resume()")
        await asyncio.wait_for(doing, 60)
        assert await primary.fetchval("SELECT count(*) FROM baylight_next.spaces") >= SPACES
        await primary.close()
        await replica.close()


async def _standstill(primary: asyncpg.Connection[asyncpg.Record]) -> int:
    """How many spaces were carried when for some time there were no more."""
    before, since = -1, time.monotonic()

    async def stands_still() -> bool:
        nonlocal before, since
        now = await primary.fetchval("SELECT count(*) FROM baylight_next.spaces")
        if now != before:
            before, since = now, time.monotonic()
        return before > 0 and time.monotonic() - since >= STILL_S

    await until(stands_still, "it goes on", deadline_s=60, every_s=0.05)
    return before
