"""The tree of locations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from baylight.api.bodies import Body
from baylight.api.deps import Changing, Database, Reading
from baylight.services import locations
from baylight.services.locations import Location

router = APIRouter(prefix="/locations", tags=["locations"])


class NewLocation(Body):
    """`path`: such as `Garage/Floor 1`; what lies above it is made, too. `timezone`: of the site."""

    path: Annotated[str, Field(min_length=1)]
    kinds: tuple[str, ...] = ()
    timezone: Annotated[str | None, Field(max_length=100)] = None


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
    return await locations.tree(connection)


@router.post("", status_code=201)
async def create_location(change: Changing, new: NewLocation) -> Location:
    """Idempotent."""
    return await locations.create(
        change.connection, new.path, kinds=new.kinds, timezone=new.timezone, actor=change.actor
    )


@router.put("/maintenance")
async def set_location_maintenance(change: Changing, body: Maintenance) -> Changed:
    """Closes or opens everything below the location."""
    changed = await locations.set_maintenance(
        change.connection, body.path, body.on, actor=change.actor, now=change.now, policy=change.policy
    )
    return Changed(changed)
