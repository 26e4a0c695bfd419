"""Spaces and the devices that serve them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from baylight.api.bodies import Body, DevEuiText, StateWord
from baylight.api.deps import Changing, Cursor, Database, Given, Limit, Reading
from baylight.api.pages import Page, decode, page
from baylight.insight import why
from baylight.inventory import space_changes, spaces
from baylight.inventory.spaces import Space

router = APIRouter(prefix="/spaces", tags=["spaces"])
Reason = Literal["install", "swap", "maintenance", "correction", "removal"]


class NewSpace(Body):
    """`location`: a path such as `Garage/Floor 1`; `sensor`, `display`: DevEUIs."""

    code: Annotated[str, Field(min_length=1, max_length=20)]
    name: Annotated[str | None, Field(max_length=100)] = None
    location: str | None = None
    sensor: DevEuiText | None = None
    display: DevEuiText | None = None
    default_state: StateWord = "UNKNOWN"
    latitude: Annotated[float | None, Field(ge=-90, le=90)] = None
    longitude: Annotated[float | None, Field(ge=-180, le=180)] = None
    metadata: dict[str, Any] | None = None


class SpaceChange(Body):
    """What is not given stays; `clear` takes away. `latitude` and `longitude` go together."""

    name: Annotated[str | None, Field(min_length=1, max_length=100)] = None
    location: str | None = None
    latitude: Annotated[float | None, Field(ge=-90, le=90)] = None
    longitude: Annotated[float | None, Field(ge=-180, le=180)] = None
    clear: tuple[Literal["location", "position"], ...] = ()


class Switch(Body):
    on: bool


class StateBody(Body):
    state: StateWord


class Device(Body):
    dev_eui: DevEuiText
    reason: Reason | None = None


@router.get("")
async def list_spaces(
    key: Reading,
    connection: Database,
    location: str | None = None,
    state: StateWord | None = None,
    device: DevEuiText | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Space]:
    """By code; of a location's subtree (its path), in a state, served by a device (its DevEUI)."""
    after = decode(cursor, str)
    rows = await spaces.page(connection, after=after, limit=limit + 1, location=location, state=state, device=device)
    return page(rows, limit, lambda row: row.code)


@router.post("", status_code=201)
async def create_space(change: Changing, new: NewSpace) -> Space:
    return await spaces.create(change, **new.model_dump())


@router.get("/{code:path}/why")
async def explain_space(key: Reading, connection: Database, given: Given, code: str) -> why.Explanation:
    """The inputs, the rule that won, the rules that lost, and what is behind it."""
    return await why.explain(connection, code, given.clock.now(), given.policies.decision)


@router.put("/{code:path}/maintenance")
async def set_space_maintenance(change: Changing, code: str, body: Switch) -> Space:
    return await spaces.set_maintenance(change, code, body.on)


@router.put("/{code:path}/default-state")
async def set_default_state(change: Changing, code: str, body: StateBody) -> Space:
    """What it shows while no sensor is assigned."""
    return await spaces.set_default_state(change, code, body.state)


@router.put("/{code:path}/{role}")
async def assign(change: Changing, code: str, role: Literal["sensor", "display"], body: Device) -> Space:
    """From now on this device serves the space; with a `reason` (swap, …) also in place of another. Idempotent."""
    return await spaces.assign(
        change,
        code,
        sensor=body.dev_eui if role == "sensor" else None,
        display=body.dev_eui if role == "display" else None,
        reason=body.reason,
    )


@router.delete("/{code:path}/sensor")
async def unassign_sensor(change: Changing, code: str, reason: Reason | None = None) -> Space:
    return await spaces.unassign(change, code, "sensor", reason=reason)


@router.delete("/{code:path}/display")
async def unassign_display(change: Changing, code: str, reason: Reason | None = None) -> Space:
    return await spaces.unassign(change, code, "display", reason=reason)


# What ends with the code itself comes last: a code may have slashes.


@router.get("/{code:path}")
async def show_space(key: Reading, connection: Database, code: str) -> Space:
    return await spaces.show(connection, code)


@router.patch("/{code:path}")
async def change_space(change: Changing, code: str, body: SpaceChange) -> Space:
    """At another location it is decided anew at once."""
    return await space_changes.change(change, code, **body.model_dump())


@router.delete("/{code:path}", status_code=204)
async def delete_space(change: Changing, code: str) -> Response:
    """Its history stays; its code and its devices are free again."""
    await spaces.delete(change, code)
    return Response(status_code=204)
