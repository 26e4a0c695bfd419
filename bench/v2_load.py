"""Load of the V2 application, in a process of its own: about 200 transactions/s on a fixed schedule.

Commands come by standard input, one word per line. At the end its figures go to standard output.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any

import asyncpg

READERS, WRITERS = 6, 4
EACH_PER_S = 20
CLIENT_TIMEOUT_S = 60


@dataclass
class Figures:
    """Figures of the load. `waits_s`, by phase: seconds from the moment a transaction was due to its end."""

    phase: str = "start"
    waits_s: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    first_errors: list[str] = field(default_factory=list)
    longest_lock_s: float = 0.0
    disk_s: dict[str, float] = field(default_factory=dict)
    euis: dict[str, str] = field(default_factory=dict)
    changes: int = 0
    writing: bool = True
    stopped: bool = False


async def work(dsn: str, spaces: int, n: int, figures: Figures) -> None:
    connection = await asyncpg.connect(dsn, server_settings={"jit": "off"})
    await connection.execute("SET SESSION AUTHORIZATION parking")
    chance = random.Random(n)
    due = time.monotonic() + chance.random() / EACH_PER_S
    made = 0
    while not figures.stopped:
        await asyncio.sleep(max(due - time.monotonic(), 0))
        if n >= READERS and not figures.writing:
            due = time.monotonic() + 0.05
            continue
        phase = figures.phase
        try:
            async with asyncio.timeout(CLIENT_TIMEOUT_S):
                if n < READERS:
                    await read(connection, spaces, chance)
                else:
                    made += 1
                    await write(connection, spaces, n, made, chance, figures)
        except Exception as error:
            figures.errors[phase] = figures.errors.get(phase, 0) + 1
            if len(figures.first_errors) < 5:
                figures.first_errors.append(f"{phase}: {type(error).__name__}: {error}")
            if connection.is_closed():
                connection = await asyncpg.connect(dsn)
                await connection.execute("SET SESSION AUTHORIZATION parking")
        figures.waits_s.setdefault(phase, []).append(time.monotonic() - due)
        due += 1 / EACH_PER_S
    await connection.close()


async def read(connection: Any, spaces: int, chance: random.Random) -> None:
    """Run a prepared SELECT *; one in four in a transaction, where the client cannot silently prepare it again."""
    query = "SELECT * FROM spaces WHERE sensor_eui = $1"
    eui = f"58a0cb{chance.randrange(spaces) + 1:010x}"
    if chance.random() < 0.25:
        async with connection.transaction():
            await connection.fetch(query, eui)
    else:
        await connection.fetch(query, eui)


async def write(connection: Any, spaces: int, n: int, made: int, chance: random.Random, figures: Figures) -> None:
    """Change a state and write its history; sometimes set another sensor, sometimes add a space."""
    kind = chance.random()
    code = f"S{(chance.randrange(spaces // WRITERS) * WRITERS + n - READERS) % spaces + 1}"
    eui = f"aa{n:02x}{made:012x}"
    if kind < 0.8:
        state = chance.choice(("FREE", "OCCUPIED", "RESERVED"))
        async with connection.transaction():
            space = await connection.fetchval("UPDATE spaces SET state = $2 WHERE code = $1 RETURNING id", code, state)
            await connection.execute(
                "INSERT INTO state_changes (space_id, new_state, source) VALUES ($1, $2, 'load')", space, state
            )
        figures.changes += 1
    elif kind < 0.95:
        await connection.execute("UPDATE spaces SET sensor_eui = $2 WHERE code = $1", code, eui)
        figures.euis[code] = eui
    else:
        code = f"N{n}-{made}"
        await connection.execute("INSERT INTO spaces (name, code, sensor_eui) VALUES ('new', $1, $2)", code, eui)
        figures.euis[code] = eui


async def watch_locks(dsn: str, figures: Figures) -> None:
    """Record every 10 ms the longest wait of a session for a lock, the migration's own sessions left out."""
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "bench watch", "jit": "off"})
    while not figures.stopped:
        waited = await connection.fetchval(
            "SELECT max(extract(epoch FROM clock_timestamp() - l.waitstart))::float8 FROM pg_locks AS l"
            " INNER JOIN pg_stat_activity AS a ON a.pid = l.pid"
            " WHERE NOT l.granted AND a.application_name NOT IN ('baylight v2', 'proposal')"
        )
        figures.longest_lock_s = max(figures.longest_lock_s, waited or 0.0)
        await asyncio.sleep(0.01)
    await connection.close()


async def watch_disk(figures: Figures) -> None:
    """Record by phase the longest time of a durable write of 8 kB, a floor for any database on this machine."""
    with tempfile.TemporaryFile() as file:
        while not figures.stopped:
            began, phase = time.monotonic(), figures.phase
            file.seek(0)
            file.write(bytes(8192))
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
            figures.disk_s[phase] = max(figures.disk_s.get(phase, 0.0), time.monotonic() - began)
            await asyncio.sleep(0.05)


async def obey(figures: Figures) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while word := (await reader.readline()).decode().strip():
        if word == "stop":
            break
        if word in ("write", "read"):
            figures.writing = word == "write"
        else:
            figures.phase = word
        print("ok", flush=True)
    figures.stopped = True


async def run(dsn: str, spaces: int) -> None:
    figures = Figures()
    tasks = [work(dsn, spaces, n, figures) for n in range(READERS + WRITERS)]
    await asyncio.gather(obey(figures), watch_locks(dsn, figures), watch_disk(figures), *tasks)
    phases = {
        name: {
            "count": len(waits),
            "longest_ms": round(max(waits) * 1000, 1),
            "p99_ms": round(statistics.quantiles(waits, n=100)[98] * 1000, 1) if len(waits) > 1 else None,
            "errors": figures.errors.get(name, 0),
            "disk_ms": round(figures.disk_s.get(name, 0.0) * 1000, 1),
        }
        for name, waits in figures.waits_s.items()
    }
    print(
        json.dumps(
            {
                "phases": phases, "first_errors": figures.first_errors, "euis": figures.euis,
                "changes": figures.changes, "longest_lock_ms": round(figures.longest_lock_s * 1000, 1),
            }
        ),
        flush=True,
    )  # fmt: skip


def main() -> None:
    asyncio.run(run(sys.argv[1], int(sys.argv[2])))
