"""Spaces, and the devices that serve them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from baylight.access.change import Change
from baylight.domain.downlink import TriggerType
from baylight.domain.ids import SPACE_CODE, parse_dev_eui
from baylight.domain.state import State
from baylight.errors import ConflictError, InputError, NotFoundError, TransientError
from baylight.inventory import locations
from baylight.inventory.devices import PAGE, Role, page_size
from baylight.store.pool import Connection
from baylight.store.query import queries

ASSIGNMENT_REASONS = ("install", "swap", "maintenance", "correction", "removal")


@dataclass(frozen=True, slots=True)
class Space:
    """A live space. `location`: path of names. `current_state` is the decision, `sensor_state` what the sensor says,
    `display_state` what the display is known to show; `desired_*`, `reported_*`, `sync_status` are the display's."""

    id: UUID
    code: str
    name: str
    location_id: UUID | None
    location: str | None
    gps_latitude: Decimal | None
    gps_longitude: Decimal | None
    metadata: dict[str, Any] | None
    current_state: str
    current_state_at: datetime
    state_reason: str | None
    sensor_state: str | None
    sensor_state_at: datetime | None
    display_state: str | None
    display_state_at: datetime | None
    default_state: str
    maintenance: bool
    recompute_at: datetime | None
    sensor_deveui: str | None
    display_deveui: str | None
    desired_state: str | None
    desired_code: str | None
    reported_code: str | None
    reported_at: datetime | None
    sync_status: str | None


async def show(connection: Connection, code: str) -> Space:
    """Raises NotFoundError `unknown_space`."""
    row = await connection.fetchrow(queries("inventory.spaces")["list"], code, None, None, None, None, 1)
    if row is None:
        raise _unknown(code)
    return Space(**row)


async def page(
    connection: Connection,
    *,
    after: str | None = None,
    limit: int = PAGE,
    location: str | None = None,
    state: str | None = None,
    device: str | None = None,
) -> list[Space]:
    """Spaces by code, beginning after one; `limit` 1-1000. `location`: path of a subtree. `device`: a DevEUI."""
    subtree = (await locations.get_location(connection, location)).id if location is not None else None
    eui = parse_dev_eui(device) if device is not None else None
    wanted = parse_state(state) if state is not None else None
    sql = queries("inventory.spaces")["list"]
    return [Space(**row) for row in await connection.fetch(sql, None, after, subtree, wanted, eui, page_size(limit))]


async def create(
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
    """A new space, with its devices if given (DevEUIs). Raises ConflictError `code_used`, NotFoundError, InputError."""
    if not re.fullmatch(SPACE_CODE, code):
        message = f"{code!r}: a code has 1 to 20 characters in one line, no blanks around them"
        raise InputError("bad_code", message, space=code)
    check_name(name)
    at = parse_position(latitude, longitude)
    async with change.transaction():
        place = (await locations.lock_location(change.connection, location)).id if location else None
        space_id = await change.connection.fetchval(
            queries("inventory.spaces")["insert"],
            code,
            name or code,
            place,
            parse_state(default_state),
            *(at or (None, None)),
            None if metadata is None else dict(metadata),
            change.now,
        )
        await change.record("space.create", "space", space_id, after={"code": code, "location": location})
        if sensor or display:
            await assign(change, code, sensor=sensor, display=display, reason="install")
        else:
            await _redecide(change, space_id, TriggerType.ASSIGNMENT)
    return await show(change.connection, code)


async def assign(
    change: Change, code: str, *, sensor: str | None = None, display: str | None = None, reason: str | None = None
) -> Space:
    """Makes devices (DevEUIs) serve the space; in place of others only with a `reason`. Idempotent.

    Raises NotFoundError; InputError `device_disabled`, `bad_reason`; ConflictError `device_in_use`, `role_taken`.
    """
    if not sensor and not display:
        raise InputError("no_device", "name a sensor, a display, or both")
    wanted: dict[Role, str | None] = {"sensor": sensor} if sensor else {}
    if display:
        wanted["display"] = display
    return await _serve(change, code, wanted, reason)


async def unassign(change: Change, code: str, role: Role, *, reason: str | None = None) -> Space:
    """Takes the sensor or the display from the space. Idempotent."""
    return await _serve(change, code, {role: None}, reason or "removal")


async def set_maintenance(change: Change, code: str, on: bool) -> Space:
    """Closes or opens the space. Idempotent."""
    async with change.transaction():
        space = await lock(change.connection, code)
        if space["maintenance"] != on:
            await change.connection.execute(queries("inventory.spaces")["set_maintenance"], space["id"], on)
            await change.record(
                "space.maintenance",
                "space",
                space["id"],
                before={"maintenance": not on},
                after={"maintenance": on},
            )
            await _redecide(change, space["id"], TriggerType.MAINTENANCE)
    return await show(change.connection, code)


async def set_default_state(change: Change, code: str, state: str) -> Space:
    """What the space shows while no sensor is assigned. Idempotent. Raises InputError `bad_state`."""
    wanted = parse_state(state)
    async with change.transaction():
        space = await lock(change.connection, code)
        if space["default_state"] != wanted:
            await change.connection.execute(queries("inventory.spaces")["set_default_state"], space["id"], wanted)
            await change.record(
                "space.default_state",
                "space",
                space["id"],
                before={"default_state": space["default_state"]},
                after={"default_state": wanted},
            )
            await _redecide(change, space["id"], TriggerType.ASSIGNMENT)
    return await show(change.connection, code)


async def delete(change: Change, code: str) -> None:
    """Soft: history stays, the code and the devices are free again, its reservations and overrides end."""
    async with change.transaction(assignment_reason="removal"):
        await _serve(change, code, {"sensor": None, "display": None}, "removal")
        space = await lock(change.connection, code)
        await change.connection.execute(queries("inventory.spaces")["delete"], space["id"], change.now)
        cancelled = await change.connection.fetch(queries("inventory.spaces")["cancel_reservations"], space["id"])
        await change.connection.execute(
            queries("inventory.spaces")["end_overrides"], space["id"], change.now, change.actor
        )
        await change.record(
            "space.delete",
            "space",
            space["id"],
            before={"code": code, "cancelled_reservations": [str(row["id"]) for row in cancelled]},
        )


async def lock(connection: Connection, code: str) -> Any:
    """A live space's row, locked until the transaction ends. Raises NotFoundError `unknown_space`."""
    row = await connection.fetchrow(queries("inventory.spaces")["lock"], code)
    if row is None:
        raise _unknown(code)
    return row


def check_name(name: str | None) -> None:
    """Raises InputError `bad_name`."""
    if name is not None and (not 0 < len(name) <= 100 or "\0" in name):
        raise InputError("bad_name", "a name has 1 to 100 characters, none of them NUL")


def parse_position(latitude: float | None, longitude: float | None) -> tuple[Decimal, Decimal] | None:
    """Raises InputError `bad_position`."""
    if latitude is None and longitude is None:
        return None
    if latitude is None or longitude is None or not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise InputError("bad_position", "latitude and longitude go together, -90 to 90 and -180 to 180")
    return round(Decimal(str(latitude)), 8), round(Decimal(str(longitude)), 8)


def parse_state(text: str) -> State:
    """Raises InputError `bad_state`."""
    try:
        return State(text.upper())
    except ValueError as error:
        raise InputError("bad_state", f"{text!r} is no state: one of {', '.join(State)}", state=text) from error


def _unknown(code: str) -> NotFoundError:
    return NotFoundError("unknown_space", f"there is no space {code!r}", space=code)


async def _serve(change: Change, code: str, wanted: Mapping[Role, str | None], reason: str | None) -> Space:
    """Locks sensors, then the space, then displays: the order that the whole program keeps."""
    if reason is not None and reason not in ASSIGNMENT_REASONS:
        raise InputError("bad_reason", f"{reason!r} is none of {', '.join(ASSIGNMENT_REASONS)}", reason=reason)
    sql = queries("inventory.spaces")
    async with change.transaction(assignment_reason=reason):
        sensors = {}
        if "sensor" in wanted:
            eui = parse_dev_eui(wanted["sensor"]) if wanted["sensor"] else None
            sensors = {row["id"]: row for row in await change.connection.fetch(sql["lock_sensors"], eui, code)}
            # With the other spaces that a mobile sensor serves: they are decided anew too.
            await change.connection.fetch(queries("inventory.assignments")["lock_spaces"], [code], [], list(sensors))
        space = await lock(change.connection, code)
        changed: dict[Role, tuple[str | None, str | None]] = {}
        released: list[UUID] = []
        also: list[UUID] = []
        for role, dev_eui in wanted.items():
            eui = parse_dev_eui(dev_eui) if dev_eui else None
            before = space[f"{role}_deveui"]
            if eui == before:
                continue
            old = space[f"{role}_device_id"]
            if eui is not None and old is not None and reason is None:
                raise ConflictError(
                    "role_taken",
                    f"{code} has the {role} {before} already: swap the two, or say by a reason that this is meant",
                    space=code,
                    dev_eui=before,
                )
            if role == "display":
                rows = {row["id"]: row for row in await change.connection.fetch(sql["lock_displays"], eui, old)}
            else:
                rows = sensors
                if old is not None and old not in rows:
                    raise TransientError("assignment_race", f"the sensor of {code} changed this moment: try again")
            device = next((row for row in rows.values() if row["dev_eui"] == eui), None)
            if eui is not None:
                await _check_free(change.connection, role, eui, device, space["id"])
            await change.connection.execute(sql[f"set_{role}"], space["id"], device["id"] if device else None)
            if old is not None and role == "display":
                released.append(old)
            if device is not None and role == "sensor":
                # What it said before was said of another place: a drawer, another bay.
                await change.connection.execute(queries("inventory.devices")["forget_reading"], device["id"])
                also += [row["id"] for row in await change.connection.fetch(sql["served"], device["id"])]
            if device is not None and device["lifecycle_state"] == "registered":
                await change.connection.execute(
                    queries("inventory.devices")[f"set_{role}_lifecycle"], device["id"], "installed"
                )
            changed[role] = (before, eui)
        if changed:
            await change.record(
                "space.assign",
                "space",
                space["id"],
                before={role: pair[0] for role, pair in changed.items()},
                after={role: pair[1] for role, pair in changed.items()} | {"reason": reason},
            )
            await _redecide(change, space["id"], TriggerType.ASSIGNMENT, released, also)
    return await show(change.connection, code)


async def _check_free(connection: Connection, role: Role, eui: str, device: Any, space_id: UUID) -> None:
    if device is None:
        raise NotFoundError(f"unknown_{role}", f"no {role} {eui} is registered", dev_eui=eui)
    if not device["enabled"] or device["lifecycle_state"] == "decommissioned":
        gone = device["lifecycle_state"] == "decommissioned"
        word = "decommissioned: register it again" if gone else "disabled: enable it"
        raise InputError("device_disabled", f"{role} {eui} is {word}, or take another", dev_eui=eui)
    if not device["shared"]:
        served = await connection.fetch(queries("inventory.spaces")["served"], device["id"])
        others = [row["code"] for row in served if row["id"] != space_id]
        if others:
            raise ConflictError("device_in_use", f"{role} {eui} serves {', '.join(others)}", dev_eui=eui, spaces=others)


async def _redecide(
    change: Change, space_id: UUID, trigger: TriggerType, released: Sequence[UUID] = (), also: Sequence[UUID] = ()
) -> None:
    await change.redecide([space_id, *also], trigger, released=released)
