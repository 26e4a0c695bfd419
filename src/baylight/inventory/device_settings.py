"""Settings and lifecycle of registered devices. The spaces that a device serves are decided again at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from baylight.access.change import Change
from baylight.domain.assignment import Role, must_serve_at_most
from baylight.domain.downlink import TriggerType
from baylight.domain.lifecycle import LIFECYCLE
from baylight.errors import ConflictError, InputError
from baylight.inventory.assignments import LockedSpace, lock
from baylight.inventory.devices import (
    SET_DISPLAY_CODES,
    SET_ENABLED,
    SET_LIFECYCLE,
    Display,
    LockedDevice,
    LockedDisplay,
    Sensor,
    get_device,
    get_display,
    get_sensor,
    parse_rule,
)
from baylight.inventory.display_codes import alike_free, check_codes, refuse_alike
from baylight.inventory.free_text import check_notes
from baylight.store.query import Statement

SET_SHARED = Statement("inventory.device_settings.set_shared")
CHANGE_SENSOR = Statement("inventory.device_settings.change_sensor")
CHANGE_DISPLAY = Statement("inventory.device_settings.change_display")


async def set_display_codes(
    change: Change, dev_eui: str, codes: Mapping[str, str], *, replace: bool = False, allow_alike: bool = False
) -> Display:
    """Change the codes of the given states, or with `replace` all codes. The light follows at once.

    Raises NotFoundError `unknown_display`, and what `check_codes` and `refuse_alike` raise.
    """
    async with change.transaction():
        display, spaces = await _lock_display(change, dev_eui)
        before = display.display_codes
        after = check_codes(display.codec, codes if replace else {**before, **codes}, display.type_codes)
        refuse_alike(display.codec, after, allowed=allow_alike or after == before)
        accepted = allow_alike or (display.alike_allowed and after == before)
        alike = accepted and bool(alike_free(display.codec, after))
        if after != before or alike != display.alike_allowed:
            await SET_DISPLAY_CODES.run(change.connection, id=display.id, codes=after, alike_allowed=alike)
            if alike:
                await change.record("display.allow_alike", "display", display.id, after={"display_codes": after})
            await change.record("display.codes", "display", display.id, before=before, after=after)
            await change.redecide([space.id for space in spaces], TriggerType.ASSIGNMENT)
    return await get_display(change.connection, dev_eui)


async def set_shared(change: Change, dev_eui: str, rule: str | None) -> Display:
    """Let a display serve several spaces, whose states `rule` combines; None: only one. Idempotent.

    Raises InputError `bad_rule`; ConflictError `device_in_use` if the display serves several spaces and `rule` is None.
    """
    wanted = parse_rule(rule) if rule is not None else None
    async with change.transaction():
        display, spaces = await _lock_display(change, dev_eui)
        shared, shared_rule = wanted is not None, str(wanted or display.shared_rule)
        if (shared, shared_rule) != (display.shared, display.shared_rule):
            if not shared:
                must_serve_at_most(1, "display", display.dev_eui, _codes(spaces))
            await SET_SHARED.run(change.connection, id=display.id, shared=shared, shared_rule=shared_rule)
            before = {"shared": display.shared, "shared_rule": display.shared_rule}
            after = {"shared": shared, "shared_rule": shared_rule}
            await change.record("display.shared", "display", display.id, before=before, after=after)
            await change.redecide([space.id for space in spaces], TriggerType.ASSIGNMENT)
    return await get_display(change.connection, dev_eui)


async def set_enabled(change: Change, role: Role, dev_eui: str, on: bool) -> None:
    """Enable or disable a device. Readings of a disabled sensor do not count, a disabled display receives nothing.

    Idempotent. Raises ConflictError `decommissioned`.
    """
    async with change.transaction():
        device, spaces = await _lock_device(change, role, dev_eui)
        if device.enabled == on:
            return
        if device.lifecycle_state == "decommissioned":
            raise ConflictError("decommissioned", f"{role} {device.dev_eui} is decommissioned: register it again")
        await SET_ENABLED[role].run(change.connection, id=device.id, on=on)
        action = f"{role}.{'enable' if on else 'disable'}"
        await change.record(action, role, device.id, before={"enabled": not on}, after={"enabled": on})
        await change.redecide([space.id for space in spaces], TriggerType.ASSIGNMENT)


async def change_sensor(
    change: Change, dev_eui: str, *, notes: str | None = None, mobile: bool | None = None
) -> Sensor:
    """Change a sensor; None leaves a value as it is, empty `notes` remove the notes. Idempotent.

    Raises InputError `nothing_given`, `bad_text`; ConflictError `device_in_use` if `mobile` changes while the sensor
    serves a space.
    """
    _check_given(notes, mobile)
    async with change.transaction():
        device, spaces = await _lock_device(change, "sensor", dev_eui)
        found = await get_sensor(change.connection, dev_eui)
        before = {"notes": found.notes, "mobile": found.mobile}
        new_notes = _new_notes(found.notes, notes)
        new_mobile = found.mobile if mobile is None else mobile
        if new_mobile != found.mobile:
            must_serve_at_most(0, "sensor", device.dev_eui, _codes(spaces))
        after = {"notes": new_notes, "mobile": new_mobile}
        if after != before:
            await CHANGE_SENSOR.run(change.connection, id=device.id, notes=new_notes, mobile=new_mobile)
            await change.record("sensor.change", "sensor", device.id, before=before, after=after)
    return await get_sensor(change.connection, dev_eui)


async def change_display(
    change: Change,
    dev_eui: str,
    *,
    notes: str | None = None,
    f_port: int | None = None,
    confirmed_downlinks: bool | None = None,
) -> Display:
    """Change a display; None leaves a value as it is, empty `notes` remove the notes. Idempotent.

    Raises InputError `nothing_given`, `bad_text`, `bad_f_port`.
    """
    _check_given(notes, f_port, confirmed_downlinks)
    async with change.transaction():
        display, _ = await _lock_display(change, dev_eui)
        found = await get_display(change.connection, dev_eui)
        before = {"notes": found.notes, "f_port": found.f_port, "confirmed_downlinks": found.confirmed_downlinks}
        after = {
            "notes": _new_notes(found.notes, notes),
            "f_port": found.f_port if f_port is None else f_port,
            "confirmed_downlinks": found.confirmed_downlinks if confirmed_downlinks is None else confirmed_downlinks,
        }
        if after != before:
            await CHANGE_DISPLAY.run(change.connection, id=display.id, **after)
            await change.record("display.change", "display", display.id, before=before, after=after)
    return await get_display(change.connection, dev_eui)


async def set_lifecycle(change: Change, role: Role, dev_eui: str, state: str, *, reason: str | None = None) -> None:
    """Move a device one step of LIFECYCLE. Idempotent. A device that serves a space cannot be decommissioned.

    Raises InputError `bad_lifecycle_state`; ConflictError `lifecycle_step`, `device_in_use`.
    """
    if state not in LIFECYCLE:
        raise InputError("bad_lifecycle_state", f"{state!r} is none of {', '.join(LIFECYCLE)}", state=state)
    async with change.transaction(reason=reason):
        device, spaces = await _lock_device(change, role, dev_eui)
        before = device.lifecycle_state
        if before == state:
            return
        if state not in LIFECYCLE[before]:
            raise ConflictError("lifecycle_step", f"{role} {device.dev_eui} cannot go from {before} to {state}")
        if state == "decommissioned":
            must_serve_at_most(0, role, device.dev_eui, _codes(spaces))
            await SET_ENABLED[role].run(change.connection, id=device.id, on=False)
        await SET_LIFECYCLE[role].run(change.connection, id=device.id, state=state)
        after = {"lifecycle_state": state, "reason": reason}
        await change.record(f"{role}.lifecycle", role, device.id, before={"lifecycle_state": before}, after=after)


def _check_given(*given: object) -> None:
    if all(value is None for value in given):
        raise InputError("nothing_given", "name what to change")


def _new_notes(before: str | None, given: str | None) -> str | None:
    return before if given is None else check_notes(given) or None


async def _lock_device(change: Change, role: Role, dev_eui: str) -> tuple[LockedDevice, list[LockedSpace]]:
    """Lock a device and the spaces that it serves."""
    device_id = (await get_device(change.connection, role, dev_eui)).id
    locked = await lock(change.connection, {role: [device_id]})
    await change.locked()
    return locked.device(role, device_id), locked.served_by(role, device_id)


async def _lock_display(change: Change, dev_eui: str) -> tuple[LockedDisplay, list[LockedSpace]]:
    device_id = (await get_display(change.connection, dev_eui)).id
    locked = await lock(change.connection, {"display": [device_id]})
    await change.locked()
    return locked.displays[device_id], locked.served_by("display", device_id)


def _codes(spaces: Sequence[LockedSpace]) -> list[str]:
    return sorted(space.code for space in spaces)
