"""Routes for the catalogue of device types. `codecs.py` has those that create a type."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from baylight.api.bodies import Body, JsonObject
from baylight.api.deps import AdminChanging, Database, Given, Reading
from baylight.api.frame import Framed
from baylight.domain.assignment import Role
from baylight.domain.downlink import MAX_F_PORT
from baylight.inventory import device_types
from baylight.inventory.device_types import DeviceTypeRow
from baylight.js_codecs import type_changes
from baylight.js_codecs.type_changes import DeviceTypeChange

router = APIRouter(prefix="/device-types", tags=["devices"], route_class=Framed)


class TypeChange(Body):
    """The values to change. Of a shipped type only `enabled` changes. `states`, `f_port`, `confirmed_downlinks` and
    `allow_alike` belong to displays with a JavaScript codec, and change only while no display of the type is in use."""

    manufacturer: str | None = None
    model: str | None = None
    uplink_interval_s: int | None = None
    silent_after_intervals: int | None = None
    dev_eui_prefixes: list[str] | None = None
    enabled: bool | None = None
    states: Annotated[JsonObject | None, Field(min_length=1)] = None
    f_port: Annotated[int | None, Field(ge=1, le=MAX_F_PORT)] = None
    confirmed_downlinks: bool | None = None
    allow_alike: bool | None = None


@router.get("", summary="List device types")
async def list_device_types(key: Reading, connection: Database, category: Role | None = None) -> list[DeviceTypeRow]:
    return await device_types.list_device_types(connection, category)


@router.get("/{code}", summary="Get a device type")
async def get_device_type(key: Reading, connection: Database, code: str) -> DeviceTypeRow:
    return await device_types.get_device_type(connection, code)


@router.patch("/{code}", summary="Change a device type")
async def change_device_type(change: AdminChanging, given: Given, code: str, body: TypeChange) -> DeviceTypeRow:
    """Spaces of its devices are decided again. The devices get another maker and model."""
    wanted = DeviceTypeChange(**body.model_dump())
    return await type_changes.change_device_type(change, code, wanted, given.codec_engine)


@router.delete("/{code}", status_code=204, summary="Delete a device type that no device has")
async def delete_device_type(change: AdminChanging, code: str) -> Response:
    """A type that ships with Baylight cannot be deleted."""
    await type_changes.delete_device_type(change, code)
    return Response(status_code=204)
