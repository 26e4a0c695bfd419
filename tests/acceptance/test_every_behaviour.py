"""All behaviours of ChirpStack at once, with duplicates, disorder and power cuts: at the end every light is right."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from baylight.lab.demo import Options, demo
from baylight.lab.embedded.broker import EmbeddedBroker
from baylight.lab.sim.behaviour import GatewayMode
from baylight.store.pool import Pool
from tests.support.eventually import until
from tests.support.processes import all_stored, nothing_was_done_twice
from tests.support.servers import Database
from tests.support.stage import stage_on

SWITCHES = (
    "unordered_events", "emit_fields", "server_made_grpc_ids", "one_downlink_at_a_time", "txack_after_gateway_ok",
    "silent_gateway_resends", "gateway_nack_without_id", "expiry_and_size_logs", "ack_timeout_nack", "flush_on_join",
    "first_uplink_rule", "fcnt_reuse_after_flush", "foreign_device_unauthenticated", "txack_without_application_tags",
)  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("by_mqtt", [False, True], ids=["gRPC", "MQTT"])
async def test_after_duplicates_disorder_and_power_cuts_every_light_is_right(
    database: Database, pool: Pool, broker: EmbeddedBroker, seed: int, by_mqtt: bool
) -> None:
    async with (
        stage_on(
            database, pool, broker, bays=8, by_mqtt=by_mqtt, traffic=600, seed=seed, duplicates=0.3, reorder_s=2.0
        ) as stage,
        stage.program(),
    ):
        await stage.begin()
        cars = asyncio.create_task(stage.park.run())
        for number, bay in enumerate(stage.bays):
            await until(lambda number=number: len(stage.park.changes) > 15 * (number + 1))
            bay.light.power_cut()
            stage.fake.set_gateway(list(GatewayMode)[number % 4], dev_eui=bay.display_eui)
            stage.bays[number - 3].light.report()
        for bay in stage.bays:
            stage.fake.set_gateway(GatewayMode.OK, dev_eui=bay.display_eui)
        await stage.park.quiesce()
        cars.cancel()
        await all_stored(stage)
        await stage.all_proven()
        await nothing_was_done_twice(pool)


@pytest.mark.parametrize("switch", SWITCHES)
async def test_baylight_depends_on_no_single_behaviour_of_chirpstack(
    database: Database, pool: Pool, broker: EmbeddedBroker, switch: str
) -> None:
    async with (
        stage_on(database, pool, broker, bays=4, traffic=600, duplicates=0.2, **{switch: False}) as stage,
        stage.program(),
    ):
        await stage.begin()
        cars = asyncio.create_task(stage.park.run())
        await until(lambda: len(stage.park.changes) > 15)
        stage.bays[0].light.power_cut()
        await stage.park.quiesce()
        cars.cancel()
        await all_stored(stage)
        await stage.all_proven()


async def test_after_lost_events_each_light_is_right_again_within_eight_heartbeats(
    database: Database, pool: Pool, broker: EmbeddedBroker
) -> None:
    """QoS 0 or a restart of ChirpStack loses events. A sensor's next heartbeat and the next decision correct that."""
    async with (
        stage_on(database, pool, broker, bays=6, traffic=600, loss=0.2, seed=3) as stage,
        stage.program(loop={"report_timeout": timedelta(seconds=2)}),
    ):
        cars = asyncio.create_task(stage.park.run())
        await until(lambda: len(stage.park.changes) > 60)
        await stage.park.quiesce()
        cars.cancel()
        for _ in range(8):
            for bay in stage.bays:
                bay.sensor.heartbeat()
        await stage.all_proven()


async def test_confirmed_downlinks_that_are_not_acknowledged_end(
    database: Database, pool: Pool, broker: EmbeddedBroker
) -> None:
    async with stage_on(database, pool, broker, bays=2, class_c_timeout_s=10.0) as stage:
        await pool.execute("UPDATE display_devices SET confirmed_downlinks = true")
        async with stage.program():
            await stage.begin()
            bay = stage.bays[0]
            bay.light.deaf = True
            stage.fake.devices[bay.display_eui].last_f_cnt = 1 << 20  # its radio receives no frame either
            await stage.park.arrive(bay.code)
            await until(lambda: stage.fake.published["ack"] > 2)
            bay.light.deaf = False
            bay.light.power_cut()
            await stage.all_proven()
    assert await pool.fetchval(
        "SELECT count(*) > 0 FROM actuations WHERE downlink_error = 'the device did not acknowledge it'"
    )


@pytest.mark.slow
async def test_the_demo_runs_and_finds_every_light_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = await demo(Options(data_dir=tmp_path / "data", seconds=4, check=True, bays=12, speed=40))
    output = capsys.readouterr().out
    assert right, output
    assert "Every light shows what it must, and no uplink is lost." in output
