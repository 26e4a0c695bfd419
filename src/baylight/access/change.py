"""Administrative changes: one transaction each, with who did it and why, and a row in the audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg

from baylight.store.pool import Connection
from baylight.store.query import queries
from baylight.store.translate import translate

SYSTEM = "system"
"""Actor of what the program does by itself."""


@asynccontextmanager
async def change(
    connection: Connection, actor: str, *, reason: str | None = None, assignment_reason: str | None = None
) -> AsyncIterator[None]:
    """A transaction whose history (assignments, lifecycle) carries `actor` and the reasons.

    Violated constraints leave it as InputError or ConflictError.
    """
    try:
        async with connection.transaction():
            await connection.execute(
                queries("access.change")["set_actor"], actor, reason or "", assignment_reason or ""
            )
            yield
    except asyncpg.PostgresError as error:
        known = translate(error)
        if known is None:
            raise
        raise known from error


async def record(
    connection: Connection,
    actor: str,
    action: str,
    object_type: str,
    object_id: object,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    request_id: str | None = None,
) -> None:
    """One row of the audit log; `before` and `after` hold what changed, never personal data or secrets."""
    await connection.execute(
        queries("access.change")["record"],
        actor,
        action,
        object_type,
        str(object_id),
        None if before is None else dict(before),
        None if after is None else dict(after),
        request_id,
    )
