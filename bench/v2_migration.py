"""Effect of a migration of a live V2 database on V2: ours, forth and back, against the proposal's own SQL.

Both run on the same data in the same run, under the same load of readers and writers from another process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from baylight.lab.embedded.postgres import EmbeddedPostgres
from baylight.lab.from_v2.legacy import SCHEMA
from baylight.v2 import run, session
from baylight.v2.choices import RESOLUTIONS, Choices, proposed_types
from baylight.v2.migration_run import STAGES
from baylight.v2.stages.verify import verify
from bench import ground

CHOICES = Choices(
    resolve={name: options[0] for name, options in RESOLUTIONS.items()}, types=proposed_types(), legacy_role="parking"
)
_FILL = """
INSERT INTO spaces (name, code, building, floor, zone, sensor_eui, display_eui, state)
SELECT 'Bay ' || n, 'S' || n, 'B' || n % 200, (n % 5)::text, 'Z' || n % 3, '58a0cb' || lpad(to_hex(n), 10, '0'),
       '202020' || lpad(to_hex(n), 10, '0'), (ARRAY['FREE', 'OCCUPIED'])[1 + n % 2]
FROM generate_series(1, {spaces}) AS n;
INSERT INTO sensor_readings (device_eui, occupancy_state, battery, rssi, snr, "timestamp")
SELECT '58a0cb' || lpad(to_hex(1 + n % {spaces}), 10, '0'), (ARRAY['FREE', 'OCCUPIED'])[1 + n % 2], 3.2, -90, 7.5,
       now() - make_interval(secs => {readings} - n)
FROM generate_series(1, {readings}) AS n;
INSERT INTO state_changes (space_id, new_state, source) SELECT id, state, 'fill' FROM spaces;
INSERT INTO reservations (space_id, start_time, end_time)
SELECT id, now() + interval '1 h', now() + interval '2 h' FROM spaces WHERE code LIKE '%7';
"""
# The proposal's steps 1 and 2, one statement at a time.
PROPOSED = (
    """CREATE TABLE sensor_devices (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), dev_eui varchar(16) NOT NULL UNIQUE,
        device_type varchar(50) NOT NULL, device_model varchar(100), manufacturer varchar(100),
        payload_decoder varchar(100), capabilities jsonb DEFAULT '{}', enabled boolean DEFAULT true,
        last_seen_at timestamptz, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now())""",
    """CREATE TABLE display_devices (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), dev_eui varchar(16) NOT NULL UNIQUE,
        device_type varchar(50) NOT NULL, device_model varchar(100), manufacturer varchar(100),
        display_codes jsonb NOT NULL, fport integer DEFAULT 1, confirmed_downlinks boolean DEFAULT false,
        enabled boolean DEFAULT true, last_seen_at timestamptz, created_at timestamptz DEFAULT now(),
        updated_at timestamptz DEFAULT now())""",
    """INSERT INTO sensor_devices (dev_eui, device_type, device_model)
       SELECT DISTINCT sensor_eui, 'occupancy', 'Unknown' FROM spaces WHERE sensor_eui IS NOT NULL""",
    """INSERT INTO display_devices (dev_eui, device_type, device_model, display_codes, fport)
       SELECT DISTINCT display_eui, 'kuando_busylight', 'Kuando Busylight IoT Omega',
       '{"FREE": "0000FF6400", "OCCUPIED": "FF00006400", "RESERVED": "FF00FF6400", "MAINTENANCE": "FFA5006400"}'::jsonb,
       15 FROM spaces WHERE display_eui IS NOT NULL""",
    "ALTER TABLE spaces ADD COLUMN sensor_device_id uuid, ADD COLUMN display_device_id uuid",
    """UPDATE spaces SET sensor_device_id = (SELECT id FROM sensor_devices WHERE dev_eui = spaces.sensor_eui)""",
    """UPDATE spaces SET display_device_id = (SELECT id FROM display_devices WHERE dev_eui = spaces.display_eui)""",
    """ALTER TABLE spaces
       ADD CONSTRAINT fk_sensor_device FOREIGN KEY (sensor_device_id) REFERENCES sensor_devices (id),
       ADD CONSTRAINT fk_display_device FOREIGN KEY (display_device_id) REFERENCES display_devices (id)""",
)


class Load:
    """Process of the load, with its commands."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.figures: dict[str, Any] = {}

    async def send(self, word: str) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{word}\n".encode())
        await self._process.stdin.drain()
        if word == "stop":
            self.figures = json.loads(await self._process.stdout.readline())
            await self._process.wait()
        else:
            assert (await self._process.stdout.readline()).strip() == b"ok"


@asynccontextmanager
async def load(dsn: str, spaces: int) -> AsyncIterator[Load]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from bench.v2_load import main; main()", dsn, str(spaces),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 26,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    running = Load(process)
    try:
        yield running
        await running.send("stop")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ours(dsn: str, spaces: int, quiet_s: float) -> tuple[dict[str, Any], dict[str, float], int]:
    """Return the load's figures, the time of each stage forth and back, and the number of lost rows."""
    took: dict[str, float] = {}
    async with load(dsn, spaces) as running:
        await running.send("none")
        await asyncio.sleep(quiet_s)
        for stage in STAGES:
            if stage == "contract":
                await running.send("read")  # from the switch on V2 only reads; its writers have ended by then
                await asyncio.sleep(0.5)
            await running.send(stage)
            began = time.monotonic()
            await run.apply(dsn, to=stage, choices=CHOICES)
            took[stage] = time.monotonic() - began
            print(f"  {stage:20} {took[stage]:8.1f} s", flush=True)
            await asyncio.sleep(quiet_s / 4)
        for stage in reversed(STAGES):
            await running.send(f"undo-{stage}")
            began = time.monotonic()
            assert await run.rollback(dsn) == [stage]
            took[f"undo {stage}"] = time.monotonic() - began
            print(f"  undo {stage:15} {took[f'undo {stage}']:8.1f} s", flush=True)
            if stage == "contract":
                await running.send("write")
                await asyncio.sleep(quiet_s / 4)
                async with session.connected(dsn) as connection:
                    differences = (await verify(connection)).differences
                assert not differences, differences[:5]
    return running.figures, took, await lost(dsn, running.figures)


async def proposed(dsn: str, spaces: int, quiet_s: float) -> tuple[dict[str, Any], float]:
    async with load(dsn, spaces) as running:
        await running.send("none")
        await asyncio.sleep(quiet_s)
        await running.send("proposal")
        connection = await asyncpg.connect(dsn, server_settings={"application_name": "proposal", "jit": "off"})
        began = time.monotonic()
        for statement in PROPOSED:
            await connection.execute(statement)
        took = time.monotonic() - began
        await connection.close()
        await asyncio.sleep(quiet_s / 4)
    return running.figures, took


async def lost(dsn: str, figures: dict[str, Any]) -> int:
    """Return the number of rows that the load wrote and V2's tables lack."""
    connection = await asyncpg.connect(dsn)
    rows = {row["code"]: row["sensor_eui"] for row in await connection.fetch("SELECT code, sensor_eui FROM spaces")}
    missing = sum(rows.get(code) != eui for code, eui in figures["euis"].items())
    changes = await connection.fetchval("SELECT count(*) FROM state_changes WHERE source = 'load'")
    await connection.close()
    return missing + abs(changes - figures["changes"])


def longest(figures: dict[str, Any]) -> float:
    return max(phase["longest_ms"] for name, phase in figures["phases"].items() if name not in ("start", "none"))


def errors(figures: dict[str, Any]) -> int:
    return sum(phase["errors"] for phase in figures["phases"].values())


@asynccontextmanager
async def filled(spaces: int, readings: int) -> AsyncIterator[EmbeddedPostgres]:
    directory = tempfile.mkdtemp(prefix="bl-bench-")
    os.chmod(directory, 0o711)  # the account that PostgreSQL runs under must pass
    postgres = EmbeddedPostgres(Path(directory), durable=True)
    try:
        await postgres.start()
        await execute(postgres.dsn("postgres"), "CREATE DATABASE v2")
        await execute(postgres.dsn("v2"), SCHEMA)
        await execute(postgres.dsn("v2"), _FILL.format(spaces=spaces, readings=readings))
        await execute(postgres.dsn("v2"), "VACUUM ANALYZE")
        yield postgres
    finally:
        await postgres.stop()
        postgres.delete()


async def execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(sql)
    await connection.close()


async def measure(spaces: int, readings: int, quiet_s: float) -> dict[str, Any]:
    began = time.monotonic()
    async with filled(spaces, readings) as postgres:
        print(f"filled in {time.monotonic() - began:.0f} s", flush=True)
        found: dict[str, Any] = {}
        for name in ("ours", "proposal"):
            await execute(postgres.dsn("postgres"), f"CREATE DATABASE {name} TEMPLATE v2 STRATEGY file_copy")
            await execute(postgres.dsn("postgres"), "CHECKPOINT")
            print(f"{name}:", flush=True)
            if name == "ours":
                found["ours"], found["took"], found["rows_lost"] = await ours(postgres.dsn(name), spaces, quiet_s)
            else:
                found["proposal"], found["proposal_s"] = await proposed(postgres.dsn(name), spaces, quiet_s)
                print(f"  {'all':20} {found['proposal_s']:8.1f} s", flush=True)
            await execute(postgres.dsn("postgres"), f"DROP DATABASE {name} WITH (FORCE)")
    return found


def report(found: dict[str, Any], spaces: int, readings: int, *, full: bool) -> None:
    print(f"\nV2 migration ({ground.machine()}, {spaces:,} spaces, {readings:,} readings, 200 transactions/s due):")
    print(f"  {'phase':20} {'statements':>10} {'errors':>7} {'p99 ms':>9} {'longest ms':>11} {'disk ms':>8}")
    for way in ("ours", "proposal"):
        for name, phase in found[way]["phases"].items():
            if name != "start":
                figures = (
                    f"{phase['count']:>10,} {phase['errors']:>7} {phase['p99_ms'] or 0:>9} {phase['longest_ms']:>11}"
                )
                print(f"  {name:20} {figures} {phase['disk_ms']:>8}")
        for line in found[way]["first_errors"]:
            print(f"    {line}")
    took = sum(found["took"][stage] for stage in STAGES)
    mine, theirs = longest(found["ours"]), longest(found["proposal"])
    lock, ratio = found["ours"]["longest_lock_ms"], took / found["proposal_s"]
    print(f"  forth {took:.1f} s, {spaces / took:,.0f} spaces/s; the proposal {found['proposal_s']:.1f} s")
    bars = [
        (f"legacy errors {errors(found['ours'])} (bar 0)", errors(found["ours"]) == 0),
        (f"rows lost {found['rows_lost']} (bar 0)", found["rows_lost"] == 0),
        (f"longest legacy statement {mine:.0f} ms (bar 250)", mine < 250),
        (f"longest lock wait {lock:.0f} ms (bar 50)", lock < 50),
    ]
    if full:
        bars.append((f"{theirs / mine:.0f} times shorter than the proposal's (bar 200)", theirs / mine >= 200))
        bars.append((f"total time {ratio:.2f} of the proposal's (bar 2)", ratio <= 2))
    else:
        print(f"  not bars at this size: {theirs / mine:.0f} times shorter than the proposal's, total time {ratio:.2f}")
    ground.finish(
        {
            "bench": "v2_migration",
            "legacy_errors": errors(found["ours"]),
            "longest_legacy_wait_ms": mine,
            "proposal_longest_legacy_wait_ms": theirs,
            "proposal_legacy_errors": errors(found["proposal"]),
            "total_time_ratio": round(ratio, 2),
            "rows_lost": found["rows_lost"],
            "longest_lock_wait_ms": lock,
            "spaces": spaces,
        },
        bars,
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="within a minute: 10,000 spaces")
    arguments.add_argument("--full", action="store_true", help="the figures that are quoted: 1,000,000 spaces")
    arguments.add_argument("--spaces", type=int, help="another size; ten readings for each")
    given = arguments.parse_args()
    spaces = given.spaces or (1_000_000 if given.full else 10_000 if given.quick else 100_000)
    found = asyncio.run(measure(spaces, spaces * 10, 2.0 if given.quick else 10.0))
    report(found, spaces, spaces * 10, full=given.full)


if __name__ == "__main__":
    main()
