"""Kill Baylight while cars come and go: no uplink is lost, no command is sent twice, no light is wrong.

    python -m bench.program_kills [--kills N] [--seed N]

Processes of `baylight serve` run one after the other on PostgreSQL and Mosquitto, with a simulated ChirpStack. Each is
killed (SIGKILL) at a random moment, and the next one begins at once. What is wrong in the end raises AssertionError.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.eventually import until
from tests.support.processes import Child, all_stored, nothing_was_done_twice
from tests.support.servers import Database, Server
from tests.support.stage import Stage, stage_on

from baylight.lab.embedded.broker import MosquittoBroker
from baylight.lab.embedded.postgres import EmbeddedPostgres
from baylight.log import configure
from baylight.store.pool import Pool, open_pool

SHORTEST_S, LONGEST_S = 0.2, 1.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """Numbers of a trial. `caught`: commands whose process was killed between a claim and its outcome."""

    changes: int
    uplinks: int
    caught: int


async def trial(
    database: Database, pool: Pool, broker: MosquittoBroker, output: Path, *, kills: int, seed: int
) -> Outcome:
    """Kill processes on an empty, migrated database. `output`: file of their log."""
    async with stage_on(database, pool, broker, bays=20, traffic=150, duplicates=0.1, seed=seed) as stage:
        last = await _killed_again_and_again(stage, output, kills, random.Random(seed))
        try:
            await all_stored(stage)
            await stage.all_proven()
        finally:
            last.kill()
        await nothing_was_done_twice(pool)
        stored = await pool.fetchval("SELECT count(*) FROM uplinks")
        assert stored == await pool.fetchval("SELECT count(DISTINCT deduplication_id) FROM uplinks"), (
            "an uplink was counted twice"
        )
        assert await pool.fetchval("SELECT count(*) FROM rejected_messages") == 0
        assert "Traceback" not in await asyncio.to_thread(output.read_text)
        caught = await pool.fetchval(
            "SELECT count(*) FROM actuation_events WHERE kind = 'recovered' OR detail LIKE 'its sender ended%'"
        )
        return Outcome(len(stage.park.changes), stored, caught)


async def _killed_again_and_again(stage: Stage, output: Path, kills: int, chance: random.Random) -> Child:
    """Kill children at random, and return the last one, which runs on.

    The next child always waits with its imports done.
    """
    running, standing_by = Child(stage.settings(), output), Child(stage.settings(), output)
    try:
        await asyncio.to_thread(running.go)
        await until(running.connected)
        stage.power_on()
        stage.fake.faults.slow_s = 0.3  # so that kills fall between a claim and its outcome, too
        for bay in stage.bays:
            bay.sensor.heartbeat()
        cars = asyncio.create_task(stage.park.run())
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(SHORTEST_S, LONGEST_S))  # the moment of the kill
            await asyncio.to_thread(running.kill)
            await asyncio.to_thread(standing_by.go)
            running, standing_by = standing_by, Child(stage.settings(), output)
        await stage.park.quiesce()
        cars.cancel()
        stage.fake.faults.slow_s = 0.0
        return running
    except BaseException:
        running.kill()
        raise
    finally:
        standing_by.kill()


async def measure(kills: int, seed: int) -> Outcome:
    directory = Path(tempfile.mkdtemp(prefix="bl-kills-"))
    os.chmod(directory, 0o711)  # the account that PostgreSQL runs under must be able to enter
    postgres = EmbeddedPostgres(directory / "postgres", durable=True)
    broker = MosquittoBroker(directory / "mosquitto")
    await postgres.start()
    await asyncio.to_thread(broker.start)
    try:
        async with Server(postgres.dsn, "postgres").database() as database:
            pool = await open_pool(database.dsn)
            try:
                return await trial(database, pool, broker, directory / "log", kills=kills, seed=seed)
            finally:
                await pool.close()
    finally:
        await asyncio.to_thread(broker.stop)
        await postgres.stop()
        postgres.delete()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    configure(level="error")
    found = asyncio.run(measure(given.kills, given.seed))
    print(
        f"program_kills: {given.kills} kills, seed {given.seed}: {found.changes} changes, {found.uplinks} uplinks,"
        f" {found.caught} commands caught between claim and outcome: nothing lost, sent twice or wrong"
    )


if __name__ == "__main__":
    main()
