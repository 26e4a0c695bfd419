"""Bulk import and export as CSV."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import IO, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from baylight.api.deps import ACQUIRE_S, Given, Reading, Writing
from baylight.api.problems import problem
from baylight.bulk import imports
from baylight.bulk.imports import Report

router = APIRouter(tags=["bulk"])
_IN_MEMORY_BYTES = 1024 * 1024


class Kind(StrEnum):
    """Kind of a CSV file."""

    LOCATIONS = "locations"
    SPACES = "spaces"
    DEVICE_TYPES = "device-types"
    DEVICES = "devices"
    ASSIGNMENTS = "assignments"


_CSV: dict[str, Any] = {"content": {"text/csv": {"schema": {"type": "string"}}}}


@router.post(
    "/import/{kind}",
    summary="Import a CSV file: all rows, or none",
    response_model=Report,
    openapi_extra={"requestBody": _CSV | {"required": True}},
)
async def import_csv(
    key: Writing, given: Given, request: Request, kind: Kind, dry_run: bool = False
) -> Report | JSONResponse:
    """The body is the CSV file. Idempotent. 422 with a `report` if rows are wrong."""
    async with received(request) as file, given.pool.acquire(timeout=ACQUIRE_S) as connection:
        report = await imports.import_csv(
            given.change(connection, key),
            kind,
            file,
            dry_run=dry_run,
        )
    return answer(request, report)


@asynccontextmanager
async def received(request: Request) -> AsyncIterator[IO[bytes]]:
    """Store the whole body as a file, before a connection is in use: a caller may be slow."""
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as file:
        async for part in request.stream():
            file.write(part)
        file.seek(0)
        yield file


def answer(request: Request, report: Report) -> Report | JSONResponse:
    """Return the report of an import, as a problem if it has errors."""
    if report.errors:
        return problem(request, 422, "wrong_rows", "rows are wrong: nothing was changed", report=report)
    return report


@router.get(
    "/export/{kind}", summary="Export all objects of a kind as CSV", response_class=Response, responses={200: _CSV}
)
async def export_csv(key: Reading, given: Given, request: Request, kind: Kind, bom: bool = False) -> Response:
    """The file has the form that the import reads. All of it is of one moment. `bom`: with a byte order mark, by which
    Excel reads UTF-8."""

    async def parts() -> AsyncIterator[bytes]:
        async with given.pool.acquire(timeout=ACQUIRE_S) as connection:
            async for part in imports.export(connection, kind, bom=bom):
                yield part

    headers = {"Content-Disposition": f'attachment; filename="{kind}.csv"'}
    if request.state.head:
        return Response(media_type="text/csv; charset=utf-8", headers=headers)
    return StreamingResponse(parts(), media_type="text/csv; charset=utf-8", headers=headers)
