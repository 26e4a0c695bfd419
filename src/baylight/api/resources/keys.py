"""Routes of API keys, for administrators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from baylight.access import keys
from baylight.access.keys import MAX_NAME_LENGTH, Key, Scope
from baylight.api.bodies import Body, Instant
from baylight.api.deps import AdminChanging, Administering, Database
from baylight.api.frame import Framed

router = APIRouter(prefix="/keys", tags=["keys"], route_class=Framed)


class NewKey(Body):
    """API key. `expires_at`: from then on it is refused; null: it does not expire."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    expires_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """`text` is shown only once."""

    key: Key
    text: str


@router.get("")
async def list_keys(key: Administering, connection: Database) -> list[Key]:
    """List all keys, also revoked and expired ones, the newest first."""
    return await keys.list_keys(connection)


@router.post("", status_code=201)
async def create_key(change: AdminChanging, new: NewKey) -> CreatedKey:
    """Create a key. Its text is in this answer and nowhere else."""
    created, text = await keys.create_key(change, new.name, new.scopes, expires_at=new.expires_at)
    return CreatedKey(created, text)


@router.delete("/{id_or_prefix}")
async def revoke_key(change: AdminChanging, id_or_prefix: str) -> Key:
    """Revoke a key: it is refused from the next request on. Idempotent."""
    return await keys.revoke_key(change, id_or_prefix)
