"""D7: a clean stop logs nothing that a person would have to look at."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from baylight.access import keys
from baylight.lab.embedded.broker import MosquittoBroker
from baylight.settings import Settings
from baylight.store.pool import Pool
from tests.support import bay_eye
from tests.support.change import by
from tests.support.eventually import until
from tests.support.processes import environment
from tests.support.servers import Database
from tests.support.stage import stage_on

CODEC = {"source": bay_eye.SOURCE, "mapping": bay_eye.MAPPING, "examples": bay_eye.EXAMPLES}
FRAME = {"f_port": 3, "data": bay_eye.OCCUPIED.hex()}


@asynccontextmanager
async def started(
    command: list[str], settings: Settings | None, output: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command in a process group of its own, as a shell does; end it if the test has not."""
    with output.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "baylight",
            *command,
            env=environment(settings) if settings else None,
            stdout=file,
            stderr=file,
            process_group=0,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def found(output: Path, pattern: str) -> str:
    def search() -> re.Match[str] | None:
        return re.search(pattern, output.read_text())

    await until(lambda: search() is not None, output.read_text, deadline_s=60)
    match = search()
    assert match is not None
    return match[1]


def bad_lines(output: Path) -> list[str]:
    """Return the lines of a log in JSON that are no event, or a warning, or worse."""
    lines = [line for line in output.read_text().splitlines() if line]
    return [line for line in lines if not line.startswith("{") or json.loads(line)["level"] not in ("debug", "info")]


async def end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def watch(client: httpx.AsyncClient) -> None:
    async with client.stream("GET", "/api/v1/events") as answer:
        async for _ in answer.aiter_raw():
            pass


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("state", ["idle", "watched", "busy"])
async def test_d7_a_clean_stop_logs_no_warning(
    database: Database, pool: Pool, mosquitto: MosquittoBroker, tmp_path: Path, stop: signal.Signals, state: str
) -> None:
    async with stage_on(database, pool, mosquitto, bays=6, traffic=600 if state == "busy" else 0) as stage:
        async with pool.acquire() as connection:
            _, key = await keys.create_key(by(connection), "k", ["admin"])
        output = tmp_path / "log"
        async with started(["serve"], stage.settings(), output) as process:
            port = await found(output, r'"http_port": (\d+)')
            await found(output, '"event": "(broker_connected)"')
            stage.power_on()
            for bay in stage.bays:
                bay.light.report()
                bay.sensor.heartbeat()
            await stage.all_proven()
            beside: list[asyncio.Task[None]] = []
            headers = {"Authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
                if state != "idle":
                    (await client.post("/api/v1/codecs/eye", json=CODEC)).raise_for_status()
                    decoded = await client.post("/api/v1/codecs/eye/1/decode", json=FRAME)
                    decoded.raise_for_status()  # a worker of the sandbox lives now
                    beside += [asyncio.create_task(watch(client)) for _ in range(3)]
                    await client.get("/api/v1/spaces")
                if state == "busy":
                    beside.append(asyncio.create_task(stage.park.run()))
                    await until(lambda: len(stage.park.changes) > 20)
                os.killpg(process.pid, stop)
                code = await asyncio.wait_for(process.wait(), 30)
                await end(beside)
        assert (code, bad_lines(output)) == (0, [])


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_d7_a_demo_is_stopped_without_a_warning(tmp_path: Path, stop: signal.Signals) -> None:
    output, more = tmp_path / "log", ["--bays", "4", "--data-dir", str(tmp_path / "data")]
    async with started(["demo", *more], None, output) as process:
        address = await found(output, r"(http://[\d.:]+)/")
        key = await found(output, r"#key=(\S+)")
        async with httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {key}"}) as client:
            watching = asyncio.create_task(watch(client))
            (await client.get("/api/v1/spaces")).raise_for_status()
            before = output.read_text()
            os.killpg(process.pid, stop)
            code = await asyncio.wait_for(process.wait(), 30)
            await end([watching])
    later = output.read_text().removeprefix(before)
    assert (code, [line for line in later.splitlines() if "part=displays" not in line]) == (0, [])
