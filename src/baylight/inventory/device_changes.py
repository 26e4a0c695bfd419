"""Changes of registered devices; the spaces that they serve are decided anew at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from baylight.access.change import Change
from baylight.domain.downlink import TriggerType
from baylight.domain.ids import parse_dev_eui
from baylight.domain.lifecycle import LIFECYCLE
from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.inventory.devices import Display, Role, Sensor, check_notes, display, parse_rule, sensor
from baylight.inventory.display_codes import check_codes
from baylight.store.pool import Connection
from baylight.store.query import queries


async def set_display_codes(
    change: Change, dev_eui: str, codes: Mapping[str, str], *, replace: bool = False
) -> Display:
    """Changes the codes of the given states, or with `replace` all; the light follows at once."""
    async with change.transaction():
        row, spaces = await _lock_display(change.connection, dev_eui)
        before = row["display_codes"]
        after = check_codes(row["codec"], codes if replace else {**before, **codes}, row["of_type"])
        if after != before:
            await change.connection.execute(queries("inventory.devices")["set_display_codes"], row["id"], after)
            await change.record("display.codes", "display", row["id"], before=before, after=after)
            await _redecide(change, spaces)
    return await display(change.connection, dev_eui)


async def set_shared(change: Change, dev_eui: str, rule: str | None) -> Display:
    """The display may serve several spaces, of whose states `rule` makes one; None: it serves one. Idempotent.

    Raises InputError `bad_rule`, ConflictError `device_in_use` if it serves several and may not any more.
    """
    wanted = parse_rule(rule) if rule is not None else None
    async with change.transaction():
        row, spaces = await _lock_display(change.connection, dev_eui)
        before = {"shared": row["shared"], "shared_rule": row["shared_rule"]}
        after = {"shared": wanted is not None, "shared_rule": str(wanted or row["shared_rule"])}
        if after != before:
            if wanted is None and len(spaces) > 1:
                raise ConflictError("device_in_use", f"display {row['dev_eui']} serves {len(spaces)} spaces")
            await change.connection.execute(queries("inventory.devices")["set_shared"], row["id"], *after.values())
            await change.record("display.shared", "display", row["id"], before=before, after=after)
            await _redecide(change, spaces)
    return await display(change.connection, dev_eui)


async def set_enabled(change: Change, role: Role, dev_eui: str, on: bool) -> None:
    """A disabled sensor is not believed, a disabled display is sent nothing. Idempotent.

    Raises ConflictError `decommissioned`.
    """
    async with change.transaction():
        row, spaces = await _lock(change.connection, role, dev_eui)
        if row["enabled"] == on:
            return
        if row["lifecycle_state"] == "decommissioned":
            raise ConflictError("decommissioned", f"{role} {row['dev_eui']} is decommissioned: register it again")
        await change.connection.execute(queries("inventory.devices")[f"set_{role}_enabled"], row["id"], on)
        action = f"{role}.{'enable' if on else 'disable'}"
        await change.record(action, role, row["id"], before={"enabled": not on}, after={"enabled": on})
        await _redecide(change, spaces)


async def change_sensor(
    change: Change, dev_eui: str, *, notes: str | None = None, mobile: bool | None = None
) -> Sensor:
    """None leaves it as it is; empty `notes` are none. Idempotent.

    Raises InputError `nothing_given`; ConflictError `device_in_use` if it shall be mobile, or no more, while it
    serves a space.
    """
    _check_given(notes, mobile)
    async with change.transaction():
        row, spaces = await _lock(change.connection, "sensor", dev_eui)
        found = await sensor(change.connection, row["dev_eui"])
        before = {"notes": found.notes, "mobile": found.mobile}
        after = _with(before, notes=check_notes(notes), mobile=mobile)
        if spaces and after["mobile"] != before["mobile"]:
            raise ConflictError("device_in_use", f"sensor {found.dev_eui} serves a space: unassign it first")
        await _change(change, "sensor", row["id"], before, after)
    return await sensor(change.connection, dev_eui)


async def change_display(
    change: Change,
    dev_eui: str,
    *,
    notes: str | None = None,
    fport: int | None = None,
    confirmed_downlinks: bool | None = None,
) -> Display:
    """None leaves it as it is; empty `notes` are none. Idempotent. Raises InputError `nothing_given`, `bad_f_port`."""
    _check_given(notes, fport, confirmed_downlinks)
    async with change.transaction():
        row, _ = await _lock_display(change.connection, dev_eui)
        found = await display(change.connection, row["dev_eui"])
        before = {"notes": found.notes, "fport": found.fport, "confirmed_downlinks": found.confirmed_downlinks}
        after = _with(before, notes=check_notes(notes), fport=fport, confirmed_downlinks=confirmed_downlinks)
        await _change(change, "display", row["id"], before, after)
    return await display(change.connection, dev_eui)


def _check_given(*given: object) -> None:
    if all(value is None for value in given):
        raise InputError("nothing_given", "say what to change")


def _with(before: Mapping[str, Any], **given: object) -> dict[str, Any]:
    said = {name: value if value != "" else None for name, value in given.items() if value is not None}
    return {**before, **said}


async def _change(change: Change, role: Role, device_id: UUID, before: dict[str, Any], after: dict[str, Any]) -> None:
    if after != before:
        await change.connection.execute(queries("inventory.devices")[f"change_{role}"], device_id, *after.values())
        await change.record(f"{role}.change", role, device_id, before=before, after=after)


async def set_lifecycle(change: Change, role: Role, dev_eui: str, state: str, *, reason: str | None = None) -> None:
    """One step of LIFECYCLE. Idempotent. A device that serves a space is not decommissioned: unassign it first.

    Raises InputError `bad_lifecycle_state`, ConflictError `lifecycle_step`, `device_in_use`.
    """
    if state not in LIFECYCLE:
        raise InputError("bad_lifecycle_state", f"{state!r} is none of {', '.join(LIFECYCLE)}", state=state)
    async with change.transaction(reason=reason):
        row, spaces = await _lock(change.connection, role, dev_eui)
        before = row["lifecycle_state"]
        if before == state:
            return
        if state not in LIFECYCLE[before]:
            raise ConflictError("lifecycle_step", f"{role} {row['dev_eui']} cannot go from {before} to {state}")
        if state == "decommissioned":
            if spaces:
                raise ConflictError("device_in_use", f"{role} {row['dev_eui']} serves a space: unassign it first")
            await change.connection.execute(queries("inventory.devices")[f"set_{role}_enabled"], row["id"], False)
        await change.connection.execute(queries("inventory.devices")[f"set_{role}_lifecycle"], row["id"], state)
        await change.record(
            f"{role}.lifecycle",
            role,
            row["id"],
            before={"lifecycle_state": before},
            after={"lifecycle_state": state, "reason": reason},
        )


async def _lock(connection: Connection, role: Role, dev_eui: str) -> tuple[Any, list[UUID]]:
    """The device and the spaces that it serves, locked in the order that the whole program keeps."""
    if role == "display":
        return await _lock_display(connection, dev_eui)
    row = await connection.fetchrow(queries("inventory.devices")["lock_sensor"], parse_dev_eui(dev_eui))
    if row is None:
        raise NotFoundError("unknown_sensor", f"no sensor {dev_eui} is registered", dev_eui=dev_eui)
    spaces = await connection.fetch(queries("inventory.devices")["lock_spaces_of"], row["id"])
    return row, [space["id"] for space in spaces]


async def _lock_display(connection: Connection, dev_eui: str) -> tuple[Any, list[UUID]]:
    known = await display(connection, dev_eui)
    spaces = await connection.fetch(queries("inventory.devices")["lock_spaces_of"], known.id)
    row = await connection.fetchrow(queries("inventory.devices")["lock_display"], known.dev_eui)
    assert row is not None
    return row, [space["id"] for space in spaces]


async def _redecide(change: Change, spaces: Sequence[UUID]) -> None:
    if spaces:
        await change.redecide(spaces, TriggerType.ASSIGNMENT)
