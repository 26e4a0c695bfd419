"""Values that could not be carried over, and values that were carried over though wrong, for people to correct."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from baylight.errors import InputError, NotFoundError
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement
from baylight.v2.schema import OWN, relation_exists, require_both_schemas

_SAYS = {
    "bad_eui": "is no DevEUI, which has 16 hex digits: correct it in V2",
    "contested_sensor": "is the sensor of another live space, which got it: give one of them another sensor in V2",
    "both_roles": "is also a device of another role elsewhere, which got it: correct one of them in V2",
    "shared_display": "is the display of several spaces, of which none got it: correct them in V2",
    "half_position": "is half a position: give latitude and longitude in V2, or none",
    "empty_name": "is an empty name: Baylight has none here; give one in V2, or NULL",
    "bad_time": "is no time that Baylight can hold: correct it in V2",
    "overlap": "overlaps a reservation of the same space that was made before: cancel one of them in V2",
    "deleted_by_v2": "was deleted by V2: Baylight keeps the space as a deleted one, with its history",
    "refused": "is refused by Baylight",
}
"""Sentences for the reasons, as they continue after the value."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Value of V2 in quarantine. `field` is `*` where the whole row could not be carried over. `code`: of its space."""

    table: str
    id: str
    code: str | None
    field: str
    value: str | None
    reason: str
    detail: str | None

    def sentence(self) -> str:
        """Return what is in quarantine and why, as a person reads it."""
        what = "" if self.field == "*" else f", {self.field} {self.value!r}"
        row = "reservation " + self.id if self.table == "reservations" else "row" if self.field == "*" else ""
        subject = " ".join(part for part in (f"space {self.code or self.id}{what}", row and f"({row})") if part)
        detail = f" ({self.detail})" if self.detail and "reservations_no_overlap" not in self.detail else ""
        return f"{subject}: {_SAYS.get(self.reason, self.reason)}{detail}"


class FlaggedDisplay(NamedTuple):
    """Display whose code for a state is not the one of the catalogue."""

    dev_eui: str
    state: str
    code: str
    catalogue_code: str


QUARANTINED = Query("v2.quarantine.quarantined", Quarantined)
RETRY = Query("v2.quarantine.retry", int)
DROP = Statement("v2.quarantine.drop")
FLAGGED = Query("v2.quarantine.flagged", FlaggedDisplay)
FIX = Statement("v2.quarantine.fix")


async def quarantined(connection: Connection) -> list[Quarantined]:
    """Return all values that could not be carried over. Raises InputError `not_begun`."""
    await _require_begun(connection, f"{OWN}.quarantine")
    return await QUARANTINED.all(connection)


async def retry(connection: Connection, which: str | None) -> tuple[int, int]:
    """Carry the rows of these values again. Return the number of values before and after.

    `which`: code of a space or id of a row; None: all. Raises InputError `not_begun`, `not_beside`, NotFoundError.
    """
    entries = _named(await quarantined(connection), which)
    await require_both_schemas(connection)
    for table, id_ in dict.fromkeys((entry.table, entry.id) for entry in entries if entry.reason != "deleted_by_v2"):
        await RETRY.one(connection, table=table, ids=[id_])
    rows = {(entry.table, entry.id) for entry in entries}
    left = [entry for entry in await quarantined(connection) if (entry.table, entry.id) in rows]
    return len(entries), len(left)


async def drop(connection: Connection, which: str, *, reason: str, by: str) -> list[Quarantined]:
    """Leave values behind, which V2's tables keep, and take them out of the counts. Return them.

    Raises InputError `not_begun`, `no_reason`, and NotFoundError.
    """
    if not reason.strip():
        raise InputError("no_reason", "give a reason, which is kept: --reason TEXT")
    entries = _named(await quarantined(connection), which)
    async with connection.transaction():
        for entry in entries:
            await DROP.run(connection, table=entry.table, id=entry.id, field=entry.field, reason=reason, by=by)
    return entries


def _named(entries: list[Quarantined], which: str | None) -> list[Quarantined]:
    found = [entry for entry in entries if which is None or which in (entry.code, entry.id)]
    if which is not None and not found:
        raise NotFoundError(
            "not_quarantined", f"nothing of {which!r} is in quarantine: see `baylight v2 quarantine list`"
        )
    return found


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
