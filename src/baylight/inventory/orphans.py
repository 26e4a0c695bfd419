"""Devices that are heard but not registered: an inbox to claim them from, or to ignore them in.

They never drive a space, and never fill a table: one row each, a few uplinks an hour, and so many devices at most.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from baylight.access.change import Change
from baylight.codecs.all import display_driver, sensor_codec
from baylight.domain.ids import parse_dev_eui
from baylight.errors import DeviceDataError, InputError, NotFoundError
from baylight.inventory import device_types, devices
from baylight.inventory.device_types import DeviceTypeRow
from baylight.store.pool import Connection
from baylight.store.query import queries

_WEIGHTS = {"dev_eui": 1, "profile": 2, "payload": 2}


@dataclass(frozen=True, slots=True)
class Guess:
    """A type that it may be of. `because`: `dev_eui` (the type's prefix), `profile` (the network server's name for
    its profile), `payload` (the type's codec reads its frames)."""

    device_type: str
    category: str
    because: list[str]

    def __str__(self) -> str:
        return f"{self.device_type} ({', '.join(self.because)})"


@dataclass(frozen=True, slots=True)
class Orphan:
    """Radio facts, `f_port` and `data` (hex) are those of its newest uplinks. `guesses`: the likeliest first."""

    dev_eui: str
    uplinks: int
    first_at: datetime
    last_at: datetime
    network_server: str
    application_id: str | None
    device_name: str | None
    profile_name: str | None
    dev_addr: str | None
    gateway_id: str | None
    rssi_dbm: int | None
    snr_db: float | None
    f_port: int | None
    data: str | None
    ignored: bool
    guesses: list[Guess]

    @property
    def likely(self) -> str | None:
        """The device type that stands out among the guesses."""
        best = [guess for guess in self.guesses if _weight(guess) == _weight(self.guesses[0])]
        return best[0].device_type if len(best) == 1 else None


async def list_orphans(
    connection: Connection, *, after: str | None = None, limit: int = devices.PAGE, ignored: bool = False
) -> list[Orphan]:
    """By DevEUI, beginning after one; `limit` 1-1000."""
    limit = devices.page_size(limit)
    rows = await connection.fetch(queries("inventory.orphans")["list"], None, after, ignored, limit)
    kinds = await _kinds(connection)
    return [_orphan(row, kinds) for row in rows]


async def get_orphan(connection: Connection, dev_eui: str) -> Orphan:
    """Raises InputError `bad_dev_eui`, NotFoundError `unknown_orphan`."""
    rows = await connection.fetch(queries("inventory.orphans")["list"], parse_dev_eui(dev_eui), None, None, 1)
    if not rows:
        raise NotFoundError("unknown_orphan", f"no unregistered device {dev_eui} was heard", dev_eui=dev_eui)
    return _orphan(rows[0], await _kinds(connection))


async def claim_orphan(
    change: Change, dev_eui: str, *, device_type: str | None = None, notes: str | None = None
) -> devices.Sensor | devices.Display:
    """Registers it as what its type is: the named one, else the guess that stands out. It begins with its next uplink.

    Raises as `show` and `devices.register_sensor`; InputError `type_not_told`.
    """
    async with change.transaction():
        orphan = await _locked(change.connection, dev_eui)
        code = device_type or orphan.likely
        if code is None:
            which = ", ".join(guess.device_type for guess in orphan.guesses) or "nothing that is known"
            raise InputError(
                "type_not_told", f"name the device type of {orphan.dev_eui}: it looks like {which}", dev_eui=dev_eui
            )
        kind = await device_types.get_device_type(change.connection, code)
        if kind.category == "sensor":
            await devices.register_sensor(change, orphan.dev_eui, device_type=kind.code, notes=notes)
        else:
            await devices.register_display(change, orphan.dev_eui, device_type=kind.code, notes=notes)
        await change.connection.execute(queries("inventory.orphans")[f"adopt_{kind.category}"], orphan.dev_eui)
        await change.connection.execute(queries("inventory.orphans")["delete"], orphan.dev_eui)
        await change.record("orphan.claim", "orphan", orphan.dev_eui, after={"device_type": kind.code})
    if kind.category == "sensor":
        return await devices.sensor(change.connection, orphan.dev_eui)
    return await devices.display(change.connection, orphan.dev_eui)


async def set_ignored(change: Change, dev_eui: str, on: bool) -> Orphan:
    """An ignored one is counted and no more. Idempotent. Raises as `show`."""
    async with change.transaction():
        orphan = await _locked(change.connection, dev_eui)
        if orphan.ignored != on:
            await change.connection.execute(queries("inventory.orphans")["set_ignored"], orphan.dev_eui, on)
            action = "orphan.ignore" if on else "orphan.notice"
            await change.record(action, "orphan", orphan.dev_eui)
    return await get_orphan(change.connection, orphan.dev_eui)


async def _locked(connection: Connection, dev_eui: str) -> Orphan:
    await connection.fetch(queries("inventory.orphans")["lock"], parse_dev_eui(dev_eui))
    return await get_orphan(connection, dev_eui)


async def _kinds(connection: Connection) -> list[DeviceTypeRow]:
    return [kind for kind in await device_types.list_device_types(connection) if kind.enabled]


def _orphan(row: asyncpg.Record, kinds: Iterable[DeviceTypeRow]) -> Orphan:
    facts = dict(row)
    frames = set(zip(facts.pop("f_ports"), facts.pop("datas"), strict=True))
    if row["data"]:
        frames.add((row["f_port"], bytes.fromhex(row["data"])))
    names = set(re.findall(r"[a-z0-9]+", f"{row['profile_name'] or ''} {row['device_name'] or ''}".lower()))
    guesses = (Guess(kind.code, kind.category, _reasons(kind, row["dev_eui"], names, frames)) for kind in kinds)
    likely = sorted((guess for guess in guesses if guess.because), key=lambda g: (-_weight(g), g.device_type))
    return Orphan(**facts, guesses=likely)


def _reasons(kind: DeviceTypeRow, dev_eui: str, names: set[str], frames: Iterable[tuple[int, bytes]]) -> list[str]:
    maker, *model = kind.code.split("_")
    found = {
        "dev_eui": any(dev_eui.startswith(prefix.lower()) for prefix in kind.dev_eui_prefixes),
        "profile": names.issuperset(model or [maker]),
        "payload": _reads(kind, frames),
    }
    return [reason for reason, holds in found.items() if holds]


def _weight(guess: Guess) -> int:
    return sum(_WEIGHTS[reason] for reason in guess.because)


def _reads(kind: DeviceTypeRow, frames: Iterable[tuple[int, bytes]]) -> bool:
    """Whether the type's codec refuses no frame that says anything, and reads in one what the device is for."""
    codec, driver = sensor_codec(kind.codec), display_driver(kind.codec)
    told = False
    for f_port, data in frames:
        try:
            if kind.category == "sensor" and codec:
                told |= codec.decode(f_port, data).occupancy is not None
            elif kind.category == "display" and driver:
                told |= driver.decode_report(f_port, data).code is not None
            else:
                return False
        except DeviceDataError as error:
            if error.code != "no_data":
                return False
    return told
