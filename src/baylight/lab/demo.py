"""Demo: a simulated car park behind a fake ChirpStack, and the real program on an embedded database and broker."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from pydantic import SecretStr

from baylight.access import keys
from baylight.access.change import Change
from baylight.app.policies import policies_of
from baylight.app.program import Program, SystemClock
from baylight.codecs.all import display_driver
from baylight.domain.lights import distinguishable
from baylight.inventory import device_types, devices, locations, spaces
from baylight.lab.embedded.broker import EmbeddedBroker
from baylight.lab.embedded.postgres import EmbeddedPostgres
from baylight.lab.serving import serving
from baylight.lab.sim.behaviour import Behaviour
from baylight.lab.sim.car_park import CarPark
from baylight.lab.sim.chirpstack import FakeChirpStack
from baylight.settings import Settings
from baylight.store import migrate
from baylight.store.connect import connect

ACTOR = "demo"
SITE = "Demo garage"
CONVERGE_S = 120
_FINISHED = """
SELECT count(*) FILTER (WHERE d.sync_status = 'in_sync') AS in_sync, count(*) AS displays,
       (SELECT count(*) FROM actuations WHERE status IN ('pending', 'sending', 'queued')) AS under_way,
       (SELECT count(*) FROM uplinks WHERE received_at >= $1) AS uplinks
FROM display_devices AS d
WHERE d.dev_eui = ANY($2::text[])
"""

_DECIDED = """
SELECT s.code, s.current_state, s.sensor_state, d.display_codes ->> s.current_state AS light
FROM spaces AS s INNER JOIN display_devices AS d ON d.id = s.display_device_id
WHERE s.code = ANY($1::text[])
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a run. `seconds`: how long cars come and go, None = until Ctrl-C. `speed`: times real time."""

    data_dir: Path
    seconds: float | None = None
    check: bool = False
    bays: int = 60
    floors: int = 2
    speed: float = 20.0
    seed: int = 1
    http_port: int = 0


async def demo(options: Options) -> bool:
    """Run the demo and print what happens; return False if `check` found a wrong light or a lost uplink."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with _garage(options) as garage:
        if stopping.is_set():
            return True
        _say(f"\n  Live page:  http://127.0.0.1:{garage.program.http_port}/#key={garage.key}")
        _say(f"  API key:    {garage.key}")
        _say(f"  Database:   {garage.dsn}")
        _say(f"  Try:        BAYLIGHT_DATABASE_URL='{garage.dsn}' baylight why {garage.park.bays[0].code}\n")
        _say("Cars come and go." + ("" if options.seconds else " Ctrl-C ends it."))
        cars = asyncio.create_task(garage.park.run())
        try:
            await _until(stopping, garage.running, options.seconds)
            if stopping.is_set() and not options.check:
                return True
            _say("The cars have stopped. Waiting until every light is proven …")
            stopping.clear()
            report = asyncio.create_task(_finish(garage))
            stopped = asyncio.create_task(stopping.wait())
            await asyncio.wait([report, stopped], return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if report.done():
                return report.result() or not options.check
            report.cancel()
            _say("Ended before every light was proven.")
            return not options.check
        finally:
            cars.cancel()


@dataclass(slots=True)
class _Garage:
    program: Program
    running: asyncio.Task[None]
    park: CarPark
    dsn: str
    key: str
    began: datetime


@asynccontextmanager
async def _garage(options: Options) -> AsyncIterator[_Garage]:
    """Start all parts and register the bays; stop the parts at the end, in reverse order."""
    async with contextlib.AsyncExitStack() as stack:
        _say(f"Data in {options.data_dir}")
        options.data_dir.mkdir(parents=True, exist_ok=True)
        _say("Starting PostgreSQL …")
        postgres = EmbeddedPostgres(options.data_dir / "postgres")
        stack.push_async_callback(postgres.stop)
        dsn = await postgres.start()
        _say("Starting the MQTT broker …")
        broker = EmbeddedBroker()
        stack.callback(broker.kill)
        broker.start()
        applied = await migrate.upgrade(dsn)
        _say(f"Schema: {len(applied)} migrations applied." if applied else "Schema: up to date, the data is reused.")
        fake = FakeChirpStack(broker.host, broker.port, behaviour=Behaviour(speed=options.speed), seed=options.seed)
        park = CarPark(fake, floors=options.floors, bays=options.bays, seed=options.seed, speed=options.speed)
        settings = Settings(
            database_url=SecretStr(dsn),
            mqtt_host=broker.host,
            mqtt_port=broker.port,
            chirpstack_api_key=SecretStr(fake.api_key),
            http_port=options.http_port,
            log_level="warning",
            downlink_ttl_s=20,
            report_timeout_s=10,
        )
        _say(f"Registering {options.bays} bays …")
        key = await _register(dsn, park, settings)
        began = datetime.now(UTC)
        program = await stack.enter_async_context(_running(settings, fake, park))
        yield _Garage(program[0], program[1], park, dsn, key, began)


@asynccontextmanager
async def _running(
    settings: Settings, fake: FakeChirpStack, park: CarPark
) -> AsyncIterator[tuple[Program, asyncio.Task[None]]]:
    await fake.start(power_on=False)
    try:
        async with serving(settings.model_copy(update={"chirpstack_api": fake.grpc_target})) as served:
            fake.power_on()
            for bay in park.bays:
                bay.light.power_cut()  # as when it is plugged in: it joins, and is dim green until its first command
                bay.sensor.heartbeat()  # as an installer wakes each sensor to test its radio link
            yield served
    finally:
        await fake.stop()


async def _register(dsn: str, park: CarPark, settings: Settings) -> str:
    """Register the bays that are missing; revoke the API keys of earlier runs and return a new one."""
    connection = await connect(dsn)
    change = Change(connection, ACTOR, SystemClock().now(), policies_of(settings))
    try:
        await device_types.sync(connection)
        known = {row["code"] for row in await connection.fetch("SELECT code FROM spaces WHERE deleted_at IS NULL")}
        for bay in park.bays:
            if bay.code in known:
                continue
            place = (await locations.create_location(change, f"{SITE}/Floor {bay.floor}")).path
            await devices.register_sensor(change, bay.sensor_eui, device_type=bay.sensor_type)
            await devices.register_display(change, bay.display_eui, device_type="kuando_busylight")
            await spaces.create_space(
                change,
                bay.code,
                location=place,
                sensor=bay.sensor_eui,
                display=bay.display_eui,
            )
        for key in await keys.list_keys(connection):
            if key.name == ACTOR and key.revoked_at is None:
                await keys.revoke_key(change, str(key.id))
        _, text = await keys.create_key(change, ACTOR, ["admin"])
        return text
    finally:
        await connection.close()


async def _until(stopping: asyncio.Event, running: asyncio.Task[None], seconds: float | None) -> None:
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait([stopped, running], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if running.done():
        running.result()


async def _finish(garage: _Garage) -> bool:
    await garage.park.quiesce()
    return await _report(garage)


async def _report(garage: _Garage) -> bool:
    """Wait until all lights are proven, at most CONVERGE_S, and print the report.

    Return True if nothing is wrong or lost.
    """
    connection = await asyncpg.connect(garage.dsn)
    try:
        ends_at = time.monotonic() + CONVERGE_S
        while True:
            lights = [bay.display_eui for bay in garage.park.bays]
            row = await connection.fetchrow(_FINISHED, garage.began, lights)
            assert row is not None
            lost = garage.park.sent.distinct - row["uplinks"]
            wrong = await _wrong_lights(connection, garage.park)
            done = row["in_sync"] == row["displays"] and not row["under_way"] and not lost and not wrong
            if done or time.monotonic() > ends_at:
                break
            await asyncio.sleep(0.25)
        changes = await connection.fetchval('SELECT count(*) FROM state_changes WHERE "timestamp" >= $1', garage.began)
        statuses = await connection.fetch(
            "SELECT status, count(*) AS n FROM actuations WHERE created_at >= $1 GROUP BY status ORDER BY n DESC",
            garage.began,
        )
    finally:
        await connection.close()
    times = garage.park.light_times
    _say("\nReport")
    _say(f"  uplinks stored     {row['uplinks']} of {garage.park.sent.distinct} sent, {lost} lost")
    _say(f"  state changes      {changes}")
    _say("  actuations         " + ", ".join(f"{r['n']} {r['status']}" for r in statuses))
    _say(f"  displays in sync   {row['in_sync']} of {row['displays']}")
    if times:
        _say(
            f"  car to light       median {statistics.median(times):.2f} s, longest {max(times):.2f} s (sped up radio)"
        )
    for line in wrong:
        _say(f"  WRONG LIGHT        {line}")
    _say("Every light shows what it must, and no uplink is lost." if done else "FAILED: see above.")
    return bool(done)


async def _wrong_lights(connection: asyncpg.Connection[asyncpg.Record], park: CarPark) -> list[str]:
    """Return a line for each bay that is wrong.

    Its stored sensor state is not the sensor's, or a driver can tell its lamp from the light that was decided (the
    decision may come from a person's reservation or override).
    """
    rows = await connection.fetch(_DECIDED, [bay.code for bay in park.bays])
    driver = display_driver("kuando_busylight")
    assert driver is not None
    wrong = []
    for row in rows:
        bay = park.bay(row["code"])
        truth = "OCCUPIED" if bay.occupied else "FREE"
        if row["sensor_state"] not in (truth, None):
            wrong.append(f"{bay.code} is {truth}, but stored as {row['sensor_state']}")
        if distinguishable(bay.light.light, driver.describe(bytes.fromhex(row["light"]))):
            wrong.append(f"{bay.code} must show {row['current_state']}, the lamp shows {bay.light.light.rgb}")
    return wrong


def _say(line: str) -> None:
    print(line, flush=True)
