"""What could not be carried over, and what was carried over though it is wrong: for people to look at and correct."""

from __future__ import annotations

from dataclasses import dataclass

from baylight.store.pool import Connection
from baylight.store.query import queries
from baylight.v2.schema import OWN


@dataclass(frozen=True, slots=True)
class Quarantined:
    """`field` is `*` where the whole row could not be carried over."""

    table: str
    id: str
    field: str
    value: str | None
    reason: str
    detail: str | None


async def quarantined(connection: Connection) -> list[Quarantined]:
    rows = await connection.fetch(
        "SELECT source_table, source_id, field, value, reason, detail"
        f" FROM {OWN}.quarantine ORDER BY source_table, reason, source_id, field"
    )
    return [Quarantined(*row) for row in rows]


async def flagged_displays(connection: Connection) -> list[tuple[str, str, str, str]]:
    """(EUI, state, its code, the catalogue's code) of displays that still have V2's wrong codes."""
    return [tuple(row) for row in await connection.fetch(queries("v2.colours")["flagged"])]


async def fix_colours(connection: Connection) -> int:
    """Gives them the catalogue's code; returns how many displays. Idempotent."""
    return len(await connection.fetch(queries("v2.colours")["fix"]))
