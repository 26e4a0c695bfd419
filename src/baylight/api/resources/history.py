"""The past, the newest first; and counts of the present."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter

from baylight.api.bodies import DevEuiText, StatusWord
from baylight.api.deps import Cursor, Database, From, Limit, Reading, Until
from baylight.api.pages import Page, TimeAndId, TimeAndNumber, decode, page
from baylight.domain.paging import PAGE_SIZE
from baylight.insight import history, live
from baylight.insight.history import Actuation, StateChange, UplinkRow

router = APIRouter(tags=["history"])


@router.get("/history", summary="List state changes, newest first")
async def list_state_changes(
    key: Reading,
    connection: Database,
    space: str | None = None,
    from_at: From = None,
    until: Until = None,
    limit: Limit = PAGE_SIZE,
    cursor: Cursor = None,
) -> Page[StateChange]:
    """The changes are those of all spaces, or of one (`space`: a code, also of a deleted space)."""
    at = decode(cursor, TimeAndNumber)
    rows = await history.list_state_changes(
        connection, space=space, from_at=from_at, until_at=until, before=(at.at, at.id) if at else None, limit=limit + 1
    )
    return page(rows, limit, lambda row: [row.at, row.id])


@router.get("/actuations", summary="List actuations, newest first")
async def list_actuations(
    key: Reading,
    connection: Database,
    space: str | None = None,
    display: DevEuiText | None = None,
    status: StatusWord | None = None,
    from_at: From = None,
    until: Until = None,
    limit: Limit = PAGE_SIZE,
    cursor: Cursor = None,
) -> Page[Actuation]:
    """The actuations are those of all spaces, of one space (a code) or of one display (a DevEUI)."""
    at = decode(cursor, TimeAndId)
    rows = await history.list_actuations(
        connection,
        space=space,
        display=display,
        status=status,
        from_at=from_at,
        until_at=until,
        before=(at.at, at.id) if at else None,
        limit=limit + 1,
    )
    return page(rows, limit, lambda row: [row.created_at, row.id])


@router.get("/actuations/{actuation_id}", summary="Get an actuation with each step of its delivery")
async def get_actuation(key: Reading, connection: Database, actuation_id: UUID) -> Actuation:
    return await history.get_actuation(connection, actuation_id)


@router.get("/uplinks/{dev_eui}", summary="List uplinks of a device, newest first")
async def list_uplinks(
    key: Reading,
    connection: Database,
    dev_eui: DevEuiText,
    from_at: From = None,
    until: Until = None,
    limit: Limit = PAGE_SIZE,
    cursor: Cursor = None,
) -> Page[UplinkRow]:
    """The device is a sensor, a display or an unregistered device."""
    at = decode(cursor, TimeAndId)
    rows = await history.list_uplinks(
        connection, dev_eui, from_at=from_at, until_at=until, before=(at.at, at.id) if at else None, limit=limit + 1
    )
    return page(rows, limit, lambda row: [row.received_at, row.deduplication_id])


@router.get("/summary", summary="Count spaces, displays, unfinished actuations and conditions")
async def get_summary(key: Reading, connection: Database) -> live.Summary:
    """Spaces are counted by state, by location and by the reason of the mark `unproven`; displays by sync status,
    actuations by status, conditions by kind."""
    return await live.get_summary(connection)
