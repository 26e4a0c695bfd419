"""Spaces: create, change, close and delete them; assign devices to them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from baylight.access.change import Change
from baylight.domain.assignment import Role
from baylight.domain.bounded_json import check_json
from baylight.domain.downlink import TriggerType
from baylight.domain.ids import SPACE_CODE, parse_dev_eui
from baylight.domain.paging import PAGE_SIZE, check_page_size
from baylight.domain.state import Occupancy, State
from baylight.domain.unproven import Unproven
from baylight.errors import InputError
from baylight.inventory import assignments, locations
from baylight.inventory.assignments import LockedSpace, unknown_space
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement


@dataclass(frozen=True, slots=True)
class Space:
    """A live space. `location`: path of names. `state`: the decision. `sensor_state`: the statement of the sensor.

    `display_state`: the state that the display is known to show. `desired_*`, `reported_*` and `sync_status` are the
    display's. `unproven`: mark of a state that may be out of date.
    """

    id: UUID
    code: str
    name: str
    location_id: UUID | None
    location: str | None
    latitude: Decimal | None
    longitude: Decimal | None
    metadata: dict[str, Any] | None
    state: State
    state_at: datetime
    state_reason: str | None
    sensor_state: Occupancy | None
    sensor_state_at: datetime | None
    display_state: State | None
    display_state_at: datetime | None
    default_state: State
    maintenance: bool
    recompute_at: datetime | None
    sensor_dev_eui: str | None
    display_dev_eui: str | None
    desired_state: State | None
    desired_code: str | None
    reported_code: str | None
    reported_at: datetime | None
    sync_status: str | None
    unproven: Unproven | None


LIST = Query("inventory.spaces.list", Space)
INSERT = Query("inventory.spaces.insert", UUID)
LOCK = Query("inventory.spaces.lock", LockedSpace)
CHANGE = Statement("inventory.spaces.change")
SET_MAINTENANCE = Statement("inventory.spaces.set_maintenance")
SET_DEFAULT_STATE = Statement("inventory.spaces.set_default_state")
DELETE = Statement("inventory.spaces.delete")
CANCEL_RESERVATIONS = Query("inventory.spaces.cancel_reservations", UUID)
END_OVERRIDES = Statement("inventory.spaces.end_overrides")


async def get_space(connection: Connection, code: str) -> Space:
    """Return a live space. Raises NotFoundError `unknown_space`."""
    found = await _select(connection, code=code)
    if not found:
        raise unknown_space(code)
    return found[0]


async def list_spaces(
    connection: Connection,
    *,
    after: str | None = None,
    limit: int = PAGE_SIZE,
    location: str | None = None,
    state: str | None = None,
    device: str | None = None,
) -> list[Space]:
    """Return a page of spaces by code, beginning after one.

    `location`: path of a subtree. `device`: a DevEUI. Raises NotFoundError `unknown_location`; InputError `bad_state`,
    `bad_dev_eui`, `bad_limit`.
    """
    subtree = (await locations.get_location(connection, location)).id if location is not None else None
    dev_eui = parse_dev_eui(device) if device is not None else None
    wanted = parse_state(state) if state is not None else None
    return await _select(
        connection, after=after, location_id=subtree, state=wanted, dev_eui=dev_eui, limit=check_page_size(limit)
    )


async def create_space(
    change: Change,
    code: str,
    *,
    name: str | None = None,
    location: str | None = None,
    sensor: str | None = None,
    display: str | None = None,
    default_state: str = State.UNKNOWN,
    latitude: float | None = None,
    longitude: float | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Space:
    """Create a space, with its devices (DevEUIs) if given.

    Raises ConflictError `code_used`; InputError `bad_code`, `bad_name`, `bad_position`, `bad_state`, `json_too_big`,
    `bad_json`; NotFoundError `unknown_location`; and as `assign`.
    """
    if not re.fullmatch(SPACE_CODE, code):
        message = f"{code!r}: a code has 1 to 20 characters in one line, no blanks around them"
        raise InputError("bad_code", message, space=code)
    check_name(name)
    check_json(metadata)
    position = parse_position(latitude, longitude) or (None, None)
    async with change.transaction():
        place = (await locations.lock_location(change.connection, location)).id if location else None
        space_id = await INSERT.one(
            change.connection,
            code=code,
            name=name or code,
            location_id=place,
            default_state=parse_state(default_state),
            latitude=position[0],
            longitude=position[1],
            metadata=None if metadata is None else dict(metadata),
            now=change.now,
        )
        await change.record("space.create", "space", space_id, after={"code": code, "location": location})
        if sensor or display:
            await assign(change, code, sensor=sensor, display=display, reason="install")
        else:
            await change.redecide([space_id], TriggerType.ASSIGNMENT)
    return await get_space(change.connection, code)


async def change_space(
    change: Change,
    code: str,
    *,
    name: str | None = None,
    location: str | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
    clear: Collection[str] = (),
) -> Space:
    """Change name, location or position; None leaves it, `clear` (`location`, `position`) removes it. Idempotent.

    A space is decided again at its new location. Raises NotFoundError `unknown_space`, `unknown_location`; InputError
    `nothing_given`, `bad_name`, `bad_position`, `given_and_cleared`.
    """
    check_name(name)
    position = parse_position(latitude, longitude)
    _check_given({"name": name, "location": location, "position": position}, clear)
    async with change.transaction():
        place = await locations.lock_location(change.connection, location) if location is not None else None
        space_id = (await lock_space(change.connection, code)).id
        await change.locked()
        found = await get_space(change.connection, code)
        location_id, path = found.location_id, found.location
        if place is not None or "location" in clear:
            location_id, path = (place.id, place.path) if place else (None, None)
        here = (found.latitude, found.longitude)
        there = position or ((None, None) if "position" in clear else here)
        before = _audited(found.name, found.location, here)
        after = _audited(name or found.name, path, there)
        if after != before:
            await CHANGE.run(
                change.connection,
                id=space_id,
                name=name or found.name,
                location_id=location_id,
                latitude=there[0],
                longitude=there[1],
            )
            await change.record("space.change", "space", space_id, before=before, after=after)
        if location_id != found.location_id:
            await change.redecide([space_id], TriggerType.ASSIGNMENT)
    return await get_space(change.connection, code)


async def assign(
    change: Change, code: str, *, sensor: str | None = None, display: str | None = None, reason: str | None = None
) -> Space:
    """Assign devices (DevEUIs) to a space from now on; a `reason` lets them replace other devices. Idempotent.

    Raises InputError `no_device`, and as `assignments.assign`.
    """
    wanted: dict[Role, str | None] = {"sensor": sensor, "display": display}
    given: dict[Role, str | None] = {role: dev_eui for role, dev_eui in wanted.items() if dev_eui}
    if not given:
        raise InputError("no_device", "name a sensor, a display, or both")
    await assignments.assign(change, code, given, reason=reason)
    return await get_space(change.connection, code)


async def unassign(change: Change, code: str, role: Role, *, reason: str | None = None) -> Space:
    """Remove the sensor or the display from a space, from now on. Idempotent. Raises as `assignments.assign`."""
    await assignments.assign(change, code, {role: None}, reason=reason or "removal")
    return await get_space(change.connection, code)


async def set_maintenance(change: Change, code: str, on: bool) -> Space:
    """Close or open a space. Idempotent. Raises NotFoundError `unknown_space`."""
    async with change.transaction():
        space = await lock_space(change.connection, code)
        await change.locked()
        if space.maintenance != on:
            await SET_MAINTENANCE.run(change.connection, id=space.id, on=on)
            before, after = {"maintenance": not on}, {"maintenance": on}
            await change.record("space.maintenance", "space", space.id, before=before, after=after)
            await change.redecide([space.id], TriggerType.MAINTENANCE)
    return await get_space(change.connection, code)


async def set_default_state(change: Change, code: str, state: str) -> Space:
    """Set the state that a space has without a sensor. Idempotent.

    Raises InputError `bad_state`, NotFoundError `unknown_space`.
    """
    wanted = parse_state(state)
    async with change.transaction():
        space = await lock_space(change.connection, code)
        await change.locked()
        if space.default_state != wanted:
            await SET_DEFAULT_STATE.run(change.connection, id=space.id, state=wanted)
            before, after = {"default_state": space.default_state}, {"default_state": wanted}
            await change.record("space.default_state", "space", space.id, before=before, after=after)
            await change.redecide([space.id], TriggerType.ASSIGNMENT)
    return await get_space(change.connection, code)


async def delete_space(change: Change, code: str) -> None:
    """Delete a space. Its history stays; its code and devices are free; its reservations and overrides end.

    Raises NotFoundError `unknown_space`.
    """
    async with change.transaction(assignment_reason="removal"):
        await assignments.assign(change, code, {"sensor": None, "display": None}, reason="removal")
        space = await lock_space(change.connection, code)
        await DELETE.run(change.connection, id=space.id, now=change.now)
        cancelled = await CANCEL_RESERVATIONS.all(change.connection, id=space.id)
        await END_OVERRIDES.run(change.connection, id=space.id, now=change.now, actor=change.actor)
        before = {"code": code, "cancelled_reservations": [str(id) for id in cancelled]}
        await change.record("space.delete", "space", space.id, before=before)


async def lock_space(connection: Connection, code: str) -> LockedSpace:
    """Lock a live space until the transaction ends. Raises NotFoundError `unknown_space`."""
    found = await LOCK.first(connection, code=code)
    if found is None:
        raise unknown_space(code)
    return found


def check_name(name: str | None) -> None:
    """Raise InputError `bad_name` for a name that cannot be stored."""
    if name is not None and (not 0 < len(name) <= 100 or "\0" in name):
        raise InputError("bad_name", "a name has 1 to 100 characters, none of them NUL")


def parse_position(latitude: float | None, longitude: float | None) -> tuple[Decimal, Decimal] | None:
    """Return a position in degrees with 8 decimals, None if none is given. Raises InputError `bad_position`."""
    if latitude is None and longitude is None:
        return None
    if latitude is None or longitude is None or not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise InputError("bad_position", "latitude and longitude go together, -90 to 90 and -180 to 180")
    return round(Decimal(str(latitude)), 8), round(Decimal(str(longitude)), 8)


def parse_state(text: str) -> State:
    """Return a state. Raises InputError `bad_state`."""
    try:
        return State(text.upper())
    except ValueError as error:
        raise InputError("bad_state", f"{text!r} is no state: one of {', '.join(State)}", state=text) from error


async def _select(
    connection: Connection,
    *,
    code: str | None = None,
    after: str | None = None,
    location_id: UUID | None = None,
    state: State | None = None,
    dev_eui: str | None = None,
    limit: int = 1,
) -> list[Space]:
    return await LIST.all(
        connection, code=code, after=after, location_id=location_id, state=state, dev_eui=dev_eui, limit=limit
    )


def _check_given(given: dict[str, object], clear: Collection[str]) -> None:
    named = [what for what, value in given.items() if value is not None]
    if not named and not clear:
        raise InputError("nothing_given", "name what to change: a name, a location, a position, or what to clear")
    if both := [what for what in named if what in clear]:
        raise InputError("given_and_cleared", f"the {both[0]} is given and cleared at once")


def _audited(name: str, location: str | None, position: tuple[Decimal | None, Decimal | None]) -> dict[str, object]:
    """Return what the audit log keeps of a change, in the form of an import."""
    latitude, longitude = (None if degrees is None else float(degrees) for degrees in position)
    return {"name": name, "location": location, "latitude": latitude, "longitude": longitude}
