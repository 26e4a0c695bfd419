"""The stream of changes (server-sent events)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from baylight.access.keys import Key, Verifier
from baylight.api.deps import Reading
from baylight.api.hub import Hub
from baylight.errors import TransientError
from baylight.store.connect import AWAY

KEEP_ALIVE_S = 15.0
router = APIRouter(tags=["live"])


@router.get(
    "/events",
    summary="Stream changes (server-sent events)",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "`text/event-stream`"}},
)
async def stream_events(request: Request, key: Reading) -> Response:
    """The first event is a `snapshot` of all spaces and the newest actuations. `services` has the conditions of
    services that last: it follows the snapshot if there are any, and comes at each change. Then `state`, `display`,
    `actuation` and `gone` come as they happen, each with the whole row. A client that connects again gets a new
    snapshot, so it misses nothing. Every single change between two connections is in the history, after the `id` that
    came last."""
    hub: Hub = request.app.state.hub
    if hub.closed:
        raise TransientError("stopping", "this process is stopping: try again")
    if request.state.head:
        return Response(media_type="text/event-stream")
    stream = _stream(hub, request.app.state.verifier, key)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _stream(hub: Hub, verifier: Verifier, key: Key) -> AsyncIterator[bytes]:
    watcher = hub.join()
    clock = asyncio.get_running_loop().time
    verified = clock()
    try:
        yield b"retry: 2000\n\n"
        while True:
            try:
                events = await asyncio.wait_for(watcher.queue.get(), KEEP_ALIVE_S)
            except TimeoutError:
                events = b": still here\n\n"
            if events is None:
                return
            if clock() - verified >= KEEP_ALIVE_S:
                if not await verifier.is_live(key):
                    return
                verified = clock()
            yield events
    except AWAY:
        return
    finally:
        hub.leave(watcher)
