"""Swap a device for another in one transaction, which can be recorded late and be undone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from baylight.access.change import Change
from baylight.codecs.all import display_driver
from baylight.domain.assignment import Assignment, Correction, Role, may_serve
from baylight.domain.lights import name
from baylight.domain.paging import PAGE_SIZE, check_range
from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.inventory import assignments
from baylight.inventory.assignments import Locked, LockedSpace, Move
from baylight.inventory.devices import (
    SET_DISPLAY_CODES,
    SET_ENABLED,
    SET_LIFECYCLE,
    LockedDevice,
    LockedDisplay,
    find_device,
)
from baylight.inventory.display_codes import alike_free
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement

UNDO_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Swap:
    """A swap. `old`, `new`: DevEUIs. `at`: when the new device began to serve. `recorded_at`: when this became known.
    `warnings`: codes that the new display could not take over."""

    id: UUID
    role: str
    spaces: list[str]
    old: str
    new: str
    at: datetime
    recorded_at: datetime
    actor: str
    note: str | None
    retired: bool
    undone_at: datetime | None
    undone_by: str | None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a swap that concerns one space."""

    space_id: UUID
    role: Role
    old_device_id: UUID
    new_device_id: UUID
    at: datetime
    recorded_at: datetime
    retired: bool
    new_codes_before: dict[str, str] | None
    undone_at: datetime | None


LIST = Query("inventory.swaps.list", Swap)
PARTS = Query("inventory.swaps.parts", Part)
LATEST = Query("inventory.swaps.latest", UUID)
NOT_BEFORE = Query("inventory.swaps.not_before", datetime)
ROW_UNTIL = Query("inventory.assignments.row_until", Assignment)
STATE_WHEN_RETIRED = Query("inventory.swaps.state_when_retired", str)
INSERT = Statement("inventory.swaps.insert")
MARK_UNDONE = Statement("inventory.swaps.mark_undone")
SET_MOBILE = Statement("inventory.swaps.set_mobile")
TAKE_OVER = Statement("inventory.swaps.take_over")


async def swap(
    change: Change,
    old: str,
    new: str,
    *,
    at: datetime | None = None,
    note: str | None = None,
    retire: bool = False,
    role: Role | None = None,
) -> Swap:
    """Let a new device (DevEUI) serve every space that the old one serves, from now on or since `at`.

    A new sensor counts from its readings since then; without one its spaces are UNKNOWN. A new display takes over the
    codes that were chosen for the old one, and receives its command at once. `retire`: decommission the old device.
    Raises NotFoundError `unknown_device`; InputError `two_devices`, `same_device`, `in_future`, `device_disabled`;
    ConflictError `serves_nothing`, `device_in_use`, `changed_since`; TransientError `assignment_race`.
    """
    leaving = await find_device(change.connection, old, role)
    role = leaving.role
    coming = await find_device(change.connection, new, role)
    if leaving.id == coming.id:
        raise InputError("same_device", f"{leaving.dev_eui} cannot be swapped for itself", dev_eui=leaving.dev_eui)
    if at is not None:
        assignments.check_not_ahead(at, change.now)
    swap_id = uuid4()
    async with change.transaction(reason=note):
        locked = await assignments.lock(change.connection, {role: [leaving.id, coming.id]})
        out, into = locked.device(role, leaving.id), locked.device(role, coming.id)
        served = locked.served_by(role, out.id)
        if not served:
            raise ConflictError("serves_nothing", f"{role} {out.dev_eui} serves no space", dev_eui=out.dev_eui)
        # The new device takes the place of the old one: it may not serve yet, even if it is shared.
        others = locked.others(role, into.id, served[0])
        may_serve(role, replace(into, shared=False), served[0].code, others=others)
        warnings = await _take_over(change.connection, out, into)
        into = replace(into, shared=out.shared or into.shared)
        space_ids = [space.id for space in served]
        since = at or max(change.now, await NOT_BEFORE.one(change.connection, space_ids=space_ids, role=role))
        moves = [Move(role, space, into) for space in served]
        for move in moves:
            await assignments.put(change, move, since, reason="swap")
            await _insert_part(change, swap_id, move, out.id, since, note=note, retire=retire)
        codes = [space.code for space in served]
        after = {"dev_eui": into.dev_eui, "spaces": codes, "at": since.isoformat(), "note": note, "retire": retire}
        await change.record("device.swap", role, into.id, before={"dev_eui": out.dev_eui}, after=after)
        await assignments.settle(change, locked, moves, since=since)
        if retire:
            await SET_ENABLED[role].run(change.connection, id=out.id, on=False)
            await SET_LIFECYCLE[role].run(change.connection, id=out.id, state="decommissioned")
    return replace(await get_swap(change.connection, swap_id), warnings=warnings)


async def _insert_part(
    change: Change, swap_id: UUID, move: Move, old_id: UUID, since: datetime, *, note: str | None, retire: bool
) -> None:
    assert move.device is not None
    await INSERT.run(
        change.connection,
        swap_id=swap_id,
        space_id=move.space.id,
        role=move.role,
        old_id=old_id,
        new_id=move.device.id,
        at=since,
        recorded_at=max(change.now, since),
        actor=change.actor,
        note=note,
        retired=retire,
        new_codes_before=move.device.display_codes if isinstance(move.device, LockedDisplay) else None,
    )


async def undo_swap(change: Change, swap_id: UUID, *, window: timedelta = UNDO_WINDOW) -> Swap:
    """Record that a swap did not happen: the old device served all the time. Idempotent.

    Raises NotFoundError `unknown_swap`; ConflictError `undo_too_late`, `changed_since`, `device_in_use`; InputError
    `device_disabled`; TransientError `assignment_race`.
    """
    parts = await _parts(change.connection, swap_id)
    role, old_id, new_id = parts[0].role, parts[0].old_device_id, parts[0].new_device_id
    async with change.transaction(reason="undo of a swap"):
        ids = [part.space_id for part in parts]
        locked = await assignments.lock(change.connection, {role: [old_id, new_id]}, space_ids=ids)
        parts = await _parts(change.connection, swap_id)
        if parts[0].undone_at is not None:
            return await get_swap(change.connection, swap_id)
        if change.now - parts[0].recorded_at > window:
            raise ConflictError("undo_too_late", f"a swap can be undone within {window}", swap=str(swap_id))
        old, new = locked.device(role, old_id), locked.device(role, new_id)
        if parts[0].retired:
            old = await _bring_back(change.connection, role, old)
        moves, since = [], []
        for part in parts:
            move = Move(role, _space_of(part, locked), old)
            may_serve(role, old, move.space.code, others=[s.code for s in locked.served_by(role, old.id)])
            since.append(await _put_back(change, move, part.at))
            moves.append(move)
        if role == "display":
            codes = parts[0].new_codes_before or {}
            alike = isinstance(new, LockedDisplay) and bool(alike_free(new.codec, codes))
            await SET_DISPLAY_CODES.run(change.connection, id=new.id, codes=codes, alike_allowed=alike)
        await MARK_UNDONE.run(change.connection, swap_id=swap_id, now=change.now, actor=change.actor)
        before, after = {"dev_eui": new.dev_eui}, {"dev_eui": old.dev_eui, "swap": str(swap_id)}
        await change.record("device.swap_undone", role, new.id, before=before, after=after)
        await assignments.settle(change, locked, moves, since=min(since))
    return await get_swap(change.connection, swap_id)


async def get_swap(connection: Connection, swap_id: UUID) -> Swap:
    """Return a swap. Raises NotFoundError `unknown_swap`."""
    found = await _select(connection, swap_id=swap_id, limit=1)
    if not found:
        raise _unknown(swap_id)
    return found[0]


async def list_swaps(
    connection: Connection,
    *,
    space: str | None = None,
    device: str | None = None,
    role: Role | None = None,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
    limit: int = PAGE_SIZE,
) -> list[Swap]:
    """Return swaps, the newest first: of a space (code), of a device (DevEUI), or all; recorded in [`from_at`,
    `until_at`).

    Raises NotFoundError `unknown_space`, `unknown_device`; InputError `bad_times`.
    """
    check_range(from_at, until_at)
    space_id = await assignments.find_space_id(connection, space) if space is not None else None
    device_id = (await find_device(connection, device, role)).id if device is not None else None
    return await _select(
        connection, space_id=space_id, device_id=device_id, limit=limit, from_at=from_at, until_at=until_at
    )


async def get_latest_swap_id(connection: Connection, dev_eui: str, role: Role | None = None) -> UUID:
    """Return the newest swap of a device that was not undone. Raises NotFoundError `unknown_swap`."""
    device = await find_device(connection, dev_eui, role)
    found = await LATEST.first(connection, device_id=device.id)
    if found is None:
        raise NotFoundError("unknown_swap", f"{dev_eui} took part in no swap that can be undone", dev_eui=dev_eui)
    return found


async def _select(
    connection: Connection,
    *,
    swap_id: UUID | None = None,
    space_id: UUID | None = None,
    device_id: UUID | None = None,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
    limit: int,
) -> list[Swap]:
    return await LIST.all(
        connection,
        swap_id=swap_id,
        space_id=space_id,
        device_id=device_id,
        from_at=from_at,
        until_at=until_at,
        limit=limit,
    )


async def _parts(connection: Connection, swap_id: UUID) -> list[Part]:
    parts = await PARTS.all(connection, swap_id=swap_id)
    if not parts:
        raise _unknown(swap_id)
    return parts


def _unknown(swap_id: UUID) -> NotFoundError:
    return NotFoundError("unknown_swap", f"there is no swap {swap_id}", swap=str(swap_id))


def _space_of(part: Part, locked: Locked) -> LockedSpace:
    """Return the space of a part. Raises ConflictError `changed_since` unless the new device still serves it."""
    for space in locked.spaces:
        if space.id == part.space_id and space.device_id(part.role) == part.new_device_id:
            return space
    raise ConflictError("changed_since", "the space has another device by now, or is deleted")


async def _put_back(change: Change, move: Move, at: datetime) -> datetime:
    """Continue the row of the old device where the swap ended it; return since when the device serves the space."""
    space, role, old = move.space, move.role, move.device
    assert old is not None
    rows = await assignments.ROWS.all(change.connection, space_id=space.id, role=role, at=at)
    if len(rows) != 1 or rows[0].from_at != at:
        raise ConflictError("changed_since", f"the {role} of {space.code} changed since the swap")
    before = await ROW_UNTIL.first(change.connection, space_id=space.id, role=role, at=at, device_id=old.id)
    since = before.from_at if before else at
    again = Assignment(space.id, old.id, since, None, old.shared)
    correction = Correction((*((before,) if before else ()), *rows), (again,))
    await assignments.write(change, move, correction, reason="correction")
    return since


async def _bring_back(connection: Connection, role: Role, old: LockedDevice) -> LockedDevice:
    """Give a device that the swap retired the state back that it had before."""
    if old.lifecycle_state != "decommissioned":
        return old
    before = await STATE_WHEN_RETIRED.one(connection, device_id=old.id)
    for state in ("registered", *(("installed",) if before == "maintenance" else ()), before):
        await SET_LIFECYCLE[role].run(connection, id=old.id, state=state)
    await SET_ENABLED[role].run(connection, id=old.id, on=True)
    return replace(old, enabled=True, lifecycle_state=before)


async def _take_over(connection: Connection, out: LockedDevice, into: LockedDevice) -> list[str]:
    """Give the new device what was chosen for the old one; return warnings about what it cannot have."""
    if isinstance(out, LockedDisplay) and isinstance(into, LockedDisplay):
        codes, warnings = _codes_for(out, into)
        if alike_free(into.codec, codes) and not out.alike_allowed:
            codes = dict(into.display_codes)
            warnings.append("the codes stay those of the new display: with the old lights a state would look like FREE")
        await TAKE_OVER.run(
            connection,
            display_id=into.id,
            codes=codes,
            alike_allowed=bool(alike_free(into.codec, codes)),
            shared=out.shared,
            shared_rule=out.shared_rule,
        )
        return warnings
    if out.shared:
        await SET_MOBILE.run(connection, sensor_id=into.id)
    return []


def _codes_for(out: LockedDisplay, into: LockedDisplay) -> tuple[dict[str, str], list[str]]:
    """Return the codes of the new display: the lights chosen for the old one where it can show them; and warnings."""
    if out.codec == into.codec:
        return dict(out.display_codes), []
    chosen = {state: code for state, code in out.display_codes.items() if out.type_codes.get(state) != code}
    codes, warnings = dict(into.display_codes), []
    old_driver, new_driver = display_driver(out.codec), display_driver(into.codec)
    if old_driver is None or new_driver is None:
        return codes, []
    for state, code in chosen.items():
        try:
            codes[state] = new_driver.encode(old_driver.describe(bytes.fromhex(code))).hex()
        except (InputError, ValueError) as error:
            kept = codes.get(state)
            light = name(new_driver.describe(bytes.fromhex(kept))) if kept else "nothing"
            warnings.append(f"{state}: {error}; the new display shows {light}")
    return codes, warnings
