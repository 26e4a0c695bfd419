"""Device lists of network servers as rows of a `devices` file."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

import msgspec

from baylight.access.change import Change
from baylight.bulk import imports
from baylight.bulk.imports import Report
from baylight.bulk.sheets import SHEETS, write
from baylight.domain.ids import parse_dev_eui
from baylight.errors import InputError
from baylight.inventory import device_types
from baylight.ports import Listed, Source
from baylight.store.pool import Connection
from baylight.store.query import queries

Types = Mapping[str, str]
"""Profile or model -> device type, or LEFT_OUT."""
_MOST_BYTES = 256 * 1024 * 1024
_COLUMNS = tuple(column.name for column in SHEETS["devices"].columns)
LEFT_OUT = "-"
"""A type in `types`: devices of this profile are not imported."""


@dataclass(slots=True)
class Taken:
    """`left_out`: how many devices of each profile were not taken."""

    devices: list[tuple[int, Listed, str | None]]
    left_out: dict[str, int]
    registered: dict[str, str]
    categories: dict[str, str]
    network_server: str

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """For `bulk.import_rows`. Of a device that is registered only the network server and its application."""
        for number, device, code in self.devices:
            cells = dict.fromkeys(_COLUMNS, "") | {
                "dev_eui": device.dev_eui,
                "network_server": self.network_server,
                "application_id": write(device.application_id),
            }
            role = self.registered.get(_canonical(device.dev_eui) or "")
            if role is None:
                cells["notes"] = write(device.name[:2000].strip())
                cells["device_type"] = code or ""
                role = self.categories[code] if code else "sensor"
            yield number, cells | {"role": role}


async def import_list(
    change: Change,
    devices: AsyncIterable[Listed],
    *,
    network_server: str,
    types: Types,
    only_known: bool = False,
    **options: Any,
) -> Report:
    """As `take`, then as `bulk.import_rows`, whose `options` these are. Its errors name the device."""
    taken = await take(change.connection, devices, network_server=network_server, types=types, only_known=only_known)
    report = await imports.import_rows(change, "devices", taken.rows(), **options)
    listed = {number: device for number, device, _ in taken.devices}
    report.first = [
        replace(error, message=f"{device.dev_eui} ({device.profile or 'no profile'}): {error.message}")
        for error in report.first
        for device in (listed[error.row],)
    ]
    report.left_out = taken.left_out
    return report


def asked(source: Source | None, applications: Sequence[str], tenant: str | None) -> AsyncIterator[Listed]:
    """Raises InputError `no_chirpstack`, `no_application`."""
    if source is None:
        raise InputError("no_chirpstack", "set BAYLIGHT_CHIRPSTACK_API and BAYLIGHT_CHIRPSTACK_API_KEY")
    if not applications and not tenant:
        raise InputError("no_application", "name an application or a tenant")
    return source(applications, tenant)


def parse_types(pairs: Iterable[str]) -> dict[str, str]:
    """Of PROFILE=TYPE each. Raises InputError `bad_map`."""
    types = {}
    for pair in pairs:
        profile, equals, code = pair.rpartition("=")
        if not equals or not code:
            raise InputError("bad_map", f"{pair!r} is not PROFILE=TYPE, e.g. 'Parking sensor=browan_tbms100'")
        types[profile] = code
    return types


async def take(
    connection: Connection,
    devices: AsyncIterable[Listed],
    *,
    network_server: str,
    types: Types,
    only_known: bool = False,
) -> Taken:
    """Devices as a `devices` file would tell them. Whether a device is a sensor or a display follows from its type.

    `types`: profile -> device type, or LEFT_OUT; a profile without an entry whose name is a type's code or model is
    that type, and for any other the DevEUI's prefix tells it. What is not told is refused as a row, or with
    `only_known` left out. Raises NotFoundError `unknown_device_type`.
    """
    known = await device_types.list_device_types(connection)
    named = {_plain(name): kind.code for kind in known for name in (kind.model, kind.code) if kind.enabled}
    for named_type in set(types.values()) - {LEFT_OUT}:
        await device_types.get_device_type(connection, named_type)
    prefixes = sorted(
        ((prefix.lower(), kind.code) for kind in known if kind.enabled for prefix in kind.dev_eui_prefixes),
        key=lambda pair: -len(pair[0]),
    )
    taken = Taken([], {}, {}, {kind.code: kind.category for kind in known}, network_server)
    number = 0
    async for device in devices:
        number += 1
        code: str | None = (
            types.get(device.profile) or named.get(_plain(device.profile)) or _by_prefix(device.dev_eui, prefixes)
        )
        if code == LEFT_OUT or (code is None and only_known):
            taken.left_out[device.profile] = taken.left_out.get(device.profile, 0) + 1
        else:
            taken.devices.append((number, device, code))
    euis = [eui for _, device, _ in taken.devices if (eui := _canonical(device.dev_eui))]
    taken.registered = {
        row["dev_eui"]: row["role"] for row in await connection.fetch(queries("bulk.imports")["registered"], euis)
    }
    return taken


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _by_prefix(dev_eui: str, prefixes: list[tuple[str, str]]) -> str | None:
    """The type of the longest prefix that fits, if only one has it."""
    eui = _canonical(dev_eui)
    fits = [(prefix, code) for prefix, code in prefixes if eui and eui.startswith(prefix)]
    best = {code for prefix, code in fits if len(prefix) == len(fits[0][0])}
    return best.pop() if len(best) == 1 else None


def _canonical(dev_eui: str) -> str | None:
    try:
        return parse_dev_eui(dev_eui)
    except InputError:
        return None


def read_tts(source: IO[bytes]) -> Iterator[Listed]:
    """Devices of a The Things Stack export: its CSV (columns separated by `;` or `,`), its JSON stream, or a JSON
    array. Keys of devices in it are not looked at. Raises InputError `bad_list`."""
    raw = source.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise InputError("bad_list", f"the file is larger than {_MOST_BYTES} bytes: split it")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("not_utf8", "the file is not UTF-8") from error
    yield from _tts_json(text) if text.lstrip()[:1] in ("{", "[") else _tts_csv(text)


class _Ids(msgspec.Struct):
    dev_eui: str = ""
    device_id: str = ""
    application_ids: dict[str, str] = {}


class _Version(msgspec.Struct):
    brand_id: str = ""
    model_id: str = ""


class _EndDevice(msgspec.Struct):
    ids: _Ids
    name: str = ""
    version_ids: _Version | None = None


def _tts_json(text: str) -> Iterator[Listed]:
    decoder = json.JSONDecoder()
    number = 0
    at = text.index("[") + 1 if text.lstrip().startswith("[") else 0
    while at < len(text):
        if text[at] in " \t\r\n,]":
            at += 1
            continue
        number += 1
        try:
            value, at = decoder.raw_decode(text, at)
            device = msgspec.convert(value, _EndDevice)
        except (ValueError, RecursionError) as error:
            raise InputError("bad_list", f"device {number} of the file: {error}", device=number) from error
        version = device.version_ids or _Version()
        yield Listed(
            device.ids.dev_eui,
            device.name or device.ids.device_id,
            _profile(version.brand_id, version.model_id),
            device.ids.application_ids.get("application_id", ""),
        )


def _tts_csv(text: str) -> Iterator[Listed]:
    header = text.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=";" if ";" in header else ",", strict=True, restval=""
    )
    if "dev_eui" not in (reader.fieldnames or ()):
        raise InputError("bad_list", "this is no device list of The Things Stack: it has no column dev_eui")
    try:
        for row in reader:
            if None in row:
                raise InputError("bad_list", f"line {reader.line_num} has more cells than the header")
            yield Listed(
                row["dev_eui"],
                row.get("name") or row.get("id") or "",
                _profile(row.get("brand_id") or "", row.get("model_id") or ""),
            )
    except csv.Error as error:
        raise InputError("bad_list", f"line {reader.line_num}: {error}") from error


def _profile(brand: str, model: str) -> str:
    return f"{brand}/{model}" if brand and model else model
