"""Device lists of network servers, as for `baylight import-chirpstack` and `baylight import-tts`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from baylight.access.keys import Key
from baylight.api.bodies import Body
from baylight.api.bulk import answer, received
from baylight.api.deps import Deps, Given, Writing
from baylight.bulk import device_lists
from baylight.bulk.device_lists import Types
from baylight.bulk.imports import Report
from baylight.ports import Listed
from baylight.store.pool import acquire

router = APIRouter(tags=["bulk"])
_FILE: dict[str, Any] = {
    "content": {name: {"schema": {"type": "string"}} for name in ("text/csv", "application/json")},
    "required": True,
}


class FromChirpStack(Body):
    """Devices of applications (ids), or of all applications of a tenant.

    `types`: device type of a profile or model; `-` leaves out its devices.
    """

    applications: Annotated[tuple[str, ...], Field(max_length=1000)] = ()
    tenant: str | None = None
    types: dict[str, str] = Field(default_factory=dict)
    only_known: bool = False
    dry_run: bool = False


@router.post("/import-chirpstack", summary="Register the devices that ChirpStack lists", response_model=Report)
async def import_chirpstack(
    key: Writing, given: Given, request: Request, body: FromChirpStack
) -> Report | JSONResponse:
    """All devices are registered, or none. Idempotent. 422 with a `report` if some are wrong."""
    listed = device_lists.list_chirpstack(given.chirpstack_devices, body.applications, body.tenant)
    report = await _import(
        key, given, listed, "chirpstack", body.types, body.only_known, body.dry_run, body.applications
    )
    return answer(request, report)


@router.post(
    "/import-tts",
    summary="Register the devices of an export of The Things Stack",
    response_model=Report,
    openapi_extra={"requestBody": _FILE},
)
async def import_tts(
    key: Writing,
    given: Given,
    request: Request,
    types: Annotated[list[str], Query(alias="map", default_factory=list, max_length=1000)],
    application: str | None = None,
    only_known: bool = False,
    dry_run: bool = False,
) -> Report | JSONResponse:
    """The body is its CSV or JSON. `map`: PROFILE=TYPE; may be repeated. `application`: its id, for a file that names
    none; missing: the one that the settings name. Otherwise like `import-chirpstack`."""
    mapped = device_lists.parse_types(types)
    async with received(request) as file:
        listed = device_lists.list_tts(file, application or given.tts_application)
        return answer(request, await _import(key, given, listed, "tts", mapped, only_known, dry_run))


async def _import(
    key: Key,
    given: Deps,
    listed: AsyncIterator[Listed],
    network_server: str,
    types: Types,
    only_known: bool,
    dry_run: bool,
    applications: Sequence[str] = (),
) -> Report:
    async with acquire(given.pool) as connection:
        return await device_lists.import_list(
            given.change(connection, key),
            listed,
            network_server=network_server,
            types=types,
            applications=applications,
            only_known=only_known,
            dry_run=dry_run,
        )
