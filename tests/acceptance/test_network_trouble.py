"""Gateways and network servers that are silent, refuse, do not answer or are away: reported, and later corrected."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from baylight.domain.conditions import ConditionKind
from baylight.lab.embedded.broker import EmbeddedBroker
from baylight.lab.sim.behaviour import GatewayMode
from baylight.store.pool import Pool
from tests.support.eventually import eventually, until
from tests.support.servers import Database
from tests.support.stage import GREEN, RED, Stage, stage_on

SHORT = {"ttl": timedelta(seconds=1), "report_timeout": timedelta(seconds=1)}


@pytest.mark.parametrize("mode", [GatewayMode.SILENT, GatewayMode.NACK])
async def test_a_downlink_that_no_gateway_sends_expires_is_reported_and_sent_again(
    stage: Stage, mode: GatewayMode
) -> None:
    bay, other = stage.bays
    async with stage.program(loop=SHORT):
        await stage.begin()
        stage.fake.set_gateway(mode, dev_eui=bay.display_eui)
        await stage.park.arrive(bay.code)
        await stage.park.arrive(other.code)
        await stage.shows(other, RED)
        await eventually(
            stage.pool, "SELECT count(*) >= 2 FROM actuations WHERE status = 'expired' AND transmitted_at IS NULL"
        )
        assert bay.light.code == GREEN
        await stage.becomes(bay, "sync_status", "unreachable")
        stage.fake.set_gateway(GatewayMode.OK, dev_eui=bay.display_eui)
        await stage.shows(bay, RED)
        await stage.all_proven()
    assert "shown" not in (await stage.statuses(bay))[1:-1]


async def test_a_gateways_refusals_are_kept_with_the_downlink_that_was_on_its_way(stage: Stage) -> None:
    bay = stage.bays[0]
    async with stage.program():
        await stage.begin()
        stage.fake.set_gateway(GatewayMode.NACK, dev_eui=bay.display_eui)
        await stage.park.arrive(bay.code)
        await eventually(
            stage.pool,
            "SELECT downlink_error = 'a gateway refused it: TOO_LATE' FROM actuations "
            "WHERE new_state = 'OCCUPIED' AND status = 'queued'",
        )
        await stage.becomes(bay, "sync_status", "unreachable")
        stage.fake.set_gateway(GatewayMode.OK, dev_eui=bay.display_eui)
        await stage.shows(bay, RED)
        await stage.all_proven()
    assert await stage.statuses(bay) == ["shown", "shown"]
    steps = "SELECT count(*) FROM actuation_events WHERE detail = 'DOWNLINK_GATEWAY: TOO_LATE'"
    assert await stage.pool.fetchval(steps) == 1, "a repetition is no step of its own"


async def test_the_report_of_a_light_counts_even_if_no_tx_ack_ever_comes(stage: Stage) -> None:
    bay = stage.bays[0]
    async with stage.program():
        await stage.begin()
        stage.fake.set_gateway(GatewayMode.MUTE, dev_eui=bay.display_eui)
        await stage.park.arrive(bay.code)
        await stage.shows(bay, RED)
        await stage.becomes(bay, "sync_status", "in_sync")
    row = await stage.pool.fetchrow("SELECT status, transmitted_at FROM actuations WHERE new_state = 'OCCUPIED'")
    assert row is not None
    assert tuple(row) == ("shown", None)


async def test_while_the_network_server_is_away_nothing_is_lost_and_the_newest_wins(stage: Stage) -> None:
    bay, other = stage.bays
    async with stage.program() as program:
        await stage.begin()
        await stage.fake.grpc_down()
        await stage.park.arrive(bay.code)
        await stage.park.arrive(other.code)
        await until(lambda: program.conditions.find(ConditionKind.NETWORK_SERVER_AWAY, "chirpstack"))
        assert program.problems() == {}, "another process could not do better"
        await stage.park.leave(bay.code)
        await eventually(stage.pool, "SELECT current_state FROM spaces WHERE code = $1", bay.code, equals="FREE")
        await stage.fake.grpc_up()
        await stage.shows(other, RED)
        await stage.all_proven()
        assert program.conditions.open() == []
    assert "superseded" in await stage.statuses(bay)


async def test_a_slow_answer_for_one_light_delays_no_other_work(stage: Stage) -> None:
    async with stage.program() as program:
        await stage.begin()
        stage.fake.faults.slow_s = 3.0
        await stage.park.arrive(stage.bays[0].code)
        await eventually(stage.pool, "SELECT count(*) = 1 FROM actuations WHERE status = 'sending'")
        await stage.park.arrive(stage.bays[1].code)
        await eventually(stage.pool, "SELECT count(*) = 2 FROM actuations WHERE status = 'sending'")
        assert program.problems() == {}
        stage.fake.faults.slow_s = 0
        await until(lambda: all(bay.light.code == RED for bay in stage.bays))
        await stage.all_proven()


async def test_an_answer_that_never_comes_is_found_in_the_network_servers_queue(stage: Stage) -> None:
    """ChirpStack makes the id of the downlink. After a lost answer only the downlink's expiry identifies it."""
    bay = stage.bays[0]
    async with stage.program(chirpstack_api_timeout_s=0.5):
        await stage.begin()
        stage.fake.set_gateway(GatewayMode.SILENT, dev_eui=bay.display_eui)  # so that it stays in the queue
        stage.fake.faults.lose_answers = True
        await stage.park.arrive(bay.code)
        await eventually(stage.pool, "SELECT count(*) = 1 FROM actuations WHERE status = 'queued'")
        stage.fake.faults.lose_answers = False
        stage.fake.set_gateway(GatewayMode.OK, dev_eui=bay.display_eui)
        await stage.shows(bay, RED)
        await stage.all_proven()
    assert await stage.statuses(bay) == ["shown", "shown"]
    assert Counter(eui for eui, _ in stage.fake.accepted)[bay.display_eui] == 2, "sent twice"


async def test_a_downlink_whose_answer_never_comes_is_identified_by_its_tx_ack(stage: Stage) -> None:
    """The gateway sends the downlink before Baylight looks into the queue."""
    bay = stage.bays[0]
    async with stage.program(chirpstack_api_timeout_s=1.0):
        await stage.begin()
        bay.light.reports_wrong = GREEN  # so that no report is the first proof
        stage.fake.faults.lose_answers = True
        await stage.park.arrive(bay.code)
        await eventually(
            stage.pool,
            "SELECT count(*) = 1 FROM actuations WHERE new_state = 'OCCUPIED' AND transmitted_at IS NOT NULL",
        )
        stage.fake.faults.lose_answers = False
        bay.light.reports_wrong = None
        await stage.shows(bay, RED)
        await stage.all_proven()
    assert await stage.pool.fetchval("SELECT count(*) = 0 FROM actuation_events WHERE actuation_id IS NULL")


async def test_a_tx_ack_that_comes_before_the_answer_is_matched(stage: Stage) -> None:
    bay = stage.bays[0]
    async with stage.program():
        await stage.begin()
        stage.fake.faults.answer_after_txack = True
        await stage.park.arrive(bay.code)
        await stage.shows(bay, RED)
        await stage.all_proven()
        await stage.park.leave(bay.code)
        await stage.shows(bay, GREEN)
        await stage.all_proven()
    assert await stage.statuses(bay) == ["shown"] * 3
    assert await stage.pool.fetchval("SELECT count(*) FROM actuation_events WHERE actuation_id IS NULL") == 0


async def test_answers_lost_for_a_while_under_traffic_leave_nothing_stuck(
    database: Database, pool: Pool, broker: EmbeddedBroker
) -> None:
    async with (
        stage_on(database, pool, broker, bays=8, traffic=300) as stage,
        stage.program(chirpstack_api_timeout_s=0.3),
    ):
        await stage.begin()
        cars = asyncio.create_task(stage.park.run())
        for _ in range(3):
            stage.fake.faults.lose_answers = True
            await asyncio.sleep(0.7)  # longer than the program waits for an answer
            stage.fake.faults.lose_answers = False
            await asyncio.sleep(0.5)  # answers arrive for a while
        await stage.park.quiesce()
        cars.cancel()
        await stage.all_proven()


async def test_a_device_that_the_api_key_may_not_use_fails_in_plain_words(stage: Stage) -> None:
    bay = stage.bays[0]
    stage.fake.devices[bay.display_eui].tenant = "another"
    async with stage.program():
        await stage.park.arrive(bay.code)
        await eventually(
            stage.pool,
            "SELECT downlink_error LIKE 'ChirpStack knows no device%' FROM actuations WHERE status = 'failed' LIMIT 1",
        )
        await stage.becomes(bay, "sync_status", "unreachable")
        stage.fake.devices[bay.display_eui].tenant = "ChirpStack"
        await stage.shows(bay, RED)


async def test_downlinks_may_go_by_mqtt_instead(database: Database, pool: Pool, broker: EmbeddedBroker) -> None:
    async with stage_on(database, pool, broker, by_mqtt=True) as stage, stage.program():
        await stage.begin()
        bay = stage.bays[0]
        await stage.park.arrive(bay.code)
        await stage.shows(bay, RED)
        await stage.all_proven()
        bay.light.power_cut()
        await stage.park.leave(bay.code)
        await stage.shows(bay, GREEN)
        await stage.all_proven()
        ids = {str(r["id"]) for r in await pool.fetch("SELECT id FROM actuations")}
        assert {item.id for _, item in stage.fake.accepted} <= ids
        assert not stage.fake.warnings


async def test_by_mqtt_a_display_of_an_unknown_application_receives_commands_after_its_first_uplink(
    database: Database, pool: Pool, broker: EmbeddedBroker
) -> None:
    async with stage_on(database, pool, broker, by_mqtt=True) as stage:
        bay = stage.bays[0]
        await pool.execute("UPDATE display_devices SET application_id = NULL WHERE dev_eui = $1", bay.display_eui)
        async with stage.program():
            bay.sensor.heartbeat()
            await eventually(pool, "SELECT downlink_error LIKE '%no uplink of it' FROM actuations LIMIT 1")
            assert await stage.statuses(bay) == ["failed"]
            assert await pool.fetchval(
                "SELECT reconcile_at IS NULL FROM display_devices WHERE dev_eui = $1", bay.display_eui
            ), "tried again, though nothing has changed"
            bay.light.report()
            await stage.shows(bay, GREEN)
