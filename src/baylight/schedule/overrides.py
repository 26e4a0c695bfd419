"""Overrides: a state that an operator fixes for a space or for all spaces of a location."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from baylight.access.change import Change
from baylight.domain.downlink import TriggerType
from baylight.errors import InputError, NotFoundError
from baylight.inventory import locations, spaces
from baylight.store.pool import Connection
from baylight.store.query import queries


@dataclass(frozen=True, slots=True)
class Override:
    """In force in [`from_at`, `until_at`), None: until it is ended. Either `space` (a code) or `location` (a path)."""

    id: UUID
    space_id: UUID | None
    space: str | None
    location_id: UUID | None
    location: str | None
    state: str
    from_at: datetime
    until_at: datetime | None
    reason: str | None
    actor: str
    ended_by: str | None


async def set_override(
    change: Change,
    state: str,
    *,
    space: str | None = None,
    location: str | None = None,
    until: datetime | None = None,
    reason: str | None = None,
) -> Override:
    """From now on; it takes the place of one that is in force for the same space or location.

    Raises InputError `bad_state`, `one_target`, `bad_times`, `naive_time`; NotFoundError.
    """
    wanted = spaces.parse_state(state)
    if (space is None) == (location is None):
        raise InputError("one_target", "name either a space or a location")
    if until is not None and until.tzinfo is None:
        raise InputError("naive_time", f"{until.isoformat()} has no time zone")
    if until is not None and until <= change.now:
        raise InputError("bad_times", "the override would end before it begins")
    sql = queries("schedule.overrides")
    async with change.transaction():
        space_id, location_id = await _target(change.connection, space, location)
        from_at = change.now
        for current in await change.connection.fetch(sql["list"], change.now, None, space_id, location_id):
            from_at = max(
                from_at, await change.connection.fetchval(sql["end"], current["id"], change.now, change.actor)
            )
        override_id = await change.connection.fetchval(
            sql["insert"],
            space_id,
            location_id,
            wanted,
            from_at,
            until.astimezone(UTC) if until else None,
            reason,
            change.actor,
        )
        override = await get_override(change.connection, override_id)
        await change.record(
            "override.set",
            "override",
            override_id,
            after={
                "space": space,
                "location": location,
                "state": wanted,
                "until": until.isoformat() if until else None,
                "reason": reason,
            },
        )
        await _redecide(replace(change, now=from_at), override)
    return override


async def end_override(change: Change, override_id: UUID) -> Override:
    """Idempotent. Raises NotFoundError `unknown_override`."""
    async with change.transaction():
        override = await get_override(change.connection, override_id)
        await _lock(change.connection, override.space, override.location_id)
        ended_at = await change.connection.fetchval(
            queries("schedule.overrides")["end"], override_id, change.now, change.actor
        )
        if ended_at is not None:
            await change.record("override.end", "override", override_id)
            await _redecide(replace(change, now=ended_at), override)
    return await get_override(change.connection, override_id)


async def get_override(connection: Connection, override_id: UUID) -> Override:
    """Raises NotFoundError `unknown_override`."""
    row = await connection.fetchrow(queries("schedule.overrides")["list"], None, override_id, None, None)
    if row is None:
        raise NotFoundError("unknown_override", f"there is no override {override_id}", override_id=str(override_id))
    return Override(**row)


async def list_overrides(
    connection: Connection, now: datetime, *, space: str | None = None, location: str | None = None
) -> list[Override]:
    """Those in force, the oldest first: all, or those set on a space or a location itself."""
    space_id = (await spaces.show(connection, space)).id if space is not None else None
    location_id = (await locations.get_location(connection, location)).id if location is not None else None
    rows = await connection.fetch(queries("schedule.overrides")["list"], now, None, space_id, location_id)
    return [Override(**row) for row in rows]


async def _target(connection: Connection, space: str | None, location: str | None) -> tuple[UUID | None, UUID | None]:
    if space is not None:
        return (await spaces.lock(connection, space))["id"], None
    location_id = (await locations.get_location(connection, location or "")).id
    await _lock(connection, None, location_id)
    return None, location_id


async def _lock(connection: Connection, space: str | None, location_id: UUID | None) -> None:
    if space is not None:
        await spaces.lock(connection, space)
    else:
        await connection.execute(queries("schedule.overrides")["lock_location"], location_id)


async def _redecide(change: Change, override: Override) -> None:
    if override.space_id is not None:
        ids = [override.space_id]
    else:
        assert override.location_id is not None
        ids = await locations.list_space_ids(change.connection, override.location_id)
    await change.redecide(ids, TriggerType.MANUAL_OVERRIDE, source=override.id)
