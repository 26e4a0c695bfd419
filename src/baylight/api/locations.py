"""The tree of locations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from baylight.api.bodies import Body
from baylight.api.deps import Changing, Database, Reading
from baylight.inventory import locations
from baylight.inventory.locations import Location

router = APIRouter(prefix="/locations", tags=["locations"])


class NewLocation(Body):
    """`path`: such as `Garage/Floor 1`; what lies above it is made, too. `timezone`: of the site."""

    path: Annotated[str, Field(min_length=1)]
    kinds: tuple[str, ...] = ()
    timezone: Annotated[str | None, Field(max_length=100)] = None


class Name(Body):
    """`name`: for the last part of the path."""

    path: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]


class Maintenance(Body):
    path: Annotated[str, Field(min_length=1)]
    on: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """`spaces_changed`: how many took another state."""

    spaces_changed: int


@router.get("")
async def list_locations(key: Reading, connection: Database) -> list[Location]:
    """The whole tree, parents before children."""
    return await locations.list_locations(connection)


@router.post("", status_code=201)
async def create_location(change: Changing, new: NewLocation) -> Location:
    """Idempotent."""
    return await locations.create_location(change, new.path, kinds=new.kinds, timezone=new.timezone)


@router.put("/name")
async def rename_location(change: Changing, body: Name) -> Location:
    """Idempotent."""
    return await locations.rename_location(change, body.path, body.name)


@router.delete("", status_code=204)
async def delete_location(change: Changing, path: str) -> Response:
    """One that holds no location and no space."""
    await locations.delete_location(change, path)
    return Response(status_code=204)


@router.put("/maintenance")
async def set_location_maintenance(change: Changing, body: Maintenance) -> Changed:
    """Closes or opens everything below the location."""
    changed = await locations.set_maintenance(change, body.path, body.on)
    return Changed(changed)
