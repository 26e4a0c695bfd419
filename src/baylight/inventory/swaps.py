"""Swapping a device for another: one transaction, which can be told late and be undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from baylight.access.change import Change
from baylight.codecs.all import display_driver
from baylight.domain import assignment as domain
from baylight.domain.display import name
from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.inventory import assignments
from baylight.inventory.devices import Role
from baylight.store.pool import Connection
from baylight.store.query import queries

UNDO_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Swap:
    """`old` and `new`: DevEUIs. `at`: from when the new one served, `recorded_at`: when that was told. `warnings`: what
    could not be taken over."""

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
    """The new device (DevEUI) serves every space that the old one served, from now on or since `at`.

    A new sensor counts from what it said since then; nothing yet: its spaces are UNKNOWN. A new display takes over the
    codes that were chosen for the old one, and is told at once what to show. `retire`: the old one is decommissioned.
    Raises NotFoundError; InputError `other_kind`, `same_device`, `in_future`, `device_disabled`; ConflictError
    `serves_nothing`, `device_in_use`, `changed_since`.
    """
    leaves = await assignments.find_device(change.connection, old, role)
    role = leaves["role"]
    assert role is not None
    comes = await assignments.find_device(change.connection, new, role)
    if leaves["id"] == comes["id"]:
        raise InputError("same_device", f"{leaves['dev_eui']} cannot be swapped for itself", dev_eui=leaves["dev_eui"])
    if at is not None:
        assignments.check_not_ahead(at, change.now)
    swap_id = uuid4()
    async with change.transaction(reason=note):
        devices, spaces = await assignments.lock(change.connection, role, [leaves["id"], comes["id"]])
        out, into = devices[leaves["id"]], devices[comes["id"]]
        served = [s for s in spaces if s[f"{role}_device_id"] == out["id"]]
        if not served:
            raise ConflictError("serves_nothing", f"{role} {out['dev_eui']} serves no space", dev_eui=out["dev_eui"])
        taken = [s["code"] for s in spaces if s[f"{role}_device_id"] == into["id"]]
        assignments.check_may_come(role, {**into, "shared": False}, taken)
        codes, warnings = _carried(out, into) if role == "display" else (None, [])
        shared = dict(into) | {"shared": out["shared"] or into["shared"]}
        await _take_over(change.connection, role, out, into, codes)
        since = at or max(
            change.now,
            await change.connection.fetchval(queries("inventory.swaps")["not_before"], [s["id"] for s in served], role),
        )
        for space in served:
            await assignments.put(change, role, space, shared, since, reason="swap")
            await change.connection.execute(
                queries("inventory.swaps")["insert"],
                swap_id,
                space["id"],
                role,
                out["id"],
                into["id"],
                since,
                max(change.now, since),
                change.actor,
                note,
                retire,
                into["display_codes"] if role == "display" else None,
            )
        await change.record(
            "device.swap",
            role,
            into["id"],
            before={"dev_eui": out["dev_eui"]},
            after={
                "dev_eui": into["dev_eui"],
                "spaces": [s["code"] for s in served],
                "at": since.isoformat(),
                "note": note,
                "retire": retire,
            },
        )
        ids = [s["id"] for s in served]
        await assignments.settle(change, role, ids, {into["id"]: since}, [out["id"]])
        if retire:
            await change.connection.execute(queries("inventory.devices")[f"set_{role}_enabled"], out["id"], False)
            await change.connection.execute(
                queries("inventory.devices")[f"set_{role}_lifecycle"], out["id"], "decommissioned"
            )
    return replace(await show(change.connection, swap_id), warnings=warnings)


async def undo(change: Change, swap_id: UUID, *, window: timedelta = UNDO_WINDOW) -> Swap:
    """As if the swap had not been: the old device served all the time. Recorded as a correction. Idempotent.

    Raises NotFoundError `unknown_swap`; ConflictError `undo_too_late`, `changed_since`, `device_in_use`.
    """
    parts = await change.connection.fetch(queries("inventory.swaps")["parts"], swap_id)
    if not parts:
        raise NotFoundError("unknown_swap", f"there is no swap {swap_id}", swap=str(swap_id))
    first = parts[0]
    role: Role = first["role"]
    async with change.transaction(reason="undo of a swap"):
        devices, spaces = await assignments.lock(
            change.connection,
            role,
            [first["old_device_id"], first["new_device_id"]],
            space_ids=[p["space_id"] for p in parts],
        )
        first = (await change.connection.fetch(queries("inventory.swaps")["parts"], swap_id))[0]
        if first["undone_at"] is not None:
            return await show(change.connection, swap_id)
        if change.now - first["recorded_at"] > window:
            raise ConflictError("undo_too_late", f"a swap can be undone within {window}", swap=str(swap_id))
        old, new = devices[first["old_device_id"]], devices[first["new_device_id"]]
        by_id = {space["id"]: space for space in spaces}
        elsewhere = [s["code"] for s in spaces if s[f"{role}_device_id"] == old["id"]]
        if elsewhere and not old["shared"]:
            raise ConflictError("device_in_use", f"{role} {old['dev_eui']} serves {', '.join(elsewhere)}")
        since = {}
        for part in parts:
            space = by_id.get(part["space_id"])
            if space is None or space[f"{role}_device_id"] != new["id"]:
                raise ConflictError("changed_since", "the space has another device by now, or is deleted")
            since[space["id"]] = await _put_back(change, role, space, old, part["at"])
        if first["retired"] and old["lifecycle_state"] == "decommissioned":
            before = await change.connection.fetchval(queries("inventory.swaps")["state_when_retired"], old["id"])
            for state in ("registered", *(("installed",) if before == "maintenance" else ()), before):
                await change.connection.execute(queries("inventory.devices")[f"set_{role}_lifecycle"], old["id"], state)
            await change.connection.execute(queries("inventory.devices")[f"set_{role}_enabled"], old["id"], True)
        if role == "display":
            await change.connection.execute(
                queries("inventory.swaps")["restore_codes"], new["id"], first["new_codes_before"]
            )
        await change.connection.execute(queries("inventory.swaps")["undone"], swap_id, change.now, change.actor)
        await change.record(
            "device.swap_undone",
            role,
            new["id"],
            before={"dev_eui": new["dev_eui"]},
            after={"dev_eui": old["dev_eui"], "swap": str(swap_id)},
        )
        came = {old["id"]: min(since.values())}
        await assignments.settle(change, role, list(since), came, [new["id"]])
    return await show(change.connection, swap_id)


async def latest(connection: Connection, dev_eui: str, role: Role | None = None) -> UUID:
    """The newest swap of a device that was not undone. Raises NotFoundError `unknown_swap`."""
    device = await assignments.find_device(connection, dev_eui, role)
    found: UUID | None = await connection.fetchval(queries("inventory.swaps")["latest"], device["id"])
    if found is None:
        raise NotFoundError("unknown_swap", f"{dev_eui} took part in no swap that could be undone", dev_eui=dev_eui)
    return found


async def show(connection: Connection, swap_id: UUID) -> Swap:
    """Raises NotFoundError `unknown_swap`."""
    row = await connection.fetchrow(queries("inventory.swaps")["list"], None, None, 1, swap_id)
    if row is None:
        raise NotFoundError("unknown_swap", f"there is no swap {swap_id}", swap=str(swap_id))
    return Swap(**row)


async def swaps(
    connection: Connection,
    *,
    space: str | None = None,
    device: str | None = None,
    role: Role | None = None,
    limit: int = 100,
) -> list[Swap]:
    """The newest first, of a space (code) or a device (DevEUI)."""
    space_id = await connection.fetchval(queries("insight.history")["space_id"], space) if space is not None else None
    if space is not None and space_id is None:
        raise NotFoundError("unknown_space", f"there is no space {space!r}", space=space)
    device_id = (await assignments.find_device(connection, device, role))["id"] if device is not None else None
    return [
        Swap(**row)
        for row in await connection.fetch(queries("inventory.swaps")["list"], space_id, device_id, limit, None)
    ]


async def _put_back(change: Change, role: Role, space: Any, old: Any, at: datetime) -> datetime:
    """The old device's row goes on where the swap ended it; returns since when it serves."""
    sql = queries("inventory.assignments")
    rows = [assignments.row(r) for r in await change.connection.fetch(sql["rows"], space["id"], role, at)]
    if len(rows) != 1 or rows[0].from_at != at:
        raise ConflictError("changed_since", f"the {role} of {space['code']} changed since the swap")
    before = await change.connection.fetchrow(sql["row_until"], space["id"], role, at, old["id"])
    ended = [assignments.row(before)] if before else []
    since = ended[0].from_at if ended else at
    again = domain.Assignment(space["id"], old["id"], since, None, old["shared"])
    correction = domain.Correction((*ended, *rows), (again,))
    await assignments.write(change, role, correction, reason="correction")
    await change.connection.execute(queries("inventory.spaces")[f"set_{role}"], space["id"], old["id"])
    return since


async def _take_over(connection: Connection, role: Role, out: Any, into: Any, codes: Mapping[str, str] | None) -> None:
    if role == "display":
        await connection.execute(
            queries("inventory.swaps")["take_over"], into["id"], codes, out["shared"], out["shared_rule"]
        )
    elif out["shared"]:
        await connection.execute(queries("inventory.assignments")["set_mobile"], into["id"])


def _carried(out: Any, into: Any) -> tuple[dict[str, str], list[str]]:
    """The codes of the new display: those chosen for the old one, where it can show the same. And what it cannot."""
    if out["codec"] == into["codec"]:
        return dict(out["display_codes"]), []
    chosen = {s: code for s, code in out["display_codes"].items() if out["type_codes"].get(s) != code}
    codes, warnings = dict(into["display_codes"]), []
    speaks, will = display_driver(out["codec"]), display_driver(into["codec"])
    for state, code in chosen.items():
        if speaks is None or will is None:
            continue
        try:
            light = speaks.describe(bytes.fromhex(code))
            codes[state] = will.encode(light).hex()
        except (InputError, ValueError) as error:
            kept = codes.get(state)
            word = name(will.describe(bytes.fromhex(kept))) if kept else "nothing"
            warnings.append(f"{state}: {error}; it shows {word}")
    return codes, warnings
