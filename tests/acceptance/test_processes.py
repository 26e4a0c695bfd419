"""Programs on a real platform: several processes, a database or a broker that goes away, signals to end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from baylight.lab.embedded.broker import MosquittoBroker
from baylight.lab.embedded.postgres import EmbeddedPostgres
from baylight.store import migrate
from baylight.store.pool import Pool, open_pool
from tests.support.eventually import eventually, until
from tests.support.processes import Child, all_stored, nothing_was_done_twice
from tests.support.servers import Database
from tests.support.stage import RED, stage_on


async def test_two_processes_side_by_side_do_nothing_twice(
    database: Database, pool: Pool, mosquitto: MosquittoBroker
) -> None:
    async with (
        stage_on(database, pool, mosquitto, bays=12, traffic=600, duplicates=0.3) as stage,
        AsyncExitStack() as both,
    ):
        programs = [
            await both.enter_async_context(stage.program(mqtt_client_id=f"b{n}", mqtt_share_group="baylight"))
            for n in (1, 2)
        ]
        await stage.begin()
        cars = asyncio.create_task(stage.park.run())
        await until(lambda: len(stage.park.changes) > 150)
        await stage.park.quiesce()
        cars.cancel()
        await all_stored(stage)
        await stage.all_proven()
        await nothing_was_done_twice(pool)
        shares = [program.ingest.counts["uplink", "state_changed"] for program in programs]
        assert min(shares) > 20, f"one of them did all the work: {shares}"
        sent = sum(program.relay.counts["accepted"] for program in programs)
        assert sent == len(stage.fake.accepted)


async def test_a_rolling_restart_under_traffic_loses_nothing(
    database: Database, pool: Pool, mosquitto: MosquittoBroker
) -> None:
    """The broker keeps the messages of the process that restarts."""
    shared = {"mqtt_share_group": "baylight"}
    async with (
        stage_on(database, pool, mosquitto, bays=6, traffic=600) as stage,
        stage.program(mqtt_client_id="b1", **shared),
    ):
        async with stage.program(mqtt_client_id="b2", **shared):
            await stage.begin()
            cars = asyncio.create_task(stage.park.run())
            await until(lambda: len(stage.park.changes) > 30)
        await until(lambda: len(stage.park.changes) > 60)
        async with stage.program(mqtt_client_id="b2", **shared):
            await stage.park.quiesce()
            cars.cancel()
            await all_stored(stage)
            await stage.all_proven()
            await nothing_was_done_twice(pool)


async def test_b5_the_program_waits_for_a_database_that_restarts_and_loses_nothing(
    own_postgres: EmbeddedPostgres, mosquitto: MosquittoBroker
) -> None:
    dsn = own_postgres.dsn()
    await migrate.upgrade(dsn)
    pool = await open_pool(dsn, size=2)
    async with stage_on(Database(dsn), pool, mosquitto, bays=6, traffic=600) as stage:
        with capture_logs() as logs:
            async with stage.program() as program:
                await stage.begin()
                cars = asyncio.create_task(stage.park.run())
                await until(lambda: len(stage.park.changes) > 20)
                await own_postgres.stop()
                await until(lambda: "database" in program.problems())
                await until(lambda: len(stage.park.changes) > 40)
                await own_postgres.start()
                await until(lambda: program.problems() == {})
                await until(lambda: len(stage.park.changes) > 60)
                await stage.park.quiesce()
                cars.cancel()
                await all_stored(stage)
                await stage.all_proven()
                await nothing_was_done_twice(pool)
    outages = [line for line in logs if line["event"] == "database_outage"]
    assert 1 <= len(outages) <= 2, "logged once by each part that needs the database"
    pool.terminate()


async def test_b5_a_message_that_was_not_stored_is_not_acknowledged(
    own_postgres: EmbeddedPostgres, mosquitto: MosquittoBroker
) -> None:
    """A car comes while the database is away, then the program ends. The next program receives the car's uplink."""
    dsn = own_postgres.dsn()
    await migrate.upgrade(dsn)
    pool = await open_pool(dsn, size=2)
    async with stage_on(Database(dsn), pool, mosquitto) as stage:
        bay = stage.bays[0]
        async with stage.program() as program:
            await stage.begin()
            await own_postgres.stop()
            await stage.park.arrive(bay.code)
            await stage.fake.settled()
            await until(lambda: "database" in program.problems())
        await own_postgres.start()
        async with stage.program():
            await stage.shows(bay, RED)
            await all_stored(stage)
            await stage.all_proven()
    pool.terminate()


async def test_a_program_that_starts_before_its_database_waits_for_it(
    own_postgres: EmbeddedPostgres, mosquitto: MosquittoBroker
) -> None:
    dsn = own_postgres.dsn()
    await migrate.upgrade(dsn)
    pool = await open_pool(dsn, size=2)
    async with stage_on(Database(dsn), pool, mosquitto) as stage:
        await own_postgres.stop()
        entering = stage.program()
        began = asyncio.create_task(entering.__aenter__())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(began), 1.5)
        await own_postgres.start()
        await began
        await stage.begin()
        await entering.__aexit__(None, None, None)
    pool.terminate()


async def test_the_program_waits_for_a_broker_that_is_killed_logs_it_once_and_loses_no_car(
    database: Database, pool: Pool, mosquitto: MosquittoBroker
) -> None:
    async with stage_on(database, pool, mosquitto, bays=6) as stage:
        with capture_logs() as logs:
            async with stage.program() as program:
                await stage.begin()
                for bay in stage.bays[:3]:
                    await stage.park.arrive(bay.code)
                await stage.all_proven()
                mosquitto.kill()
                await until(lambda: "broker" in program.problems())
                for bay in stage.bays[3:]:
                    await stage.park.arrive(bay.code)  # the simulated ChirpStack keeps them, as the real one does
                mosquitto.start()
                await until(lambda: program.problems() == {})
                for bay in stage.bays[3:]:
                    await stage.shows(bay, RED)
                await all_stored(stage)
                await stage.all_proven()
    events = [line["event"] for line in logs]
    assert (events.count("broker_away"), events.count("broker_back")) == (1, 1)


async def test_uplinks_of_cars_that_come_while_no_program_runs_are_received_at_the_next_start(
    database: Database, pool: Pool, mosquitto: MosquittoBroker
) -> None:
    async with stage_on(database, pool, mosquitto) as stage:
        async with stage.program():
            await stage.begin()
        for bay in stage.bays:
            await stage.park.arrive(bay.code)
        await stage.fake.settled()
        async with stage.program():
            for bay in stage.bays:
                await stage.shows(bay, RED)
            await all_stored(stage)
            await stage.all_proven()


async def test_sigterm_ends_the_program_in_order_and_leaves_no_command_half_sent(
    database: Database, pool: Pool, mosquitto: MosquittoBroker, tmp_path: Path
) -> None:
    async with stage_on(database, pool, mosquitto, bays=6, traffic=600) as stage:
        children = [Child(stage.settings(), tmp_path / "log") for _ in range(2)]
        try:
            await asyncio.to_thread(children[0].go)
            await until(children[0].connected)
            stage.power_on()
            for bay in stage.bays:
                bay.sensor.heartbeat()
            cars = asyncio.create_task(stage.park.run())
            await until(lambda: len(stage.park.changes) > 40)
            code = await asyncio.to_thread(children[0].terminate)
            assert code == 0
            assert await pool.fetchval("SELECT count(*) FROM actuations WHERE status = 'sending'") == 0
            await asyncio.to_thread(children[1].go)
            await stage.park.quiesce()
            cars.cancel()
            await eventually(pool, "SELECT count(*) = 6 FROM display_devices WHERE sync_status = 'in_sync'")
            await stage.all_proven()
            await all_stored(stage)
        finally:
            for child in children:
                child.kill()
    assert "Traceback" not in await asyncio.to_thread((tmp_path / "log").read_text)
