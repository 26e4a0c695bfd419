"""Routes of devices that send or join and are not registered."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from baylight.api.bodies import Body, Switch
from baylight.api.deps import Changing, Cursor, Database, Limit, Reading
from baylight.api.frame import Framed
from baylight.api.pages import Page, decode, page
from baylight.domain.paging import PAGE_SIZE
from baylight.inventory import orphans
from baylight.inventory.devices import Display, Sensor
from baylight.inventory.orphans import Orphan

router = APIRouter(prefix="/orphans", tags=["devices"], route_class=Framed)


class Claim(Body):
    """Claim of an orphan. `device_type` may be missing if the orphan has a `certain_type`."""

    device_type: str | None = None
    notes: Annotated[str | None, Field(max_length=2000)] = None


@router.get("")
async def list_orphans(
    key: Reading, connection: Database, ignored: bool = False, limit: Limit = PAGE_SIZE, cursor: Cursor = None
) -> Page[Orphan]:
    """List unregistered devices by DevEUI, with the device types that each may have: the most likely one first."""
    rows = await orphans.list_orphans(connection, after=decode(cursor, str), limit=limit + 1, ignored=ignored)
    return page(rows, limit, lambda row: row.dev_eui)


@router.get("/{dev_eui}")
async def get_orphan(key: Reading, connection: Database, dev_eui: str) -> Orphan:
    """Get an unregistered device, with the device types that it may have: the most likely one first."""
    return await orphans.get_orphan(connection, dev_eui)


@router.post("/{dev_eui}/claim", status_code=201)
async def claim_orphan(change: Changing, dev_eui: str, body: Claim) -> Sensor | Display:
    """Register an unregistered device as a sensor or a display. It serves no space until it is assigned to one."""
    return await orphans.claim_orphan(change, dev_eui, **body.model_dump())


@router.put("/{dev_eui}/ignored")
async def set_orphan_ignored(change: Changing, dev_eui: str, body: Switch) -> Orphan:
    """Ignore an unregistered device, or notice it again. Uplinks of an ignored device are only counted."""
    return await orphans.set_ignored(change, dev_eui, body.on)
