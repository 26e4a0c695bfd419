"""V2's transactions and Baylight's lock the same spaces in opposite orders: V2's neither fail nor wait."""

from __future__ import annotations

import asyncpg
import pytest

from baylight.store.connect import RETRY
from baylight.store.pool import open_pool
from tests.support.v2 import V2Database


@pytest.mark.parametrize("stage", ["verify", "switch"])
async def test_where_both_sides_cross_baylight_gives_way_and_v2_does_not_wait(v2: V2Database, stage: str) -> None:
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
        assert await v2.legacy.execute(write, second) == "UPDATE 1"
        with pytest.raises(asyncpg.LockNotAvailableError) as raised:
            await ours.execute(hold, first)
        assert isinstance(raised.value, RETRY)
        await ending.rollback()
    assert await v2.queued() == [("spaces", str(second))]
    await v2.drain()
    assert {(await v2.new(space))["name"] for space in (first, second)} == {"by V2"}
    assert (await v2.verify()).green
    await pool.close()
