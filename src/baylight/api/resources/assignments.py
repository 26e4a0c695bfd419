"""Routes for assignments, now and as of any instant, and for swaps and their undo."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from baylight.api.bodies import Body, DevEuiText, Instant
from baylight.api.deps import Changing, Database, From, Limit, Reading, Until
from baylight.api.frame import Framed
from baylight.domain.assignment import Role
from baylight.domain.paging import PAGE_SIZE
from baylight.insight import as_of as insight
from baylight.insight.as_of import SpaceThen
from baylight.insight.history import UplinkRow
from baylight.inventory import assignments, device_settings, swaps
from baylight.inventory.assignments import Served
from baylight.inventory.devices import Display
from baylight.inventory.swaps import Swap

router = APIRouter(tags=["assignments"], route_class=Framed)
AsOf = Annotated[Instant, Query(description="an instant, with its time zone")]
Superseded = Annotated[bool, Query(description="with the assignments that corrections replaced")]


class NewSwap(Body):
    """Swap of a device. `at`: when it was done, if not now. `retire`: decommission the old device.

    `role`: needed only if a sensor and a display have the DevEUI `old`.
    """

    old: DevEuiText
    new: DevEuiText
    at: Instant | None = None
    note: Annotated[str | None, Field(max_length=500)] = None
    retire: bool = False
    role: Role | None = None


class Installation(Body):
    """A device that has served the space since `at`. `role`: needed only if a sensor and a display have its DevEUI."""

    dev_eui: DevEuiText
    at: Instant
    role: Role | None = None


class Removal(Body):
    """The role in which the space has had no device since `at`."""

    role: Role
    at: Instant


class Share(Body):
    """`rule`: how the states of several spaces become one state; null: the display serves one space."""

    rule: Literal["any_free", "all_free", "count", "worst_state"] | None


@router.get("/assignments", summary="List all assignments at an instant")
async def list_assignments(key: Reading, connection: Database, as_of: AsOf) -> list[Served]:
    return await assignments.list_assignments_as_of(connection, as_of)


@router.get("/spaces/{code:path}/assignments", summary="List the assignments of a space, the newest first")
async def list_space_assignments(
    key: Reading,
    connection: Database,
    code: str,
    as_of: AsOf | None = None,
    superseded: Superseded = False,
    from_at: From = None,
    until: Until = None,
) -> list[Served]:
    """Narrow the list to one instant with `as_of`, or to assignments that began in a time with `from` and `until`."""
    if as_of is not None:
        return await assignments.list_assignments_as_of(connection, as_of, space=code)
    return await assignments.list_assignments(
        connection, space=code, superseded=superseded, from_at=from_at, until_at=until
    )


@router.get("/devices/{dev_eui}/assignments", summary="List the assignments of a device, the newest first")
async def list_device_assignments(
    key: Reading,
    connection: Database,
    dev_eui: DevEuiText,
    role: Role | None = None,
    as_of: AsOf | None = None,
    superseded: Superseded = False,
    from_at: From = None,
    until: Until = None,
) -> list[Served]:
    """Narrow the list to one instant with `as_of`, or to assignments that began in a time with `from` and `until`."""
    if as_of is not None:
        return await assignments.list_assignments_as_of(connection, as_of, device=dev_eui, role=role)
    return await assignments.list_assignments(
        connection, device=dev_eui, role=role, superseded=superseded, from_at=from_at, until_at=until
    )


@router.get("/spaces/{code:path}/then", summary="Get a space as it was at an instant")
async def get_space_as_of(key: Reading, connection: Database, code: str, as_of: AsOf) -> SpaceThen:
    """Return its state, its devices, the newest reading of its sensor and the light of its display at that instant."""
    return await insight.get_space_as_of(connection, code, as_of)


@router.get("/spaces/{code:path}/uplinks", summary="List the uplinks of the sensors of a space, the newest first")
async def list_space_uplinks(
    key: Reading,
    connection: Database,
    code: str,
    before: Instant | None = None,
    from_at: From = None,
    until: Until = None,
    limit: Limit = PAGE_SIZE,
) -> list[UplinkRow]:
    """Return uplinks that a sensor sent while it served the space. `before`: only uplinks received earlier."""
    return await insight.list_uplinks_of_space(
        connection, code, from_at=from_at, until_at=until, before=before, limit=limit
    )


@router.post("/spaces/{code:path}/installed", summary="Record that a device has served a space since an instant")
async def install_device(change: Changing, code: str, body: Installation) -> list[Served]:
    """The uplinks of the device since then belong to the space."""
    return await assignments.install(change, code, body.dev_eui, at=body.at, role=body.role)


@router.post("/spaces/{code:path}/removed", summary="Record that a space has had no device since an instant")
async def remove_device(change: Changing, code: str, body: Removal) -> list[Served]:
    return await assignments.remove(change, code, body.role, at=body.at)


@router.put("/displays/{dev_eui}/shared", summary="Set how a display combines several spaces")
async def share_display(change: Changing, dev_eui: DevEuiText, body: Share) -> Display:
    """The light follows at once."""
    return await device_settings.set_shared(change, dev_eui, body.rule)


@router.get("/swaps", summary="List swaps, the newest first")
async def list_swaps(
    key: Reading,
    connection: Database,
    space: str | None = None,
    device: DevEuiText | None = None,
    role: Role | None = None,
    from_at: From = None,
    until: Until = None,
    limit: Limit = PAGE_SIZE,
) -> list[Swap]:
    """The time of a swap is that of its record."""
    return await swaps.list_swaps(
        connection, space=space, device=device, role=role, from_at=from_at, until_at=until, limit=limit
    )


@router.post("/swaps", status_code=201, summary="Swap a device for another")
async def swap_devices(change: Changing, body: NewSwap) -> Swap:
    """The new device serves every space that the old one serves. A display takes over the codes of the old one."""
    return await swaps.swap(change, body.old, body.new, at=body.at, note=body.note, retire=body.retire, role=body.role)


@router.post("/swaps/{swap_id}/undo", summary="Undo a swap within 24 hours")
async def undo_swap(change: Changing, swap_id: UUID) -> Swap:
    """Restore the assignments as if the old device had served all the time. Idempotent."""
    return await swaps.undo_swap(change, swap_id)
