"""Who served whom when, as of any moment; swaps and their undoing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from baylight.api.bodies import Body, DevEuiText, Instant
from baylight.api.deps import Changing, Database, Limit, Reading
from baylight.insight.as_of import SpaceThen, space_as_of, uplinks_of_space
from baylight.insight.history import UplinkRow
from baylight.inventory import assignments, device_changes, swaps
from baylight.inventory.assignments import Served
from baylight.inventory.devices import Display, Role
from baylight.inventory.swaps import Swap

router = APIRouter(tags=["assignments"])
AsOf = Annotated[Instant, Query(description="a moment, with its time zone")]
Superseded = Annotated[bool, Query(description="also what corrections have replaced")]


class NewSwap(Body):
    """`at`: when it was done, if not now. `retire`: the old device is decommissioned. `role`: needed only if both a
    sensor and a display have the DevEUI `old`."""

    old: DevEuiText
    new: DevEuiText
    at: Instant | None = None
    note: Annotated[str | None, Field(max_length=500)] = None
    retire: bool = False
    role: Role | None = None


class Told(Body):
    """A device that has served the space since `at`, told only now. `role`: needed only if both have this DevEUI."""

    dev_eui: DevEuiText
    at: Instant
    role: Role | None = None


class Gone(Body):
    """The space has had no such device since `at`, told only now."""

    role: Role
    at: Instant


class Share(Body):
    """`rule`: how one state is made of those of several spaces; null: the display serves one space."""

    rule: Literal["any_free", "all_free", "count", "worst_state"] | None


@router.get("/assignments")
async def list_assignments_as_of(key: Reading, connection: Database, as_of: AsOf) -> list[Served]:
    """Every assignment at a moment."""
    return await assignments.as_of(connection, as_of)


@router.get("/spaces/{code:path}/assignments")
async def list_space_assignments(
    key: Reading, connection: Database, code: str, as_of: AsOf | None = None, superseded: Superseded = False
) -> list[Served]:
    """The devices of a space, the newest first; or those of one moment."""
    if as_of is not None:
        return await assignments.as_of(connection, as_of, space=code)
    return await assignments.history(connection, space=code, superseded=superseded)


@router.get("/devices/{dev_eui}/assignments")
async def list_device_assignments(
    key: Reading,
    connection: Database,
    dev_eui: DevEuiText,
    role: Role | None = None,
    as_of: AsOf | None = None,
    superseded: Superseded = False,
) -> list[Served]:
    """Where a device was, the newest first; or at one moment."""
    if as_of is not None:
        return await assignments.as_of(connection, as_of, device=dev_eui, role=role)
    return await assignments.history(connection, device=dev_eui, role=role, superseded=superseded)


@router.get("/spaces/{code:path}/then")
async def show_space_as_of(key: Reading, connection: Database, code: str, as_of: AsOf) -> SpaceThen:
    """What a space was at a moment, which devices served it, what the sensor had said and what the light showed."""
    return await space_as_of(connection, code, as_of)


@router.get("/spaces/{code:path}/uplinks")
async def list_space_uplinks(
    key: Reading, connection: Database, code: str, before: Instant | None = None, limit: Limit = 100
) -> list[UplinkRow]:
    """What the sensors of a space sent while they served it, the newest first; `before`: received before."""
    return await uplinks_of_space(connection, code, before=before, limit=limit)


@router.post("/spaces/{code:path}/installed")
async def tell_installed(change: Changing, code: str, body: Told) -> list[Served]:
    """What the device sent since then counts."""
    return await assignments.install(change, code, body.dev_eui, at=body.at, role=body.role)


@router.post("/spaces/{code:path}/removed")
async def tell_removed(change: Changing, code: str, body: Gone) -> list[Served]:
    """The space has had no such device since then."""
    return await assignments.remove(change, code, body.role, at=body.at)


@router.put("/displays/{dev_eui}/shared")
async def share_display(change: Changing, dev_eui: DevEuiText, body: Share) -> Display:
    """The light follows at once."""
    return await device_changes.set_shared(change, dev_eui, body.rule)


@router.get("/swaps")
async def list_swaps(
    key: Reading,
    connection: Database,
    space: str | None = None,
    device: DevEuiText | None = None,
    role: Role | None = None,
    limit: Limit = 100,
) -> list[Swap]:
    """The newest first."""
    return await swaps.swaps(connection, space=space, device=device, role=role, limit=limit)


@router.post("/swaps", status_code=201)
async def swap_devices(change: Changing, body: NewSwap) -> Swap:
    """The new device takes the place of the old one, wherever that serves; a display takes over its codes."""
    at: datetime | None = body.at
    return await swaps.swap(change, body.old, body.new, at=at, note=body.note, retire=body.retire, role=body.role)


@router.post("/swaps/{swap_id}/undo")
async def undo_swap(change: Changing, swap_id: UUID) -> Swap:
    """Within 24 hours: as if it had not been. Idempotent."""
    return await swaps.undo(change, swap_id)
