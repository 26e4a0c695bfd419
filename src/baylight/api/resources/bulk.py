"""Bulk import and export as CSV."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from functools import partial
from hashlib import blake2b
from typing import IO, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from baylight.api.deps import Given, Opening, Reading
from baylight.api.frame import Framed
from baylight.api.problems import problem
from baylight.bulk import imports
from baylight.bulk.imports import Report
from baylight.errors import TransientError
from baylight.store.pool import acquire

router = APIRouter(tags=["bulk"], route_class=Framed)
_IN_MEMORY_BYTES = 1024 * 1024
_PART_BYTES = 64 * 1024
MAX_EXPORTS = 32
"""Exports that are made or sent at a time. Each is a temporary file, for as long as its caller reads."""


class Kind(StrEnum):
    """Kind of a CSV file."""

    LOCATIONS = "locations"
    SPACES = "spaces"
    DEVICE_TYPES = "device-types"
    DEVICES = "devices"
    ASSIGNMENTS = "assignments"


_CSV_TYPE = "text/csv; charset=utf-8"
_CSV: dict[str, Any] = {"content": {"text/csv": {"schema": {"type": "string"}}}}


@router.post(
    "/import/{kind}",
    summary="Import a CSV file: all rows, or none",
    response_model=Report,
    openapi_extra={"requestBody": _CSV | {"required": True}},
)
async def import_csv(opened: Opening, request: Request, kind: Kind, dry_run: bool = False) -> Report | JSONResponse:
    """The body is the CSV file. Idempotent. 422 with a `report` if rows are wrong."""
    async with received(request) as file:
        report = await imports.import_csv(await opened(), kind, file, dry_run=dry_run)
    return answer(request, report)


@asynccontextmanager
async def received(request: Request) -> AsyncIterator[IO[bytes]]:
    """Store the whole body as a file, before a connection is in use: a caller may be slow. The frame uses its hash."""
    digest = blake2b()
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as file:
        async for part in request.stream():
            file.write(part)
            digest.update(part)
        request.state.digest = digest.digest()
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
async def export_csv(request: Request, key: Reading, given: Given, kind: Kind, bom: bool = False) -> Response:
    """The file has the form that the import reads. All of it is of one moment. `bom`: with a byte order mark, by which
    Excel reads UTF-8."""
    if request.state.head:
        return Response(media_type=_CSV_TYPE, headers=_attachment(kind))
    exports: set[object] = request.app.state.exports
    if len(exports) >= MAX_EXPORTS:
        raise TransientError("exports_busy", f"{MAX_EXPORTS} exports are being sent: try again", retry_after_s=10)
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - closed when it is sent
    exports.add(file)
    try:
        async with acquire(given.pool) as connection:
            async for part in imports.export(connection, kind, bom=bom):
                file.write(part)
    except BaseException:
        _discard(file, exports)
        raise
    file.seek(0)
    return _Spooled(file, partial(_discard, file, exports), kind)


def _attachment(kind: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{kind}.csv"'}


def _discard(file: IO[bytes], exports: set[object]) -> None:
    exports.discard(file)
    file.close()


class _Spooled(StreamingResponse):
    """Response with a file that is complete, so that a slow caller keeps no connection to the database in use."""

    def __init__(self, file: IO[bytes], discard: Callable[[], None], kind: str) -> None:
        async def parts() -> AsyncIterator[bytes]:
            while part := file.read(_PART_BYTES):
                yield part

        super().__init__(parts(), media_type=_CSV_TYPE, headers=_attachment(kind))
        self._discard = discard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._discard()
