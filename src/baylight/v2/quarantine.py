"""Values that could not be carried over, and values that were carried over though wrong, for people to correct."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from baylight.errors import InputError
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement
from baylight.v2.schema import OWN, relation_exists


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Value of V2 in quarantine. `field` is `*` where the whole row could not be carried over."""

    table: str
    id: str
    field: str
    value: str | None
    reason: str
    detail: str | None


class FlaggedDisplay(NamedTuple):
    """Display whose code for a state is not the one of the catalogue."""

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
    """Give the flagged displays the catalogue's code, and return their number. Idempotent.

    Raises InputError `not_begun`.
    """
    await _require_begun(connection, "display_devices")
    return await FIX.run(connection)


async def _require_begun(connection: Connection, relation: str) -> None:
    if not await relation_exists(connection, relation):
        raise InputError("not_begun", "the migration has not begun: see `baylight v2 plan`, then `baylight v2 apply`")
