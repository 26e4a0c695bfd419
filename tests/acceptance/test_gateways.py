"""Gateways in the whole program: airtime is counted, and a refusal is a condition until the gateway sends again."""

from __future__ import annotations

from baylight.lab.sim.behaviour import GatewayMode
from baylight.store.pool import Pool
from tests.support.eventually import eventually
from tests.support.stage import RED, Stage

OPEN = "SELECT string_agg(kind, ',') FROM conditions WHERE ended_at IS NULL AND kind LIKE 'gateway%'"


async def test_i24_a_gateway_that_refuses_has_a_condition_until_its_next_tx_ack(stage: Stage) -> None:
    bay = stage.bays[0]
    async with stage.program():
        await stage.begin()
        stage.fake.set_gateway(GatewayMode.NACK)
        await stage.park.arrive(bay.code)
        await eventually(stage.pool, OPEN, equals="gateway_refuses")
        assert (await evidence(stage.pool)).startswith("TOO_LATE: ")
        stage.fake.set_gateway(GatewayMode.OK)
        await stage.shows(bay, RED)
        await eventually(stage.pool, OPEN, equals=None)


async def test_i17_the_airtime_of_each_command_is_counted_in_the_sub_band_of_rx2(stage: Stage) -> None:
    async with stage.program():
        await stage.begin()
        await eventually(
            stage.pool,
            "SELECT string_agg(DISTINCT sub_band, ',') FROM gateway_airtime HAVING sum(frames) >= 2"
            " AND sum(airtime_ms) / sum(frames) BETWEEN 1318 AND 1319",
            equals="P",
        )


async def evidence(pool: Pool) -> str:
    return str(await pool.fetchval("SELECT evidence FROM conditions WHERE kind = 'gateway_refuses'"))
