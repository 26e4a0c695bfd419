"""Assignments: which device serves which space since when. Every change of one locks, writes and settles here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from baylight.access.change import Change
from baylight.domain.assignment import Assignment, Correction, Role, may_serve, replace_from
from baylight.domain.downlink import TriggerType
from baylight.domain.paging import check_range
from baylight.domain.state import State
from baylight.errors import ConflictError, InputError, NotFoundError, TransientError
from baylight.inventory.devices import (
    LOCK_DISPLAYS,
    LOCK_SENSORS,
    SET_LIFECYCLE,
    LockedDevice,
    LockedDisplay,
    find_device,
    get_device,
)
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement

ASSIGNMENT_REASONS = ("install", "swap", "maintenance", "correction", "removal")


@dataclass(frozen=True, slots=True)
class Served:
    """A device served a space in [`from_at`, `until_at`); `until_at` None: it still does.

    `recorded_at`: when this became known. `superseded_at`: when a correction replaced it.
    """

    space: str
    role: str
    dev_eui: str
    from_at: datetime
    until_at: datetime | None
    reason: str
    actor: str
    recorded_at: datetime
    superseded_at: datetime | None


@dataclass(frozen=True, slots=True)
class SpaceAt:
    """The space that had a code at an instant. `created`: it existed then. `state`: its present state."""

    id: UUID
    code: str
    created: bool
    state: str


@dataclass(frozen=True, slots=True)
class LockedSpace:
    """A live space whose row is locked, with its devices."""

    id: UUID
    code: str
    sensor_device_id: UUID | None
    display_device_id: UUID | None
    sensor_dev_eui: str | None
    display_dev_eui: str | None
    maintenance: bool
    default_state: State

    def device_id(self, role: Role) -> UUID | None:
        return self.sensor_device_id if role == "sensor" else self.display_device_id

    def dev_eui(self, role: Role) -> str | None:
        return self.sensor_dev_eui if role == "sensor" else self.display_dev_eui


@dataclass(frozen=True, slots=True)
class Locked:
    """Devices and live spaces, locked until the transaction ends.

    `late`: spaces that came to a display while this transaction waited for the display. They are not locked.
    """

    sensors: Mapping[UUID, LockedDevice]
    displays: Mapping[UUID, LockedDisplay]
    spaces: Sequence[LockedSpace]
    late: Sequence[LockedSpace]

    def device(self, role: Role, device_id: UUID) -> LockedDevice:
        return self.sensors[device_id] if role == "sensor" else self.displays[device_id]

    def space(self, code: str) -> LockedSpace:
        """Return the space of a code. Raises NotFoundError `unknown_space`."""
        for space in self.spaces:
            if space.code == code:
                return space
        raise unknown_space(code)

    def served_by(self, role: Role, device_id: UUID) -> list[LockedSpace]:
        """Return the spaces that a device serves. Raises TransientError `assignment_race` if one of them is late."""
        if any(space.device_id(role) == device_id for space in self.late):
            raise TransientError("assignment_race", f"a {role} has just come to another space: try again")
        return [space for space in self.spaces if space.device_id(role) == device_id]

    def others(self, role: Role, device_id: UUID, space: LockedSpace) -> list[str]:
        """Return the codes of the other spaces that a device serves, late ones included."""
        every = (*self.spaces, *self.late)
        return sorted(other.code for other in every if other.device_id(role) == device_id and other.id != space.id)


@dataclass(frozen=True, slots=True)
class Move:
    """A locked space receives a device in place of its present one, or none."""

    role: Role
    space: LockedSpace
    device: LockedDevice | None


LIST_AS_OF = Query("inventory.assignments.list_as_of", Served)
LIST = Query("inventory.assignments.list", Served)
FIND_SPACE_AT = Query("inventory.assignments.find_space_at", SpaceAt)
FIND_SPACE_ID = Query("inventory.spaces.find_id", UUID)
SENSORS_OF = Query("inventory.assignments.sensors_of", UUID)
LOCK_SPACES = Query("inventory.assignments.lock_spaces", LockedSpace)
SERVED_BY_DISPLAYS = Query("inventory.assignments.served_by_displays", LockedSpace)
SET_DEVICE: dict[Role, Statement] = {
    "sensor": Statement("inventory.assignments.set_sensor"),
    "display": Statement("inventory.assignments.set_display"),
}
ROWS = Query("inventory.assignments.rows", Assignment)
SUPERSEDE = Statement("inventory.assignments.supersede")
INSERT = Statement("inventory.assignments.insert")
KEEP_ROWS_OURSELVES = Statement("inventory.assignments.keep_rows_ourselves")
COUNT_READINGS_SINCE = Statement("inventory.assignments.count_readings_since")


async def list_assignments(
    connection: Connection,
    *,
    space: str | None = None,
    device: str | None = None,
    role: Role | None = None,
    superseded: bool = False,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
) -> list[Served]:
    """Return the assignments of a space (code) or a device (DevEUI), the newest first.

    Only those that began in [`from_at`, `until_at`). `superseded`: with those that corrections replaced.
    Raises NotFoundError `unknown_space`, `unknown_device`; InputError `bad_times`.
    """
    check_range(from_at, until_at)
    space_id = await find_space_id(connection, space) if space is not None else None
    device_id = (await find_device(connection, device, role)).id if device is not None else None
    return await LIST.all(
        connection, space_id=space_id, device_id=device_id, superseded=superseded, from_at=from_at, until_at=until_at
    )


async def list_assignments_as_of(
    connection: Connection,
    at: datetime,
    *,
    space: str | None = None,
    device: str | None = None,
    role: Role | None = None,
) -> list[Served]:
    """Return the assignments at an instant, by what is known today: of a space, of a device, or all.

    Raises NotFoundError `unknown_space`, `unknown_device`.
    """
    space_id = (await find_space_at(connection, space, at)).id if space is not None else None
    device_id = (await find_device(connection, device, role)).id if device is not None else None
    return await LIST_AS_OF.all(connection, at=at, space_id=space_id, device_id=device_id)


async def find_space_id(connection: Connection, code: str) -> UUID:
    """Return the id of a live space, else of the space of this code that was deleted last. Raises NotFoundError."""
    found = await FIND_SPACE_ID.first(connection, code=code)
    if found is None:
        raise unknown_space(code)
    return found


async def find_space_at(connection: Connection, code: str, at: datetime) -> SpaceAt:
    """Return the space that had a code at an instant. Raises NotFoundError `unknown_space`."""
    found = await FIND_SPACE_AT.first(connection, code=code, at=at)
    if found is None:
        raise NotFoundError("unknown_space", f"there was no space {code!r} at {at.isoformat()}", space=code)
    return found


def unknown_space(code: str) -> NotFoundError:
    return NotFoundError("unknown_space", f"there is no space {code!r}", space=code)


async def assign(change: Change, code: str, wanted: Mapping[Role, str | None], *, reason: str | None) -> None:
    """Let devices (DevEUIs) serve a space from now on; None: no device. The trigger of `spaces` keeps the history.

    Another device is replaced only with a `reason`. Idempotent.
    Raises NotFoundError `unknown_space`, `unknown_sensor`, `unknown_display`; InputError `bad_reason`; TransientError
    `assignment_race`; and what `may_serve` raises.
    """
    if reason is not None and reason not in ASSIGNMENT_REASONS:
        raise InputError("bad_reason", f"{reason!r} is none of {', '.join(ASSIGNMENT_REASONS)}", reason=reason)
    ids: dict[Role, UUID | None] = {
        role: (await get_device(change.connection, role, dev_eui)).id if dev_eui else None
        for role, dev_eui in wanted.items()
    }
    async with change.transaction(assignment_reason=reason):
        locked = await lock(change.connection, {role: [id] if id else [] for role, id in ids.items()}, codes=[code])
        await change.locked()
        space = locked.space(code)
        moves = []
        for role, id in ids.items():
            if id == space.device_id(role):
                continue
            device = locked.device(role, id) if id else None
            if device:
                present = space.dev_eui(role) if reason is None else None
                may_serve(role, device, code, others=locked.others(role, device.id, space), present=present)
            moves.append(Move(role, space, device))
            await SET_DEVICE[role].run(change.connection, space_id=space.id, device_id=id)
        if moves:
            before: dict[str, object] = {move.role: space.dev_eui(move.role) for move in moves}
            after: dict[str, object] = {move.role: move.device and move.device.dev_eui for move in moves}
            await change.record("space.assign", "space", space.id, before=before, after={**after, "reason": reason})
            await settle(change, locked, moves)


async def install(change: Change, code: str, dev_eui: str, *, at: datetime, role: Role | None = None) -> list[Served]:
    """Record late that a device has served a space since `at`. Its uplinks since then belong to the space.

    Raises as `assign`; ConflictError `changed_since`; InputError `in_future`, `two_devices`.
    """
    found = await find_device(change.connection, dev_eui, role)
    check_not_ahead(at, change.now)
    async with change.transaction():
        locked = await lock(change.connection, {found.role: [found.id]}, codes=[code])
        await change.locked()
        space, device = locked.space(code), locked.device(found.role, found.id)
        others = locked.others(found.role, found.id, space)
        may_serve(found.role, device, code, others=others, present=space.dev_eui(found.role))
        move = Move(found.role, space, device)
        await put(change, move, at, reason="install")
        after = {"space": code, found.role: found.dev_eui, "since": at.isoformat()}
        await change.record("space.install", "space", space.id, after=after)
        await settle(change, locked, [move], since=at)
    return await list_assignments_as_of(change.connection, change.now, space=code)


async def remove(change: Change, code: str, role: Role, *, at: datetime) -> list[Served]:
    """Record late that a space has had no such device since `at`.

    Raises NotFoundError `unknown_space`, `no_device`; ConflictError `changed_since`; InputError `in_future`.
    """
    check_not_ahead(at, change.now)
    async with change.transaction():
        locked = await lock(change.connection, {role: []}, codes=[code])
        await change.locked()
        space = locked.space(code)
        if space.device_id(role) is None:
            raise NotFoundError("no_device", f"{code} has no {role}", space=code)
        move = Move(role, space, None)
        await put(change, move, at, reason="removal")
        before = {"space": code, role: space.dev_eui(role), "until": at.isoformat()}
        await change.record("space.remove", "space", space.id, before=before)
        await settle(change, locked, [move])
    return await list_assignments_as_of(change.connection, change.now, space=code)


def check_not_ahead(at: datetime, now: datetime) -> None:
    """Raise InputError `in_future` if an instant lies ahead."""
    if at > now:
        raise InputError("in_future", f"{at.isoformat()} is not over yet", at=at.isoformat())


async def lock(
    connection: Connection,
    devices: Mapping[Role, Collection[UUID]],
    *,
    codes: Collection[str] = (),
    space_ids: Collection[UUID] = (),
) -> Locked:
    """Lock devices, live spaces by code or id, the devices of these spaces, and the spaces of the given devices.

    `devices`: ids for each role that the change concerns; another role is not locked. The order is that of the whole
    program: sensors, spaces, displays, each by id. Raises TransientError `assignment_race`.
    """
    keys = {"codes": list(codes), "space_ids": list(space_ids)}
    wanted = {role: set(ids) for role, ids in devices.items()}
    sensors: dict[UUID, LockedDevice] = {}
    displays: dict[UUID, LockedDisplay] = {}
    late: list[LockedSpace] = []
    if "sensor" in wanted:
        wanted["sensor"] |= set(await SENSORS_OF.all(connection, **keys))
        sensors = {row.id: row for row in await LOCK_SENSORS.all(connection, ids=list(wanted["sensor"]))}
    spaces = await LOCK_SPACES.all(connection, **keys, device_ids=list(set().union(*wanted.values())))
    named = [space for space in spaces if space.code in codes or space.id in space_ids]
    if "sensor" in wanted and any(id not in sensors for space in named if (id := space.sensor_device_id)):
        raise TransientError("assignment_race", "the sensor of a space has just changed: try again")
    if "display" in wanted:
        ids = wanted["display"] | {id for space in named if (id := space.display_device_id)}
        displays = {row.id: row for row in await LOCK_DISPLAYS.all(connection, ids=list(ids))}
        served = await SERVED_BY_DISPLAYS.all(connection, display_ids=list(wanted["display"]))
        locked = {space.id for space in spaces}
        late = [space for space in served if space.id not in locked]
    return Locked(sensors, displays, spaces, late)


async def put(change: Change, move: Move, at: datetime, *, reason: str) -> None:
    """Make a move that happened at `at`. Rows that are no longer true are superseded, none is rewritten.

    Raises ConflictError `changed_since` if the device of the space changed after `at`.
    """
    space, device = move.space, move.device
    rows = await ROWS.all(change.connection, space_id=space.id, role=move.role, at=at)
    changed_at = next((row.from_at for row in rows if row.from_at > at), None)
    changed_at = changed_at or next((row.until_at for row in rows if row.until_at is not None), None)
    if changed_at is not None:
        raise ConflictError(
            "changed_since",
            f"the {move.role} of {space.code} changed at {changed_at.isoformat()}: name a later time",
            changed_at=changed_at.isoformat(),
        )
    new = Assignment(space.id, device.id, at, None, device.shared) if device else None
    await write(change, move, replace_from(rows, new, at), reason=reason)


async def write(change: Change, move: Move, correction: Correction, *, reason: str) -> None:
    """Make a move whose rows this program keeps itself: supersede some, insert others."""
    connection, now = change.connection, change.now
    await KEEP_ROWS_OURSELVES.run(connection)
    pieces = {(row.space_id, row.device_id, row.from_at): row.id for row in correction.superseded}
    await SUPERSEDE.run(connection, ids=[row.id for row in correction.superseded], now=now)
    for row in correction.inserted:
        piece_of = pieces.get((row.space_id, row.device_id, row.from_at)) if row.until_at is not None else None
        await INSERT.run(
            connection,
            space_id=row.space_id,
            role=move.role,
            device_id=row.device_id,
            from_at=row.from_at,
            until_at=row.until_at,
            shared=row.shared,
            reason=reason,
            actor=change.actor,
            piece_of=piece_of,
            now=now,
        )
    device_id = move.device.id if move.device else None
    await SET_DEVICE[move.role].run(connection, space_id=move.space.id, device_id=device_id)


async def settle(change: Change, locked: Locked, moves: Sequence[Move], *, since: datetime | None = None) -> None:
    """Follow up moves: a sensor counts from its readings since `since`, and spaces and displays are decided again.

    `since` None: no reading counts, because all were made at another place. A registered device becomes installed. The
    other spaces of a mobile sensor are decided, too. Displays that left a space are released.
    """
    space_ids = {move.space.id for move in moves}
    for role, device in {move.device.id: (move.role, move.device) for move in moves if move.device}.values():
        if role == "sensor":
            await COUNT_READINGS_SINCE.run(change.connection, sensor_id=device.id, since=since)
            space_ids |= {space.id for space in locked.served_by("sensor", device.id)}
        if device.lifecycle_state == "registered":
            await SET_LIFECYCLE[role].run(change.connection, id=device.id, state="installed")
    released = [id for move in moves if move.role == "display" and (id := move.space.display_device_id)]
    await change.redecide(space_ids, TriggerType.ASSIGNMENT, released=released)
