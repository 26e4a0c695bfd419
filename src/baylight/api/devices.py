"""The registries of sensors and displays, and the catalogue of their types."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from baylight.api.bodies import Body, DevEuiText
from baylight.api.deps import Changing, Cursor, Database, Limit, Reading
from baylight.api.pages import Page, decode, page
from baylight.inventory import device_changes, device_types, devices
from baylight.inventory.device_types import DeviceTypeRow
from baylight.inventory.devices import Display, Sensor

router = APIRouter(tags=["devices"])
_NEW: dict[int | str, dict[str, Any]] = {
    200: {"description": "it was registered so already"},
    201: {"description": "registered"},
}


class NewSensor(Body):
    """Without `device_type` the DevEUI's prefix tells it. `mobile`: it may wander between spaces. `network_server` and
    `application_id` (at The Things Stack `<application>/<device id>`) count until it is heard."""

    dev_eui: DevEuiText
    device_type: str | None = None
    notes: str | None = None
    mobile: bool = False
    network_server: Literal["chirpstack", "tts"] = "chirpstack"
    application_id: str | None = None


class NewDisplay(Body):
    """`display_codes`: state -> hex or a light (`orange`, `#ff9900`, `red, flashing 500/500`), over those of the type.
    `shared`: it may serve several spaces, of whose states `shared_rule` makes one. `network_server`, `application_id`:
    as of a sensor."""

    dev_eui: DevEuiText
    device_type: str | None = None
    display_codes: dict[str, str] | None = None
    notes: str | None = None
    shared: bool = False
    shared_rule: Literal["any_free", "all_free", "count", "worst_state"] = "worst_state"
    network_server: Literal["chirpstack", "tts"] = "chirpstack"
    application_id: str | None = None


class Codes(Body):
    """`replace`: states that are not named lose their code."""

    display_codes: Annotated[dict[str, str], Field(min_length=1)]
    replace: bool = False


class SensorChange(Body):
    """What is not given stays; empty `notes` are none. `mobile` cannot change while it serves a space."""

    notes: str | None = None
    mobile: bool | None = None


class DisplayChange(Body):
    """What is not given stays; empty `notes` are none."""

    notes: str | None = None
    fport: Annotated[int | None, Field(ge=1, le=223)] = None
    confirmed_downlinks: bool | None = None


class Switch(Body):
    on: bool


class Step(Body):
    state: str
    reason: str | None = None


@router.get("/sensors")
async def list_sensors(
    key: Reading, connection: Database, decommissioned: bool = False, limit: Limit = 100, cursor: Cursor = None
) -> Page[Sensor]:
    after = decode(cursor, str)
    rows = await devices.sensors(connection, after=after, limit=limit + 1, decommissioned=decommissioned)
    return page(rows, limit, lambda row: row.dev_eui)


@router.post("/sensors", status_code=201, responses=_NEW)
async def register_sensor(change: Changing, new: NewSensor, response: Response) -> Sensor:
    """Idempotent: 201 for a new one, 200 for one that was there."""
    sensor, is_new = await devices.register_sensor(change, **new.model_dump())
    response.status_code = 201 if is_new else 200
    return sensor


@router.get("/sensors/{dev_eui}")
async def show_sensor(key: Reading, connection: Database, dev_eui: DevEuiText) -> Sensor:
    return await devices.sensor(connection, dev_eui)


@router.patch("/sensors/{dev_eui}")
async def change_sensor(change: Changing, dev_eui: DevEuiText, body: SensorChange) -> Sensor:
    return await device_changes.change_sensor(change, dev_eui, **body.model_dump())


@router.get("/displays")
async def list_displays(
    key: Reading, connection: Database, decommissioned: bool = False, limit: Limit = 100, cursor: Cursor = None
) -> Page[Display]:
    after = decode(cursor, str)
    rows = await devices.displays(connection, after=after, limit=limit + 1, decommissioned=decommissioned)
    return page(rows, limit, lambda row: row.dev_eui)


@router.post("/displays", status_code=201, responses=_NEW)
async def register_display(change: Changing, new: NewDisplay, response: Response) -> Display:
    """Idempotent: 201 for a new one, 200 for one that was there."""
    display, is_new = await devices.register_display(change, **new.model_dump())
    response.status_code = 201 if is_new else 200
    return display


@router.get("/displays/{dev_eui}")
async def show_display(key: Reading, connection: Database, dev_eui: DevEuiText) -> Display:
    return await devices.display(connection, dev_eui)


@router.patch("/displays/{dev_eui}")
async def change_display(change: Changing, dev_eui: DevEuiText, body: DisplayChange) -> Display:
    """FPort and confirmation count from the next downlink on."""
    return await device_changes.change_display(change, dev_eui, **body.model_dump())


@router.put("/displays/{dev_eui}/codes")
async def set_codes(change: Changing, dev_eui: DevEuiText, body: Codes) -> Display:
    """The light follows at once. The answer says what a person sees for each code."""
    return await device_changes.set_display_codes(change, dev_eui, body.display_codes, replace=body.replace)


@router.put("/{registry}/{dev_eui}/enabled", status_code=204)
async def set_enabled(
    change: Changing, registry: Literal["sensors", "displays"], dev_eui: DevEuiText, body: Switch
) -> Response:
    """A disabled sensor is not believed, a disabled display is sent nothing."""
    role: devices.Role = "sensor" if registry == "sensors" else "display"
    await device_changes.set_enabled(change, role, dev_eui, body.on)
    return Response(status_code=204)


@router.put("/{registry}/{dev_eui}/lifecycle", status_code=204)
async def set_lifecycle(
    change: Changing, registry: Literal["sensors", "displays"], dev_eui: DevEuiText, body: Step
) -> Response:
    role: devices.Role = "sensor" if registry == "sensors" else "display"
    await device_changes.set_lifecycle(change, role, dev_eui, body.state, reason=body.reason)
    return Response(status_code=204)


@router.get("/device-types")
async def list_device_types(
    key: Reading, connection: Database, category: Literal["sensor", "display"] | None = None
) -> list[DeviceTypeRow]:
    return await device_types.list_device_types(connection, category)
