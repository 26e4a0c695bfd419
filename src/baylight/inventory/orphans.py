"""Devices that send uplinks and are not registered: an inbox from which a person claims or ignores them.

They never drive a space. `control.strangers` bounds how many devices and uplinks are stored.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from baylight.access.change import Change
from baylight.codecs.all import display_driver, sensor_codec
from baylight.domain.ids import parse_dev_eui
from baylight.domain.paging import PAGE_SIZE, check_page_size
from baylight.errors import DeviceDataError, InputError, NotFoundError
from baylight.inventory import device_types, devices
from baylight.inventory.device_types import DeviceTypeRow
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement

_WEIGHTS = {"dev_eui": 1, "profile": 2, "payload": 2}
FRAMES_PER_GUESS = 5
"""Number of stored frames of a device that the codecs of all types are tried on."""


@dataclass(frozen=True, slots=True)
class Guess:
    """Device type that an orphan may have.

    `because`: `dev_eui` (the type's prefix), `profile` (the name of its profile in the network server), `payload` (the
    type's codec reads its frames).
    """

    device_type: str
    category: str
    because: list[str]

    @property
    def weight(self) -> int:
        return sum(_WEIGHTS[reason] for reason in self.because)

    def __str__(self) -> str:
        return f"{self.device_type} ({', '.join(self.because)})"


@dataclass(frozen=True, slots=True)
class Orphan:
    """Unregistered device. The radio's facts, `f_port` and `data` (hex) are from its newest uplinks.

    `guesses`: the most likely device type first.
    """

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
    guesses: list[Guess] = field(default_factory=list)

    @property
    def likely(self) -> str | None:
        """The device type of the guess with the highest weight; None if two guesses share it."""
        best = [guess for guess in self.guesses if guess.weight == self.guesses[0].weight]
        return best[0].device_type if len(best) == 1 else None


class Frame(NamedTuple):
    """Uplink of an orphan, as it is stored."""

    dev_eui: str
    f_port: int | None
    data: bytes


LIST = Query("inventory.orphans.list", Orphan)
LIST_FRAMES = Query("inventory.orphans.list_frames", Frame)
LOCK = Statement("inventory.orphans.lock")
SET_IGNORED = Statement("inventory.orphans.set_ignored")
ADOPT = {
    "sensor": Statement("inventory.orphans.adopt_sensor"),
    "display": Statement("inventory.orphans.adopt_display"),
}
DELETE = Statement("inventory.orphans.delete")


async def list_orphans(
    connection: Connection, *, after: str | None = None, limit: int = PAGE_SIZE, ignored: bool = False
) -> list[Orphan]:
    """Return a page of orphans by DevEUI, after a DevEUI."""
    return await _select(connection, after=after, ignored=ignored, limit=check_page_size(limit))


async def get_orphan(connection: Connection, dev_eui: str) -> Orphan:
    """Return an orphan. Raises InputError `bad_dev_eui`, NotFoundError `unknown_orphan`."""
    found = await _select(connection, dev_eui=parse_dev_eui(dev_eui))
    if not found:
        raise NotFoundError("unknown_orphan", f"no unregistered device {dev_eui} has sent an uplink", dev_eui=dev_eui)
    return found[0]


async def claim_orphan(
    change: Change, dev_eui: str, *, device_type: str | None = None, notes: str | None = None
) -> devices.Sensor | devices.Display:
    """Register an orphan with the named device type, else with the type that `likely` gives; return the device.

    Its next uplink is the first one that counts. Raises as `get_orphan` and `devices.register_sensor`; InputError
    `type_missing`.
    """
    async with change.transaction():
        orphan = await _lock(change.connection, dev_eui)
        code = device_type or orphan.likely
        if code is None:
            choice = ", ".join(guess.device_type for guess in orphan.guesses) or "no known type"
            raise InputError(
                "type_missing", f"name the device type of {orphan.dev_eui}: it looks like {choice}", dev_eui=dev_eui
            )
        kind = await device_types.get_device_type(change.connection, code)
        if kind.category == "sensor":
            await devices.register_sensor(change, orphan.dev_eui, device_type=kind.code, notes=notes)
        else:
            await devices.register_display(change, orphan.dev_eui, device_type=kind.code, notes=notes)
        await ADOPT[kind.category].run(change.connection, dev_eui=orphan.dev_eui)
        await DELETE.run(change.connection, dev_eui=orphan.dev_eui)
        await change.record("orphan.claim", "orphan", orphan.dev_eui, after={"device_type": kind.code})
    if kind.category == "sensor":
        return await devices.get_sensor(change.connection, orphan.dev_eui)
    return await devices.get_display(change.connection, orphan.dev_eui)


async def set_ignored(change: Change, dev_eui: str, on: bool) -> Orphan:
    """Ignore an orphan (its uplinks are only counted), or notice it again. Idempotent. Raises as `get_orphan`."""
    async with change.transaction():
        orphan = await _lock(change.connection, dev_eui)
        if orphan.ignored != on:
            await SET_IGNORED.run(change.connection, dev_eui=orphan.dev_eui, on=on)
            await change.record("orphan.ignore" if on else "orphan.notice", "orphan", orphan.dev_eui)
    return await get_orphan(change.connection, dev_eui)


async def _lock(connection: Connection, dev_eui: str) -> Orphan:
    await LOCK.run(connection, dev_eui=parse_dev_eui(dev_eui))
    return await get_orphan(connection, dev_eui)


async def _select(
    connection: Connection,
    *,
    dev_eui: str | None = None,
    after: str | None = None,
    ignored: bool | None = None,
    limit: int = 1,
) -> list[Orphan]:
    found = await LIST.all(connection, dev_eui=dev_eui, after=after, ignored=ignored, limit=limit)
    frames: dict[str, set[tuple[int | None, bytes]]] = defaultdict(set)
    for frame in await LIST_FRAMES.all(connection, dev_euis=[o.dev_eui for o in found], limit=FRAMES_PER_GUESS):
        frames[frame.dev_eui].add((frame.f_port, frame.data))
    kinds = [kind for kind in await device_types.list_device_types(connection) if kind.enabled]
    return [replace(orphan, guesses=_guesses(orphan, frames[orphan.dev_eui], kinds)) for orphan in found]


def _guesses(orphan: Orphan, frames: set[tuple[int | None, bytes]], kinds: Iterable[DeviceTypeRow]) -> list[Guess]:
    if orphan.data:
        frames = {*frames, (orphan.f_port, bytes.fromhex(orphan.data))}
    names = set(re.findall(r"[a-z0-9]+", f"{orphan.profile_name or ''} {orphan.device_name or ''}".lower()))
    guesses = (Guess(kind.code, kind.category, _reasons(kind, orphan.dev_eui, names, frames)) for kind in kinds)
    return sorted((guess for guess in guesses if guess.because), key=lambda guess: (-guess.weight, guess.device_type))


def _reasons(
    kind: DeviceTypeRow, dev_eui: str, names: set[str], frames: Iterable[tuple[int | None, bytes]]
) -> list[str]:
    maker, *model = kind.code.split("_")
    found = {
        "dev_eui": any(dev_eui.startswith(prefix.lower()) for prefix in kind.dev_eui_prefixes),
        "profile": names.issuperset(model or [maker]),
        "payload": _reads(kind, frames),
    }
    return [reason for reason, holds in found.items() if holds]


def _reads(kind: DeviceTypeRow, frames: Iterable[tuple[int | None, bytes]]) -> bool:
    """Return whether the type's codec decodes all frames with data, and at least one to an occupancy or a light."""
    codec, driver = sensor_codec(kind.codec), display_driver(kind.codec)
    useful = False
    for f_port, data in frames:
        try:
            if kind.category == "sensor" and codec:
                useful |= codec.decode(f_port, data).occupancy is not None
            elif kind.category == "display" and driver:
                useful |= driver.decode_report(f_port, data).code is not None
            else:
                return False
        except DeviceDataError as error:
            if error.code != "no_data":
                return False
    return useful
