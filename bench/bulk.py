"""Time and memory of CSV import and export of a large installation, run as users run them.

python -m bench.bulk [--quick | --full] [--rows N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from baylight.bulk.kinds import SHEETS
from baylight.inventory import device_types
from baylight.lab.embedded.postgres import EmbeddedPostgres
from baylight.store import migrate
from baylight.store.connect import install_codecs
from bench import ground

STEPS = ("dry run", "import", "export", "import again")
MAX_MB = 150
"""Limit for the process, the same for any number of rows."""
BAYLIGHT = Path(sys.executable).with_name("baylight")


def places(count: int) -> Iterator[str]:
    """Yield rows of locations: a site for each thousand, in it a floor for each hundred, the rest zones on floors."""
    for n in range(count):
        site, floor, zone = f"Site {n // 1000}", f"Floor {n // 100 % 10}", f"Zone {n % 100}"
        if n % 1000 == 0:
            yield f"{site},site,Europe/Berlin,no,"
        elif n % 100 == 1:
            yield f"{site}/{floor},floor,,no,"
        else:
            yield f"{site}/{floor}/{zone},zone,,no,"


def rows(kind: str, count: int) -> Iterable[str]:
    numbers = range(1, count + 1)
    if kind == "locations":
        return places(count)
    if kind == "spaces":
        return (f"B{n},Bay {n},Site {n % max(1, count // 1000)},52.5,13.4,,no," for n in numbers)
    if kind == "device-types":
        return (f"own_{n},sensor,Maker,Model {n},browan_tbms100,,3600,3,{{}},{{}},yes" for n in numbers)
    if kind == "devices":
        return (
            line
            for n in numbers
            for line in (
                f"sensor,58a0cb{n:010x},,yes,registered,no,,,,,garage,",
                f"display,202020{n:010x},kuando_busylight,yes,registered,no,,,,,garage,",
            )
        )
    return (f"B{n},58a0cb{n:010x},202020{n:010x}" for n in numbers)


def write(path: Path, kind: str, count: int) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.write(f"# baylight {kind} v1\n{','.join(column.name for column in SHEETS[kind].columns)}\n")
        out.writelines(f"{row}\n" for row in rows(kind, count))


def baylight(dsn: str, *arguments: str) -> tuple[float, float, str]:
    """Run a command; return seconds, peak memory in MB, and its output. Raises RuntimeError if it failed."""
    began = time.perf_counter()
    running = subprocess.Popen(
        [BAYLIGHT, *arguments], env={**os.environ, "BAYLIGHT_DATABASE_URL": dsn}, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    output = running.stdout.read()
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise RuntimeError(f"baylight {' '.join(arguments)} ended with {running.returncode}: {output[:2000]}")
    return time.perf_counter() - began, used.ru_maxrss / 1024, output


def measure(dsn: str, kind: str, count: int, folder: Path) -> dict[str, tuple[float, float]]:
    """Return seconds and MB of each step. Every step's report is checked: a fast wrong answer is a failure."""
    given, exported = folder / f"{kind}.csv", folder / f"{kind}.out.csv"
    write(given, kind, count)
    figures: dict[str, tuple[float, float]] = {}
    for step in STEPS:
        source = exported if step == "import again" else given
        arguments = ["import", str(source), "--kind", kind, "--json"]
        if step == "export":
            arguments = ["export", kind, "-o", str(exported)]
        elif step == "dry run":
            arguments.append("--dry-run")
        seconds, memory, output = baylight(dsn, *arguments)
        if step != "export":
            report = json.loads(output)
            written = report["added"] + report["changed"]
            assert written == (0 if step == "import again" else report["rows"]), report
            assert report["applied"] == (step != "dry run"), report
        figures[step] = seconds, memory
        print(f"  {kind:13} {step:13} {seconds:7.1f} s  {memory:5.0f} MB", flush=True)
    return figures


@asynccontextmanager
async def installation() -> AsyncIterator[str]:
    """Set up an empty installation on PostgreSQL with fsync and synchronous_commit on; yield its DSN."""
    directory = tempfile.mkdtemp(prefix="bl-bench-")
    os.chmod(directory, 0o711)  # the account that PostgreSQL runs under must be able to enter
    postgres = EmbeddedPostgres(Path(directory), durable=True)
    try:
        await postgres.start()
        await migrate.upgrade(postgres.dsn())
        connection = await asyncpg.connect(postgres.dsn())
        await install_codecs(connection)
        await device_types.sync(connection)
        await connection.close()
        yield postgres.dsn()
    finally:
        await postgres.stop()
        postgres.delete()


async def run(count: int) -> dict[str, dict[str, tuple[float, float]]]:
    folder = Path(tempfile.mkdtemp(prefix="bl-bench-csv-"))
    try:
        async with installation() as dsn:
            return {kind: await asyncio.to_thread(measure, dsn, kind, count, folder) for kind in SHEETS}
    finally:
        shutil.rmtree(folder)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="within a minute")
    arguments.add_argument("--full", action="store_true", help="the figures that are quoted")
    arguments.add_argument("--rows", type=int, help="number of rows of each kind; twice as many devices")
    given = arguments.parse_args()
    count = given.rows or (5_000 if given.quick else 100_000)
    print(f"{count:,} rows of each kind, {2 * count:,} devices ({ground.machine()}):")
    figures = asyncio.run(run(count))
    slowest = max(seconds for steps in figures.values() for seconds, _ in steps.values())
    memory = max(used for steps in figures.values() for _, used in steps.values())
    ground.finish(
        {
            "bench": "bulk",
            "rows": count,
            "slowest_s": round(slowest, 1),
            "peak_mb": round(memory),
            **{f"{kind}_import_s": round(steps["import"][0], 1) for kind, steps in figures.items()},
        },
        [(f"at most {memory:,.0f} MB (bar {MAX_MB})", memory <= MAX_MB)],
    )


if __name__ == "__main__":
    main()
