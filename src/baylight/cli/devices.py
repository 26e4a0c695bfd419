"""`baylight sensor …`, `baylight display …`, `baylight type …`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from baylight.cli.run import Context, Json, on_database, print_fields, print_rows

if TYPE_CHECKING:
    from baylight.inventory.devices import Display, Role, Sensor

sensor = typer.Typer(help="Devices that measure.", no_args_is_help=True)
display = typer.Typer(help="Devices that show.", no_args_is_help=True)
device_type = typer.Typer(help="The catalogue of device types.", no_args_is_help=True)

Eui = Annotated[str, typer.Argument(help="DevEUI: 16 hex digits in any notation")]
Type = Annotated[str | None, typer.Option("--type", help="device type, see `baylight type list`")]
NetworkServer = Annotated[str, typer.Option(help="through which it is reached, until it is heard: chirpstack or tts")]
Application = Annotated[str | None, typer.Option(help="its application there; tts: <application>/<device id>")]
Notes = Annotated[str | None, typer.Option(help="anything worth remembering")]
After = Annotated[str | None, typer.Option(help="begin after this DevEUI")]
Limit = Annotated[int, typer.Option(help="at most")]
All = Annotated[bool, typer.Option("--all", help="decommissioned ones too")]
Reason = Annotated[str | None, typer.Option(help="why")]


@sensor.command("add")
def add_sensor(
    dev_eui: Eui,
    kind: Type = None,
    notes: Notes = None,
    mobile: Annotated[bool, typer.Option("--mobile", help="it may wander between spaces")] = False,
    network_server: NetworkServer = "chirpstack",
    application: Application = None,
    as_json: Json = False,
) -> None:
    """Registers a sensor. May be repeated."""
    from baylight.inventory import devices

    async def work(c: Context) -> Sensor:
        found, _ = await devices.register_sensor(
            c.change,
            dev_eui,
            device_type=kind,
            notes=notes,
            mobile=mobile,
            network_server=network_server,
            application_id=application,
        )
        return found

    print_fields(on_database(work), as_json=as_json)


@sensor.command("list")
def list_sensors(after: After = None, limit: Limit = 100, everything: All = False, as_json: Json = False) -> None:
    """Sensors by DevEUI."""
    from baylight.inventory import devices

    rows = on_database(lambda c: devices.sensors(c.connection, after=after, limit=limit, decommissioned=everything))
    columns = (
        "dev_eui device_type lifecycle_state enabled spaces occupancy occupancy_at last_seen_at battery_v rssi_dbm"
    )
    print_rows(rows, columns, as_json=as_json, limit=limit)


@sensor.command("show")
def show_sensor(dev_eui: Eui, as_json: Json = False) -> None:
    """Everything about a sensor."""
    from baylight.inventory import devices

    print_fields(on_database(lambda c: devices.sensor(c.connection, dev_eui)), as_json=as_json)


@display.command("add")
def add_display(
    dev_eui: Eui,
    kind: Type = None,
    code: Annotated[
        list[str] | None,
        typer.Option(metavar="STATE=CODE", help="hex or a light (orange, #ff9900)"),
    ] = None,
    notes: Notes = None,
    shared: Annotated[bool, typer.Option("--shared", help="it may serve several spaces")] = False,
    network_server: NetworkServer = "chirpstack",
    application: Application = None,
    as_json: Json = False,
) -> None:
    """Registers a display. May be repeated."""
    from baylight.inventory import devices

    codes = parse_codes(code or [])

    async def work(c: Context) -> Display:
        found, _ = await devices.register_display(
            c.change,
            dev_eui,
            device_type=kind,
            display_codes=codes,
            notes=notes,
            shared=shared,
            network_server=network_server,
            application_id=application,
        )
        return found

    print_display(on_database(work), as_json=as_json)


@display.command("list")
def list_displays(after: After = None, limit: Limit = 100, everything: All = False, as_json: Json = False) -> None:
    """Displays by DevEUI."""
    from baylight.inventory import devices

    rows = on_database(lambda c: devices.displays(c.connection, after=after, limit=limit, decommissioned=everything))
    columns = "dev_eui device_type lifecycle_state enabled spaces desired_state sync_status last_seen_at rssi_dbm"
    print_rows(rows, columns, as_json=as_json, limit=limit)


@display.command("show")
def show_display(dev_eui: Eui, as_json: Json = False) -> None:
    """Everything about a display, and what people see."""
    from baylight.inventory import devices

    print_display(on_database(lambda c: devices.display(c.connection, dev_eui)), as_json=as_json)


@display.command("codes")
def display_codes(
    dev_eui: Eui,
    code: Annotated[
        list[str] | None,
        typer.Argument(metavar="STATE=CODE...", help="hex or a light (orange); without: show"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tells or changes what it shows; the light follows at once."""
    from baylight.inventory import device_changes, devices

    codes = parse_codes(code or [])

    async def work(c: Context) -> Display:
        if not codes:
            return await devices.display(c.connection, dev_eui)
        return await device_changes.set_display_codes(c.change, dev_eui, codes)

    found = on_database(work)
    if as_json:
        print_rows(list(found.lights.values()), "", as_json=True)
    else:
        _print_lights(found)


@device_type.command("list")
def list_types(as_json: Json = False) -> None:
    """What can be registered."""
    from baylight.inventory import device_types

    rows = on_database(lambda c: device_types.types(c.connection))
    print_rows(rows, "code category manufacturer model dev_eui_prefixes shipped enabled", as_json=as_json)


@sensor.command("enable")
def enable_sensor(dev_eui: Eui) -> None:
    """It is believed again, from its next reading on."""
    _set_enabled("sensor", dev_eui, True)


@sensor.command("disable")
def disable_sensor(dev_eui: Eui) -> None:
    """It is not believed: its space becomes UNKNOWN."""
    _set_enabled("sensor", dev_eui, False)


@display.command("enable")
def enable_display(dev_eui: Eui) -> None:
    """It is sent what it must show."""
    _set_enabled("display", dev_eui, True)


@display.command("disable")
def disable_display(dev_eui: Eui) -> None:
    """It is sent nothing."""
    _set_enabled("display", dev_eui, False)


@sensor.command("lifecycle")
def sensor_lifecycle(dev_eui: Eui, state: Annotated[str, typer.Argument()], reason: Reason = None) -> None:
    """A step: installed, testing, active, maintenance, decommissioned."""
    _set_lifecycle("sensor", dev_eui, state, reason)


@display.command("lifecycle")
def display_lifecycle(dev_eui: Eui, state: Annotated[str, typer.Argument()], reason: Reason = None) -> None:
    """A step: installed, testing, active, maintenance, decommissioned."""
    _set_lifecycle("display", dev_eui, state, reason)


def _set_enabled(role: Role, dev_eui: str, on: bool) -> None:
    from baylight.inventory import device_changes

    on_database(lambda c: device_changes.set_enabled(c.change, role, dev_eui, on))
    typer.echo(f"{role} {dev_eui} is {'enabled' if on else 'disabled'}")


def _set_lifecycle(role: Role, dev_eui: str, state: str, reason: str | None) -> None:
    from baylight.inventory import device_changes

    on_database(lambda c: device_changes.set_lifecycle(c.change, role, dev_eui, state, reason=reason))
    typer.echo(f"{role} {dev_eui} is {state}")


def parse_codes(given: list[str]) -> dict[str, str]:
    codes = {}
    for pair in given:
        state, equals, code = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} is not STATE=CODE, e.g. FREE=0000ff6400 or FREE=#00ff00")
        codes[state.strip().upper()] = code.strip()
    return codes


def print_display(found: Display, *, as_json: bool) -> None:
    from dataclasses import replace

    if as_json:
        print_fields(found, as_json=True)
        return
    print_fields(replace(found, lights={}, display_codes={}, warnings=[]), as_json=False)
    _print_lights(found)


def _print_lights(found: Display) -> None:
    unknown = "by its codec" if found.codec.startswith("js:") else "not a code of this display"
    for state, light in found.lights.items():
        typer.echo(f"{state:<14} {light.code}  {light.rgb or '?':<8} {light.colour or unknown}")
    for warning in found.warnings:
        typer.echo(f"look: {warning}")
