"""Routes of the tree of locations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from baylight.api.bodies import Body
from baylight.api.deps import Changing, Database, Reading
from baylight.api.frame import Framed
from baylight.inventory import locations
from baylight.inventory.locations import Location

router = APIRouter(prefix="/locations", tags=["locations"], route_class=Framed)
Path = Annotated[str, Field(min_length=1)]


class NewLocation(Body):
    """`path`: such as `Garage/Floor 1`; missing locations above it are created. `timezone`: of the site."""

    path: Path
    kinds: tuple[str, ...] = ()
    timezone: Annotated[str | None, Field(max_length=100)] = None


class NewName(Body):
    """`name` replaces the last part of the path."""

    path: Path
    name: Annotated[str, Field(min_length=1)]


class Maintenance(Body):
    path: Path
    on: bool


class ChangeHold(Body):
    """`seconds`: null: as the location above, or 0 without one."""

    path: Path
    seconds: Annotated[int | None, Field(ge=0, le=locations.MAX_CHANGE_HOLD_S)]


@dataclass(frozen=True, slots=True)
class Changed:
    """`spaces_changed`: how many spaces changed state."""

    spaces_changed: int


@router.get("")
async def list_locations(key: Reading, connection: Database) -> list[Location]:
    """List all locations, parents before children."""
    return await locations.list_locations(connection)


@router.post("", status_code=201)
async def create_location(change: Changing, new: NewLocation) -> Location:
    """Create a location, and the missing ones above it. Idempotent."""
    return await locations.create_location(change, new.path, kinds=new.kinds, timezone=new.timezone)


@router.get("/{path:path}")
async def get_location(key: Reading, connection: Database, path: str) -> Location:
    """Get a location."""
    return await locations.get_location(connection, path)


@router.put("/name")
async def rename_location(change: Changing, body: NewName) -> Location:
    """Rename a location. Idempotent."""
    return await locations.rename_location(change, body.path, body.name)


@router.delete("", status_code=204)
async def delete_location(change: Changing, path: str) -> Response:
    """Delete a location that contains no location and no space."""
    await locations.delete_location(change, path)
    return Response(status_code=204)


@router.put("/maintenance")
async def set_location_maintenance(change: Changing, body: Maintenance) -> Changed:
    """Close or open all spaces of a location. Idempotent."""
    return Changed(await locations.set_maintenance(change, body.path, body.on))


@router.put("/change-hold")
async def set_change_hold(change: Changing, body: ChangeHold) -> Location:
    """Set how long changes of lights wait in a location while airtime is short. Idempotent."""
    return await locations.set_change_hold(change, body.path, body.seconds)
