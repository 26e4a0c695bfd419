"""The conditions: what is wrong now, since when, on what evidence, with what remedy."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import WithJsonSchema

from baylight.api.deps import Cursor, Database, Limit, Reading
from baylight.api.pages import Page, decode, page
from baylight.domain.conditions import ConditionKind
from baylight.domain.paging import PAGE_SIZE
from baylight.insight import conditions
from baylight.insight.conditions import ConditionSeen

router = APIRouter(prefix="/conditions", tags=["conditions"])
KindWord = Annotated[str, WithJsonSchema({"type": "string", "enum": [str(kind) for kind in ConditionKind]})]


@router.get("", summary="List the conditions that last, oldest first")
async def list_conditions(
    key: Reading,
    connection: Database,
    subject: str | None = None,
    kind: KindWord | None = None,
    limit: Limit = PAGE_SIZE,
    cursor: Cursor = None,
) -> Page[ConditionSeen]:
    """Filters: `kind`; `subject`, which is `display`, `sensor`, `gateway` or `service`, or a DevEUI, the id of a
    gateway, the name of a service, or the code of a space."""
    rows = await conditions.list_conditions(
        connection, subject=subject, kind=kind, after=decode(cursor, UUID), limit=limit + 1
    )
    return page(rows, limit, lambda row: row.id)
