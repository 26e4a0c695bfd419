"""The demo ends at a signal while it waits for lights that are never proven."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from baylight.lab import demo
from tests.support.eventually import until


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what the demo prints; its cars come and go, and its lights are never proven."""

    async def forever(*_: Any) -> bool:
        await asyncio.Event().wait()
        return True

    @asynccontextmanager
    async def garage(_: demo.Options) -> AsyncIterator[Any]:
        park = SimpleNamespace(run=forever, bays=[SimpleNamespace(code="A-01")])
        running = asyncio.create_task(forever())
        yield SimpleNamespace(program=SimpleNamespace(http_port=1), key="", dsn="", park=park, running=running)
        running.cancel()

    monkeypatch.setattr(demo, "_garage", garage)
    monkeypatch.setattr(demo, "_finish", forever)
    printed: list[str] = []
    monkeypatch.setattr(demo, "_say", printed.append)
    return printed


@pytest.mark.parametrize(("check", "right"), [(True, False), (False, True)])
async def test_d7_a_signal_ends_the_wait_for_the_lights(
    lines: list[str], tmp_path: Path, check: bool, right: bool
) -> None:
    running = asyncio.create_task(demo.demo(demo.Options(tmp_path, seconds=0.01, check=check)))
    await until(lambda: any("Waiting until" in line for line in lines))
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 10) is right
    assert lines[-1] == "Ended before every light was proven."


async def test_the_signal_that_stops_the_cars_does_not_end_the_check(lines: list[str], tmp_path: Path) -> None:
    running = asyncio.create_task(demo.demo(demo.Options(tmp_path, check=True)))
    await until(lambda: any("Cars come" in line for line in lines))
    os.kill(os.getpid(), signal.SIGTERM)
    await until(lambda: any("Waiting until" in line for line in lines))
    await asyncio.sleep(0.1)
    assert not running.done()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 10) is False
