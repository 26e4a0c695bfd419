"""`baylight serve` on a V2 database at work: it observes, and from the switch on it decides and sends."""

from __future__ import annotations

import asyncio
from pathlib import Path

from baylight.lab.embedded.broker import EmbeddedBroker
from baylight.lab.sim.behaviour import Behaviour
from baylight.lab.sim.car_park import Bay, CarPark
from baylight.lab.sim.chirpstack import FakeChirpStack
from baylight.store.pool import open_pool
from baylight.v2.choices import proposed_types
from baylight.v2.observe import observe_report
from tests.support.eventually import eventually, until
from tests.support.processes import Child
from tests.support.servers import Server
from tests.support.stage import RED, SPEED, Stage
from tests.support.v2 import V2Database, v2_database

MORE = {"sensor": {"7076ff": "bosch_tps110"}}
TYPES = {role: {**rules, **MORE.get(role, {})} for role, rules in proposed_types().items()}
RECEIVED = "SELECT count(*) FROM uplinks WHERE dev_eui = $1 AND occupancy = 'OCCUPIED'"


async def test_a_process_that_observes_v2_sends_nothing_and_begins_to_send_at_the_switch_without_a_restart(
    server: Server, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    fake = FakeChirpStack(broker.host, broker.port, behaviour=Behaviour(speed=SPEED), seed=1)
    park = CarPark(fake, floors=1, bays=2, seed=1)
    seen, missed = park.bays
    async with v2_database(server) as v2:
        spaces = {
            bay.code: await v2.add(bay.code, sensor_eui=bay.sensor_eui.upper(), display_eui=bay.display_eui)
            for bay in park.bays
        }
        await v2.apply("expand")
        pool = await open_pool(v2.dsn)
        stage = Stage(pool, v2.dsn, broker, fake, park, spaces=spaces)
        await fake.start(power_on=False)
        serve = Child(stage.settings(), tmp_path / "log")
        try:
            await asyncio.to_thread(serve.go)
            await until(serve.connected)
            stage.power_on()
            await v2.apply("verify", types=TYPES)
            await observes(stage, v2, seen, missed)
            await v2.apply("switch", types=TYPES)
            for bay in park.bays:
                await stage.shows(bay, RED)
                await eventually(v2.legacy, "SELECT state FROM spaces WHERE code = $1", bay.code, equals="OCCUPIED")
            await v2.rollback("verify")
            sent = len(fake.accepted)
            await park.leave(seen.code)
            await eventually(
                pool, "SELECT occupancy FROM sensor_devices WHERE dev_eui = $1", seen.sensor_eui, equals="FREE"
            )
            await until(lambda: fake.frames > 0)
            assert (await v2.old(spaces[seen.code]))["state"] == "OCCUPIED"  # V2 decides again, and has not yet
            assert len(fake.accepted) == sent
            assert serve.terminate() == 0
        finally:
            serve.kill()
            await fake.stop()
            await pool.close()


async def observes(stage: Stage, v2: V2Database, seen: Bay, missed: Bay) -> None:
    """Let a car come to each of two bays, of which V2 notes one. Baylight reports where it would decide otherwise."""
    for bay in (seen, missed):
        await stage.park.arrive(bay.code)
        await eventually(stage.pool, f"SELECT ({RECEIVED}) > 0", bay.sensor_eui)
    await v2.legacy.execute("UPDATE spaces SET state = 'OCCUPIED' WHERE code = $1", seen.code)
    await eventually(stage.pool, "SELECT count(*) > 0 FROM v2_migration.observed_decisions")
    report = await observe_report(v2.admin, grace_s=0)
    assert [(s.code, s.v2_state, s.state) for s in report.spaces if s.code in stage.spaces] == [
        (missed.code, "FREE", "OCCUPIED")
    ]
    assert (await v2.old(stage.spaces[missed.code]))["state"] == "FREE"
    assert [item for _, item in stage.fake.accepted] == []
    assert RED not in {bay.light.code for bay in stage.bays}
