"""The HTTP API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from baylight.access.keys import Verifier
from baylight.api import events, health, inbound, metrics, openapi, problems
from baylight.api.deps import CHANGES, Deps, read
from baylight.api.frame import Framed
from baylight.api.hub import Hub
from baylight.api.requests import Requests
from baylight.api.resources import (
    assignments,
    bulk,
    codecs,
    conditions,
    device_tests,
    device_types,
    devices,
    gateways,
    history,
    keys,
    lists,
    locations,
    orphans,
    overrides,
    reservations,
    spaces,
)

PREFIX = "/api/v1"


def create_app(deps: Deps) -> FastAPI:
    """Make the application. Its server must call `app.state.hub.close()` before it shuts down, to end event streams."""
    hub = Hub(deps.pool, deps.dsn, deps.conditions)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(hub.run())
        yield
        hub.close()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    app = FastAPI(
        title="Baylight",
        version="1",
        summary="Spaces, sensors, displays: what each light must show, what it shows, and why.",
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        routes=_router().routes,
    )
    app.state.deps = deps
    app.state.verifier = Verifier(deps.pool)
    app.state.hub = hub
    app.state.exports = set()
    app.add_middleware(Requests)
    problems.install(app)
    return app


@cache
def _router() -> APIRouter:
    """Make the routes of all applications: one process makes them once, because it takes 0.2 s."""
    api = APIRouter(prefix=PREFIX)
    parts = (
        spaces,
        device_types,
        devices,
        history,
        reservations,
        overrides,
        orphans,
        bulk,
        locations,
        keys,
        events,
        codecs,
        lists,
        conditions,
    )
    for part in (assignments, device_tests, gateways, *parts):
        api.include_router(_summarized(part.router))

    @api.get(
        "/openapi.json",
        summary="Get the description of the API (OpenAPI)",
        include_in_schema=False,
        dependencies=[Depends(read)],
    )
    async def get_openapi(request: Request) -> dict[str, Any]:
        return openapi.describe(request.app)

    whole = APIRouter(responses=problems.RESPONSES, generate_unique_id_function=lambda route: route.name)
    whole.include_router(api)
    for part in (metrics, inbound, health):
        whole.include_router(_summarized(part.router))
    return whole


def _summarized(router: APIRouter) -> APIRouter:
    """Give each route without a summary the first sentence of its docstring; the rest describes it. Idempotent.

    Routes of the frame also get the headers that they know.
    """
    for route in router.routes:
        if isinstance(route, Framed):
            route.describe(changes=_changes(route.dependant))
        if isinstance(route, APIRoute) and not route.summary:
            summary, _, route.description = " ".join(route.description.split()).partition(". ")
            route.summary = summary.removesuffix(".")
    return router


def _changes(dependant: Dependant) -> bool:
    return any(part.call in CHANGES or _changes(part) for part in dependant.dependencies)
