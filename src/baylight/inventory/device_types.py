"""The catalogue of device types in the database: the shipped types, and the operator's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from baylight.codecs.catalogue import load_catalogue
from baylight.domain.ids import DevEui
from baylight.errors import InputError, NotFoundError
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement

MAX_UPLINK_INTERVAL_S = 30 * 86400
MAX_SILENT_AFTER_INTERVALS = 1000
MAX_SILENT_AFTER_S = 366 * 86400
"""Longest time without an uplink after which a device counts as silent: the interval times their number."""


@dataclass(frozen=True, slots=True)
class DeviceTypeRow:
    """Row of the catalogue. `default_config`: for displays `f_port`, `confirmed_downlinks`, `display_codes`."""

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


class PrefixMatch(NamedTuple):
    """Type with a DevEUI prefix that a device has. `length`: hex digits of the prefix."""

    code: str
    length: int


UPSERT = Statement("inventory.device_types.upsert")
LIST = Query("inventory.device_types.list", DeviceTypeRow)
LOCK = Query("inventory.device_types.lock", DeviceTypeRow)
HOLD = Statement("inventory.device_types.hold")
MATCH_PREFIX = Query("inventory.device_types.match_prefix", PrefixMatch)


async def sync(connection: Connection) -> int:
    """Write the shipped types to the database; return how many were new or changed. Idempotent."""
    changed = 0
    async with connection.transaction():
        for kind in sorted(load_catalogue(), key=lambda kind: kind.code):
            changed += await UPSERT.run(
                connection,
                code=kind.code,
                category=kind.category,
                manufacturer=kind.manufacturer,
                model=kind.model,
                codec=kind.codec,
                dev_eui_prefixes=list(kind.dev_eui_prefixes),
                uplink_interval_s=kind.uplink_interval_s,
                silent_after_intervals=kind.silent_after_intervals,
                default_config=dict(kind.default_config),
                capabilities=dict(kind.capabilities),
            )
    return changed


async def list_device_types(connection: Connection, category: str | None = None) -> list[DeviceTypeRow]:
    """Return the types by category and code: all, or those of a category."""
    return await LIST.all(connection, code=None, category=category)


async def get_device_type(connection: Connection, code: str) -> DeviceTypeRow:
    """Return the type with a code. Raises NotFoundError `unknown_device_type`."""
    return _known(await LIST.first(connection, code=code, category=None), code)


async def lock_device_type(connection: Connection, code: str) -> DeviceTypeRow:
    """Return the type with a code, locked until the transaction ends. Raises NotFoundError `unknown_device_type`."""
    return _known(await LOCK.first(connection, code=code), code)


def _known(found: DeviceTypeRow | None, code: str) -> DeviceTypeRow:
    if found is None:
        raise NotFoundError("unknown_device_type", f"the catalogue has no device type {code!r}", device_type=code)
    return found


async def category_for(connection: Connection, dev_eui: DevEui, code: str | None) -> str:
    """Return the category of the named type, else of the type with the longest matching DevEUI prefix, else `sensor`.

    Raises NotFoundError `unknown_device_type`.
    """
    if code is not None:
        return (await get_device_type(connection, code)).category
    longest = {}
    for category in ("sensor", "display"):
        best = await MATCH_PREFIX.first(connection, category=category, dev_eui=dev_eui)
        longest[category] = best.length if best else 0
    return max(longest, key=lambda category: longest[category])


async def type_for(connection: Connection, category: str, dev_eui: DevEui, code: str | None) -> DeviceTypeRow:
    """Return the type of a device: the named one, else the one with the longest matching DevEUI prefix.

    The type does not change until the caller's transaction ends. Raises NotFoundError `unknown_device_type`; InputError
    `wrong_category`, `type_disabled`, `type_missing`.
    """
    if code is not None:
        await HOLD.run(connection, code=code)
        kind = await get_device_type(connection, code)
        if kind.category != category:
            raise InputError("wrong_category", f"{code} is a {kind.category}, not a {category}", device_type=code)
        if not kind.enabled:
            raise InputError("type_disabled", f"the device type {code} is disabled", device_type=code)
        return kind
    matches = await MATCH_PREFIX.all(connection, category=category, dev_eui=dev_eui)
    best = [match.code for match in matches if match.length == matches[0].length]
    if len(best) == 1:
        await HOLD.run(connection, code=best[0])
        return await get_device_type(connection, best[0])
    choice = f": one of {', '.join(best)}" if best else ""
    raise InputError(
        "type_missing", f"the DevEUI {dev_eui} fits no single type: name the device type{choice}", dev_eui=dev_eui
    )
