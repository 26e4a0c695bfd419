"""Health of the process. These routes and the inbound webhook need no API key."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from baylight.api.deps import Given, find_key
from baylight.api.parameters import check_query
from baylight.domain.conditions import Condition
from baylight.store.connect import AWAY

router = APIRouter(prefix="/health", tags=["operation"], dependencies=[Depends(check_query)])
FREE_S = 1.0
"""Seconds within which a process that is ready has a free connection for a request."""


@router.get("/live", summary="Check that the process answers")
async def check_live() -> dict[str, str]:
    """The answer is 200 as long as the process runs."""
    return {"status": "live"}


@router.get(
    "/ready",
    summary="Check that the process can do its work",
    responses={503: {"description": "not ready; with a key, `problems` gives the reasons in plain words"}},
)
async def check_ready(request: Request, given: Given) -> JSONResponse:
    """The answer is 503 with the reasons while the process cannot do its work: the database or the broker is away,
    messages wait too long, or all connections of the API are in use. `conditions` has all that is wrong with the
    services, network servers included, which do not withdraw readiness. Lamps, sensors and gateways are not in it.
    Without an API key, the answer is `status` alone."""
    problems = dict(given.problems())
    if not problems:
        try:
            async with asyncio.timeout(FREE_S), given.pool.acquire():
                pass
        except TimeoutError:
            problems["api"] = "all connections of the API to the database are in use"
        except AWAY as error:
            problems["api"] = f"the API cannot reach the database: {error or type(error).__name__}"
    body: dict[str, Any] = {"status": "not ready" if problems else "ready"}
    if await find_key(request):
        body |= {"problems": problems, "conditions": [_condition(c) for c in given.conditions()]}
    return JSONResponse(body, 503, {"Retry-After": "5"}) if problems else JSONResponse(body)


def _condition(c: Condition) -> dict[str, str]:
    return {"kind": c.kind, "service": c.subject_id, "since": c.since.isoformat()}
