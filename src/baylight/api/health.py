"""Health of the process. These routes and the inbound webhook need no API key."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from baylight.api.deps import Given

router = APIRouter(prefix="/health", tags=["operation"])


@router.get("/live", summary="Check that the process answers")
async def check_live() -> dict[str, str]:
    """The answer is 200 as long as the process runs."""
    return {"status": "live"}


@router.get(
    "/ready",
    summary="Check that the process can do its work",
    responses={503: {"description": "not ready; `problems` gives the reasons in plain words"}},
)
async def check_ready(given: Given) -> JSONResponse:
    """The answer is 503 with the reasons while the process cannot do its work."""
    problems = given.problems()
    if problems:
        return JSONResponse({"status": "not ready", "problems": problems}, 503, {"Retry-After": "5"})
    return JSONResponse({"status": "ready", "problems": {}})
