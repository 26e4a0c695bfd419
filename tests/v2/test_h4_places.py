"""Baylight renames a location while V2 puts a space there: the space goes along, or waits (H4)."""

from __future__ import annotations

import asyncpg
import pytest

from baylight.store.pool import open_pool
from tests.support.v2 import V2Database

RENAME = "UPDATE locations SET name = 'Renamed' WHERE name = 'Main'"


async def test_h4_a_location_is_not_renamed_while_v2_puts_a_space_there(v2: V2Database) -> None:
    space = await v2.add("P1", building="East")
    await v2.apply("verify")
    pool = await open_pool(v2.dsn, size=1)
    async with v2.legacy.transaction():
        await v2.legacy.execute("UPDATE spaces SET building = 'Main' WHERE id = $1", space)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await pool.execute(RENAME)
    await pool.execute(RENAME)
    await pool.close()
    assert (await v2.old(space))["building"] == "Renamed"
    assert (await v2.verify()).differences == []


async def test_h4_a_space_that_v2_puts_in_a_location_waits_while_it_is_renamed(v2: V2Database) -> None:
    await v2.apply("verify")
    async with v2.baylight.transaction():
        await v2.baylight.execute(RENAME)
        space = await v2.add("P1", building="Main")
        assert await v2.queued() == [("spaces", str(space))]
        await v2.drain()
        assert await v2.queued() == [("spaces", str(space))]
    await v2.drain()
    assert (await v2.old(space))["building"] == "Main"
    assert (await v2.verify()).differences == []
