"""Simulated site: `baylight serve` as a process on PostgreSQL and a broker, and ChirpStack with its lamps in ours."""

from __future__ import annotations

import asyncio
import heapq
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path as File
from uuid import uuid4

import asyncpg

from baylight.access.change import SYSTEM, Change
from baylight.app.program import SystemClock
from baylight.domain.policies import Policies
from baylight.inventory import device_types, devices, spaces
from baylight.lab.embedded.broker import free_port
from baylight.lab.sim.behaviour import Behaviour, GatewayMode
from baylight.lab.sim.car_park import CarPark
from baylight.lab.sim.chirpstack import FakeChirpStack
from baylight.lab.sim.network import Path
from baylight.store import migrate
from baylight.store.connect import connect
from baylight.store.pool import Connection
from bench import ground
from bench.loop_parts import claims
from bench.loop_parts.course import Course

GATEWAYS = tuple(f"0016c001f153a1{n:02x}" for n in range(1, 5))
STAY_S = (20.0, 60.0)
"""Shortest and longest time between two changes of a bay."""
BEHAVIOUR = Behaviour(class_c_lock_s=2.0, session_write_s=0.02)
"""Behaviour of ChirpStack: its defaults, but for the lock of class C, for which Baylight's documents ask."""
PROVEN_S = 8.0
"""Time after which a scenario begins although not every lamp is proven."""
_READY_S = 30.0
_HANDLED_S = 0.5
"""Time after which ChirpStack has handled an uplink, and its downlink if there is one."""
_SOURCES = File(__file__).resolve().parents[2] / "src"
_UNDECIDED = "SELECT count(*) FROM spaces WHERE display_deveui = ANY($1::text[]) AND current_state = 'UNKNOWN'"
_UNPROVEN = "SELECT count(*) FROM display_devices WHERE dev_eui = ANY($1::text[]) AND sync_status <> 'in_sync'"


class Databases:
    """Copies of a database in which the bays of the site are registered.

    `dsn_of`: DSN of a database of the server by its name. `admin`: name of one that exists. `base`: name of an empty
    one, which may have been migrated.
    """

    def __init__(self, dsn_of: Callable[[str], str], admin: str = "postgres", base: str = "template0") -> None:
        self._dsn_of, self._admin, self._base = dsn_of, admin, base
        self._template = f"loop_{uuid4().hex}"
        self._copies = 0

    @asynccontextmanager
    async def prepared(self, bays: int) -> AsyncIterator[Databases]:
        """Make the template, with this number of bays; drop it at the end."""
        await self._execute(f"CREATE DATABASE {self._template} TEMPLATE {self._base}")
        try:
            dsn = self._dsn_of(self._template)
            await migrate.upgrade(dsn)
            connection = await connect(dsn)
            try:
                await device_types.sync(connection)
                await _register(change_on(connection), bays)
                await connection.execute("ANALYZE")
            finally:
                await connection.close()
            yield self
        finally:
            await self._execute(f"DROP DATABASE {self._template} WITH (FORCE)")

    @asynccontextmanager
    async def copy(self) -> AsyncIterator[str]:
        """Yield the DSN of a copy of the template; drop the copy at the end."""
        self._copies += 1
        name = f"{self._template}_{self._copies}"
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        try:
            yield self._dsn_of(name)
        finally:
            await self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def _execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self._dsn_of(self._admin))
        await connection.execute(sql)
        await connection.close()


async def _register(change: Change, bays: int) -> None:
    async with change.transaction():
        for bay in car_park(FakeChirpStack("", 0), bays, 0).bays:
            await devices.register_sensor(change, bay.sensor_eui, device_type=bay.sensor_type)
            await devices.register_display(change, bay.display_eui, device_type="kuando_busylight")
            await spaces.create_space(change, bay.code, sensor=bay.sensor_eui, display=bay.display_eui)


def change_on(connection: Connection) -> Change:
    return Change(connection, SYSTEM, SystemClock().now(), Policies())


def car_park(chirpstack: FakeChirpStack, bays: int, seed: int) -> CarPark:
    """Return the car park, whose bays stand in equal parts around the gateways: one receives each bay."""
    park = CarPark(chirpstack, floors=1, bays=bays, seed=seed)
    for n, bay in enumerate(park.bays):
        gateway_id = GATEWAYS[n % len(GATEWAYS)]
        chirpstack.set_gateway(GatewayMode.OK, gateway_id=gateway_id)
        for device in bay.devices:
            device.paths = device.received_by = [Path(chirpstack.gateways[gateway_id])]
    return park


class Site:
    """Site with its program running. `courses`: what happens at each bay, by the DevEUI of its display.

    `replays`: when a lamp dropped a frame whose counter was used before, by the same. `queued`: largest number of items
    in the queues of the network server; `queued_beside`: of lamps that are no lamps of the site's bays.
    """

    def __init__(self, dsn: str, chirpstack: FakeChirpStack, park: CarPark, seed: int) -> None:
        self.dsn, self.chirpstack, self.park, self._seed = dsn, chirpstack, park, seed
        self.courses: dict[str, Course] = {}
        self.judge = claims.Judge(self.courses)
        self.pid = self.queued = self.queued_beside = 0
        now = time.monotonic()
        for bay in park.bays:
            course = self.courses[bay.display_eui] = Course([(now, False)], [(now, bay.light.light)])
            bay.light.on_change.append(
                lambda lamp=bay.light, course=course: course.lights.append((time.monotonic(), lamp.light))
            )
        self.replays: dict[str, list[float]] = {dev_eui: [] for dev_eui in self.courses}

    async def begin(self) -> bool:
        """Let each sensor report, then each lamp; wait until the lamps are proven. Return False if some are late."""
        self.chirpstack.power_on()
        for bay in self.park.bays:
            bay.sensor.heartbeat()
        ends_at = time.monotonic() + PROVEN_S
        connection = await asyncpg.connect(self.dsn)
        try:
            await self._none_left(connection, _UNDECIDED, ends_at)
            for bay in self.park.bays:
                bay.light.report()
            proven = await self._none_left(connection, _UNPROVEN, ends_at)
            await asyncio.sleep(_HANDLED_S + 0.1)
            self._unlock()
            return proven
        finally:
            await connection.close()

    async def _none_left(self, connection: Connection, count: str, ends_at: float) -> bool:
        """Wait until the number is 0, and end each lamp's lock meanwhile; return False if that takes too long."""
        while await connection.fetchval(count, list(self.courses)):
            if time.monotonic() > ends_at:
                return False
            self._unlock()
            await asyncio.sleep(0.1)
        return True

    def _unlock(self) -> None:
        """End the locks that ChirpStack has set by uplinks: the start need not wait for them.

        A lock stays while the uplink may still be handled, because a class C downlink would then use its counter twice.
        """
        now, behaviour = time.monotonic(), self.chirpstack.behaviour
        for bay in self.park.bays:
            device = bay.devices[1]
            if behaviour.class_c_lock_s < device.run_after - now < behaviour.class_a_lock_s - _HANDLED_S:
                device.run_after = now

    async def cars(self, first_s: tuple[float, float]) -> None:
        """Let each bay change every 20 to 60 s until cancelled; for the first time between these two."""
        chance = {bay.code: random.Random(f"{self._seed} {bay.code}") for bay in self.park.bays}
        begin = time.monotonic()
        due = [(begin + chance[bay.code].uniform(*first_s), bay.code) for bay in self.park.bays]
        heapq.heapify(due)
        while True:
            at, code = due[0]
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            bay = self.park.bay(code)
            self.courses[bay.display_eui].cars.append((time.monotonic(), not bay.occupied))
            await (self.park.leave(code) if bay.occupied else self.park.arrive(code))
            heapq.heapreplace(due, (at + chance[code].uniform(*STAY_S), code))

    async def watch(self) -> None:
        """Compare the claims of the database with the lamps until cancelled."""
        connection = await asyncpg.connect(self.dsn)
        try:
            due = time.monotonic()
            while True:
                self.judge.add(await claims.read(connection, list(self.courses)))
                self._count()
                due = max(due + claims.EVERY_S, time.monotonic())
                await asyncio.sleep(due - time.monotonic())
        finally:
            connection.terminate()

    def _count(self) -> None:
        beside = sum(len(d.queue) for dev_eui, d in self.chirpstack.devices.items() if dev_eui not in self.courses)
        self.queued = max(self.queued, sum(len(device.queue) for device in self.chirpstack.devices.values()))
        self.queued_beside = max(self.queued_beside, beside)
        for dev_eui, times in self.replays.items():
            dropped = sum(not frame.accepted for frame in self.chirpstack.devices[dev_eui].received)
            times.extend([time.monotonic()] * (dropped - len(times)))


Prepare = Callable[[str, FakeChirpStack], Awaitable[None]]


@asynccontextmanager
async def site(
    dsn: str, broker: ground.Broker, name: str, *, bays: int, seed: int, behaviour: Behaviour, prepare: Prepare
) -> AsyncIterator[Site]:
    """Start the parts of a site, and stop them at the end.

    `name`: client id at the broker. `behaviour`: that of ChirpStack. `prepare`: what is done before the program starts.
    """
    chirpstack = FakeChirpStack(broker.host, broker.port, behaviour=behaviour, seed=seed)
    running = Site(dsn, chirpstack, car_park(chirpstack, bays, seed), seed)
    await prepare(dsn, chirpstack)
    await chirpstack.start(power_on=False)
    port = free_port()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BAYLIGHT_")} | {
        "BAYLIGHT_DATABASE_URL": dsn,
        "BAYLIGHT_MQTT_HOST": broker.host,
        "BAYLIGHT_MQTT_PORT": str(broker.port),
        "BAYLIGHT_MQTT_CLIENT_ID": name,
        "BAYLIGHT_CHIRPSTACK_API": chirpstack.grpc_target,
        "BAYLIGHT_CHIRPSTACK_API_KEY": chirpstack.api_key,
        "BAYLIGHT_HTTP_PORT": str(port),
        "BAYLIGHT_LOG_LEVEL": "error",
        "PYTHONPATH": str(_SOURCES),
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "baylight", "serve", env=environment)
    try:
        running.pid = process.pid
        await _ready(port)
        yield running
        if process.returncode is not None:
            raise RuntimeError(f"baylight serve ended by itself with {process.returncode}")
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        await chirpstack.stop()


async def _ready(port: int) -> None:
    ends_at = time.monotonic() + _READY_S
    while time.monotonic() < ends_at:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /health/ready HTTP/1.0\r\n\r\n")
            status = await reader.readline()
            writer.close()
            if b" 200 " in status:
                return
        await asyncio.sleep(0.05)
    raise TimeoutError("baylight serve did not come up")
