"""The catalogue of device types in the database: the shipped ones, and the operator's own beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from baylight.codecs.catalogue import load_catalogue
from baylight.domain.ids import DevEui
from baylight.errors import InputError, NotFoundError
from baylight.store.pool import Connection
from baylight.store.query import queries


@dataclass(frozen=True, slots=True)
class DeviceTypeRow:
    """A row of the catalogue. `default_config`: `f_port`, `confirmed_downlinks`, `display_codes` for displays."""

    code: str
    category: str
    manufacturer: str
    model: str
    codec: str
    dev_eui_prefixes: list[str]
    uplink_interval_s: int
    silent_after_intervals: int
    default_config: dict[str, Any]
    capabilities: dict[str, Any]
    shipped: bool
    enabled: bool


async def sync(connection: Connection) -> int:
    """Brings the shipped types into the database; returns how many were new or changed. Idempotent."""
    changed = 0
    async with connection.transaction():
        for kind in sorted(load_catalogue(), key=lambda kind: kind.code):
            row = await connection.fetchrow(
                queries("inventory.device_types")["upsert"],
                kind.code,
                kind.category,
                kind.manufacturer,
                kind.model,
                kind.codec,
                list(kind.dev_eui_prefixes),
                kind.uplink_interval_s,
                kind.silent_after_intervals,
                dict(kind.default_config),
                dict(kind.capabilities),
            )
            changed += row is not None
    return changed


async def list_device_types(connection: Connection, category: str | None = None) -> list[DeviceTypeRow]:
    """By category and code."""
    return [
        DeviceTypeRow(**row)
        for row in await connection.fetch(queries("inventory.device_types")["list"], None, category)
    ]


async def get_device_type(connection: Connection, code: str) -> DeviceTypeRow:
    """Raises NotFoundError `unknown_device_type`."""
    row = await connection.fetchrow(queries("inventory.device_types")["list"], code, None)
    if row is None:
        raise NotFoundError("unknown_device_type", f"the catalogue has no device type {code!r}", device_type=code)
    return DeviceTypeRow(**row)


async def category_for(connection: Connection, dev_eui: DevEui, code: str | None) -> str:
    """Of the named type, else of the one whose DevEUI prefix fits best; `sensor` if that tells nothing.

    Raises NotFoundError `unknown_device_type`.
    """
    if code is not None:
        return (await get_device_type(connection, code)).category
    fits = {
        c: await connection.fetch(queries("inventory.device_types")["by_prefix"], c, dev_eui)
        for c in ("sensor", "display")
    }
    return max(fits, key=lambda category: fits[category][0]["fit"] if fits[category] else 0)


async def type_for(connection: Connection, category: str, dev_eui: DevEui, code: str | None) -> DeviceTypeRow:
    """The type of a device: the named one, else the one whose DevEUI prefix fits best.

    Raises NotFoundError `unknown_device_type`; InputError `wrong_category`, `type_disabled`, `type_not_told`.
    """
    if code is not None:
        kind = await get_device_type(connection, code)
        if kind.category != category:
            raise InputError("wrong_category", f"{code} is a {kind.category}, not a {category}", device_type=code)
        if not kind.enabled:
            raise InputError("type_disabled", f"the device type {code} is disabled", device_type=code)
        return kind
    fits = await connection.fetch(queries("inventory.device_types")["by_prefix"], category, dev_eui)
    best = [row["code"] for row in fits if row["fit"] == fits[0]["fit"]]
    if len(best) == 1:
        return await get_device_type(connection, best[0])
    which = f": one of {', '.join(best)}" if best else ""
    raise InputError("type_not_told", f"{dev_eui} does not tell its type, name the device type{which}", dev_eui=dev_eui)
