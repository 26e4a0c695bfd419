"""The tree of locations: site, building, floor, zone, room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID
from zoneinfo import available_timezones

from baylight.access.change import Change
from baylight.domain.downlink import TriggerType
from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.store.pool import Connection
from baylight.store.query import queries

KINDS = ("site", "building", "floor", "zone", "room")
_USUAL = {1: "site", 2: "site floor", 3: "site building floor", 4: "site building floor zone", 5: " ".join(KINDS)}


@dataclass(frozen=True, slots=True)
class Location:
    """`path`: the names from the root, joined by `/`. `spaces`: live ones in the whole subtree."""

    id: UUID
    parent_id: UUID | None
    kind: str
    name: str
    path: str
    timezone: str | None
    maintenance: bool
    spaces: int


async def create_location(
    change: Change, path: str, *, kinds: Sequence[str] = (), timezone: str | None = None
) -> Location:
    """The location at a path such as `Garage/Floor 1`, made with whatever lies above it; idempotent.

    `kinds`: one for each part; without them the usual ones (site, then floor; with more parts building, zone, room).
    Raises InputError `bad_path`, `bad_kinds`, `bad_timezone`, `timezone_of_site`; ConflictError `kind_differs`,
    `timezone_differs`.
    """
    names = _names(path)
    if len(names) > len(KINDS):
        raise InputError("bad_path", f"a path has at most {len(KINDS)} parts: {path!r}")
    wanted = list(kinds) or _USUAL[len(names)].split()
    if len(wanted) != len(names) or any(kind not in KINDS for kind in wanted):
        raise InputError("bad_kinds", f"{path!r} needs {len(names)} kinds of {', '.join(KINDS)}")
    if timezone is not None and timezone not in available_timezones():
        raise InputError("bad_timezone", f"{timezone!r} is not a time zone such as Europe/Berlin", timezone=timezone)
    if timezone is not None and "site" not in wanted:
        raise InputError("timezone_of_site", f"only a site has a time zone, and {path!r} has none")
    sql = queries("inventory.locations")
    above: UUID | None = None
    async with change.transaction():
        for name, kind in zip(names, wanted, strict=True):
            row = await change.connection.fetchrow(sql["child"], above, name)
            if row is None:
                zone = timezone if kind == "site" else None
                await change.connection.execute(sql["insert"], above, kind, name, zone)
                row = await change.connection.fetchrow(sql["child"], above, name)
                assert row is not None
                await change.record("location.create", "location", row["id"], after={"kind": kind, "name": name})
            elif kinds and row["kind"] != kind:
                raise ConflictError("kind_differs", f"{name!r} is a {row['kind']}, not a {kind}", location=row["id"])
            elif timezone is not None and row["kind"] == "site" and row["timezone"] != timezone:
                zone = row["timezone"] or "none"
                raise ConflictError("timezone_differs", f"{name!r} has the time zone {zone}: change it by an import")
            above = row["id"]
    return await get_location(change.connection, path)


async def get_location(connection: Connection, path: str) -> Location:
    """Raises NotFoundError `unknown_location`."""
    names = _names(path)
    row = await connection.fetchrow(queries("inventory.locations")["list"], names)
    if row is None:
        raise NotFoundError("unknown_location", f"there is no location {'/'.join(names)!r}")
    return Location(**row)


async def lock_location(connection: Connection, path: str) -> Location:
    """For what comes to lie in it: until the transaction ends, whoever closes, overrides or deletes it or what is above
    it waits. Raises NotFoundError `unknown_location`."""
    found = await get_location(connection, path)
    held = await connection.fetch(queries("inventory.locations")["hold"], found.id)
    if found.id not in [row["id"] for row in held]:
        raise NotFoundError("unknown_location", f"there is no location {found.path!r}")
    return found


async def list_locations(connection: Connection) -> list[Location]:
    """All locations, parents before children, by name."""
    return [Location(**row) for row in await connection.fetch(queries("inventory.locations")["list"], None)]


async def list_space_ids(connection: Connection, location_id: UUID) -> list[UUID]:
    """Live spaces of the subtree."""
    return [row["id"] for row in await connection.fetch(queries("inventory.locations")["space_ids"], location_id)]


async def rename_location(change: Change, path: str, name: str) -> Location:
    """Another name for the last part of the path. Raises InputError `bad_path`, ConflictError `name_used`."""
    location = await get_location(change.connection, path)
    names = _names(name)
    if len(names) > 1:
        raise InputError("bad_path", f"{name!r} is not the name of one location")
    async with change.transaction():
        if await change.connection.fetchval(queries("inventory.locations")["rename"], location.id, names[0]):
            before, after = {"name": location.name}, {"name": names[0]}
            await change.record("location.rename", "location", location.id, before=before, after=after)
    return await get_location(change.connection, "/".join([*_names(path)[:-1], *names]))


async def delete_location(change: Change, path: str) -> None:
    """One that holds no location, no space, and no override's history. Raises ConflictError `location_in_use`."""
    location = await get_location(change.connection, path)
    async with change.transaction():
        row = await change.connection.fetchrow(queries("inventory.locations")["lock"], location.id)
        if row is None:
            raise NotFoundError("unknown_location", f"there is no location {location.path!r}")
        if row["below"] is not None:
            raise ConflictError("location_in_use", f"{location.path} holds {row['below']}: delete that first")
        if spaces := await list_space_ids(change.connection, location.id):
            raise ConflictError("location_in_use", f"{location.path} holds {len(spaces)} spaces: delete or move them")
        await change.connection.execute(queries("inventory.locations")["leave"], location.id)
        await change.connection.execute(queries("inventory.locations")["delete"], location.id)
        before = {"path": location.path, "kind": location.kind}
        await change.record("location.delete", "location", location.id, before=before)


async def set_maintenance(change: Change, path: str, on: bool) -> int:
    """Closes or opens the whole subtree; returns how many spaces changed their state. Idempotent."""
    location = await get_location(change.connection, path)
    async with change.transaction():
        if await change.connection.fetchval(queries("inventory.locations")["set_maintenance"], location.id, on) is None:
            return 0
        await change.record(
            "location.maintenance",
            "location",
            location.id,
            before={"maintenance": not on},
            after={"maintenance": on},
        )
        ids = await list_space_ids(change.connection, location.id)
        return await change.redecide(ids, TriggerType.MAINTENANCE)


def _names(path: str) -> list[str]:
    names = [part.strip() for part in path.split("/")]
    if not all(names):
        raise InputError("bad_path", f"{path!r} is not a path such as 'Garage/Floor 1'")
    return names
