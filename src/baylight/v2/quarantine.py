"""What could not be carried over, and what was carried over though it is wrong: for people to look at and correct."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from baylight.errors import InputError
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement
from baylight.v2.schema import OWN, relation_exists


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A value of V2's. `field` is `*` where the whole row could not be carried over."""

    table: str
    id: str
    field: str
    value: str | None
    reason: str
    detail: str | None


class FlaggedDisplay(NamedTuple):
    """A display whose code for a state is not the one of the catalogue."""

    dev_eui: str
    state: str
    code: str
    catalogue_code: str


QUARANTINED = Query("v2.quarantine.quarantined", Quarantined)
FLAGGED = Query("v2.quarantine.flagged", FlaggedDisplay)
FIX = Statement("v2.quarantine.fix")


async def quarantined(connection: Connection) -> list[Quarantined]:
    """Return all values that could not be carried over. Raises InputError `not_begun`."""
    await _require_begun(connection, f"{OWN}.quarantine")
    return await QUARANTINED.all(connection)


async def flagged_displays(connection: Connection) -> list[FlaggedDisplay]:
    """Return the displays that still have V2's wrong codes. Raises InputError `not_begun`."""
    await _require_begun(connection, "display_devices")
    return await FLAGGED.all(connection)


async def fix_colours(connection: Connection) -> int:
    """Give these displays the catalogue's code; return how many there were. Idempotent.

    Raises InputError `not_begun`.
    """
    await _require_begun(connection, "display_devices")
    return await FIX.run(connection)


async def _require_begun(connection: Connection, relation: str) -> None:
    if not await relation_exists(connection, relation):
        raise InputError("not_begun", "the migration has not begun: see `baylight v2 plan`, then `baylight v2 apply`")
