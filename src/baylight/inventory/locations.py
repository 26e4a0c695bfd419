"""The tree of locations: site, building, floor, zone, room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID
from zoneinfo import available_timezones

from baylight.access.change import Change
from baylight.domain.downlink import TriggerType
from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement

MAX_CHANGE_HOLD_S = 60
KINDS = ("site", "building", "floor", "zone", "room")
_DEFAULT_KINDS = {
    1: ("site",),
    2: ("site", "floor"),
    3: ("site", "building", "floor"),
    4: ("site", "building", "floor", "zone"),
    5: KINDS,
}
"""Kinds of the parts of a path, by the number of parts."""


@dataclass(frozen=True, slots=True)
class Location:
    """A location with its path: the names from the root, joined by `/`. `spaces`: live spaces in the whole subtree.

    `change_hold_s`: seconds that a change of a light waits while the airtime of its gateway is short. None: as the
    location above, or 0 without one.
    """

    id: UUID
    parent_id: UUID | None
    kind: str
    name: str
    path: str
    timezone: str | None
    maintenance: bool
    change_hold_s: int | None
    spaces: int


class Child(NamedTuple):
    """Location right below another."""

    id: UUID
    kind: str
    timezone: str | None


class Zone(NamedTuple):
    """Site with its time zone."""

    site: str
    timezone: str | None


class LockedLocation(NamedTuple):
    """Location that is about to be deleted. `below`: the name of a location right below it."""

    id: UUID
    below: str | None


LIST = Query("inventory.locations.list", Location)
LIST_TIME_ZONES = Query("inventory.locations.list_time_zones", Zone)
FIND_CHILD = Query("inventory.locations.find_child", Child)
INSERT = Statement("inventory.locations.insert")
RENAME = Statement("inventory.locations.rename")
LOCK = Query("inventory.locations.lock", LockedLocation)
LOCK_SETTINGS = Statement("inventory.locations.lock_settings")
LOCK_PATH = Query("inventory.locations.lock_path", UUID)
RELEASE_DELETED_SPACES = Statement("inventory.locations.release_deleted_spaces")
DELETE = Statement("inventory.locations.delete")
SET_MAINTENANCE = Statement("inventory.locations.set_maintenance")
SET_CHANGE_HOLD = Statement("inventory.locations.set_change_hold")
LIST_SPACE_IDS = Query("inventory.locations.list_space_ids", UUID)


async def list_time_zones(connection: Connection) -> dict[str, str | None]:
    """Return the time zone of each site by its name. None: it has none."""
    return {row.site: row.timezone for row in await LIST_TIME_ZONES.all(connection)}


async def create_location(
    change: Change, path: str, *, kinds: Sequence[str] = (), timezone: str | None = None
) -> Location:
    """Create the location at a path such as `Garage/Floor 1`, and the missing ones above it; return it. Idempotent.

    `kinds`: one for each part of the path. The default is site, then floor; longer paths add building, zone and room.
    Raises InputError `bad_path`, `bad_kinds`, `bad_timezone`, `timezone_of_site`; ConflictError `kind_differs`,
    `timezone_differs`.
    """
    names = _names(path)
    wanted = _check_kinds(path, names, kinds)
    if timezone is not None and timezone not in available_timezones():
        raise InputError("bad_timezone", f"{timezone!r} is not a time zone such as Europe/Berlin", timezone=timezone)
    if timezone is not None and "site" not in wanted:
        raise InputError("timezone_of_site", f"only a site has a time zone, and {path!r} contains no site")
    parent_id: UUID | None = None
    async with change.transaction():
        for name, kind in zip(names, wanted, strict=True):
            child = await FIND_CHILD.first(change.connection, parent_id=parent_id, name=name)
            if child is None:
                zone = timezone if kind == "site" else None
                await INSERT.run(change.connection, parent_id=parent_id, kind=kind, name=name, timezone=zone)
                child = await FIND_CHILD.one(change.connection, parent_id=parent_id, name=name)
                await change.record("location.create", "location", child.id, after={"kind": kind, "name": name})
            elif kinds and child.kind != kind:
                raise ConflictError("kind_differs", f"{name!r} is a {child.kind}, not a {kind}", location=child.id)
            elif timezone is not None and child.kind == "site" and child.timezone != timezone:
                zone = child.timezone or "none"
                raise ConflictError("timezone_differs", f"the time zone of {name!r} is {zone}: an import can change it")
            parent_id = child.id
    return await get_location(change.connection, path)


async def get_location(connection: Connection, path: str) -> Location:
    """Return the location at a path. Raises InputError `bad_path`, NotFoundError `unknown_location`."""
    names = _names(path)
    location = await LIST.first(connection, names=names)
    if location is None:
        raise _unknown("/".join(names))
    return location


async def lock_location(connection: Connection, path: str) -> Location:
    """Return a location for a space that is to be put there.

    Until the transaction ends, changes of the location and of its parents wait: closing, overriding, deleting.
    Raises InputError `bad_path`, NotFoundError `unknown_location`.
    """
    location = await get_location(connection, path)
    if location.id not in await LOCK_PATH.all(connection, id=location.id):
        raise _unknown(location.path)
    return location


async def list_locations(connection: Connection) -> list[Location]:
    """Return all locations by name, parents before children."""
    return await LIST.all(connection, names=None)


async def list_space_ids(connection: Connection, location_id: UUID) -> list[UUID]:
    """Return the ids of the live spaces in the subtree, in order."""
    return await LIST_SPACE_IDS.all(connection, id=location_id)


async def rename_location(change: Change, path: str, name: str) -> Location:
    """Replace the last part of the path; return the location. Idempotent.

    Raises InputError `bad_path`, NotFoundError `unknown_location`, ConflictError `name_used`.
    """
    location = await get_location(change.connection, path)
    names = _names(name)
    if len(names) > 1:
        raise InputError("bad_path", f"{name!r} is not the name of one location")
    async with change.transaction():
        await _lock_settings(change, location)
        if await RENAME.run(change.connection, id=location.id, name=names[0]):
            before, after = {"name": location.name}, {"name": names[0]}
            await change.record("location.rename", "location", location.id, before=before, after=after)
    return await get_location(change.connection, "/".join([*_names(path)[:-1], *names]))


async def delete_location(change: Change, path: str) -> None:
    """Delete a location without locations, live spaces and overrides.

    Raises NotFoundError `unknown_location`, ConflictError `location_in_use`.
    """
    location = await get_location(change.connection, path)
    async with change.transaction():
        locked = await LOCK.first(change.connection, id=location.id)
        if locked is None:
            raise _unknown(location.path)
        await change.locked()
        if locked.below is not None:
            raise ConflictError("location_in_use", f"{location.path} contains {locked.below}: delete that first")
        if spaces := await list_space_ids(change.connection, location.id):
            raise ConflictError(
                "location_in_use", f"{location.path} contains {len(spaces)} spaces: delete or move them first"
            )
        await RELEASE_DELETED_SPACES.run(change.connection, id=location.id)
        await DELETE.run(change.connection, id=location.id)
        before = {"path": location.path, "kind": location.kind}
        await change.record("location.delete", "location", location.id, before=before)


async def set_maintenance(change: Change, path: str, on: bool) -> int:
    """Close (on) or open (off) the whole subtree; return how many spaces changed state. Idempotent.

    Raises NotFoundError `unknown_location`.
    """
    location = await get_location(change.connection, path)
    async with change.transaction():
        await _lock_settings(change, location)
        if not await SET_MAINTENANCE.run(change.connection, id=location.id, on=on):
            return 0
        before, after = {"maintenance": not on}, {"maintenance": on}
        await change.record("location.maintenance", "location", location.id, before=before, after=after)
        return await change.redecide(await list_space_ids(change.connection, location.id), TriggerType.MAINTENANCE)


async def set_change_hold(change: Change, path: str, seconds: int | None) -> Location:
    """Set how long changes of lights wait in the whole subtree while airtime is short; return the location. Idempotent.

    None: as the location above, or 0 without one. Raises InputError `bad_change_hold`, NotFoundError
    `unknown_location`.
    """
    if seconds is not None and not 0 <= seconds <= MAX_CHANGE_HOLD_S:
        raise InputError("bad_change_hold", f"a change waits 0 to {MAX_CHANGE_HOLD_S} s, not {seconds}")
    location = await get_location(change.connection, path)
    async with change.transaction():
        await _lock_settings(change, location)
        if await SET_CHANGE_HOLD.run(change.connection, id=location.id, seconds=seconds):
            before, after = {"change_hold_s": location.change_hold_s}, {"change_hold_s": seconds}
            await change.record("location.change_hold", "location", location.id, before=before, after=after)
    return await get_location(change.connection, path)


async def _lock_settings(change: Change, location: Location) -> None:
    await LOCK_SETTINGS.run(change.connection, id=location.id)
    await change.locked()


def _names(path: str) -> list[str]:
    names = [part.strip() for part in path.split("/")]
    if not all(names):
        raise InputError("bad_path", f"{path!r} is not a path such as 'Garage/Floor 1'")
    return names


def _check_kinds(path: str, names: Sequence[str], kinds: Sequence[str]) -> Sequence[str]:
    """Return the kind of each part of the path."""
    if len(names) > len(KINDS):
        raise InputError("bad_path", f"a path has at most {len(KINDS)} parts: {path!r}")
    wanted = kinds or _DEFAULT_KINDS[len(names)]
    if len(wanted) != len(names) or any(kind not in KINDS for kind in wanted):
        raise InputError("bad_kinds", f"{path!r} needs {len(names)} kinds of {', '.join(KINDS)}")
    return wanted


def _unknown(path: str) -> NotFoundError:
    return NotFoundError("unknown_location", f"there is no location {path!r}")
