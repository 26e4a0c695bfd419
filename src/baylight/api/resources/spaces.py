"""Routes for spaces and the devices that serve them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from baylight.api.bodies import Body, DevEuiText, JsonObject, StateWord, Switch
from baylight.api.deps import Changing, Cursor, Database, Given, Limit, Reading
from baylight.api.frame import Framed
from baylight.api.pages import Page, decode, page
from baylight.domain.assignment import Role
from baylight.domain.paging import PAGE_SIZE
from baylight.insight import why
from baylight.inventory import spaces
from baylight.inventory.spaces import Space

router = APIRouter(prefix="/spaces", tags=["spaces"], route_class=Framed)
Reason = Literal["install", "swap", "maintenance", "correction", "removal"]


class NewSpace(Body):
    """A new space. `location`: a path such as `Garage/Floor 1`."""

    code: Annotated[str, Field(min_length=1, max_length=20)]
    name: Annotated[str | None, Field(max_length=100)] = None
    location: str | None = None
    sensor_dev_eui: DevEuiText | None = None
    display_dev_eui: DevEuiText | None = None
    default_state: StateWord = "UNKNOWN"
    latitude: Annotated[float | None, Field(ge=-90, le=90)] = None
    longitude: Annotated[float | None, Field(ge=-180, le=180)] = None
    metadata: JsonObject | None = None


class SpaceChange(Body):
    """The values to change; `clear` removes a value. `latitude` and `longitude` go together."""

    name: Annotated[str | None, Field(min_length=1, max_length=100)] = None
    location: str | None = None
    latitude: Annotated[float | None, Field(ge=-90, le=90)] = None
    longitude: Annotated[float | None, Field(ge=-180, le=180)] = None
    clear: tuple[Literal["location", "position"], ...] = ()


class StateBody(Body):
    state: StateWord


class Device(Body):
    dev_eui: DevEuiText
    reason: Reason | None = None


@router.get("", summary="List spaces by code")
async def list_spaces(
    key: Reading,
    connection: Database,
    location: str | None = None,
    state: StateWord | None = None,
    device: DevEuiText | None = None,
    limit: Limit = PAGE_SIZE,
    cursor: Cursor = None,
) -> Page[Space]:
    """Filters: `location`, the path of a subtree; `state`; `device`, the DevEUI of a device that serves the space."""
    rows = await spaces.list_spaces(
        connection, after=decode(cursor, str), limit=limit + 1, location=location, state=state, device=device
    )
    return page(rows, limit, lambda row: row.code)


@router.post("", status_code=201, summary="Create a space, with its devices if given")
async def create_space(change: Changing, new: NewSpace) -> Space:
    return await spaces.create_space(
        change,
        sensor=new.sensor_dev_eui,
        display=new.display_dev_eui,
        **new.model_dump(exclude={"sensor_dev_eui", "display_dev_eui"}),
    )


@router.get("/{code:path}/why", summary="Explain the state of a space")
async def explain_space(key: Reading, connection: Database, given: Given, code: str) -> why.Explanation:
    """Return the rules that apply, the winner first, with the uplink, the change and the commands behind the state."""
    return await why.explain(connection, code, given.clock.now(), given.policies.decision)


@router.put("/{code:path}/maintenance", summary="Close or open a space")
async def set_space_maintenance(change: Changing, code: str, body: Switch) -> Space:
    return await spaces.set_maintenance(change, code, body.on)


@router.put("/{code:path}/default-state", summary="Set the state that a space has without a sensor")
async def set_default_state(change: Changing, code: str, body: StateBody) -> Space:
    return await spaces.set_default_state(change, code, body.state)


@router.put("/{code:path}/{role}", summary="Assign a sensor or a display to a space from now on")
async def assign_device(change: Changing, code: str, role: Role, body: Device) -> Space:
    """A `reason` (swap, …) lets the device replace another one. Idempotent."""
    return await spaces.assign(change, code, reason=body.reason, **{role: body.dev_eui})


@router.delete("/{code:path}/sensor", summary="Remove the sensor from a space from now on")
async def unassign_sensor(change: Changing, code: str, reason: Reason | None = None) -> Space:
    return await spaces.unassign(change, code, "sensor", reason=reason)


@router.delete("/{code:path}/display", summary="Remove the display from a space from now on")
async def unassign_display(change: Changing, code: str, reason: Reason | None = None) -> Space:
    return await spaces.unassign(change, code, "display", reason=reason)


# Routes that end with the code itself come last: a code may have slashes.


@router.get("/{code:path}", summary="Get a space")
async def get_space(key: Reading, connection: Database, code: str) -> Space:
    return await spaces.get_space(connection, code)


@router.patch("/{code:path}", summary="Change name, location or position of a space")
async def change_space(change: Changing, code: str, body: SpaceChange) -> Space:
    """The space is decided again at once if its location changes."""
    return await spaces.change_space(change, code, **body.model_dump())


@router.delete("/{code:path}", status_code=204, summary="Delete a space")
async def delete_space(change: Changing, code: str) -> Response:
    """Keep the history of the space, and free its code and its devices."""
    await spaces.delete_space(change, code)
    return Response(status_code=204)
