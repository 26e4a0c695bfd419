"""Gateways: what they do with downlinks, and the airtime that they use."""

from __future__ import annotations

from fastapi import APIRouter

from baylight.api.deps import Cursor, Database, Given, Limit, Reading
from baylight.api.pages import Page, decode, page
from baylight.domain.paging import PAGE_SIZE
from baylight.inventory import gateways
from baylight.inventory.gateways import Gateway

router = APIRouter(prefix="/gateways", tags=["devices"])


@router.get("")
async def list_gateways(
    key: Reading, connection: Database, given: Given, limit: Limit = PAGE_SIZE, cursor: Cursor = None
) -> Page[Gateway]:
    """List gateways by id. Each has its conditions, and its airtime of the last hour against the limits (EU868)."""
    after = decode(cursor, str)
    rows = await gateways.list_gateways(connection, given.clock.now(), after=after, limit=limit + 1)
    return page(rows, limit, lambda row: row.gateway_id)


@router.get("/{gateway_id}")
async def get_gateway(key: Reading, connection: Database, given: Given, gateway_id: str) -> Gateway:
    """Get a gateway. It has its conditions, and its airtime of the last hour and of each of the last 24."""
    return await gateways.get_gateway(connection, gateway_id, given.clock.now())
