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
from baylight.store.query import Query, Statement


@dataclass(frozen=True, slots=True)
class Override:
    """Override in force in [`from_at`, `until_at`), None: until a person ends it.

    It has either a `space` (its code) or a `location` (its path). `replaced`: in the answer of `set_override`, the
    override that this one ended.
    """

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
    replaced: Override | None = None


LIST = Query("schedule.overrides.list", Override)
INSERT = Query("schedule.overrides.insert", UUID)
END = Query("schedule.overrides.end", datetime)
LOCK_LOCATION = Statement("schedule.overrides.lock_location")


async def set_override(
    change: Change,
    state: str,
    *,
    space: str | None = None,
    location: str | None = None,
    until: datetime | None = None,
    reason: str | None = None,
) -> Override:
    """Fix the state of a space or a location from now on; end the override that is in force for the same one, and
    return it as `replaced`.

    Raises InputError `bad_state`, `one_target`, `bad_times`, `naive_time`; NotFoundError `unknown_space`,
    `unknown_location`.
    """
    wanted = spaces.parse_state(state)
    if (space is None) == (location is None):
        raise InputError("one_target", "name either a space or a location")
    if until is not None and until.tzinfo is None:
        raise InputError("naive_time", f"{until.isoformat()} has no time zone")
    try:
        until = until.astimezone(UTC) if until else None
    except OverflowError:
        raise InputError("bad_times", "the end is out of range: years are 1 to 9999 in UTC") from None
    if until is not None and until <= change.now:
        raise InputError("bad_times", "the override would end before it begins")
    connection = change.connection
    async with change.transaction():
        space_id, location_id = await _target(connection, space, location)
        from_at, replaced = change.now, None
        for current in await _select(connection, now=change.now, space_id=space_id, location_id=location_id):
            ended_at = await END.one(connection, id=current.id, now=change.now, actor=change.actor)
            from_at, replaced = max(from_at, ended_at), current
        override_id = await INSERT.one(
            connection,
            space_id=space_id,
            location_id=location_id,
            state=wanted,
            from_at=from_at,
            until_at=until,
            reason=reason,
            actor=change.actor,
        )
        override = await get_override(connection, override_id)
        before = _recorded(replaced) | {"id": str(replaced.id), "actor": replaced.actor} if replaced else None
        await change.record("override.set", "override", override_id, before=before, after=_recorded(override))
        begun = replace(change, now=from_at)
        await begun.redecide(await _covered(connection, override), TriggerType.MANUAL_OVERRIDE, source=override_id)
    return replace(override, replaced=replaced)


async def end_override(change: Change, override_id: UUID) -> Override:
    """End an override now; return it. Idempotent. Raises NotFoundError `unknown_override`."""
    connection = change.connection
    async with change.transaction():
        override = await get_override(connection, override_id)
        await _lock(connection, override.space, override.location_id)
        await change.locked()
        ended_at = await END.first(connection, id=override_id, now=change.now, actor=change.actor)
        if ended_at is not None:
            await change.record("override.end", "override", override_id, before=_recorded(override))
            ended = replace(change, now=ended_at)
            await ended.redecide(await _covered(connection, override), TriggerType.MANUAL_OVERRIDE, source=override_id)
    return await get_override(connection, override_id)


async def get_override(connection: Connection, override_id: UUID) -> Override:
    """Return an override. Raises NotFoundError `unknown_override`."""
    found = await _select(connection, override_id=override_id)
    if not found:
        raise NotFoundError("unknown_override", f"there is no override {override_id}", override_id=str(override_id))
    return found[0]


async def list_overrides(
    connection: Connection, now: datetime, *, space: str | None = None, location: str | None = None
) -> list[Override]:
    """Return the overrides in force, the oldest first: all, or those of a space or a location itself."""
    space_id = (await spaces.get_space(connection, space)).id if space is not None else None
    location_id = (await locations.get_location(connection, location)).id if location is not None else None
    return await _select(connection, now=now, space_id=space_id, location_id=location_id)


def _recorded(override: Override) -> dict[str, str | None]:
    """Return an override as the audit log has it."""
    until = override.until_at.isoformat() if override.until_at else None
    where = {"space": override.space, "location": override.location}
    return where | {"state": override.state, "reason": override.reason, "until": until}


async def _select(
    connection: Connection,
    *,
    now: datetime | None = None,
    override_id: UUID | None = None,
    space_id: UUID | None = None,
    location_id: UUID | None = None,
) -> list[Override]:
    return await LIST.all(connection, now=now, id=override_id, space_id=space_id, location_id=location_id)


async def _target(connection: Connection, space: str | None, location: str | None) -> tuple[UUID | None, UUID | None]:
    """Return the id of the space, or of the location, and lock it."""
    if space is not None:
        return (await spaces.lock_space(connection, space)).id, None
    location_id = (await locations.get_location(connection, location or "")).id
    await _lock(connection, None, location_id)
    return None, location_id


async def _lock(connection: Connection, space: str | None, location_id: UUID | None) -> None:
    if space is not None:
        await spaces.lock_space(connection, space)
    else:
        await LOCK_LOCATION.run(connection, id=location_id)


async def _covered(connection: Connection, override: Override) -> list[UUID]:
    """Return the ids of the spaces that an override covers."""
    if override.space_id is not None:
        return [override.space_id]
    assert override.location_id is not None
    return await locations.list_space_ids(connection, override.location_id)
