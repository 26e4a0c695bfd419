"""Programs that are killed while cars come and go: no uplink is lost, no command is sent twice, no light is wrong."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from baylight.lab.embedded.broker import MosquittoBroker
from baylight.store.pool import Pool
from tests.support.eventually import until
from tests.support.processes import Child, all_stored, nothing_was_done_twice
from tests.support.servers import Database
from tests.support.stage import Stage, stage_on

KILLS = 20
SHORTEST_S, LONGEST_S = 0.2, 1.2


async def killed_again_and_again(stage: Stage, output: Path, chance: random.Random) -> Child:
    """Kill children at random, and return the last one, which runs on.

    The next child always waits with its imports done.
    """
    running, standing_by = Child(stage.settings(), output), Child(stage.settings(), output)
    try:
        await asyncio.to_thread(running.go)
        await until(running.connected)
        stage.power_on()
        stage.fake.faults.slow_s = 0.05  # so that kills fall between a claim and its outcome, too
        for bay in stage.bays:
            bay.sensor.heartbeat()
        cars = asyncio.create_task(stage.park.run())
        for _ in range(KILLS):
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


@pytest.mark.slow
async def test_a_program_that_is_killed_twenty_times_loses_nothing_and_shows_no_wrong_light(
    database: Database, pool: Pool, mosquitto: MosquittoBroker, tmp_path: Path
) -> None:
    output = tmp_path / "log"
    async with stage_on(database, pool, mosquitto, bays=20, traffic=150, duplicates=0.1, seed=7) as stage:
        last = await killed_again_and_again(stage, output, random.Random(7))
        try:
            await all_stored(stage)
            await stage.all_proven()
        finally:
            last.kill()
        assert len(stage.park.changes) > 200
        await nothing_was_done_twice(pool)
        assert await pool.fetchval("SELECT count(*) FROM uplinks") == await pool.fetchval(
            "SELECT count(DISTINCT deduplication_id) FROM uplinks"
        ), "an uplink was counted twice"
        assert await pool.fetchval(
            "SELECT count(*) > 1 FROM actuation_events WHERE kind = 'recovered' OR detail LIKE 'its sender ended%'"
        ), "no kill fell between a claim and its outcome: it proves less than it should"
        assert await pool.fetchval("SELECT count(*) FROM rejected_messages") == 0
    assert "Traceback" not in await asyncio.to_thread(output.read_text)
