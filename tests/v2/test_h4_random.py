"""Both sides write at random, and two processes work off the queue: in the end both sides are equal (H4)."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from baylight.store.pool import Connection, Pool, open_pool
from tests.support.v2 import V2Database, connect, display, make_dirty, sensor

ROUNDS = 120
ONE = "WHERE id = (SELECT id FROM {0} ORDER BY hashtext(id::text || $1) LIMIT 1)"
SPACE, RESERVATION, LOCATION = (ONE.format(table) for table in ("spaces", "reservations", "locations"))
OF_V2 = (
    f"UPDATE spaces SET state = CASE state WHEN 'FREE' THEN 'OCCUPIED' ELSE 'FREE' END {SPACE}",
    f"UPDATE spaces SET building = 'H' || ascii(right($1, 1)) % 9 {SPACE}",
    f"UPDATE spaces SET display_eui = '202020000000000' || right($1, 1) {SPACE}",
    f"UPDATE spaces SET sensor_eui = NULL {SPACE}",
    "INSERT INTO reservations (space_id, start_time, end_time)"
    f" SELECT id, date_trunc('hour', now()), date_trunc('hour', now()) + interval '3 h' FROM spaces {SPACE}",
    f"UPDATE reservations SET status = 'cancelled' {RESERVATION}",
    f"DELETE FROM reservations {RESERVATION}",
    "INSERT INTO spaces (name, code, building) VALUES ('x', left(md5($1), 12), 'H' || ascii(right($1, 1)) % 9)",
    f"INSERT INTO state_changes (space_id, new_state, source) SELECT id, 'FREE', 'x' FROM spaces {SPACE}",
)
OF_BAYLIGHT = (
    f"UPDATE spaces SET metadata = to_jsonb($1::text) {SPACE}",
    f"UPDATE spaces SET current_state = 'OCCUPIED' {SPACE}",
    f"UPDATE locations SET name = 'L' || left(md5($1), 8) {LOCATION}",
    f"UPDATE reservations SET status = 'cancelled' {RESERVATION}",
)
CROSSED = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""Two transactions of V2's that write the same rows of V2's own in two orders, as without Baylight."""


async def legacy(connection: Connection, chance: random.Random) -> None:
    for _ in range(ROUNDS):
        with contextlib.suppress(*CROSSED):
            async with connection.transaction(isolation=chance.choice(("read_committed", "repeatable_read"))):
                for _ in range(chance.randint(1, 3)):
                    await connection.execute(chance.choice(OF_V2), str(chance.random()))


async def ours(pool: Pool, chance: random.Random) -> None:
    while True:
        with contextlib.suppress(asyncpg.LockNotAvailableError, asyncpg.UniqueViolationError):
            async with pool.acquire() as connection, connection.transaction():
                for _ in range(chance.randint(1, 2)):
                    await connection.execute(chance.choice(OF_BAYLIGHT), str(chance.random()))


async def drainer(pool: Pool) -> None:
    while True:
        await pool.fetchval("SELECT v2_migration.drain(20)")


@pytest.mark.parametrize("stage", ["verify", "switch"])
async def test_h4_both_sides_are_equal_after_writes_at_random(v2: V2Database, stage: str) -> None:
    await make_dirty(v2)
    for n in range(20, 40):
        await v2.add(f"P{n}", building=f"H{n % 4}", sensor_eui=sensor(n), display_eui=display(n))
    await v2.apply(stage)
    pool = await open_pool(v2.dsn, size=4)
    again: list[Callable[[], Awaitable[None]]] = [lambda: ours(pool, random.Random(1)), *[lambda: drainer(pool)] * 2]
    beside = [asyncio.ensure_future(work()) for work in again]
    writers = [await connect(v2.dsn, role="parking") for _ in range(3)]
    await asyncio.gather(*(legacy(connection, random.Random(n)) for n, connection in enumerate(writers)))
    for task in beside:
        task.cancel()
    ended = await asyncio.gather(*beside, return_exceptions=True)
    assert [type(error) for error in ended] == [asyncio.CancelledError] * 3
    for connection in writers:
        await connection.close()
    await v2.drain()
    assert (await v2.verify()).differences == []
    await pool.close()
