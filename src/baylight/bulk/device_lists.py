"""Device lists of network servers, as rows of a `devices` file."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, NamedTuple

import msgspec

from baylight.access.change import Change
from baylight.bulk import imports
from baylight.bulk.cells import write
from baylight.bulk.csv_file import RowError
from baylight.bulk.imports import Progress, Report
from baylight.bulk.kinds import SHEETS
from baylight.domain.ids import parse_dev_eui
from baylight.errors import InputError, shorten
from baylight.inventory import device_types
from baylight.ports import DeviceSource, Listed, ListedApplication
from baylight.store.pool import Connection
from baylight.store.query import Query

Types = Mapping[str, str]
"""Profile or model -> device type, or LEFT_OUT."""
LEFT_OUT = "-"
"""Type in `types` that leaves out the devices of a profile."""
MAX_NAMED = 5
MAX_LIST_BYTES = 256 * 1024 * 1024
_COLUMNS = tuple(column.name for column in SHEETS["devices"].columns)


class Registered(NamedTuple):
    """A device of a list that is already registered."""

    dev_eui: str
    role: str
    device_type: str


REGISTERED = Query("bulk.device_lists.registered", Registered)
NOT_LISTED = Query("bulk.device_lists.not_listed", str)
KNOWN_APPLICATIONS = Query("bulk.device_lists.known_applications", str)
_WHERE_IDS_STAND = (
    "the ids stand in the address of ChirpStack's pages, …/#/tenants/<tenant id>/applications/<application id>, and in "
    "the topics of its events, application/<application id>/device/…"
)


@dataclass(slots=True)
class Selection:
    """The devices of a list that are imported: number in the list, device, device type (None: unknown).

    `left_out`: how many devices of each profile are not imported. `profiles`: how many devices each has. `registered`:
    by DevEUI. `categories`: by device type.
    """

    network_server: str
    categories: dict[str, str]
    devices: list[tuple[int, Listed, str | None]] = field(default_factory=list)
    listed: list[Listed] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    profiles: Counter[str] = field(default_factory=Counter)
    registered: dict[str, Registered] = field(default_factory=dict)

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield rows for `imports.import_rows`; for a registered device only its network server and application."""
        for number, device, code in self.devices:
            cells = dict.fromkeys(_COLUMNS, "") | {
                "dev_eui": device.dev_eui,
                "network_server": self.network_server,
                "application_id": write(device.application_id),
            }
            registered = self.of(device)
            role = registered.role if registered else None
            if role is None:
                cells["notes"] = write(device.name[:2000].strip())
                cells["device_type"] = code or ""
                role = self.categories[code] if code else "sensor"
            yield number, cells | {"role": role}

    def of(self, device: Listed) -> Registered | None:
        """Return the registered device, if it is registered."""
        return self.registered.get(_canonical(device.dev_eui) or "")


async def import_list(
    change: Change,
    devices: AsyncIterable[Listed],
    *,
    network_server: str,
    types: Types,
    applications: Sequence[str] = (),
    only_known: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Import the devices that `select` selects, as `imports.import_rows` does. The errors name the device.

    `applications`: ids of applications whose devices are listed completely, besides those of the devices.
    """
    selection = await select(
        change.connection, devices, network_server=network_server, types=types, only_known=only_known
    )
    report = await imports.import_rows(change, "devices", selection.rows(), dry_run=dry_run, progress=progress)
    listed = {number: device for number, device, _ in selection.devices}
    report.first = list(_one_line_per_profile(report.first, listed, selection))
    report.left_out = dict(selection.left_out)
    report.notes = _notes(selection, types)
    if network_server == "chirpstack":
        report.notes += await _not_listed(change.connection, selection, applications)
    return report


def _one_line_per_profile(
    errors: Iterable[RowError], listed: Mapping[int, Listed], selection: Selection
) -> Iterator[RowError]:
    """Yield the errors, with the name of the device. Of the devices without a type only the first of its profile."""
    seen: set[str] = set()
    for error in errors:
        device = listed[error.row]
        profile = device.profile
        if error.code != "type_missing":
            yield replace(error, message=f"{device.dev_eui} ({profile or 'no profile'}): {error.message}")
        elif profile not in seen:
            seen.add(profile)
            unknown = [
                1 for _, d, code in selection.devices if code is None and d.profile == profile and not selection.of(d)
            ]
            yield replace(error, message=_how_to_map(profile, len(unknown)))


def _how_to_map(profile: str, count: int) -> str:
    name = _shown(profile)
    who = f"with the profile {name}" if profile else "without a profile"
    return (
        f'the device type of {_devices(count)} {who} is not known: add --map "{name}=TYPE" with a type of '
        f'`baylight type list`, or --map "{name}=-" to leave them out'
    )


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count} devices"


def _notes(selection: Selection, types: Types) -> list[str]:
    """Return what the import does not do although somebody may expect it."""
    notes = []
    profiles = ", ".join(sorted(_shown(profile) or "(none)" for profile in selection.profiles)) or "none"
    for profile in types:
        if profile not in selection.profiles:
            notes.append(f"--map {_shown(profile)}=…: no listed device has this profile; the list has: {profiles}")
    kept = Counter(
        (device.profile, registered.device_type)
        for _, device, _ in selection.devices
        if (registered := selection.of(device))
        and types.get(device.profile, registered.device_type) != registered.device_type
    )
    for (profile, code), count in sorted(kept.items()):
        notes.append(
            f"--map {_shown(profile)}={types[profile]}: no effect on {_devices(count)}, registered already as {code}"
        )
    if disabled := [device.dev_eui for _, device, _ in selection.devices if not device.enabled]:
        notes.append(f"disabled there, so that nothing is received from them or sent to them: {_some(disabled)}")
    if not selection.profiles:
        notes.append("the list is empty")
    return notes


async def _not_listed(connection: Connection, selection: Selection, applications: Sequence[str]) -> list[str]:
    gone = await NOT_LISTED.all(
        connection,
        network_server=selection.network_server,
        applications=sorted({*applications, *(device.application_id for device in selection.listed)}),
        listed=[eui for device in selection.listed if (eui := _canonical(device.dev_eui))],
    )
    if not gone:
        return []
    return [f"registered here for these applications, but no longer there: {_some(gone)}"]


def _some(dev_euis: Sequence[str]) -> str:
    more = f" and {len(dev_euis) - MAX_NAMED} more" if len(dev_euis) > MAX_NAMED else ""
    return f"{len(dev_euis)}: {', '.join(dev_euis[:MAX_NAMED])}{more}"


def _shown(text: str) -> str:
    """Return a text of a network server for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in shorten(text, 100))


async def known_applications(connection: Connection, network_server: str) -> list[str]:
    """Return ids of applications that devices are registered for, or that events came from; 100 at most."""
    return await KNOWN_APPLICATIONS.all(connection, network_server=network_server)


async def name_an_application(source: DeviceSource, known: Sequence[str]) -> tuple[list[ListedApplication], InputError]:
    """Return the applications that the key can see, and the error that asks for one of them."""
    found = await source.applications(known)
    which = "one of these applications" if found else "an application"
    return found, InputError(
        "no_application", f"name {which} (--application ID) or its tenant (--tenant ID): {_WHERE_IDS_STAND}"
    )


def list_chirpstack(
    source: DeviceSource | None, applications: Sequence[str], tenant: str | None
) -> AsyncIterator[Listed]:
    """List the devices of applications or of a tenant. Raises InputError `no_chirpstack`, `no_application`."""
    if source is None:
        raise InputError("no_chirpstack", "set BAYLIGHT_CHIRPSTACK_API and BAYLIGHT_CHIRPSTACK_API_KEY")
    if not applications and not tenant:
        raise InputError("no_application", f"name an application or a tenant: {_WHERE_IDS_STAND}")
    return source.devices(applications, tenant)


def parse_types(pairs: Iterable[str]) -> dict[str, str]:
    """Parse texts PROFILE=TYPE. Raises InputError `bad_map`."""
    types = {}
    for pair in pairs:
        profile, equals, code = pair.rpartition("=")
        if not equals or not code:
            raise InputError("bad_map", f"{pair!r} is not PROFILE=TYPE, e.g. 'Parking sensor=browan_tbms100'")
        types[profile] = code
    return types


async def select(
    connection: Connection,
    devices: AsyncIterable[Listed],
    *,
    network_server: str,
    types: Types,
    only_known: bool = False,
) -> Selection:
    """Find the device type of each device. Whether a device is a sensor or a display follows from its type.

    `types`: profile -> device type, or LEFT_OUT. A profile that is not in it gives the type whose code or model has the
    same name; else the prefix of the DevEUI gives the type. A device without a type becomes a row that the import
    refuses, or with `only_known` is left out. Raises NotFoundError `unknown_device_type`.
    """
    known = await device_types.list_device_types(connection)
    named = {_plain(name): kind.code for kind in known for name in (kind.model, kind.code) if kind.enabled}
    for code in set(types.values()) - {LEFT_OUT}:
        await device_types.get_device_type(connection, code)
    prefixes = sorted(
        ((prefix.lower(), kind.code) for kind in known if kind.enabled for prefix in kind.dev_eui_prefixes),
        key=lambda pair: -len(pair[0]),
    )
    selection = Selection(network_server, {kind.code: kind.category for kind in known})
    number = 0
    async for device in devices:
        number += 1
        profile = device.profile
        selection.profiles[profile] += 1
        selection.listed.append(device)
        found = types.get(profile) or named.get(_plain(profile)) or _by_prefix(device.dev_eui, prefixes)
        if found == LEFT_OUT or (found is None and only_known):
            selection.left_out[profile] += 1
        else:
            selection.devices.append((number, device, found))
    euis = [eui for _, device, _ in selection.devices if (eui := _canonical(device.dev_eui))]
    selection.registered = {row.dev_eui: row for row in await REGISTERED.all(connection, dev_euis=euis)}
    return selection


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _by_prefix(dev_eui: str, prefixes: list[tuple[str, str]]) -> str | None:
    """Return the type of the longest prefix that fits, if only one type has it."""
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
    """Yield the devices of an export of The Things Stack: CSV (separated by `;` or `,`), JSON stream, or JSON array.

    Session keys in it are not read. Raises InputError `bad_list`.
    """
    raw = source.read(MAX_LIST_BYTES + 1)
    if len(raw) > MAX_LIST_BYTES:
        raise InputError("bad_list", f"the file is larger than {MAX_LIST_BYTES} bytes: split it")
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
