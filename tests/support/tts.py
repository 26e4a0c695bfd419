"""The whole program with settings of a test, as it serves devices at The Things Stack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from baylight.app.program import Program
from baylight.settings import Settings
from tests.support.eventually import until


@asynccontextmanager
async def running(settings: dict[str, Any], *, ready: bool = True) -> AsyncIterator[Program]:
    """Run a program with short waits; yield it when it is ready, with `ready` False when it serves."""
    program = Program(Settings(**settings))
    program.policies = replace(program.policies, loop=replace(program.policies.loop, backoff=timedelta(seconds=0.2)))
    stopping = asyncio.Event()
    task = asyncio.create_task(program.run(stopping))
    try:
        await until(lambda: task.done() or (program.started.is_set() and not (ready and program.problems())))
        yield program
    finally:
        stopping.set()
        await task
