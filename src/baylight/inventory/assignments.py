"""Which device served which space when: reading it as of any moment, and telling it late."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from baylight.access.change import Change
from baylight.domain import assignment as domain
from baylight.domain.downlink import TriggerType
from baylight.domain.ids import parse_dev_eui
from baylight.errors import ConflictError, InputError, NotFoundError, TransientError
from baylight.inventory.devices import Role
from baylight.store.pool import Connection
from baylight.store.query import queries


@dataclass(frozen=True, slots=True)
class Served:
    """A device served a space in [`from_at`, `until_at`); `until_at` None: it still does. `recorded_at`: when it was
    told, `superseded_at`: when a correction replaced it."""

    space: str
    role: str
    dev_eui: str
    from_at: datetime
    until_at: datetime | None
    reason: str
    actor: str
    recorded_at: datetime
    superseded_at: datetime | None


async def as_of(
    connection: Connection,
    at: datetime,
    *,
    space: str | None = None,
    device: str | None = None,
    role: Role | None = None,
) -> list[Served]:
    """Who served whom at a moment, by what is known today. Raises NotFoundError `unknown_space`, `unknown_device`."""
    space_id = (await find_space_then(connection, space, at))["id"] if space is not None else None
    device_id = (await find_device(connection, device, role))["id"] if device is not None else None
    return [
        Served(**row)
        for row in await connection.fetch(queries("inventory.assignments")["as_of"], at, space_id, device_id)
    ]


async def history(
    connection: Connection,
    *,
    space: str | None = None,
    device: str | None = None,
    role: Role | None = None,
    superseded: bool = False,
) -> list[Served]:
    """All intervals of a space or of a device, the newest first; with `superseded` also what corrections replaced."""
    space_id = await connection.fetchval(queries("insight.history")["space_id"], space) if space is not None else None
    if space is not None and space_id is None:
        raise NotFoundError("unknown_space", f"there is no space {space!r}", space=space)
    device_id = (await find_device(connection, device, role))["id"] if device is not None else None
    rows = await connection.fetch(queries("inventory.assignments")["history"], space_id, device_id, superseded)
    return [Served(**row) for row in rows]


async def find_device(connection: Connection, dev_eui: str, role: Role | None = None) -> Any:
    """`role`, `id`, `dev_eui` of a device of either registry. Raises NotFoundError `unknown_device`, InputError
    `two_devices` if a sensor and a display have this DevEUI and `role` does not tell which."""
    rows = await connection.fetch(queries("inventory.assignments")["find_device"], parse_dev_eui(dev_eui))
    rows = [row for row in rows if role is None or row["role"] == role]
    if not rows:
        raise NotFoundError("unknown_device", f"no {role or 'device'} {dev_eui} is registered", dev_eui=dev_eui)
    if len(rows) > 1:
        raise InputError("two_devices", f"{dev_eui} is a sensor and a display: say by its role which", dev_eui=dev_eui)
    return rows[0]


async def install(change: Change, code: str, dev_eui: str, *, at: datetime, role: Role | None = None) -> list[Served]:
    """The device has served the space since `at`, told only now: what it sent since then belongs to the space.

    Raises ConflictError `role_taken` (then it is a swap), `changed_since`, `device_in_use`; InputError `in_future`.
    """
    device = await find_device(change.connection, dev_eui, role)
    role = device["role"]
    assert role is not None
    check_not_ahead(at, change.now)
    async with change.transaction():
        devices, spaces = await lock(change.connection, role, [device["id"]], codes=[code])
        space = next((row for row in spaces if row["code"] == code), None)
        if space is None:
            raise NotFoundError("unknown_space", f"there is no space {code!r}", space=code)
        if space[f"{role}_device_id"] is not None:
            raise ConflictError("role_taken", f"{code} has the {role} {space[f'{role}_deveui']}: swap it", space=code)
        check_may_come(role, devices[device["id"]], [s["code"] for s in spaces if s is not space])
        await put(change, role, space, devices[device["id"]], at, reason="install")
        after = {"space": code, role: device["dev_eui"], "since": at.isoformat()}
        await change.record("space.install", "space", space["id"], after=after)
        await settle(change, role, [s["id"] for s in spaces], {device["id"]: at}, [])
    return await as_of(change.connection, change.now, space=code)


async def remove(change: Change, code: str, role: Role, *, at: datetime) -> list[Served]:
    """The space has had no such device since `at`, told only now. Raises as `install`, NotFoundError `no_device`."""
    check_not_ahead(at, change.now)
    async with change.transaction():
        devices, spaces = await lock(change.connection, role, [], codes=[code])
        space = next((row for row in spaces if row["code"] == code), None)
        if space is None:
            raise NotFoundError("unknown_space", f"there is no space {code!r}", space=code)
        old = space[f"{role}_device_id"]
        if old is None:
            raise NotFoundError("no_device", f"{code} has no {role}", space=code)
        await put(change, role, space, None, at, reason="removal")
        before = {"space": code, role: devices[old]["dev_eui"], "until": at.isoformat()}
        await change.record("space.remove", "space", space["id"], before=before)
        await settle(change, role, [space["id"]], {}, [old])
    return await as_of(change.connection, change.now, space=code)


def check_not_ahead(at: datetime, now: datetime) -> None:
    """Raises InputError `in_future`."""
    if at > now:
        raise InputError("in_future", f"{at.isoformat()} is not over yet", at=at.isoformat())


def check_may_come(role: Role, device: Any, serves: Sequence[str]) -> None:
    """Raises InputError `device_disabled`, ConflictError `device_in_use`."""
    eui = device["dev_eui"]
    if not device["enabled"] or device["lifecycle_state"] == "decommissioned":
        gone = device["lifecycle_state"] == "decommissioned"
        word = "decommissioned: register it again" if gone else "disabled: enable it"
        raise InputError("device_disabled", f"{role} {eui} is {word}, or take another", dev_eui=eui)
    if serves and not device["shared"]:
        raise ConflictError("device_in_use", f"{role} {eui} serves {', '.join(serves)}", dev_eui=eui, spaces=serves)


async def lock(
    connection: Connection,
    role: Role,
    device_ids: Collection[UUID],
    *,
    codes: Collection[str] = (),
    space_ids: Collection[UUID] = (),
) -> tuple[dict[UUID, Any], list[Any]]:
    """Devices by id, and live spaces: those named, the devices that serve these spaces, the spaces that these devices
    serve; in the order that the whole program keeps. Raises TransientError `assignment_race`."""
    sql = queries("inventory.assignments")
    wanted = set(device_ids)
    devices = {}
    if role == "sensor":
        wanted |= {row["id"] for row in await connection.fetch(sql["sensors_of"], list(codes), list(space_ids))}
        devices = {row["id"]: row for row in await connection.fetch(sql["lock_sensors"], list(wanted))}
    spaces = await connection.fetch(sql["lock_spaces"], list(codes), list(space_ids), list(wanted))
    present = {row[f"{role}_device_id"] for row in spaces} - {None}
    if role == "display":
        wanted |= present
        devices = {row["id"]: row for row in await connection.fetch(sql["lock_displays"], list(wanted))}
        unseen = {row["id"] for row in await connection.fetch(sql["served"], list(device_ids))}
        if unseen - {row["id"] for row in spaces}:
            raise TransientError("assignment_race", "a display was given another space this moment: try again")
    elif present - devices.keys():
        raise TransientError("assignment_race", "the sensor of a space changed this moment: try again")
    return devices, spaces


async def put(change: Change, role: Role, space: Any, device: Any | None, at: datetime, *, reason: str) -> None:
    """From `at` on the device serves the locked space, None: nobody does. Nothing is rewritten: rows that are not true
    any more are superseded. Raises ConflictError `changed_since` if another change came after `at`."""
    sql = queries("inventory.assignments")
    rows = [row(record) for record in await change.connection.fetch(sql["rows"], space["id"], role, at)]
    later = next((row for row in rows if row.from_at > at), None)
    earlier_end = next((row.until_at for row in rows if row.until_at is not None), None)
    if later or earlier_end:
        changed_at = later.from_at if later else earlier_end
        assert changed_at is not None
        raise ConflictError(
            "changed_since",
            f"the {role} of {space['code']} changed at {changed_at.isoformat()}: name a later time",
            changed_at=changed_at.isoformat(),
        )
    new = domain.Assignment(space["id"], device["id"], at, None, device["shared"]) if device else None
    await write(change, role, domain.replace_from(rows, new, at), reason=reason)
    await change.connection.execute(
        queries("inventory.spaces")[f"set_{role}"], space["id"], device["id"] if device else None
    )


async def write(change: Change, role: Role, correction: domain.Correction, *, reason: str) -> None:
    """Supersedes and inserts rows; the trigger of `spaces` leaves them alone until the transaction ends."""
    sql = queries("inventory.assignments")
    await change.connection.execute(sql["written"])
    pieces = {(row.space_id, row.device_id, row.from_at): row.id for row in correction.superseded}
    await change.connection.execute(sql["supersede"], [row.id for row in correction.superseded], change.now)
    for row in correction.inserted:
        piece_of = pieces.get((row.space_id, row.device_id, row.from_at)) if row.until_at is not None else None
        await change.connection.execute(
            sql["insert"],
            row.space_id,
            role,
            row.device_id,
            row.from_at,
            row.until_at,
            row.shared,
            reason,
            change.actor,
            piece_of,
            change.now,
        )


async def settle(
    change: Change, role: Role, space_ids: Sequence[UUID], came: Mapping[UUID, datetime], gone: Sequence[UUID]
) -> None:
    """After a change of devices: what sensors that `came` said since then counts; new ones are installed; spaces are
    decided anew, and their displays and those that are `gone` told."""
    for device_id, since in came.items():
        if role == "sensor":
            await count_since(change.connection, device_id, since)
        state = await change.connection.fetchval(queries("inventory.devices")[f"{role}_lifecycle"], device_id)
        if state == "registered":
            await change.connection.execute(
                queries("inventory.devices")[f"set_{role}_lifecycle"], device_id, "installed"
            )
    await change.redecide(space_ids, TriggerType.ASSIGNMENT, released=gone if role == "display" else ())


async def count_since(connection: Connection, sensor_id: UUID, since: datetime) -> None:
    """The sensor's last word is the newest that it said since then; none if it said nothing."""
    sql = queries("inventory.assignments")
    dev_eui = await connection.fetchval(queries("inventory.devices")["sensor_eui"], sensor_id)
    row = await connection.fetchrow(sql["latest_reading"], dev_eui, since)
    await connection.execute(
        sql["set_reading"], sensor_id, row["occupancy"] if row else None, row["at"] if row else None
    )


def row(record: asyncpg.Record) -> domain.Assignment:
    """From a row of `rows`."""
    return domain.Assignment(**record)


async def find_space_then(connection: Connection, code: str, at: datetime) -> Any:
    row = await connection.fetchrow(queries("inventory.assignments")["space_then"], code, at)
    if row is None:
        raise NotFoundError("unknown_space", f"there was no space {code!r} at {at.isoformat()}", space=code)
    return row
