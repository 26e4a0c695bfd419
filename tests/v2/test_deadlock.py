"""V2's transactions and Baylight's lock the same spaces in opposite orders: PostgreSQL never ends V2's."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from baylight.store.connect import RETRY
from baylight.store.pool import Connection, open_pool
from tests.support.eventually import eventually
from tests.support.v2 import V2Database


async def waits(admin: Connection, waiter: int, holder: int) -> None:
    await eventually(admin, "SELECT $2 = ANY (pg_blocking_pids($1))", waiter, holder)


@pytest.mark.parametrize("stage", ["verify", "switch"])
async def test_of_a_deadlock_between_both_sides_baylight_is_the_victim(v2: V2Database, stage: str) -> None:
    first, second = await v2.add("P1"), await v2.add("P2")
    await v2.apply(stage)
    pool = await open_pool(v2.dsn, size=1)
    hold = "SELECT FROM spaces WHERE id = $1 FOR NO KEY UPDATE"
    write = "UPDATE spaces SET state = 'OCCUPIED', name = 'by V2' WHERE id = $1"
    async with pool.acquire() as ours, v2.legacy.transaction():
        await v2.legacy.execute(write, first)
        ending = ours.transaction()
        await ending.start()
        await ours.execute(hold, second)
        theirs = asyncio.create_task(v2.legacy.execute(write, second))
        await waits(v2.admin, v2.legacy.get_server_pid(), ours.get_server_pid())
        with pytest.raises(asyncpg.LockNotAvailableError) as raised:
            await ours.execute(hold, first)
        assert isinstance(raised.value, RETRY)
        await ending.rollback()
        assert await theirs == "UPDATE 1"
    assert {(await v2.new(space))["name"] for space in (first, second)} == {"by V2"}
    await pool.close()
