"""Course of the demo: V2 works alone, then the migration goes through its stages, forth and back, while cars move."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import asyncpg
from pydantic import SecretStr

from baylight.access import keys
from baylight.access.change import Change
from baylight.app.policies import policies_of
from baylight.lab.embedded.broker import EmbeddedBroker
from baylight.lab.embedded.postgres import EmbeddedPostgres
from baylight.lab.from_v2.legacy import CODES, ROLE, SCHEMA, Figures
from baylight.lab.from_v2.legacy_process import LegacyProcess, Setup, Word, legacy_process
from baylight.lab.serving import serving
from baylight.lab.sim.behaviour import Behaviour
from baylight.lab.sim.car_park import Bay, CarPark
from baylight.lab.sim.chirpstack import FakeChirpStack
from baylight.settings import Settings
from baylight.store.connect import connect
from baylight.v2 import run as migration
from baylight.v2.choices import RESOLUTIONS, Choices, proposed_types
from baylight.v2.inspection.findings import inspect
from baylight.v2.observe import observe_report
from baylight.v2.session import connected
from baylight.v2.stages.verify import Verdict, verify

SITE = "Demo garage"
SEED = (resources.files("baylight.lab.from_v2") / "seed.sql").read_text(encoding="utf-8")
TYPES = {**proposed_types(), "sensor": proposed_types()["sensor"] | {"7076ff": "bosch_tps110"}}
CHOICES = Choices(
    resolve={finding: options[0] for finding, options in RESOLUTIONS.items()}, types=TYPES, legacy_role=ROLE
)
"""Choices that an operator writes for this garage: all as proposed, and the prefix of the sensors of Bosch."""
CARS_S = 24.0
WATCHED_STAGES = 8
"""Number of stages after which cars move for a while."""
_SETTLE_S = 30.0
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a run. `seconds`: pauses in which cars move, all stages together. `speed`: times real time.

    `step`: wait for Enter at each stage.
    """

    data_dir: Path
    seconds: float = CARS_S
    step: bool = False
    bays: int = 60
    speed: float = 20.0
    seed: int = 1
    http_port: int = 0


@dataclass(slots=True)
class Outcome:
    """Outcome of a run. `lights`: number of right lights at each point where the cars stood still."""

    bays: int
    before: Figures = field(default_factory=Figures)
    during: Figures = field(default_factory=Figures)
    lights: list[tuple[str, int]] = field(default_factory=list)
    rows: tuple[int, int] = 0, 0
    differences: list[str] = field(default_factory=list)

    def note(self, verdict: Verdict) -> None:
        """Keep the rows of the newest comparison, and the differences of all."""
        v2_rows, rows = zip(*verdict.counts.values(), strict=True)
        self.rows = sum(v2_rows), sum(rows)
        self.differences += [f"{d.check} {d.id} {d.detail}" for d in verdict.differences]

    def table(self) -> list[str]:
        """Return the lines of the table at the end."""
        before, during = self.before, self.during
        right = [f"{right} of {self.bays}" for right in (self.lights[0][1], min(right for _, right in self.lights[1:]))]
        rows = (
            ("", "before", "during the migration"),
            ("statements of V2", f"{before.statements:,}", f"{during.statements:,}"),
            ("errors of them", str(len(before.errors)), str(len(during.errors))),
            ("longest wait of V2", f"{before.longest_s * 1000:.0f} ms", f"{during.longest_s * 1000:.0f} ms"),
            ("lights right", *right),
            ("rows compared", "", f"{self.rows[0]:,} with {self.rows[1]:,}"),
            ("differences", "", str(len(self.differences))),
        )
        return [f"  {name:<20}{first:<12}{second}".rstrip() for name, first, second in rows]

    def wrong(self) -> list[str]:
        """Return a line for each thing that must not be so."""
        lights = [
            f"{right} of {self.bays} lights were right {when}" for when, right in self.lights if right < self.bays
        ]
        return self.before.errors + self.during.errors + self.differences + lights


async def demo(options: Options) -> bool:
    """Run the demo and print what happens.

    Return False if a statement of V2 failed, a row differs or a light was wrong.
    Raises KeyboardInterrupt after SIGINT or SIGTERM, when all parts are stopped.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with _garage(options) as garage:
        course, stopped = asyncio.create_task(garage.run()), asyncio.create_task(stopping.wait())
        await asyncio.wait([course, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not course.done():
            _say("\nStopping …")
            course.cancel()
            with suppress(asyncio.CancelledError):
                await course
            raise KeyboardInterrupt
        outcome = course.result()
    _say("\nResult")
    for line in [*outcome.table(), *(f"  WRONG: {line}" for line in outcome.wrong()[:10])]:
        _say(line)
    _say("FAILED: see above." if outcome.wrong() else "No statement failed, no row differs, and every light was right.")
    return not outcome.wrong()


@asynccontextmanager
async def _garage(options: Options) -> AsyncIterator[_Garage]:
    """Start V2's world: database, broker, network server and application. Its data is deleted at the end."""
    async with AsyncExitStack() as stack:
        _say("Starting PostgreSQL, an MQTT broker, a network server and V2 …")
        postgres = EmbeddedPostgres(options.data_dir)
        postgres.delete()
        stack.callback(postgres.delete)
        stack.push_async_callback(postgres.stop)
        dsn = await postgres.start()
        broker = EmbeddedBroker()
        stack.callback(broker.kill)
        broker.start()
        fake = FakeChirpStack(broker.host, broker.port, behaviour=Behaviour(speed=options.speed), seed=options.seed)
        park = CarPark(fake, floors=2, bays=options.bays, seed=options.seed, speed=options.speed)
        await _make_v2(dsn, park)
        await fake.start(power_on=False)
        stack.push_async_callback(fake.stop)
        sensors = {bay.sensor_eui: bay.sensor_type for bay in park.bays}
        setup = Setup(dsn, broker.host, broker.port, sensors, fake.application_id, options.seed)
        v2 = await stack.enter_async_context(legacy_process(setup))
        settings = Settings(
            database_url=SecretStr(dsn),
            mqtt_host=broker.host,
            mqtt_port=broker.port,
            chirpstack_api=fake.grpc_target,
            chirpstack_api_key=SecretStr(fake.api_key),
            http_port=options.http_port,
            log_level="error",
            downlink_ttl_s=20,
            report_timeout_s=10,
        )
        yield _Garage(options, dsn, fake, park, v2, settings)


async def _make_v2(dsn: str, park: CarPark) -> None:
    """Make V2's database with a space for each bay. A person has closed the last one."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(SCHEMA)
        await connection.executemany(
            "INSERT INTO spaces (name, code, building, floor, sensor_eui, display_eui) VALUES ($1, $2, $3, $4, $5, $6)",
            [
                (f"Bay {bay.code}", bay.code, SITE, f"Floor {bay.floor}", bay.sensor_eui, bay.display_eui)
                for bay in park.bays
            ],
        )
        await connection.execute(SEED)
        await connection.execute("UPDATE spaces SET state = 'MAINTENANCE' WHERE code = $1", park.bays[-1].code)
    finally:
        await connection.close()


class _Garage:
    """V2's world and the stages of its migration."""

    def __init__(
        self, options: Options, dsn: str, fake: FakeChirpStack, park: CarPark, v2: LegacyProcess, settings: Settings
    ) -> None:
        self._settings, self._outcome = settings, Outcome(options.bays)
        self._options, self._dsn, self._fake, self._park, self._v2 = options, dsn, fake, park, v2
        self._traffic: asyncio.Task[None] | None = None
        self._number = 0
        self._writable = True

    async def run(self) -> Outcome:
        """Go through all stages."""
        try:
            await self._to_verify()
            async with serving(self._settings) as (program, _):
                await self._to_contract(program.http_port)
        finally:
            await self._stand_still()
        return self._outcome

    # The stages ------------------------------------------------------------------------------------------------------

    async def _to_verify(self) -> None:
        """Let V2 work alone, then go as far as the runbook does before `baylight serve` is started."""
        self._fake.power_on()
        await self._v2.do(Word.DECIDE)
        self._let_all_send()
        await self._stage("V2 works alone: it receives the sensors, decides, and commands the lamps.")
        await self._watch()
        await self._check_lights("before the migration")
        await self._stage("baylight v2 inspect: looks for obstacles, and only reads.")
        async with connected(self._dsn) as connection:
            report = await inspect(connection)
        for finding in report.findings:
            _say(f"      {finding.kind}: {finding.count}. {finding.meaning}")
        await self._v2.do(Word.MIGRATION_BEGINS)
        for stage, does in (
            ("expand", "Baylight's tables are made beside V2's. What V2 writes reaches them from now on."),
            ("backfill", "all rows of V2 are copied."),
            ("verify", "both sides are compared."),
        ):
            await self._apply(stage, does)
        await self._verify()

    async def _to_contract(self, http_port: int) -> None:
        """Observe, switch, go back, switch again, contract. `baylight serve` runs from the beginning."""
        page = f"http://127.0.0.1:{http_port}/#key={await self._key()}"
        await self._stage("baylight serve: Baylight receives and decides too, without effect.", f"Live page: {page}")
        self._let_all_send()
        await self._watch()
        await self._observe()
        await self._switch("the switch")
        await self._stage("baylight v2 rollback --to verify: V2 decides and sends again, as if lights had been wrong.")
        await self._timed(migration.rollback(self._dsn, to="verify", patience_s=_PATIENCE_S))
        await self._v2.do(Word.DECIDE)
        await self._watch()
        await self._check_lights("after the way back")
        await self._switch("the second switch")
        await self._verify()
        self._writable = False
        await self._apply("contract", "Baylight's tables get their names. V2's pages read views, and write no more.")
        await self._check_lights("after the contract stage")
        reply = await self._v2.do(Word.ASK)
        self._outcome.before, self._outcome.during = reply.before, reply.during
        await self._stage("The migration is done. V2's pages still read.")

    async def _switch(self, name: str) -> None:
        await self._stage("baylight v2 apply --to switch: V2 rests. Baylight decides and commands the lamps.")
        await self._v2.do(Word.REST)
        await self._timed(migration.apply(self._dsn, to="switch", choices=CHOICES, patience_s=_PATIENCE_S))
        await self._watch()
        await self._check_lights(f"after {name}")

    async def _apply(self, stage: str, does: str) -> None:
        await self._stage(f"baylight v2 apply --to {stage}: {does}")
        await self._timed(migration.apply(self._dsn, to=stage, choices=CHOICES, patience_s=_PATIENCE_S))
        await self._watch()

    async def _timed(self, work: Awaitable[object]) -> None:
        before, began = (await self._v2.do(Word.ASK)).during.statements, time.monotonic()
        await work
        took, ran = time.monotonic() - began, (await self._v2.do(Word.ASK)).during.statements - before
        _say(f"      done in {took:.1f} s, during which V2 ran {ran:,} statements")

    async def _verify(self) -> None:
        ends_at = time.monotonic() + _SETTLE_S
        async with connected(self._dsn) as connection:
            while (verdict := await verify(connection)).waits and time.monotonic() < ends_at:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.1)  # a row of V2 was just on its way
        self._outcome.note(verdict)
        _say(
            f"      baylight v2 verify: {self._outcome.rows[0]:,} rows compared, {len(verdict.differences)} differences"
        )

    async def _observe(self) -> None:
        async with connected(self._dsn) as connection:
            report = await observe_report(connection, grace_s=2)
        seen = report.observed
        _say(
            f"      baylight v2 observe: {seen.uplinks:,} uplinks, of {seen.sensors_received} of {seen.sensors} sensors"
            f", {sum(row.spaces for row in report.summary)} spaces differ"
        )
        for row in report.summary:
            _say(f"      {row.spaces} spaces: V2 {row.v2_state}, Baylight {row.state} ({row.reason})")
        for display in report.unreachable:
            _say(f"      display {display.dev_eui} cannot be reached: {display.reason}")

    # The garage ------------------------------------------------------------------------------------------------------

    async def _stage(self, *lines: str) -> None:
        """Print what happens now. Cars come and go, and people book, until _check_lights()."""
        self._number += 1
        _say(f"\n{self._number:>2}  " + "\n      ".join(lines))
        await self._v2.do(Word.BOOK if self._writable else Word.BOOK_NOTHING)
        if self._traffic is None:
            self._traffic = asyncio.create_task(self._park.run())
        if self._options.step:
            _say("      Enter goes on." + (f" To look: psql '{self._dsn}'" if self._number == 1 else ""))
            await enter(sys.stdin.fileno())

    async def _watch(self) -> None:
        await asyncio.sleep(self._options.seconds / WATCHED_STAGES)

    async def _stand_still(self) -> None:
        """Stop the cars. Idempotent."""
        traffic, self._traffic = self._traffic, None
        if traffic is not None:
            traffic.cancel()
            await asyncio.gather(traffic, return_exceptions=True)

    def _let_all_send(self) -> None:
        """Let each device send, as it does within half an hour."""
        for bay in self._park.bays:
            bay.sensor.heartbeat()
            bay.light.report()

    async def _check_lights(self, when: str) -> None:
        """Stop cars and bookings. Note how many lights are right as soon as all are, or after _SETTLE_S."""
        await self._stand_still()
        await self._v2.do(Word.BOOK_NOTHING)
        ends_at = time.monotonic() + _SETTLE_S
        while (right := await self._right_lights()) < self._options.bays and time.monotonic() < ends_at:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.05)  # V2's answer is no event that could be waited for
        _say(f"      {right} of {self._options.bays} lights are right")
        self._outcome.lights.append((when, right))

    async def _right_lights(self) -> int:
        reserved = (await self._v2.do(Word.ASK)).reserved
        return sum(bay.light.code.hex() == CODES[self._must_show(bay, reserved)] for bay in self._park.bays)

    def _must_show(self, bay: Bay, reserved: set[str]) -> str:
        if bay is self._park.bays[-1]:
            return "MAINTENANCE"
        return "OCCUPIED" if bay.occupied else "RESERVED" if bay.code in reserved else "FREE"

    async def _key(self) -> str:
        connection = await connect(self._dsn)
        try:
            change = Change(connection, "demo", datetime.now(UTC), policies_of(self._settings))
            _, text = await keys.create_key(change, "demo", ["admin"])
            return text
        finally:
            await connection.close()


async def enter(fd: int) -> None:
    """Wait until there is a line to read, and read it. A file that cannot be waited for is skipped, as /dev/null."""
    ready = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        loop.add_reader(fd, ready.set)
    except PermissionError:
        return
    try:
        await ready.wait()
        os.read(fd, 1024)
    finally:
        loop.remove_reader(fd)


def _say(line: str) -> None:
    print(line, flush=True)
