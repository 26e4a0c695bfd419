"""Routes for the registries of sensors and displays."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from baylight.api.bodies import Body, DevEuiText, Switch
from baylight.api.deps import Changing, Cursor, Database, Limit, Reading
from baylight.api.frame import Framed
from baylight.api.pages import Page, decode, page
from baylight.domain.assignment import Role
from baylight.domain.paging import PAGE_SIZE
from baylight.inventory import device_settings, devices
from baylight.inventory.devices import Display, Sensor

router = APIRouter(tags=["devices"], route_class=Framed)
_NEW: dict[int | str, dict[str, Any]] = {
    200: {"description": "it was already registered so"},
    201: {"description": "registered"},
}


class NewSensor(Body):
    """A sensor to register. Without `device_type` the type follows from the prefix of the DevEUI. `mobile`: the sensor
    may serve several spaces. `network_server` (missing: that of a registered sensor, else `chirpstack`) and
    `application_id` (at The Things Stack `<application>/<device id>`) apply until the first uplink."""

    dev_eui: DevEuiText
    device_type: str | None = None
    notes: str | None = None
    mobile: bool = False
    network_server: Literal["chirpstack", "tts"] | None = None
    application_id: str | None = None


class NewDisplay(Body):
    """A display to register. `display_codes`: state -> hex or a light (`orange`, `#ff9900`, `red, flashing 500/500`);
    they replace codes of the type. `allow_alike`: accept that the light of another state looks like that of FREE.
    `shared`: the display may serve several spaces, whose states `shared_rule` combines. Other fields: see NewSensor."""

    dev_eui: DevEuiText
    device_type: str | None = None
    display_codes: dict[str, str] | None = None
    allow_alike: bool = False
    notes: str | None = None
    shared: bool = False
    shared_rule: Literal["any_free", "all_free", "count", "worst_state"] = "worst_state"
    network_server: Literal["chirpstack", "tts"] | None = None
    application_id: str | None = None


class Codes(Body):
    """Codes by state. `replace`: states that are not named lose their code. `allow_alike`: accept that the light of
    another state looks like that of FREE; doctor goes on to show it."""

    display_codes: Annotated[dict[str, str], Field(min_length=1)]
    replace: bool = False
    allow_alike: bool = False


class SensorChange(Body):
    """The values to change; empty `notes` remove the notes. `mobile` cannot change while the sensor serves a space."""

    notes: str | None = None
    mobile: bool | None = None


class DisplayChange(Body):
    """The values to change; empty `notes` remove the notes."""

    notes: str | None = None
    f_port: Annotated[int | None, Field(ge=1, le=223)] = None
    confirmed_downlinks: bool | None = None


class LifecycleStep(Body):
    state: str
    reason: str | None = None


Registry = Literal["sensors", "displays"]
ROLES: dict[Registry, Role] = {"sensors": "sensor", "displays": "display"}


@router.get("/sensors", summary="List sensors by DevEUI")
async def list_sensors(
    key: Reading, connection: Database, decommissioned: bool = False, limit: Limit = PAGE_SIZE, cursor: Cursor = None
) -> Page[Sensor]:
    after = decode(cursor, str)
    rows = await devices.list_sensors(connection, after=after, limit=limit + 1, decommissioned=decommissioned)
    return page(rows, limit, lambda row: row.dev_eui)


@router.post("/sensors", status_code=201, responses=_NEW, summary="Register a sensor")
async def register_sensor(change: Changing, new: NewSensor, response: Response) -> Sensor:
    """Answer 201 for a new sensor, 200 for a known one. Idempotent."""
    sensor, is_new = await devices.register_sensor(change, **new.model_dump())
    response.status_code = 201 if is_new else 200
    return sensor


@router.get("/sensors/{dev_eui}", summary="Get a sensor")
async def get_sensor(key: Reading, connection: Database, dev_eui: DevEuiText) -> Sensor:
    return await devices.get_sensor(connection, dev_eui)


@router.patch("/sensors/{dev_eui}", summary="Change notes or mobility of a sensor")
async def change_sensor(change: Changing, dev_eui: DevEuiText, body: SensorChange) -> Sensor:
    return await device_settings.change_sensor(change, dev_eui, **body.model_dump())


@router.get("/displays", summary="List displays by DevEUI")
async def list_displays(
    key: Reading, connection: Database, decommissioned: bool = False, limit: Limit = PAGE_SIZE, cursor: Cursor = None
) -> Page[Display]:
    after = decode(cursor, str)
    rows = await devices.list_displays(connection, after=after, limit=limit + 1, decommissioned=decommissioned)
    return page(rows, limit, lambda row: row.dev_eui)


@router.post("/displays", status_code=201, responses=_NEW, summary="Register a display")
async def register_display(change: Changing, new: NewDisplay, response: Response) -> Display:
    """Answer 201 for a new display, 200 for a known one. Idempotent."""
    display, is_new = await devices.register_display(change, **new.model_dump())
    response.status_code = 201 if is_new else 200
    return display


@router.get("/displays/{dev_eui}", summary="Get a display")
async def get_display(key: Reading, connection: Database, dev_eui: DevEuiText) -> Display:
    return await devices.get_display(connection, dev_eui)


@router.patch("/displays/{dev_eui}", summary="Change notes, FPort or confirmation of a display")
async def change_display(change: Changing, dev_eui: DevEuiText, body: DisplayChange) -> Display:
    """FPort and confirmation apply from the next downlink on."""
    return await device_settings.change_display(change, dev_eui, **body.model_dump())


@router.put("/displays/{dev_eui}/codes", summary="Set the codes of a display")
async def set_display_codes(change: Changing, dev_eui: DevEuiText, body: Codes) -> Display:
    """The light follows at once. The answer describes the light of each code."""
    return await device_settings.set_display_codes(
        change, dev_eui, body.display_codes, replace=body.replace, allow_alike=body.allow_alike
    )


@router.put("/{registry}/{dev_eui}/enabled", status_code=204, summary="Enable or disable a device")
async def set_enabled(change: Changing, registry: Registry, dev_eui: DevEuiText, body: Switch) -> Response:
    """Readings of a disabled sensor do not count. A disabled display receives no commands."""
    await device_settings.set_enabled(change, ROLES[registry], dev_eui, body.on)
    return Response(status_code=204)


@router.put("/{registry}/{dev_eui}/lifecycle", status_code=204, summary="Move a device one step in its life")
async def set_lifecycle(change: Changing, registry: Registry, dev_eui: DevEuiText, body: LifecycleStep) -> Response:
    await device_settings.set_lifecycle(change, ROLES[registry], dev_eui, body.state, reason=body.reason)
    return Response(status_code=204)
