"""HTTP API of the simulated The Things Stack, for downlinks only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Generator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from baylight.lab.sim.tts.server import FakeTheThingsStack

KEY, WEBHOOK = "NNSXS.KEY", "baylight"
_DOWN = "/api/v3/as/applications/{application}/webhooks/{webhook}/devices/{device_id}/down/{operation}"


@contextlib.asynccontextmanager
async def http_api(tts: FakeTheThingsStack) -> AsyncIterator[str]:
    """Serve the API on a free port of 127.0.0.1; yield its base URL. It answers 503 while `tts.away` is set."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(_app(tts), log_config=None, access_log=False, lifespan="off")
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


def _app(tts: FakeTheThingsStack) -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.post(_DOWN)
    async def down(request: Request, application: str, webhook: str, device_id: str, operation: str) -> JSONResponse:
        if tts.away:
            return _error(503, 14, "error:pkg/rpcmiddleware:unavailable (unavailable)")
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _error(403, 7, "error:pkg/auth/rights:no_application_rights (no rights for application)")
        if application != tts.application or device_id not in tts.devices:
            return _error(404, 5, "error:pkg/applicationserver:device_not_found (device not found)")
        if webhook != WEBHOOK or operation not in ("push", "replace"):
            return _error(404, 5, "error:pkg/applicationserver/io/web:webhook_not_found (webhook not found)")
        try:
            downlinks: list[dict[str, Any]] = json.loads(await request.body())["downlinks"]
        except (ValueError, KeyError, TypeError):
            return _error(400, 3, "error:pkg/errors:invalid_argument (invalid downlinks)")
        if any(not 1 <= downlink.get("f_port", 0) <= 223 for downlink in downlinks):
            return _error(400, 3, "error:pkg/ttnpb:validation (invalid f_port)")
        tts.enqueue(device_id, operation, downlinks)
        return JSONResponse({})

    return app


def _error(status: int, code: int, message: str) -> JSONResponse:
    return JSONResponse({"code": code, "message": message, "details": []}, status)


class _Server(uvicorn.Server):
    """Server that leaves signals to the program around it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
