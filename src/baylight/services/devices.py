"""The registries of sensors and displays."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import asyncpg

from baylight.codecs.all import display_driver
from baylight.codecs.registry import DisplayDriver
from baylight.domain.assignment import SharedRule
from baylight.domain.display import distinguishable, name, parse_light
from baylight.domain.downlink import TriggerType
from baylight.domain.ids import DevEui, parse_dev_eui
from baylight.domain.lifecycle import LIFECYCLE
from baylight.domain.state import Policy, State
from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.services import audit, catalogue, decisions
from baylight.store.pool import Connection
from baylight.store.queries import queries

Role = Literal["sensor", "display"]
PAGE = 100
_HEX = re.compile(r"([0-9a-f]{2})+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What both registries have. `spaces`: codes of the spaces that it serves."""

    id: UUID
    dev_eui: str
    device_type: str
    manufacturer: str | None
    model: str | None
    enabled: bool
    lifecycle_state: str
    last_seen_at: datetime | None
    rssi_dbm: int | None
    snr_db: float | None
    gateway_id: str | None
    battery_v: float | None
    battery_pct: float | None
    firmware: str | None
    notes: str | None
    spaces: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor(Device):
    """`occupancy`: its last word on the place that it serves now."""

    occupancy: str | None
    occupancy_at: datetime | None
    damaged: bool
    mobile: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A code and what a person sees: `rgb` as `#rrggbb`, `colour` in words; both None if nobody can tell."""

    code: str
    rgb: str | None
    colour: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Display(Device):
    """`lights`: what each code of `display_codes` looks like. `warnings`: states whose lights look alike."""

    codec: str
    display_codes: dict[str, str]
    fport: int
    confirmed_downlinks: bool
    shared: bool
    shared_rule: str
    desired_state: str | None
    desired_code: str | None
    desired_at: datetime | None
    reported_code: str | None
    reported_at: datetime | None
    sync_status: str
    failures: int
    lights: dict[str, Shown] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def shown(codec: str, code: str) -> Shown:
    """What a person sees for a code of a display of that codec."""
    driver = display_driver(codec)
    try:
        light = driver.describe(bytes.fromhex(code)) if driver else None
    except (InputError, ValueError):
        light = None
    return Shown(code, light.rgb if light else None, name(light) if light else None)


async def sensors(
    connection: Connection, *, after: str | None = None, limit: int = PAGE, decommissioned: bool = False
) -> list[Sensor]:
    """A page by DevEUI, beginning after one; `limit` 1-1000."""
    rows = await connection.fetch(queries("devices")["sensors"], None, after, decommissioned, page_size(limit))
    return [Sensor(**row) for row in rows]


async def displays(
    connection: Connection, *, after: str | None = None, limit: int = PAGE, decommissioned: bool = False
) -> list[Display]:
    """A page by DevEUI, beginning after one; `limit` 1-1000."""
    rows = await connection.fetch(queries("devices")["displays"], None, after, decommissioned, page_size(limit))
    return [_display(row) for row in rows]


async def sensor(connection: Connection, dev_eui: str) -> Sensor:
    """Raises InputError `bad_dev_eui`, NotFoundError `unknown_sensor`."""
    row = await connection.fetchrow(queries("devices")["sensors"], parse_dev_eui(dev_eui), None, True, 1)
    if row is None:
        raise NotFoundError("unknown_sensor", f"no sensor {dev_eui} is registered", dev_eui=dev_eui)
    return Sensor(**row)


async def display(connection: Connection, dev_eui: str) -> Display:
    """Raises InputError `bad_dev_eui`, NotFoundError `unknown_display`."""
    row = await connection.fetchrow(queries("devices")["displays"], parse_dev_eui(dev_eui), None, True, 1)
    if row is None:
        raise NotFoundError("unknown_display", f"no display {dev_eui} is registered", dev_eui=dev_eui)
    return _display(row)


async def register_sensor(
    connection: Connection,
    dev_eui: str,
    *,
    actor: str,
    device_type: str | None = None,
    notes: str | None = None,
    mobile: bool = False,
    application_id: str | None = None,
) -> tuple[Sensor, bool]:
    """The sensor, and whether it is new. Idempotent; a decommissioned one comes back.

    Without `device_type` the DevEUI's prefix tells it. Raises InputError, ConflictError `registered_otherwise`.
    """
    eui = parse_dev_eui(dev_eui)
    async with audit.change(connection, actor):
        kind = await catalogue.type_for(connection, "sensor", eui, device_type)
        new = await connection.fetchval(
            queries("devices")["insert_sensor"],
            eui,
            kind.code,
            kind.model,
            kind.manufacturer,
            kind.codec,
            kind.capabilities,
            notes,
            mobile,
            application_id,
        )
        await _registered(connection, "sensor", eui, kind.code, new, actor)
    return await sensor(connection, eui), new is not None


async def register_display(
    connection: Connection,
    dev_eui: str,
    *,
    actor: str,
    device_type: str | None = None,
    display_codes: Mapping[str, str] | None = None,
    notes: str | None = None,
    shared: bool = False,
    shared_rule: str = SharedRule.WORST_STATE,
    application_id: str | None = None,
) -> tuple[Display, bool]:
    """The display, and whether it is new. Idempotent; a decommissioned one comes back.

    `display_codes`: as `check_codes`, over those of the type. `shared`: it may serve several spaces, of whose states
    `shared_rule` makes one. Raises InputError, ConflictError `registered_otherwise`.
    """
    eui = parse_dev_eui(dev_eui)
    async with audit.change(connection, actor):
        kind = await catalogue.type_for(connection, "display", eui, device_type)
        codes = check_codes(kind.codec, {**kind.default_config.get("display_codes", {}), **(display_codes or {})})
        new = await connection.fetchval(
            queries("devices")["insert_display"],
            eui,
            kind.code,
            kind.model,
            kind.manufacturer,
            codes,
            kind.default_config.get("f_port", 1),
            kind.default_config.get("confirmed_downlinks", False),
            notes,
            shared,
            application_id,
            parse_rule(shared_rule),
        )
        row = await _registered(connection, "display", eui, kind.code, new, actor)
        if display_codes and row["display_codes"] != codes:
            raise ConflictError(
                "registered_otherwise", f"display {eui} is registered with other display_codes", dev_eui=eui
            )
    return await display(connection, eui), new is not None


async def _registered(
    connection: Connection, role: Role, eui: DevEui, device_type: str, new: UUID | None, actor: str
) -> Any:
    row = await connection.fetchrow(queries("devices")[f"lock_{role}"], eui)
    assert row is not None
    if new is not None:
        await audit.record(
            connection, actor, f"{role}.register", role, new, after={"dev_eui": eui, "device_type": device_type}
        )
    elif row["device_type"] != device_type:
        raise ConflictError("registered_otherwise", f"{role} {eui} is registered as {row['device_type']}", dev_eui=eui)
    elif row["lifecycle_state"] in ("decommissioned", "orphan"):
        await connection.execute(queries("devices")[f"set_{role}_lifecycle"], row["id"], "registered")
        await connection.execute(queries("devices")[f"set_{role}_enabled"], row["id"], True)
        await audit.record(connection, actor, f"{role}.register", role, row["id"], after={"dev_eui": eui})
    return row


def check_codes(codec: str, codes: Mapping[str, str]) -> dict[str, str]:
    """State -> lower-case hex. A code is hex, or a light as `domain.display.parse_light` reads it (`orange`,
    `#ff9900`, `red, flashing 500/500`), which the display's driver encodes.

    Raises InputError `bad_display_code` that names the state and what to change.
    """
    driver = display_driver(codec)
    if driver is None:
        raise InputError("no_driver", f"there is no display driver {codec!r} to check display codes with", codec=codec)
    checked: dict[str, str] = {}
    for state, text in codes.items():
        if state not in State.__members__:
            raise InputError("bad_state", f"{state!r} is no state: one of {', '.join(State)}", state=state)
        try:
            checked[state] = parse_code(driver, text).hex()
        except InputError as error:
            raise InputError(
                "bad_display_code", f"{state}: {error.message}", **{**error.facts, "state": state}
            ) from error
    return checked


def parse_code(driver: DisplayDriver, text: str) -> bytes:
    """The code for hex digits or a light. Raises InputError for what is neither, or shows no light on that display."""
    given = text.strip().lower()
    if _HEX.fullmatch(given):
        code = bytes.fromhex(given)
    else:
        try:
            code = driver.encode(parse_light(given))
        except InputError as error:
            raise InputError(error.code, f"{error.message}; or the code itself in hex digits", **error.facts) from error
    driver.check(code)
    return code


def mistakable(codec: str, codes: Mapping[str, str]) -> list[str]:
    """Warnings: states whose lights a person cannot tell from each other on that display."""
    driver = display_driver(codec)
    if driver is None:
        return []
    seen = []
    for state, code in codes.items():
        try:
            seen.append((state, driver.describe(bytes.fromhex(code))))
        except (InputError, ValueError):
            continue
    return [
        f"{one} ({name(light)}) cannot be told from {other} ({name(other_light)}) on this display"
        for n, (one, light) in enumerate(seen)
        for other, other_light in seen[n + 1 :]
        if not distinguishable(light, other_light)
    ]


async def set_display_codes(
    connection: Connection,
    dev_eui: str,
    codes: Mapping[str, str],
    *,
    actor: str,
    now: datetime,
    policy: Policy,
    replace: bool = False,
) -> Display:
    """Changes the codes of the given states, or with `replace` all; the light follows at once."""
    async with audit.change(connection, actor):
        row, spaces = await _lock_display(connection, dev_eui)
        before = row["display_codes"]
        after = check_codes(row["codec"], codes if replace else {**before, **codes})
        if after != before:
            await connection.execute(queries("devices")["set_display_codes"], row["id"], after)
            await audit.record(connection, actor, "display.codes", "display", row["id"], before=before, after=after)
            await _redecide(connection, spaces, actor, now, policy)
    return await display(connection, dev_eui)


def parse_rule(text: str) -> SharedRule:
    """Raises InputError `bad_rule`."""
    try:
        return SharedRule(text)
    except ValueError as error:
        raise InputError("bad_rule", f"{text!r} is no rule: one of {', '.join(SharedRule)}", rule=text) from error


async def set_shared(
    connection: Connection,
    dev_eui: str,
    rule: str | None,
    *,
    actor: str,
    now: datetime,
    policy: Policy,
) -> Display:
    """The display may serve several spaces, of whose states `rule` makes one; None: it serves one. Idempotent.

    Raises InputError `bad_rule`, ConflictError `device_in_use` if it serves several and may not any more.
    """
    wanted = parse_rule(rule) if rule is not None else None
    async with audit.change(connection, actor):
        row, spaces = await _lock_display(connection, dev_eui)
        before = {"shared": row["shared"], "shared_rule": row["shared_rule"]}
        after = {"shared": wanted is not None, "shared_rule": str(wanted or row["shared_rule"])}
        if after != before:
            if wanted is None and len(spaces) > 1:
                raise ConflictError("device_in_use", f"display {row['dev_eui']} serves {len(spaces)} spaces")
            await connection.execute(queries("devices")["set_shared"], row["id"], *after.values())
            await audit.record(connection, actor, "display.shared", "display", row["id"], before=before, after=after)
            await _redecide(connection, spaces, actor, now, policy)
    return await display(connection, dev_eui)


async def set_enabled(
    connection: Connection, role: Role, dev_eui: str, on: bool, *, actor: str, now: datetime, policy: Policy
) -> None:
    """A disabled sensor is not believed, a disabled display is sent nothing. Idempotent.

    Raises ConflictError `decommissioned`.
    """
    async with audit.change(connection, actor):
        row, spaces = await _lock(connection, role, dev_eui)
        if row["enabled"] == on:
            return
        if row["lifecycle_state"] == "decommissioned":
            raise ConflictError("decommissioned", f"{role} {row['dev_eui']} is decommissioned: register it again")
        await connection.execute(queries("devices")[f"set_{role}_enabled"], row["id"], on)
        action = f"{role}.{'enable' if on else 'disable'}"
        await audit.record(
            connection, actor, action, role, row["id"], before={"enabled": not on}, after={"enabled": on}
        )
        await _redecide(connection, spaces, actor, now, policy)


async def set_lifecycle(
    connection: Connection, role: Role, dev_eui: str, state: str, *, actor: str, reason: str | None = None
) -> None:
    """One step of LIFECYCLE. Idempotent. A device that serves a space is not decommissioned: unassign it first.

    Raises InputError `bad_lifecycle_state`, ConflictError `lifecycle_step`, `device_in_use`.
    """
    if state not in LIFECYCLE:
        raise InputError("bad_lifecycle_state", f"{state!r} is none of {', '.join(LIFECYCLE)}", state=state)
    async with audit.change(connection, actor, reason=reason):
        row, spaces = await _lock(connection, role, dev_eui)
        before = row["lifecycle_state"]
        if before == state:
            return
        if state not in LIFECYCLE[before]:
            raise ConflictError("lifecycle_step", f"{role} {row['dev_eui']} cannot go from {before} to {state}")
        if state == "decommissioned":
            if spaces:
                raise ConflictError("device_in_use", f"{role} {row['dev_eui']} serves a space: unassign it first")
            await connection.execute(queries("devices")[f"set_{role}_enabled"], row["id"], False)
        await connection.execute(queries("devices")[f"set_{role}_lifecycle"], row["id"], state)
        await audit.record(
            connection,
            actor,
            f"{role}.lifecycle",
            role,
            row["id"],
            before={"lifecycle_state": before},
            after={"lifecycle_state": state, "reason": reason},
        )


def page_size(limit: int) -> int:
    """Raises InputError `bad_limit`."""
    if not 1 <= limit <= 1000:
        raise InputError("bad_limit", "a page holds 1 to 1000 items", limit=limit)
    return limit


def _display(row: asyncpg.Record) -> Display:
    lights = {state: shown(row["codec"], code) for state, code in row["display_codes"].items()}
    return Display(**row, lights=lights, warnings=mistakable(row["codec"], row["display_codes"]))


async def _lock(connection: Connection, role: Role, dev_eui: str) -> tuple[Any, list[UUID]]:
    """The device and the spaces that it serves, locked in the order that the whole program keeps."""
    if role == "display":
        return await _lock_display(connection, dev_eui)
    row = await connection.fetchrow(queries("devices")["lock_sensor"], parse_dev_eui(dev_eui))
    if row is None:
        raise NotFoundError("unknown_sensor", f"no sensor {dev_eui} is registered", dev_eui=dev_eui)
    spaces = await connection.fetch(queries("devices")["lock_spaces_of"], row["id"])
    return row, [space["id"] for space in spaces]


async def _lock_display(connection: Connection, dev_eui: str) -> tuple[Any, list[UUID]]:
    known = await display(connection, dev_eui)
    spaces = await connection.fetch(queries("devices")["lock_spaces_of"], known.id)
    row = await connection.fetchrow(queries("devices")["lock_display"], known.dev_eui)
    assert row is not None
    return row, [space["id"] for space in spaces]


async def _redecide(connection: Connection, spaces: Sequence[UUID], actor: str, now: datetime, policy: Policy) -> None:
    if spaces:
        await decisions.redecide(
            connection, spaces, trigger=TriggerType.ASSIGNMENT, source=actor, now=now, policy=policy
        )
