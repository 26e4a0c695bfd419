"""Uplinks per second that are stored, against the proposal's code and against COPY of the same rows.

python -m bench.ingest [--quick | --full]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections import deque

import asyncpg
import uvloop

from baylight import log
from baylight.app.program import SystemClock, tune_collector
from baylight.control.events.ingest import Ingest
from baylight.domain.policies import Policies
from baylight.lns.chirpstack.events import parse
from baylight.lns.mqtt.lanes import Batch, Lanes, Received
from baylight.store.connect import install_codecs
from baylight.store.pool import open_pool
from bench import end_to_end, ground, proposal

BATCH = 1000
WARM, WARM_PROPOSAL = 10_000, 1_000
"""Uplinks before the clock starts, as on a running site. Each connection plans its statements five times, and each
lane has a connection of its own; the proposal's code repeats its statements for each uplink."""
ARRIVING = 20
"""Messages that arrive in one turn of the event loop."""
_COPIED = ("uplinks", "state_changes", "actuations")


class _Arriving:
    """Source that hands messages out as a broker does: in order, as many as a consumer accepts unacknowledged."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._unacknowledged: deque[Batch] = deque()
        self._acknowledged = asyncio.Event()

    async def hand_out(self, messages: list[tuple[str, bytes]]) -> None:
        """Hand messages out; return when all are acknowledged."""
        for n, (topic, payload) in enumerate(messages):
            await self._fewer_than(self._lanes.room)
            message = Received(topic, payload, parse(topic, payload))
            self._unacknowledged.append(self._lanes.put(self, message, 1))
            if n % ARRIVING == 0:
                await asyncio.sleep(0)
        await self._fewer_than(1)

    async def acknowledge(self) -> None:
        while self._unacknowledged and self._unacknowledged[0].done:
            self._unacknowledged.popleft()
        self._acknowledged.set()

    async def _fewer_than(self, limit: int) -> None:
        while len(self._unacknowledged) >= limit:
            self._acknowledged.clear()
            await self._acknowledged.wait()


async def ours(dsn: str, sent: ground.Uplinks) -> float:
    """Return seconds from bytes to the last commit."""
    pool = await open_pool(dsn)
    ingest = Ingest(pool, SystemClock(), Policies())

    async def handle(messages: list[Received]) -> None:
        await ingest.store_batch([received.message for received in messages])

    async def reject(message: Received, error: Exception) -> None:
        raise error

    lanes = Lanes(handle, reject, BATCH)
    arriving = _Arriving(lanes)
    running = asyncio.create_task(lanes.run())
    await arriving.hand_out(sent.messages[:WARM])
    began = time.perf_counter()
    await arriving.hand_out(sent.messages[WARM:])
    took = time.perf_counter() - began
    lanes.stop()
    await running
    await pool.close()
    return took


async def proposed(dsn: str, sent: ground.Uplinks) -> float:
    pool = await proposal.open_pool(dsn)
    await proposal.take_all(pool, sent.messages[:WARM_PROPOSAL])
    began = time.perf_counter()
    await proposal.take_all(pool, sent.messages[WARM_PROPOSAL:])
    took = time.perf_counter() - began
    await pool.close()
    return took


async def copied(dsn: str, source: str, sent: ground.Uplinks) -> float:
    """Return seconds to COPY the rows that our ingest left in `source` into the same tables and indexes.

    Each commit has BATCH uplinks.
    """
    reader = await asyncpg.connect(source)
    await install_codecs(reader)
    rows: dict[str, list[tuple[object, ...]]] = {}
    columns: dict[str, list[str]] = {}
    for table in _COPIED:
        found = await reader.fetch(f"SELECT * FROM {table}")
        columns[table] = list(found[0].keys())
        rows[table] = [tuple(row) for row in found]
    await reader.close()
    writer = await asyncpg.connect(dsn)
    await install_codecs(writer)
    batches = -(-len(sent.messages) // BATCH)
    began = 0.0
    for n in range(batches):
        if n == WARM // BATCH:
            began = time.perf_counter()
        async with writer.transaction():
            for table in _COPIED:
                size = -(-len(rows[table]) // batches)
                part = rows[table][n * size : (n + 1) * size]
                await writer.copy_records_to_table(table, columns=columns[table], records=part)
    took = time.perf_counter() - began
    await writer.close()
    return took


async def measure(rounds: int, count: int, count_proposal: int, spaces: int) -> dict[str, list[float]]:
    """Return uplinks per second of each way, one after the other in every round."""
    ways = ("proposal", "ours", "copy", "end to end, proposal", "end to end, ours")
    rates: dict[str, list[float]] = {way: [] for way in ways}
    async with ground.server(spaces) as server:
        for n in range(rounds):
            few = ground.uplinks(WARM_PROPOSAL + count_proposal, spaces, seed=n)
            async with server.copy() as dsn:
                rates["proposal"].append(count_proposal / await proposed(dsn, few))
                await ground.check(dsn, few)
            sent = ground.uplinks(WARM + count, spaces, seed=n)
            async with server.copy() as dsn, server.copy() as empty:
                rates["ours"].append(count / await ours(dsn, sent))
                await ground.check(dsn, sent)
                rates["copy"].append(count / await copied(empty, dsn, sent))
            few, sent = ground.uplinks(count_proposal, spaces, seed=n), ground.uplinks(count, spaces, seed=n)
            with ground.broker() as broker:
                async with server.copy() as dsn:
                    took = await end_to_end.proposed(dsn, broker, few, n, spaces)
                    rates["end to end, proposal"].append(count_proposal / took)
                    await ground.check(dsn, few)
                async with server.copy() as dsn:
                    rates["end to end, ours"].append(count / await end_to_end.ours(dsn, broker, sent, n, spaces))
                    await ground.check(dsn, sent)
            print(f"round {n + 1}: " + ", ".join(f"{k} {v[-1]:,.0f}/s" for k, v in rates.items()), flush=True)
    return rates


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="within a minute")
    arguments.add_argument("--full", action="store_true", help="the figures that are quoted")
    given = arguments.parse_args()
    log.configure(level="error")
    tune_collector()
    rounds, count, few = (5, 40_000, 6_000) if given.full else (2, 10_000, 1_500) if given.quick else (3, 20_000, 3_000)
    rates = uvloop.run(measure(rounds, count, few, 10_000))
    median = {name: statistics.median(values) for name, values in rates.items()}
    print(f"\ningest, database part, uplinks/s ({ground.machine()}, 10,000 spaces, median (lowest–highest)):")
    for name, values in rates.items():
        print(f"  {name:20} {ground.spread(values)}")
    vs_proposal, vs_copy = median["ours"] / median["proposal"], median["ours"] / median["copy"]
    end = median["end to end, ours"] / median["end to end, proposal"]
    ground.finish(
        {
            "bench": "ingest",
            "vs_proposal": round(vs_proposal, 2),
            "vs_copy_floor": round(vs_copy, 3),
            "end_to_end_vs_proposal": round(end, 2),
            "uplinks_per_s": round(median["ours"]),
        },
        [
            (f"against the proposal's code {vs_proposal:.1f}x (bar 12x)", vs_proposal >= 12),
            (f"against the COPY floor {vs_copy:.2f} (bar 0.40)", vs_copy >= 0.40),
            (f"end to end against the proposal's code {end:.1f}x (bar 5x)", end >= 5),
        ],
    )


if __name__ == "__main__":
    main()
