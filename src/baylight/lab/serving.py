"""Program of `baylight serve` inside this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from baylight.app.program import Program
from baylight.settings import Settings


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[Program, asyncio.Task[None]]]:
    """Run the program; yield it with its task when it is connected to the broker; stop it in order at the end."""
    stopping = asyncio.Event()
    program = Program(settings)
    running = asyncio.create_task(program.run(stopping))
    try:
        started = asyncio.create_task(program.started.wait())
        await asyncio.wait([started, running], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        while not program.consumers["broker"].connected:  # noqa: ASYNC110 (it has no event to wait for)
            await asyncio.sleep(0.05)
        yield program, running
    finally:
        stopping.set()
        await asyncio.gather(running, return_exceptions=True)
