"""What has happened, the newest first."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter

from baylight.api.bodies import DevEuiText, StatusWord
from baylight.api.deps import Cursor, Database, Limit, Reading
from baylight.api.pages import Page, TimeAndId, TimeAndNumber, decode, page
from baylight.insight import history, live
from baylight.insight.history import Actuation, StateChange, UplinkRow

router = APIRouter(tags=["history"])


@router.get("/history")
async def state_changes(
    key: Reading, connection: Database, space: str | None = None, limit: Limit = 100, cursor: Cursor = None
) -> Page[StateChange]:
    """Changes of state, of all spaces or of one (a code, of a deleted space too)."""
    at = decode(cursor, TimeAndNumber)
    rows = await history.state_changes(connection, space=space, before=(at.at, at.id) if at else None, limit=limit + 1)
    return page(rows, limit, lambda row: [row.at, row.id])


@router.get("/actuations")
async def actuations(
    key: Reading,
    connection: Database,
    space: str | None = None,
    display: DevEuiText | None = None,
    status: StatusWord | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Actuation]:
    """Of all spaces, of one space (a code) or of one display (a DevEUI)."""
    at = decode(cursor, TimeAndId)
    rows = await history.actuations(
        connection,
        space=space,
        display=display,
        status=status,
        before=(at.at, at.id) if at else None,
        limit=limit + 1,
    )
    return page(rows, limit, lambda row: [row.created_at, row.id])


@router.get("/actuations/{actuation_id}")
async def actuation(key: Reading, connection: Database, actuation_id: UUID) -> Actuation:
    """With every step of its delivery."""
    return await history.actuation(connection, actuation_id)


@router.get("/uplinks/{dev_eui}")
async def uplinks(
    key: Reading, connection: Database, dev_eui: DevEuiText, limit: Limit = 100, cursor: Cursor = None
) -> Page[UplinkRow]:
    """Of a sensor, a display or an unregistered device."""
    at = decode(cursor, TimeAndId)
    rows = await history.uplinks(connection, dev_eui, before=(at.at, at.id) if at else None, limit=limit + 1)
    return page(rows, limit, lambda row: [row.received_at, row.deduplication_id])


@router.get("/summary")
async def summary(key: Reading, connection: Database) -> live.Summary:
    """Counts by state, by sync status, by location."""
    return await live.summary(connection)
