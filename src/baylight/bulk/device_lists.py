"""Device lists of network servers, as rows of a `devices` file."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import IO, NamedTuple

from baylight.access.change import Change
from baylight.bulk import imports
from baylight.bulk.cells import write
from baylight.bulk.csv_file import RowError
from baylight.bulk.delivery_list import read_delivery
from baylight.bulk.imports import Progress, Report
from baylight.bulk.kinds import SHEETS
from baylight.bulk.steps import PAGE
from baylight.bulk.tts_export import read_tts
from baylight.domain.address import application_of, is_whole
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
MAX_LEFT_OUT = 100
"""Profiles that a report names one by one."""
_COLUMNS = tuple(column.name for column in SHEETS["devices"].columns)


class Registered(NamedTuple):
    """A device of a list that is already registered."""

    dev_eui: str
    role: str
    device_type: str
    network_server: str
    application_id: str | None

    @property
    def is_whole(self) -> bool:
        """Return whether downlinks reach it by its address alone."""
        return is_whole(self.application_id, self.network_server)


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
        """Yield rows for `imports.import_rows`; for a registered device only its address, unless `keeps` it."""
        for number, device, code in self.devices:
            registered = self.of(device)
            cells = dict.fromkeys(_COLUMNS, "") | {"dev_eui": device.dev_eui}
            if registered is None or not self.keeps(device, registered):
                cells["network_server"] = self.network_server
                cells["application_id"] = write(device.application_id)
            role = registered.role if registered else None
            if role is None:
                cells["notes"] = write(device.name[:2000].strip())
                cells["device_type"] = code or ""
                role = self.categories[code] if code else "sensor"
            yield number, cells | {"role": role}

    def keeps(self, device: Listed, registered: Registered) -> bool:
        """Return whether a registered device keeps its address, because the listed one has less: no device id."""
        return registered.is_whole and not is_whole(device.application_id or None, self.network_server)

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
    complete: bool = False,
    only_known: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Import the devices that `select` selects, as `imports.import_rows` does. The errors name the device.

    `complete`: the list has all devices of its applications, and of `applications` (ids), so that others are noted.
    """
    selection = await select(
        change.connection, devices, network_server=network_server, types=types, only_known=only_known
    )
    report = await imports.import_rows(change, "devices", selection.rows(), dry_run=dry_run, progress=progress)
    listed = {number: device for number, device, _ in selection.devices}
    report.first = await asyncio.to_thread(lambda: list(_one_line_per_profile(report.first, listed, selection)))
    report.left_out = {shorten(profile, 200): count for profile, count in selection.left_out.most_common(MAX_LEFT_OUT)}
    report.notes = await asyncio.to_thread(_notes, selection, types)  # in place of those that name rows of a file
    if complete:
        report.notes += await _not_listed(change.connection, selection, applications)
    return report


def _one_line_per_profile(
    errors: Iterable[RowError], listed: Mapping[int, Listed], selection: Selection
) -> Iterator[RowError]:
    """Yield the errors, with the name of the device. Of the devices without a type only the first of its profile."""
    seen: set[str] = set()
    unknown = Counter(d.profile for _, d, code in selection.devices if code is None and not selection.of(d))
    for error in errors:
        device = listed[error.row]
        profile = device.profile
        if error.code != "type_missing":
            name = shorten(device.dev_eui or device.name or device.application_id, 100) or f"device {error.row}"
            yield replace(error, message=f"{name} ({shorten(profile, 100) or 'no profile'}): {error.message}")
        elif profile not in seen:
            seen.add(profile)
            yield replace(error, message=_how_to_map(profile, unknown[profile]))


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
    some = [profile for profile, _ in selection.profiles.most_common(MAX_LEFT_OUT)]
    profiles = ", ".join(sorted(_shown(profile) or "(none)" for profile in some)) or "none"
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
    return notes + _address_notes(selection)


def _address_notes(selection: Selection) -> list[str]:
    """Return which known addresses the import keeps or replaces, and which are not in the list."""
    kept, replaced, unnamed = [], [], []
    for _, device, _ in selection.devices:
        address, registered = device.application_id or None, selection.of(device)
        if registered and registered.is_whole:
            before, after = f"{registered.network_server} {registered.application_id}", address or "no application"
            if not selection.keeps(device, registered):
                if (registered.network_server, registered.application_id) != (selection.network_server, address):
                    replaced.append(f"{registered.dev_eui} ({before} by {selection.network_server} {after})")
            elif address and application_of(registered.application_id) != address:
                kept.append(f"{registered.dev_eui} ({before}, not {after})")
        elif address is None:
            unnamed.append(device.dev_eui)
    notes = []
    if kept:
        notes.append(f"the list has no device id, so that the known address is kept: {_some(kept)}")
    if replaced:
        notes.append(f"the known address is replaced by the one in the list: {_some(replaced)}")
    if unnamed and selection.network_server == "tts":
        notes.append(
            "the list names no application (--application ID names it), so that it is not known until the first "
            f"uplink or join: {_some(unnamed)}"
        )
    return notes


async def _not_listed(connection: Connection, selection: Selection, applications: Sequence[str]) -> list[str]:
    gone = await NOT_LISTED.all(
        connection,
        network_server=selection.network_server,
        applications=sorted({*applications, *(device.application_id for device in selection.listed)}),
        listed=await asyncio.to_thread(lambda: list(filter(None, (_canonical(d.dev_eui) for d in selection.listed)))),
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


async def list_tts(source: IO[bytes], application: str = "") -> AsyncIterator[Listed]:
    """List the devices of an export of The Things Stack. Raises as `read_tts`."""
    async for device in _beside_the_loop(read_tts(source, application)):
        yield device


async def list_delivery(source: IO[bytes], columns: Mapping[str, str], application: str = "") -> AsyncIterator[Listed]:
    """List the devices of a maker's delivery list. Raises as `read_delivery`."""
    async for device in _beside_the_loop(read_delivery(source, columns, application)):
        yield device


async def _beside_the_loop(devices: Iterator[Listed]) -> AsyncIterator[Listed]:
    while page := await asyncio.to_thread(lambda: list(islice(devices, PAGE))):
        for device in page:
            yield device


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
    for start in range(0, len(selection.devices), PAGE):
        page = selection.devices[start : start + PAGE]
        euis = [eui for _, device, _ in page if (eui := _canonical(device.dev_eui))]
        selection.registered |= {row.dev_eui: row for row in await REGISTERED.all(connection, dev_euis=euis)}
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
