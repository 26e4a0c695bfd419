"""The registries of sensors and displays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import asyncpg

from baylight.access.change import Change
from baylight.domain.assignment import SharedRule
from baylight.domain.downlink import NETWORK_SERVERS
from baylight.domain.ids import DevEui, parse_dev_eui
from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.inventory import device_types
from baylight.inventory.display_codes import CodeLight, check_codes, describe_code, similar_lights
from baylight.store.pool import Connection
from baylight.store.query import queries

Role = Literal["sensor", "display"]
PAGE = 100


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
    network_server: str
    application_id: str | None
    spaces: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor(Device):
    """`occupancy`: its last word on the place that it serves now."""

    occupancy: str | None
    occupancy_at: datetime | None
    damaged: bool
    mobile: bool


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
    lights: dict[str, CodeLight] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


async def sensors(
    connection: Connection, *, after: str | None = None, limit: int = PAGE, decommissioned: bool = False
) -> list[Sensor]:
    """A page by DevEUI, beginning after one; `limit` 1-1000."""
    rows = await connection.fetch(
        queries("inventory.devices")["sensors"], None, after, decommissioned, page_size(limit)
    )
    return [Sensor(**row) for row in rows]


async def displays(
    connection: Connection, *, after: str | None = None, limit: int = PAGE, decommissioned: bool = False
) -> list[Display]:
    """A page by DevEUI, beginning after one; `limit` 1-1000."""
    rows = await connection.fetch(
        queries("inventory.devices")["displays"], None, after, decommissioned, page_size(limit)
    )
    return [_display(row) for row in rows]


async def sensor(connection: Connection, dev_eui: str) -> Sensor:
    """Raises InputError `bad_dev_eui`, NotFoundError `unknown_sensor`."""
    row = await connection.fetchrow(queries("inventory.devices")["sensors"], parse_dev_eui(dev_eui), None, True, 1)
    if row is None:
        raise NotFoundError("unknown_sensor", f"no sensor {dev_eui} is registered", dev_eui=dev_eui)
    return Sensor(**row)


async def display(connection: Connection, dev_eui: str) -> Display:
    """Raises InputError `bad_dev_eui`, NotFoundError `unknown_display`."""
    row = await connection.fetchrow(queries("inventory.devices")["displays"], parse_dev_eui(dev_eui), None, True, 1)
    if row is None:
        raise NotFoundError("unknown_display", f"no display {dev_eui} is registered", dev_eui=dev_eui)
    return _display(row)


async def register_sensor(
    change: Change,
    dev_eui: str,
    *,
    device_type: str | None = None,
    notes: str | None = None,
    mobile: bool = False,
    network_server: str = NETWORK_SERVERS[0],
    application_id: str | None = None,
) -> tuple[Sensor, bool]:
    """The sensor, and whether it is new. Idempotent; a decommissioned one comes back.

    Without `device_type` the DevEUI's prefix tells it. `network_server` and `application_id` count until it is heard.
    Raises InputError, ConflictError `registered_otherwise`.
    """
    eui, notes = parse_dev_eui(dev_eui), check_notes(notes)
    async with change.transaction():
        kind = await device_types.type_for(change.connection, "sensor", eui, device_type)
        new = await change.connection.fetchval(
            queries("inventory.devices")["insert_sensor"],
            eui,
            kind.code,
            kind.model,
            kind.manufacturer,
            kind.codec,
            kind.capabilities,
            notes,
            mobile,
            application_id,
            parse_network_server(network_server),
        )
        row = await _registered(change, "sensor", eui, kind.code, new)
        if mobile and not row["shared"]:
            raise ConflictError("registered_otherwise", f"sensor {eui} is registered as not mobile", dev_eui=eui)
    return await sensor(change.connection, eui), new is not None


async def register_display(
    change: Change,
    dev_eui: str,
    *,
    device_type: str | None = None,
    display_codes: Mapping[str, str] | None = None,
    notes: str | None = None,
    shared: bool = False,
    shared_rule: str = SharedRule.WORST_STATE,
    network_server: str = NETWORK_SERVERS[0],
    application_id: str | None = None,
) -> tuple[Display, bool]:
    """The display, and whether it is new. Idempotent; a decommissioned one comes back.

    `display_codes`: as `check_codes`, over those of the type. `shared`: it may serve several spaces, of whose states
    `shared_rule` makes one. Raises InputError, ConflictError `registered_otherwise`.
    """
    eui, notes = parse_dev_eui(dev_eui), check_notes(notes)
    async with change.transaction():
        kind = await device_types.type_for(change.connection, "display", eui, device_type)
        of_type = kind.default_config.get("display_codes", {})
        codes = check_codes(kind.codec, {**of_type, **(display_codes or {})}, of_type)
        new = await change.connection.fetchval(
            queries("inventory.devices")["insert_display"],
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
            parse_network_server(network_server),
        )
        row = await _registered(change, "display", eui, kind.code, new)
        if display_codes and row["display_codes"] != codes:
            raise ConflictError(
                "registered_otherwise", f"display {eui} is registered with other display_codes", dev_eui=eui
            )
        if shared and not (row["shared"] and row["shared_rule"] == shared_rule):
            rule = row["shared_rule"] if row["shared"] else "for one space"
            raise ConflictError("registered_otherwise", f"display {eui} is registered {rule}: share it", dev_eui=eui)
    return await display(change.connection, eui), new is not None


async def _registered(change: Change, role: Role, eui: DevEui, device_type: str, new: UUID | None) -> Any:
    row = await change.connection.fetchrow(queries("inventory.devices")[f"lock_{role}"], eui)
    assert row is not None
    if new is not None:
        await change.record(f"{role}.register", role, new, after={"dev_eui": eui, "device_type": device_type})
    elif row["device_type"] != device_type:
        raise ConflictError("registered_otherwise", f"{role} {eui} is registered as {row['device_type']}", dev_eui=eui)
    elif row["lifecycle_state"] in ("decommissioned", "orphan"):
        await change.connection.execute(queries("inventory.devices")[f"set_{role}_lifecycle"], row["id"], "registered")
        await change.connection.execute(queries("inventory.devices")[f"set_{role}_enabled"], row["id"], True)
        await change.record(f"{role}.register", role, row["id"], after={"dev_eui": eui})
    return row


def parse_network_server(name: str) -> str:
    """Raises InputError `bad_network_server`."""
    if name not in NETWORK_SERVERS:
        known = ", ".join(NETWORK_SERVERS)
        raise InputError("bad_network_server", f"{name!r} is no network server: one of {known}", network_server=name)
    return name


def check_notes(notes: str | None) -> str | None:
    """Raises InputError `bad_text`."""
    if notes is not None and (len(notes) > 2000 or "\0" in notes):
        raise InputError("bad_text", "notes have at most 2000 characters, none of them NUL")
    return notes


def parse_rule(text: str) -> SharedRule:
    """Raises InputError `bad_rule`."""
    try:
        return SharedRule(text)
    except ValueError as error:
        raise InputError("bad_rule", f"{text!r} is no rule: one of {', '.join(SharedRule)}", rule=text) from error


def page_size(limit: int) -> int:
    """Raises InputError `bad_limit`."""
    if not 1 <= limit <= 1000:
        raise InputError("bad_limit", "a page holds 1 to 1000 items", limit=limit)
    return limit


def _display(row: asyncpg.Record) -> Display:
    lights = {state: describe_code(row["codec"], code) for state, code in row["display_codes"].items()}
    return Display(**row, lights=lights, warnings=similar_lights(row["codec"], row["display_codes"]))
