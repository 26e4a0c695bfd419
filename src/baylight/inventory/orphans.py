"""Devices that send or join and are not registered: an inbox from which a person claims or ignores them.

They never drive a space. `control.events.strangers` bounds how many devices and uplinks are stored.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable
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

_WEIGHTS = {"profile": 8, "dev_eui": 4, "name": 2, "payload": 1}
MODEL_NUMBER = re.compile(r"(?=.*[a-z])(?=.*[0-9])[a-z0-9]{4,}")
"""Word that names one model, as tbms100. Words without a number, as counter, are of many makers."""
FRAMES_PER_GUESS = 5
"""Number of stored frames of a device that the codecs of all types are tried on."""


@dataclass(frozen=True, slots=True)
class Guess:
    """Device type that an orphan may have.

    `because`: `profile` (its profile in the network server names the type), `dev_eui` (the type's prefix), `name` (its
    profile or name has words of the type), `payload` (the type's codec reads its frames; it also reads those of other
    models).
    """

    device_type: str
    category: str
    because: list[str]

    @property
    def weight(self) -> int:
        return sum(_WEIGHTS[reason] for reason in self.because)

    def __str__(self) -> str:
        named = {"profile", "dev_eui"}.intersection(self.because)
        return f"{'' if named else 'possible '}{self.device_type} ({', '.join(self.because)})"


@dataclass(frozen=True, slots=True)
class Orphan:
    """Unregistered device. The radio's facts, `f_port` and `data` (hex) are from its newest uplinks.

    `guesses`: the most likely device type first. `certain_type`: the one that its profile names, or that alone has its
    prefix; None if two types do, if profile and prefix name different ones, or if a frame is not of the type that has
    the prefix. A type that only reads its frames is possible, and never certain.
    """

    dev_eui: str
    uplinks: int
    joins: int
    first_at: datetime
    last_at: datetime
    first_join_at: datetime | None
    last_join_at: datetime | None
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
    certain_type: str | None = None

    @property
    def guess(self) -> str:
        """Return the certain type, else the possible ones, each with its reasons."""
        if self.certain_type is None:
            return ", ".join(f"possible {str(guess).removeprefix('possible ')}" for guess in self.guesses)
        return next(str(guess) for guess in self.guesses if guess.device_type == self.certain_type)


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
        raise NotFoundError(
            "unknown_orphan", f"no unregistered device {dev_eui} has sent an uplink or joined", dev_eui=dev_eui
        )
    return found[0]


async def claim_orphan(
    change: Change, dev_eui: str, *, device_type: str | None = None, notes: str | None = None
) -> devices.Sensor | devices.Display:
    """Register an orphan with the named device type, else with its `certain_type`; return the device.

    Its next uplink is the first one that counts. Raises as `get_orphan` and `devices.register_sensor`; InputError
    `type_missing`.
    """
    async with change.transaction():
        orphan = await _lock(change.connection, dev_eui)
        await change.locked()
        code = device_type or orphan.certain_type
        if code is None:
            raise InputError(
                "type_missing",
                f"name the device type of {orphan.dev_eui}, for no type is certain: {orphan.guess or 'none is known'}",
                dev_eui=dev_eui,
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
        await change.locked()
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
    return [_guessed(orphan, frames[orphan.dev_eui], kinds) for orphan in found]


def _guessed(orphan: Orphan, frames: set[tuple[int | None, bytes]], kinds: Iterable[DeviceTypeRow]) -> Orphan:
    """Return the orphan with its guesses and its certain type."""
    if orphan.data:
        frames = {*frames, (orphan.f_port, bytes.fromhex(orphan.data))}
    guesses, refuted = [], set()
    for kind in kinds:
        reads = _reads(kind, frames)
        reasons = {
            "dev_eui": any(orphan.dev_eui.startswith(prefix.lower()) for prefix in kind.dev_eui_prefixes),
            "profile": _names_type(orphan.profile_name or "", kind),
            "payload": reads is True,
        }
        reasons["name"] = not reasons["profile"] and _has_words(orphan, kind)
        if because := [reason for reason, holds in reasons.items() if holds]:
            guesses.append(Guess(kind.code, kind.category, because))
        if reads is False:
            refuted.add(kind.code)
    guesses.sort(key=lambda guess: (-guess.weight, guess.device_type))
    return replace(orphan, guesses=guesses, certain_type=_certain(guesses, refuted))


def _certain(guesses: Iterable[Guess], refuted: Container[str]) -> str | None:
    """Return the type that a profile or a prefix names, see `Orphan`. `refuted`: types that do not read a frame."""
    by_profile = {guess.device_type for guess in guesses if "profile" in guess.because}
    by_prefix = {guess.device_type for guess in guesses if "dev_eui" in guess.because}
    both = by_profile & by_prefix if by_profile and by_prefix else by_profile or by_prefix
    if len(both) != 1:
        return None
    [code] = both
    return None if code in refuted and code not in by_profile else code


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower()))


def _plain(text: str) -> str:
    return "".join(re.findall(r"[a-z0-9]", text.lower()))


def _names_type(profile: str, kind: DeviceTypeRow) -> bool:
    """Return whether a profile names a type: its code, its model, or the model's words with a maker or a model number.

    A model's words alone may be common ones: a counter may be of any maker.
    """
    if _plain(profile) and _plain(profile) in (_plain(kind.code), _plain(kind.model)):
        return True
    maker, *model = kind.code.lower().split("_")
    words = _words(profile)
    if not model or not words.issuperset(model):
        return False
    return not words.isdisjoint({maker, *_words(kind.manufacturer)}) or any(map(MODEL_NUMBER.fullmatch, model))


def _has_words(orphan: Orphan, kind: DeviceTypeRow) -> bool:
    maker, *model = kind.code.lower().split("_")
    return _words(f"{orphan.profile_name or ''} {orphan.device_name or ''}").issuperset(model or [maker])


def _reads(kind: DeviceTypeRow, frames: Iterable[tuple[int | None, bytes]]) -> bool | None:
    """Return whether the type's codec decodes all frames with data; None if none of them gives an occupancy or a light.

    None also stands for a type whose codec is not built in.
    """
    codec, driver = sensor_codec(kind.codec), display_driver(kind.codec)
    useful = False
    for f_port, data in frames:
        try:
            if kind.category == "sensor" and codec:
                useful |= codec.decode(f_port, data).occupancy is not None
            elif kind.category == "display" and driver:
                useful |= driver.decode_report(f_port, data).code is not None
            else:
                return None
        except DeviceDataError as error:
            if error.code != "no_data":
                return False
    return useful or None
