"""Memory of `baylight serve` while it drains a backlog of the broker, and whether each event is stored once.

    python -m bench.backlog [--quick]

The process makes its session at the broker and ends. Then the events are published, and a new process drains them at
full speed, with the downlinks of their changes. Its memory (RSS) is read each 100 ms. Needs Mosquitto, which keeps the
events of a client that is away without a limit (`max_queued_messages 0`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil
import uvloop

from baylight.lab.embedded.broker import MosquittoBroker, find_mosquitto
from bench import ground
from bench.latency import NetworkServer, publisher

SPACES = 10_000
PEAK_MB = 200
_READY_S = 30.0
_IDLE_S = 60.0
"""Seconds without a stored event after which the rest counts as lost."""
_STORED = "SELECT count(*), count(DISTINCT (dev_eui, f_cnt)) FROM uplinks WHERE dev_eui <> $1"


@dataclass(slots=True)
class Result:
    peak_mb: float = 0.0
    idle_mb: float = 0.0
    seconds: float = 0.0
    stored: int = 0
    distinct: int = 0
    wrong: int = 0


@contextlib.asynccontextmanager
async def serving(environment: dict[str, str]) -> AsyncIterator[psutil.Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "baylight", "serve", env=environment)
    try:
        yield psutil.Process(process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def make_session(connection: asyncpg.Connection, broker: MosquittoBroker, environment: dict[str, str]) -> str:
    """Let the process subscribe, and end it. Return the sensor of the event that shows that it has subscribed."""
    eui, topic, payload = ground.arrival(SPACES + 1)
    client = await publisher(broker, "bench-first")
    async with serving(environment):
        ends_at = time.monotonic() + _READY_S
        while not await connection.fetchval("SELECT count(*) FROM uplinks"):
            if time.monotonic() > ends_at:
                raise TimeoutError("baylight serve did not come up")
            client.publish(topic, payload, qos=1)
            await asyncio.sleep(0.2)
    await client.disconnect()
    return eui


async def publish(broker: MosquittoBroker, count: int) -> None:
    numbers = [str(n) for n in (broker.port, count, SPACES, 1)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.publisher", broker.host, *numbers, stdout=asyncio.subprocess.DEVNULL
    )
    if await process.wait():
        raise RuntimeError("the publisher failed")


async def drain(connection: asyncpg.Connection, environment: dict[str, str], count: int, first: str) -> Result:
    result, began = Result(), time.monotonic()
    async with serving(environment) as process:
        sampling = asyncio.create_task(_sample(process, result))
        moved_at = began
        while result.distinct < count and time.monotonic() - moved_at < _IDLE_S:
            await asyncio.sleep(0.5)
            stored, distinct = await connection.fetchrow(_STORED, first)
            if distinct != result.distinct:
                moved_at = time.monotonic()
            result.stored, result.distinct = stored, distinct
        result.seconds = moved_at - began
        await asyncio.sleep(2)  # events that come a second time come now
        result.idle_mb = process.memory_info().rss / 1e6
        sampling.cancel()
    result.stored, result.distinct = await connection.fetchrow(_STORED, first)
    return result


async def _sample(process: psutil.Process, result: Result) -> None:
    while True:
        result.peak_mb = max(result.peak_mb, process.memory_info().rss / 1e6)
        await asyncio.sleep(0.1)


async def run(count: int) -> Result:
    network_server = NetworkServer()
    await network_server.start()
    with tempfile.TemporaryDirectory(prefix="bl-bench-broker-") as directory:
        broker = MosquittoBroker(Path(directory))
        broker.start()
        try:
            async with ground.server(SPACES + 1) as database, database.copy() as dsn:
                environment = os.environ | {
                    "BAYLIGHT_DATABASE_URL": dsn,
                    "BAYLIGHT_MQTT_HOST": broker.host,
                    "BAYLIGHT_MQTT_PORT": str(broker.port),
                    "BAYLIGHT_CHIRPSTACK_API": network_server.target,
                    "BAYLIGHT_CHIRPSTACK_API_KEY": "bench",
                    "BAYLIGHT_HTTP_PORT": "0",
                    "BAYLIGHT_LOG_LEVEL": "warning",
                }
                connection = await asyncpg.connect(dsn)
                first = await make_session(connection, broker, environment)
                await publish(broker, count)
                result = await drain(connection, environment, count, first)
                rows = await connection.fetch("SELECT sensor_deveui, current_state FROM spaces")
                states = {row["sensor_deveui"]: row["current_state"] for row in rows}
                end = ground.uplinks(count, SPACES).end
                result.wrong = sum(states[eui] != state for eui, state in end.items())
                await connection.close()
                return result
        finally:
            broker.stop()
            await network_server.stop()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="20,000 events instead of 200,000")
    given = arguments.parse_args()
    if find_mosquitto() is None:
        print("backlog needs Mosquitto, whose max_queued_messages 0 keeps all events: apt-get install mosquitto")
        sys.exit(2)
    count = 20_000 if given.quick else 200_000
    result = uvloop.run(run(count))
    lost, doubled = count - result.distinct, result.stored - result.distinct
    print(f"\nbacklog, {count:,} events that waited at Mosquitto ({ground.machine()}):")
    print(f"  stored in {result.seconds:.1f} s from the start of the process, {result.wrong} wrong states at the end")
    print(f"  RSS: at most {result.peak_mb:.0f} MB, {result.idle_mb:.0f} MB 2 s after the last event")
    ground.finish(
        {
            "bench": "backlog",
            "peak_rss_mb": round(result.peak_mb, 1),
            "idle_rss_mb": round(result.idle_mb, 1),
            "seconds": round(result.seconds, 1),
            "lost": lost,
            "doubled": doubled,
        },
        [
            (f"the peak is {result.peak_mb:.0f} MB (bar {PEAK_MB} MB)", result.peak_mb <= PEAK_MB),
            (f"{lost} events are lost (bar 0)", lost == 0),
            (f"{doubled} events are stored twice (bar 0)", doubled == 0),
            (f"{result.wrong} spaces have a wrong state (bar 0)", result.wrong == 0),
        ],
    )


if __name__ == "__main__":
    main()
