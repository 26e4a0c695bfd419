"""The stream of changes (server-sent events)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from baylight.api.deps import Reading
from baylight.api.hub import Hub

KEEP_ALIVE_S = 15.0
router = APIRouter(tags=["live"])


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "`text/event-stream`"}},
)
async def events(request: Request, key: Reading) -> StreamingResponse:
    """First a `snapshot` of all spaces and the newest actuations, then `state`, `display`, `actuation` and `gone` as
    they happen, each with the whole row. Whoever comes back gets a new snapshot, so nothing is missed; every single
    change between two connections is in the history, after the `id` that came last."""
    hub: Hub = request.app.state.hub
    return StreamingResponse(_stream(hub), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _stream(hub: Hub) -> AsyncIterator[bytes]:
    watcher = hub.join()
    try:
        yield b"retry: 2000\n\n"
        while True:
            try:
                event = await asyncio.wait_for(watcher.queue.get(), KEEP_ALIVE_S)
            except TimeoutError:
                event = b": still here\n\n"
            if event is None:
                return
            yield event
    finally:
        hub.leave(watcher)
