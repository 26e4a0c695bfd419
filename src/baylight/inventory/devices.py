"""The registries of sensors and displays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from baylight.access.change import Change
from baylight.domain.address import application_of, is_whole, parse_address
from baylight.domain.assignment import Candidate, Role, SharedRule
from baylight.domain.downlink import NETWORK_SERVERS
from baylight.domain.ids import parse_dev_eui
from baylight.domain.paging import PAGE_SIZE, check_page_size
from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.inventory import device_types
from baylight.inventory.display_codes import CodeLight, check_codes, describe_code, refuse_alike, similar_lights
from baylight.inventory.free_text import check_notes
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement


@dataclass(frozen=True, slots=True)
class Device:
    """Fields of both registries. `spaces`: codes of the spaces that the device serves.

    `frames_missing`: frames of its LoRaWAN session that were never received, by the gaps of the frame counter.
    """

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
    frames_missing: int
    spaces: list[str]


@dataclass(frozen=True, slots=True)
class Sensor(Device):
    """A sensor. `occupancy`: its newest statement about the place that it serves now.

    `network_log`: the newest log line of the network server about its uplinks or joins.
    """

    occupancy: str | None
    occupancy_at: datetime | None
    damaged: bool
    mobile: bool
    network_log: str | None
    network_log_at: datetime | None


@dataclass(frozen=True, slots=True)
class Display(Device):
    """A display. `lights`: the light of each code in `display_codes`. `warnings`: states whose lights look alike.

    `alike_allowed`: a person accepted that the light of another state looks like that of FREE.
    """

    codec: str
    display_codes: dict[str, str]
    alike_allowed: bool
    f_port: int
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


@dataclass(frozen=True, slots=True)
class Found:
    """A device of either registry."""

    role: Role
    id: UUID
    dev_eui: str


@dataclass(frozen=True, slots=True)
class LockedDevice(Candidate):
    """A device whose row is locked."""

    id: UUID
    device_type: str


@dataclass(frozen=True, slots=True)
class LockedDisplay(LockedDevice):
    """A display whose row is locked. `type_codes`: the codes of its device type."""

    alike_allowed: bool

    shared_rule: str
    display_codes: dict[str, str]
    codec: str
    type_codes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Address:
    """Address of a device at its network server."""

    network_server: str
    application_id: str | None


FIND = Query("inventory.devices.find", Found)
SENSORS = Query("inventory.devices.sensors", Sensor)
DISPLAYS = Query("inventory.devices.displays", Display)
INSERT_SENSOR = Query("inventory.devices.insert_sensor", UUID)
INSERT_DISPLAY = Query("inventory.devices.insert_display", UUID)
LOCK_SENSORS = Query("inventory.devices.lock_sensors", LockedDevice)
LOCK_DISPLAYS = Query("inventory.devices.lock_displays", LockedDisplay)
ADDRESS: dict[Role, Query[Address]] = {
    "sensor": Query("inventory.devices.sensor_address", Address),
    "display": Query("inventory.devices.display_address", Address),
}
NETWORK_SERVER_OF: dict[Role, Query[str]] = {
    "sensor": Query("inventory.devices.sensor_network_server", str),
    "display": Query("inventory.devices.display_network_server", str),
}
SET_ADDRESS: dict[Role, Query[Address]] = {
    "sensor": Query("inventory.devices.set_sensor_address", Address),
    "display": Query("inventory.devices.set_display_address", Address),
}
SET_DISPLAY_CODES = Statement("inventory.devices.set_display_codes")
SET_ENABLED: dict[Role, Statement] = {
    "sensor": Statement("inventory.devices.set_sensor_enabled"),
    "display": Statement("inventory.devices.set_display_enabled"),
}
SET_NOTES: dict[Role, Statement] = {
    "sensor": Statement("inventory.devices.set_sensor_notes"),
    "display": Statement("inventory.devices.set_display_notes"),
}
SET_LIFECYCLE: dict[Role, Statement] = {
    "sensor": Statement("inventory.devices.set_sensor_lifecycle"),
    "display": Statement("inventory.devices.set_display_lifecycle"),
}


async def list_sensors(
    connection: Connection, *, after: str | None = None, limit: int = PAGE_SIZE, decommissioned: bool = False
) -> list[Sensor]:
    """Return a page of sensors by DevEUI, beginning after one."""
    return await SENSORS.all(
        connection, dev_eui=None, after=after, decommissioned=decommissioned, limit=check_page_size(limit)
    )


async def list_displays(
    connection: Connection, *, after: str | None = None, limit: int = PAGE_SIZE, decommissioned: bool = False
) -> list[Display]:
    """Return a page of displays by DevEUI, beginning after one."""
    rows = await DISPLAYS.all(
        connection, dev_eui=None, after=after, decommissioned=decommissioned, limit=check_page_size(limit)
    )
    return [_with_lights(row) for row in rows]


async def get_sensor(connection: Connection, dev_eui: str) -> Sensor:
    """Return a sensor. Raises InputError `bad_dev_eui`, NotFoundError `unknown_sensor`."""
    eui = parse_dev_eui(dev_eui)
    found = await SENSORS.first(connection, dev_eui=eui, after=None, decommissioned=True, limit=1)
    if found is None:
        raise NotFoundError("unknown_sensor", f"no sensor {dev_eui} is registered", dev_eui=dev_eui)
    return found


async def get_display(connection: Connection, dev_eui: str) -> Display:
    """Return a display. Raises InputError `bad_dev_eui`, NotFoundError `unknown_display`."""
    eui = parse_dev_eui(dev_eui)
    found = await DISPLAYS.first(connection, dev_eui=eui, after=None, decommissioned=True, limit=1)
    if found is None:
        raise NotFoundError("unknown_display", f"no display {dev_eui} is registered", dev_eui=dev_eui)
    return _with_lights(found)


async def get_device(connection: Connection, role: Role, dev_eui: str) -> Sensor | Display:
    """Return a sensor or a display. Raises as `get_sensor` and `get_display`."""
    return await (get_sensor if role == "sensor" else get_display)(connection, dev_eui)


async def find_device(connection: Connection, dev_eui: str, role: Role | None = None) -> Found:
    """Return a device of either registry.

    Raises NotFoundError `unknown_device`; InputError `two_devices` if a sensor and a display have this DevEUI and no
    `role` is given.
    """
    found = await FIND.all(connection, dev_eui=parse_dev_eui(dev_eui))
    found = [device for device in found if role is None or device.role == role]
    if not found:
        raise NotFoundError("unknown_device", f"no {role or 'device'} {dev_eui} is registered", dev_eui=dev_eui)
    if len(found) > 1:
        raise InputError("two_devices", f"{dev_eui} is a sensor and a display: give the role", dev_eui=dev_eui)
    return found[0]


async def register_sensor(
    change: Change,
    dev_eui: str,
    *,
    device_type: str | None = None,
    notes: str | None = None,
    mobile: bool = False,
    network_server: str | None = None,
    application_id: str | None = None,
) -> tuple[Sensor, bool]:
    """Register a sensor; return it, and whether it is new. Idempotent. A decommissioned sensor is registered again.

    `device_type` None: the type follows from the prefix of the DevEUI. `network_server` None: the one of a registered
    sensor, else ChirpStack. It and `application_id` apply until the first uplink of a new sensor; an `application_id`
    replaces the one of a registered sensor. The application alone never replaces an address with a device id. Raises
    InputError, ConflictError `registered_otherwise`, `address_without_device_id`.
    """
    eui, notes = parse_dev_eui(dev_eui), check_notes(notes)
    async with change.transaction():
        network_server = await _network_server(change, "sensor", eui, network_server)
        application_id = parse_address(application_id, network_server)
        kind = await device_types.type_for(change.connection, "sensor", eui, device_type)
        new = await INSERT_SENSOR.first(
            change.connection,
            dev_eui=eui,
            device_type=kind.code,
            model=kind.model,
            manufacturer=kind.manufacturer,
            codec=kind.codec,
            capabilities=kind.capabilities,
            notes=notes,
            mobile=mobile,
            application_id=application_id,
            network_server=network_server,
        )
        sensor_id = new or (await get_sensor(change.connection, eui)).id
        sensor = await LOCK_SENSORS.one(change.connection, ids=[sensor_id])
        await _settle_registration(change, "sensor", sensor, kind.code, notes, is_new=new is not None)
        if new is None and application_id is not None:
            await _set_address(change, "sensor", sensor, network_server, application_id)
        if mobile and not sensor.shared:
            raise ConflictError("registered_otherwise", f"sensor {eui} is registered as not mobile", dev_eui=eui)
    return await get_sensor(change.connection, eui), new is not None


async def register_display(
    change: Change,
    dev_eui: str,
    *,
    device_type: str | None = None,
    display_codes: Mapping[str, str] | None = None,
    allow_alike: bool = False,
    notes: str | None = None,
    shared: bool = False,
    shared_rule: str = SharedRule.WORST_STATE,
    network_server: str | None = None,
    application_id: str | None = None,
) -> tuple[Display, bool]:
    """Register a display; return it, and whether it is new. Idempotent. A decommissioned display is registered again.

    `display_codes`: see `check_codes`; they replace those of the type. `allow_alike`: see `refuse_alike`. `shared`: the
    display may serve several spaces, whose states `shared_rule` combines. `network_server`, `application_id`: see
    `register_sensor`. Raises InputError, ConflictError `registered_otherwise`, `address_without_device_id`.
    """
    eui, notes = parse_dev_eui(dev_eui), check_notes(notes)
    async with change.transaction():
        network_server = await _network_server(change, "display", eui, network_server)
        application_id = parse_address(application_id, network_server)
        kind = await device_types.type_for(change.connection, "display", eui, device_type)
        type_codes = kind.default_config.get("display_codes", {})
        codes = check_codes(kind.codec, {**type_codes, **(display_codes or {})}, type_codes)
        allowed = allow_alike or (codes == type_codes and kind.default_config.get("allow_alike") is True)
        alike = refuse_alike(kind.codec, codes, allowed=allowed)
        new = await INSERT_DISPLAY.first(
            change.connection,
            dev_eui=eui,
            device_type=kind.code,
            model=kind.model,
            manufacturer=kind.manufacturer,
            display_codes=codes,
            alike_allowed=alike,
            f_port=kind.default_config.get("f_port", 1),
            confirmed_downlinks=kind.default_config.get("confirmed_downlinks", False),
            notes=notes,
            shared=shared,
            application_id=application_id,
            shared_rule=parse_rule(shared_rule),
            network_server=network_server,
        )
        display_id = new or (await get_display(change.connection, eui)).id
        display = await LOCK_DISPLAYS.one(change.connection, ids=[display_id])
        await _settle_registration(change, "display", display, kind.code, notes, is_new=new is not None)
        if new is None and application_id is not None:
            await _set_address(change, "display", display, network_server, application_id)
        if alike and new is not None:
            await change.record("display.allow_alike", "display", display.id, after={"display_codes": codes})
        if display_codes and display.display_codes != codes:
            raise ConflictError(
                "registered_otherwise", f"display {eui} is registered with other display_codes", dev_eui=eui
            )
        if shared and not (display.shared and display.shared_rule == shared_rule):
            rule = display.shared_rule if display.shared else "for one space"
            raise ConflictError("registered_otherwise", f"display {eui} is registered {rule}: share it", dev_eui=eui)
    return await get_display(change.connection, eui), new is not None


async def _settle_registration(
    change: Change, role: Role, device: LockedDevice, device_type: str, notes: str | None, *, is_new: bool
) -> None:
    """Record a new device. Refuse a known one of another type, let a decommissioned one or an orphan begin again."""
    eui = device.dev_eui
    if is_new:
        await change.record(f"{role}.register", role, device.id, after={"dev_eui": eui, "device_type": device_type})
    elif device.device_type != device_type:
        raise ConflictError("registered_otherwise", f"{role} {eui} is registered as {device.device_type}", dev_eui=eui)
    elif device.lifecycle_state in ("decommissioned", "orphan"):
        await SET_LIFECYCLE[role].run(change.connection, id=device.id, state="registered")
        await SET_ENABLED[role].run(change.connection, id=device.id, on=True)
        await change.record(f"{role}.register", role, device.id, after={"dev_eui": eui})
    if not is_new and notes is not None and await SET_NOTES[role].run(change.connection, id=device.id, notes=notes):
        await change.record(f"{role}.change", role, device.id, after={"notes": notes})


async def _network_server(change: Change, role: Role, dev_eui: str, given: str | None) -> str:
    """Return the network server that is given, else the one of the registered device, else the default."""
    if given is not None:
        return parse_network_server(given)
    return await NETWORK_SERVER_OF[role].first(change.connection, dev_eui=dev_eui) or NETWORK_SERVERS[0]


async def _set_address(
    change: Change, role: Role, device: LockedDevice, network_server: str, application_id: str
) -> None:
    """Replace the address of a registered device by the one that an operator gives.

    An application without device id does not replace a whole address: of the same application it changes nothing, for
    another one it raises ConflictError `address_without_device_id`.
    """
    known = await ADDRESS[role].one(change.connection, id=device.id)
    if is_whole(known.application_id, known.network_server) and not is_whole(application_id, network_server):
        if known.network_server == network_server and application_of(known.application_id) == application_id:
            return
        raise ConflictError(
            "address_without_device_id",
            f"{role} {device.dev_eui} is reached as {known.application_id} of {known.network_server}: "
            "give its new address as <application>/<device id>",
            dev_eui=device.dev_eui,
        )
    before = await SET_ADDRESS[role].first(
        change.connection, id=device.id, network_server=network_server, application_id=application_id
    )
    if before is not None:
        await change.record(
            f"{role}.address",
            role,
            device.id,
            before={"network_server": before.network_server, "application_id": before.application_id},
            after={"network_server": network_server, "application_id": application_id},
        )


def parse_network_server(name: str) -> str:
    """Return a known network server. Raises InputError `bad_network_server`."""
    if name not in NETWORK_SERVERS:
        known = ", ".join(NETWORK_SERVERS)
        raise InputError("bad_network_server", f"{name!r} is no network server: one of {known}", network_server=name)
    return name


def parse_rule(text: str) -> SharedRule:
    """Return a rule for shared displays. Raises InputError `bad_rule`."""
    try:
        return SharedRule(text)
    except ValueError as error:
        raise InputError("bad_rule", f"{text!r} is no rule: one of {', '.join(SharedRule)}", rule=text) from error


def _with_lights(display: Display) -> Display:
    lights = {state: describe_code(display.codec, code) for state, code in display.display_codes.items()}
    return replace(display, lights=lights, warnings=similar_lights(display.codec, display.display_codes))
