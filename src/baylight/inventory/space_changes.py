"""Changes of what a space is called and where it is."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Any

from baylight.access.change import Change
from baylight.domain.downlink import TriggerType
from baylight.errors import InputError
from baylight.inventory import locations, spaces
from baylight.inventory.spaces import Space
from baylight.store.query import queries


async def change(
    change: Change,
    code: str,
    *,
    name: str | None = None,
    location: str | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
    clear: Collection[str] = (),
) -> Space:
    """None leaves it as it is; `clear` (`location`, `position`) takes it away. Idempotent. At another location it is
    decided anew.

    Raises NotFoundError `unknown_space`, `unknown_location`; InputError `nothing_given`, `bad_name`, `bad_position`,
    `given_and_cleared`.
    """
    spaces.check_name(name)
    position = spaces.parse_position(latitude, longitude)
    _check_given({"name": name, "location": location, "position": position}, clear)
    async with change.transaction():
        place = await locations.lock_location(change.connection, location) if location is not None else None
        space_id = (await spaces.lock(change.connection, code))["id"]
        found = await spaces.show(change.connection, code)
        before: dict[str, Any] = {
            "name": found.name,
            "location": found.location,
            "latitude": found.gps_latitude,
            "longitude": found.gps_longitude,
        }
        after, location_id = dict(before), found.location_id
        if name is not None:
            after["name"] = name
        if place is not None or "location" in clear:
            location_id = place.id if place else None
            after["location"] = place.path if place else None
        if position is not None or "position" in clear:
            after["latitude"], after["longitude"] = position or (None, None)
        if after != before:
            values = (after["name"], location_id, after["latitude"], after["longitude"])
            await change.connection.execute(queries("inventory.spaces")["change"], space_id, *values)
            await change.record("space.change", "space", space_id, before=_told(before), after=_told(after))
        if location_id != found.location_id:
            await change.redecide([space_id], TriggerType.ASSIGNMENT)
    return await spaces.show(change.connection, code)


def _check_given(given: dict[str, object], clear: Collection[str]) -> None:
    named = [what for what, value in given.items() if value is not None]
    if not named and not clear:
        raise InputError("nothing_given", "say what to change: a name, a location, a position, or what to clear")
    if both := [what for what in named if what in clear]:
        raise InputError("given_and_cleared", f"the {both[0]} is given and cleared at once")


def _told(fields: dict[str, Any]) -> dict[str, object]:
    """As the import tells them."""
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in fields.items()}
