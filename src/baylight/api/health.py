"""Whether the process lives, and whether it can do its work. The only routes without a key."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from baylight.api.deps import Given

router = APIRouter(prefix="/health", tags=["operation"])


@router.get("/live")
async def live() -> dict[str, str]:
    """200 as long as the process answers."""
    return {"status": "live"}


@router.get("/ready", responses={503: {"description": "not ready; `problems` says why, in plain words"}})
async def ready(given: Given) -> JSONResponse:
    problems = given.problems()
    if problems:
        return JSONResponse({"status": "not ready", "problems": problems}, 503, {"Retry-After": "5"})
    return JSONResponse({"status": "ready", "problems": {}})
