"""Device lists of network servers, as for the commands `baylight import-…`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from baylight.api.bodies import Body
from baylight.api.deps import Given, Opener, Opening
from baylight.api.frame import Framed
from baylight.api.resources.bulk import answer, received
from baylight.bulk import delivery_list, device_lists
from baylight.bulk.device_lists import Types
from baylight.bulk.imports import Report
from baylight.ports import Listed

router = APIRouter(tags=["bulk"], route_class=Framed)
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
    opened: Opening, given: Given, request: Request, body: FromChirpStack
) -> Report | JSONResponse:
    """All devices are registered, or none. Idempotent. 422 with a `report` if some are wrong."""
    listed = device_lists.list_chirpstack(given.chirpstack_devices, body.applications, body.tenant)
    report = await _import(
        opened,
        listed,
        "chirpstack",
        body.types,
        body.only_known,
        body.dry_run,
        applications=body.applications,
        complete=True,
    )
    return answer(request, report)


@router.post(
    "/import-tts",
    summary="Register the devices of an export of The Things Stack",
    response_model=Report,
    openapi_extra={"requestBody": _FILE},
)
async def import_tts(
    opened: Opening,
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
        return answer(request, await _import(opened, listed, "tts", mapped, only_known, dry_run))


@router.post(
    "/import-delivery",
    summary="Register the devices of a maker's delivery list",
    response_model=Report,
    openapi_extra={"requestBody": {"content": {"text/csv": {"schema": {"type": "string"}}}, "required": True}},
)
async def import_delivery(
    opened: Opening,
    request: Request,
    types: Annotated[list[str], Query(alias="map", default_factory=list, max_length=1000)],
    columns: Annotated[list[str], Query(alias="column", default_factory=list, max_length=10)],
    network_server: Literal["chirpstack", "tts"] = "chirpstack",
    application: str = "",
    only_known: bool = False,
    dry_run: bool = False,
) -> Report | JSONResponse:
    """The body is its CSV, with column names in the first line. `column`: FIELD=COLUMN for a field (dev_eui, model,
    name) whose column is not known; may be repeated. `map`: MODEL=TYPE. `application`: id of the application of all
    devices. Keys in the file are not read. Otherwise like `import-chirpstack`."""
    mapped, named = device_lists.parse_types(types), delivery_list.parse_columns(columns)
    async with received(request) as file:
        listed = device_lists.list_delivery(file, named, application)
        return answer(request, await _import(opened, listed, network_server, mapped, only_known, dry_run))


async def _import(
    opened: Opener,
    listed: AsyncIterator[Listed],
    network_server: str,
    types: Types,
    only_known: bool,
    dry_run: bool,
    *,
    applications: Sequence[str] = (),
    complete: bool = False,
) -> Report:
    return await device_lists.import_list(
        await opened(),
        listed,
        network_server=network_server,
        types=types,
        applications=applications,
        complete=complete,
        only_known=only_known,
        dry_run=dry_run,
    )
