"""Stage of a test: database, broker, a simulated ChirpStack with cars and lights, and the real program between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from baylight.app.program import Program
from baylight.lab.embedded.broker import EmbeddedBroker, MosquittoBroker
from baylight.lab.sim.behaviour import Behaviour
from baylight.lab.sim.car_park import Bay, CarPark
from baylight.lab.sim.chirpstack import FakeChirpStack
from baylight.settings import Settings
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.eventually import eventually, until
from tests.support.servers import Database

SPEED = 20.0
RED, GREEN, PURPLE, ORANGE, PINK, FLASHING_BLUE = (
    bytes.fromhex(factories.BUSYLIGHT_CODES[state])
    for state in ("OCCUPIED", "FREE", "RESERVED", "MAINTENANCE", "OUT_OF_ORDER", "UNKNOWN")
)


@dataclass
class Stage:
    """Stage of a test. `spaces`: id of the space by the code of its bay."""

    pool: Pool
    dsn: str
    broker: EmbeddedBroker | MosquittoBroker
    fake: FakeChirpStack
    park: CarPark
    by_mqtt: bool = False
    spaces: dict[str, UUID] = field(default_factory=dict)
    powered: bool = False

    @property
    def bays(self) -> list[Bay]:
        return self.park.bays

    def settings(self, **more: Any) -> Settings:
        given: dict[str, Any] = {
            "database_url": SecretStr(self.dsn),
            "mqtt_host": self.broker.host,
            "mqtt_port": self.broker.port,
            "chirpstack_api": None if self.by_mqtt else self.fake.grpc_target,
            "chirpstack_api_key": SecretStr(self.fake.api_key),
            "http_port": 0,
            "downlink_ttl_s": 5,
            "report_timeout_s": 5,
        }
        return Settings(**given | more)

    @asynccontextmanager
    async def program(self, *, loop: dict[str, timedelta] | None = None, **more: Any) -> AsyncIterator[Program]:
        """Run a program; yield it when it is connected; stop it in order at the end. `loop`: fields of LoopPolicy."""
        program = Program(self.settings(**more))
        short = {"lease": timedelta(seconds=2), "backoff": timedelta(seconds=0.2), "grace": timedelta(seconds=0.5)}
        program.policies = replace(program.policies, loop=replace(program.policies.loop, **{**short, **(loop or {})}))
        stopping = asyncio.Event()
        running = asyncio.create_task(program.run(stopping))
        try:
            await until(lambda: running.done() or (program.started.is_set() and program.consumers["broker"].connected))
            self.power_on()
            yield program
        finally:
            stopping.set()
            await running

    def power_on(self) -> None:
        """Let the devices begin to send. Idempotent.

        A program must be connected first, for a broker keeps no messages for a client that has never subscribed.
        """
        if not self.powered:
            self.powered = True
            self.fake.power_on()

    async def register(self) -> None:
        """Register every bay of the park, with its two devices."""
        for bay in self.bays:
            sensor = await factories.add_sensor(self.pool, device_type=bay.sensor_type, dev_eui=bay.sensor_eui)
            display = await factories.add_display(
                self.pool, dev_eui=bay.display_eui, application_id=self.fake.application_id
            )
            space = await factories.add_space(
                self.pool, bay.code, sensor_device_id=sensor["id"], display_device_id=display["id"]
            )
            self.spaces[bay.code] = space["id"]

    async def begin(self) -> None:
        """Let each sensor report its bay. Wait until each light shows the state and has reported it."""
        for bay in self.bays:
            bay.light.report()  # by MQTT alone, nothing is sent before the first uplink
            bay.sensor.heartbeat()
        await self.all_proven()

    async def all_proven(self) -> None:
        """Wait until every display is in sync, no command is on its way, and each lamp itself shows the right state."""
        wrong: list[str] = []

        async def proven() -> bool:
            nonlocal wrong
            open_ends = await self.pool.fetch(
                """
                SELECT dev_eui, sync_status FROM display_devices WHERE sync_status <> 'in_sync'
                UNION ALL
                SELECT display_deveui, status FROM actuations WHERE status IN ('pending', 'sending', 'queued')
                """
            )
            wrong = await self.wrong_lights() + [f"{row['dev_eui']} is {row['sync_status']}" for row in open_ends]
            return not wrong

        await until(proven, lambda: ", ".join(wrong), every_s=0.05)

    async def wrong_lights(self) -> list[str]:
        """Return the bays whose state is not the real one, or whose lamp shows another state than the decided one."""
        wrong = []
        for bay in self.bays:
            row = await self.pool.fetchrow(
                """
                SELECT s.current_state, d.display_codes ->> s.current_state AS code
                FROM spaces AS s INNER JOIN display_devices AS d ON d.id = s.display_device_id WHERE s.id = $1
                """,
                self.spaces[bay.code],
            )
            assert row is not None
            if row["current_state"] in ("FREE", "OCCUPIED") and (row["current_state"] == "OCCUPIED") != bay.occupied:
                wrong.append(f"{bay.code} has the state {row['current_state']}, which is wrong")
            if bay.light.code.hex() != row["code"]:
                wrong.append(f"{bay.code} is {row['current_state']}, its lamp shows {bay.light.code.hex()}")
        return wrong

    async def state(self, bay: Bay) -> str:
        return str(await self.pool.fetchval("SELECT current_state FROM spaces WHERE id = $1", self.spaces[bay.code]))

    async def becomes(self, bay: Bay, column: str, value: str) -> None:
        """Wait until a column of the bay's display has this value."""
        sql = f"SELECT {column}::text FROM display_devices WHERE dev_eui = $1"
        await eventually(self.pool, sql, bay.display_eui, equals=value)

    async def shows(self, bay: Bay, code: bytes) -> None:
        """Wait until the lamp itself shows this code."""
        await until(
            lambda: bay.light.code == code, lambda: f"{bay.code} shows {bay.light.code.hex()}, not {code.hex()}"
        )

    async def statuses(self, bay: Bay) -> list[str]:
        """Return the statuses of the bay's actuations, oldest first."""
        rows = await self.pool.fetch(
            "SELECT status FROM actuations WHERE display_deveui = $1 ORDER BY id", bay.display_eui
        )
        return [row["status"] for row in rows]


@asynccontextmanager
async def stage_on(
    database: Database,
    pool: Pool,
    broker: EmbeddedBroker | MosquittoBroker,
    *,
    bays: int = 2,
    by_mqtt: bool = False,
    speed: float = SPEED,
    traffic: float = SPEED,
    seed: int = 1,
    **behaviour: Any,
) -> AsyncIterator[Stage]:
    """Yield a stage. `traffic`: how many times faster than in reality cars come and go."""
    fake = FakeChirpStack(broker.host, broker.port, behaviour=Behaviour(speed=speed, **behaviour), seed=seed)
    park = CarPark(fake, floors=1, bays=bays, seed=seed, speed=traffic)
    stage = Stage(pool, database.dsn, broker, fake, park, by_mqtt)
    await stage.register()
    await fake.start(power_on=False)
    try:
        yield stage
    finally:
        await fake.stop()
