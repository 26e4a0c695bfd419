"""The V2 application at work: readers and writers that never stop, and know what they wrote."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from baylight.store.pool import Connection
from tests.support.v2 import connect, sensor

SPACES = 400
WRITERS = 2


@dataclass
class Load:
    """`written`: what the last write of each space said; `longest_s`: of any statement; `errors` must stay empty."""

    dsn: str
    reads_only: bool = False
    written: dict[Any, dict[str, Any]] = field(default_factory=dict)
    changes: int = 0
    statements: int = 0
    longest_s: float = 0.0
    errors: list[str] = field(default_factory=list)
    stopped: bool = False

    async def writer(self, connection: Connection, mine: list[Any], first_eui: int) -> None:
        chance = random.Random(first_eui)
        eui = first_eui
        while not self.stopped:
            if self.reads_only:
                await asyncio.sleep(0.01)  # an idle writer
                continue
            space, kind = chance.choice(mine), chance.random()
            if kind < 0.6:
                state = chance.choice(("FREE", "OCCUPIED", "RESERVED", "MAINTENANCE"))
                async with connection.transaction():
                    await self.run(connection, "UPDATE spaces SET state = $2 WHERE id = $1", space, state)
                    await self.run(
                        connection, "INSERT INTO state_changes (space_id, new_state, source) VALUES ($1, $2, 'load')",
                        space, state,
                    )  # fmt: skip
                self.changes += 1
            elif kind < 0.9:
                eui += 1
                await self.run(connection, "UPDATE spaces SET sensor_eui = $2 WHERE id = $1", space, sensor(eui))
                self.written.setdefault(space, {})["sensor_eui"] = sensor(eui)
            else:
                eui += 1
                made = await self.run(
                    connection, "INSERT INTO spaces (name, code, sensor_eui) VALUES ('new', $1, $2) RETURNING id",
                    f"N{eui}", sensor(eui),
                )  # fmt: skip
                self.written[made] = {"sensor_eui": sensor(eui)}
                mine.append(made)
            await asyncio.sleep(0.005)  # the pace of the load

    async def reader(self, connection: Connection) -> None:
        n = 0
        while not self.stopped:
            n += 1
            await self.run(connection, "SELECT * FROM spaces WHERE sensor_eui = $1", sensor(n % SPACES))
            await asyncio.sleep(0.005)  # the pace of the load

    async def run(self, connection: Connection, query: str, *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return await connection.fetchval(query, *arguments)
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}")
        finally:
            self.statements += 1
            self.longest_s = max(self.longest_s, time.perf_counter() - began)

    async def check(self, connection: Connection) -> None:
        """Nothing that V2 wrote is lost or doubled."""
        assert self.errors == []
        rows = {row["id"]: row for row in await connection.fetch("SELECT * FROM public.spaces")}
        for space, columns in self.written.items():
            for column, value in columns.items():
                assert rows[space][column] == value
        assert (
            await connection.fetchval("SELECT count(*) FROM public.state_changes WHERE source = 'load'") == self.changes
        )


@asynccontextmanager
async def load(dsn: str, admin: Connection) -> AsyncIterator[Load]:
    await admin.execute(
        "INSERT INTO public.spaces (name, code, building, sensor_eui, display_eui)"
        " SELECT 'Bay', 'L' || n, 'B' || n % 3, '58a0cb' || lpad(to_hex(n), 10, '0'),"
        " '202020' || lpad(to_hex(n), 10, '0')"
        " FROM generate_series(1, $1::integer) AS n",
        SPACES,
    )
    ids = [row["id"] for row in await admin.fetch("SELECT id FROM public.spaces WHERE code LIKE 'L%' ORDER BY code")]
    running = Load(dsn)
    connections = [await connect(dsn, role="parking") for _ in range(WRITERS + 1)]
    tasks = [
        asyncio.create_task(running.writer(connections[n], ids[n::WRITERS], 1_000_000 * (n + 1)))
        for n in range(WRITERS)
    ]
    tasks.append(asyncio.create_task(running.reader(connections[-1])))
    try:
        yield running
    finally:
        running.stopped = True
        await asyncio.gather(*tasks)
        for connection in connections:
            await connection.close()
