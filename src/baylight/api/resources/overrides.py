"""Routes of overrides: states that operators fix."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter

from baylight.api.bodies import Body, Instant, StateWord
from baylight.api.deps import Changing, Database, Given, Reading
from baylight.api.frame import Framed
from baylight.schedule import overrides
from baylight.schedule.overrides import Override

router = APIRouter(prefix="/overrides", tags=["reservations and overrides"], route_class=Framed)


class NewOverride(Body):
    """Override of a space (its code) or a location (its path), from now until `until` or until a person ends it."""

    state: StateWord
    space: str | None = None
    location: str | None = None
    until: Instant | None = None
    reason: str | None = None


@router.get("")
async def list_overrides(
    key: Reading, connection: Database, given: Given, space: str | None = None, location: str | None = None
) -> list[Override]:
    """List the overrides in force, the oldest first: all, or those of a space or a location itself."""
    return await overrides.list_overrides(connection, given.clock.now(), space=space, location=location)


@router.post("", status_code=201)
async def set_override(change: Changing, new: NewOverride) -> Override:
    """Fix the state of a space or a location. `replaced` names the override that it ended for the same one."""
    return await overrides.set_override(change, **new.model_dump())


@router.get("/{override_id}")
async def get_override(key: Reading, connection: Database, override_id: UUID) -> Override:
    """Get an override, also one that has ended."""
    return await overrides.get_override(connection, override_id)


@router.delete("/{override_id}")
async def end_override(change: Changing, override_id: UUID) -> Override:
    """End an override now. Idempotent."""
    return await overrides.end_override(change, override_id)
