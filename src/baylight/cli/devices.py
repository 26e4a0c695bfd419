"""`baylight device …`: the registry of sensors and displays. The type of a device decides which of the two it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from baylight.cli.options import After, AllowAlike, Eui, Json, Limit, Notes, Reason, Role, Type
from baylight.cli.output import say
from baylight.cli.run import Context, on_database, print_fields, print_json, print_rows
from baylight.domain.paging import PAGE_SIZE

if TYPE_CHECKING:
    from baylight.inventory.devices import Display, Sensor

app = typer.Typer(help="Register, replace and test sensors and displays.", no_args_is_help=True)

RULES = "any_free, all_free, count or worst_state"
COLUMNS = "dev_eui device_type lifecycle_state enabled spaces last_seen_at rssi_dbm"
OF_ROLE = {None: "", "sensor": " occupancy occupancy_at battery_v", "display": " desired_state sync_status"}
"""Further columns of a list of one role."""

Codes = Annotated[
    list[str] | None,
    typer.Option(
        "--code", metavar="STATE=CODE", help="of a display: hex or a light (#ff9900, 'red, flashing 500/500')"
    ),
]
NetworkServer = Annotated[
    str | None,
    typer.Option(
        help="chirpstack or tts; used until the first uplink; default: that of a registered device, else chirpstack"
    ),
]
Application = Annotated[
    str | None, typer.Option(help="application of the device there; tts: <application>/<device id>")
]


@app.command("add")
def add_device(
    dev_eui: Eui,
    kind: Type = None,
    role: Role = None,
    codes: Codes = None,
    allow_alike: AllowAlike = False,
    notes: Notes = None,
    mobile: Annotated[bool, typer.Option("--mobile", help="a sensor that moves between spaces")] = False,
    shared: Annotated[
        str | None, typer.Option(metavar="RULE", help=f"a display for several spaces; RULE is {RULES}")
    ] = None,
    network_server: NetworkServer = None,
    application: Application = None,
    as_json: Json = False,
) -> None:
    """Register a sensor or a display. Without --type, the DevEUI's prefix decides. You may repeat the command."""
    from baylight.domain.ids import parse_dev_eui
    from baylight.inventory import device_types, devices

    given = parse_codes(codes)

    async def work(c: Context) -> Sensor | Display:
        found: Sensor | Display
        if (role or await device_types.category_for(c.connection, parse_dev_eui(dev_eui), kind)) == "sensor":
            _refuse(given or shared is not None, "--code and --shared are options of displays; this is a sensor")
            found, _ = await devices.register_sensor(
                c.change,
                dev_eui,
                device_type=kind,
                notes=notes,
                mobile=mobile,
                network_server=network_server,
                application_id=application,
            )
        else:
            _refuse(mobile, "--mobile is an option of sensors; this is a display")
            found, _ = await devices.register_display(
                c.change,
                dev_eui,
                device_type=kind,
                display_codes=given,
                allow_alike=allow_alike,
                notes=notes,
                shared=shared is not None,
                shared_rule=shared or "worst_state",
                network_server=network_server,
                application_id=application,
            )
        return found

    print_device(on_database(work), as_json=as_json)


@app.command("list")
def list_devices(
    role: Annotated[Literal["sensor", "display"] | None, typer.Option(help="only these, with more columns")] = None,
    after: After = None,
    limit: Limit = PAGE_SIZE,
    everything: Annotated[bool, typer.Option("--all", help="include decommissioned devices")] = False,
    as_json: Json = False,
) -> None:
    """List sensors and displays by DevEUI."""
    from baylight.inventory import devices

    async def work(c: Context) -> list[Sensor | Display]:
        found: list[Sensor | Display] = []
        if role != "display":
            found += await devices.list_sensors(c.connection, after=after, limit=limit, decommissioned=everything)
        if role != "sensor":
            found += await devices.list_displays(c.connection, after=after, limit=limit, decommissioned=everything)
        found.sort(key=lambda one: one.dev_eui)
        # A page ends with both devices of a DevEUI: `--after` would skip the second.
        return [one for one in found if len(found) <= limit or one.dev_eui <= found[limit - 1].dev_eui]

    print_rows(on_database(work), COLUMNS + OF_ROLE[role], as_json=as_json, limit=limit)


@app.command("show")
def show_device(dev_eui: Eui, role: Role = None, as_json: Json = False) -> None:
    """Show everything about a device."""
    from baylight.inventory import devices

    async def work(c: Context) -> Sensor | Display:
        return await devices.get_device(c.connection, await _role(c, dev_eui, role), dev_eui)

    print_device(on_database(work), as_json=as_json)


@app.command("change")
def change_device(
    dev_eui: Eui,
    role: Role = None,
    notes: Annotated[str | None, typer.Option(help="free text; '' removes it")] = None,
    mobile: Annotated[
        bool | None, typer.Option("--mobile/--not-mobile", help="whether a sensor moves between spaces")
    ] = None,
    f_port: Annotated[int | None, typer.Option(min=1, max=223, help="FPort of a display's downlinks")] = None,
    confirmed: Annotated[
        bool | None, typer.Option("--confirmed/--unconfirmed", help="whether a display must acknowledge downlinks")
    ] = None,
    as_json: Json = False,
) -> None:
    """Change notes, mobility, FPort or confirmation. The rest stays."""
    from baylight.inventory import device_settings

    async def work(c: Context) -> Sensor | Display:
        if await _role(c, dev_eui, role) == "sensor":
            given = f_port is not None or confirmed is not None
            _refuse(given, "--f-port and --confirmed are options of displays; this is a sensor")
            return await device_settings.change_sensor(c.change, dev_eui, notes=notes, mobile=mobile)
        _refuse(mobile is not None, "--mobile is an option of sensors; this is a display")
        return await device_settings.change_display(
            c.change, dev_eui, notes=notes, f_port=f_port, confirmed_downlinks=confirmed
        )

    print_device(on_database(work), as_json=as_json)


@app.command("codes")
def set_codes(
    dev_eui: Eui,
    codes: Annotated[
        list[str] | None,
        typer.Argument(metavar="STATE=CODE", help="hex or a light (orange, #ff9900); without: show all"),
    ] = None,
    allow_alike: AllowAlike = False,
    as_json: Json = False,
) -> None:
    """Show or change the code of each state of a display. The light follows at once."""
    from baylight.inventory import device_settings, devices

    given = parse_codes(codes)

    async def work(c: Context) -> Display:
        if not given:
            return await devices.get_display(c.connection, dev_eui)
        return await device_settings.set_display_codes(c.change, dev_eui, given, allow_alike=allow_alike)

    found = on_database(work)
    if as_json:
        print_json(list(found.lights.values()))
    else:
        _print_lights(found)


@app.command("share")
def share_display(
    dev_eui: Eui, rule: Annotated[str, typer.Argument(help=f"{RULES}; none: the display serves one space")]
) -> None:
    """Set how a display combines several spaces into one light."""
    from baylight.inventory import device_settings

    wanted = None if rule == "none" else rule
    found = on_database(lambda c: device_settings.set_shared(c.change, dev_eui, wanted))
    say(f"{found.dev_eui}: {found.shared_rule if found.shared else 'serves one space'}")


@app.command("enable")
def enable_device(dev_eui: Eui, role: Role = None) -> None:
    """Accept a sensor's readings again, or send to a display again."""
    _set_enabled(dev_eui, role, True)


@app.command("disable")
def disable_device(dev_eui: Eui, role: Role = None) -> None:
    """Stop accepting a sensor's readings, or sending to a display. The space of a disabled sensor becomes UNKNOWN."""
    _set_enabled(dev_eui, role, False)


@app.command("lifecycle")
def set_lifecycle(
    dev_eui: Eui,
    state: Annotated[str, typer.Argument(help="installed, testing, active, maintenance or decommissioned")],
    role: Role = None,
    reason: Reason = None,
) -> None:
    """Set the lifecycle state of a device."""
    from baylight.inventory import device_settings

    async def work(c: Context) -> str:
        found = await _role(c, dev_eui, role)
        await device_settings.set_lifecycle(c.change, found, dev_eui, state, reason=reason)
        return found

    say(f"{on_database(work)} {dev_eui} is {state}")


@app.command("retire")
def retire_device(dev_eui: Eui, role: Role = None, reason: Reason = None) -> None:
    """Decommission a device that serves no space. Its history stays."""
    set_lifecycle(dev_eui, "decommissioned", role, reason)


def _set_enabled(dev_eui: str, given: Role, on: bool) -> None:
    from baylight.inventory import device_settings

    async def work(c: Context) -> str:
        role = await _role(c, dev_eui, given)
        await device_settings.set_enabled(c.change, role, dev_eui, on)
        return role

    say(f"{on_database(work)} {dev_eui} is {'enabled' if on else 'disabled'}")


async def _role(c: Context, dev_eui: str, given: Role) -> Literal["sensor", "display"]:
    from baylight.inventory import devices

    return (await devices.find_device(c.connection, dev_eui, given)).role


def _refuse(given: object, message: str) -> None:
    if given:
        raise typer.BadParameter(message)


def parse_codes(given: list[str] | None) -> dict[str, str]:
    """Parse words `STATE=CODE`. Raises typer.BadParameter."""
    codes = {}
    for pair in given or []:
        state, equals, code = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} is not STATE=CODE, e.g. FREE=0000ff6400 or FREE=#00ff00")
        codes[state.strip().upper()] = code.strip()
    return codes


def print_device(found: Sensor | Display, *, as_json: bool) -> None:
    from dataclasses import replace

    from baylight.inventory.devices import Sensor

    if as_json or isinstance(found, Sensor):
        print_fields(found, as_json=as_json)
    else:
        print_fields(replace(found, lights={}, display_codes={}, warnings=[]), as_json=False)
        _print_lights(found)


def _print_lights(found: Display) -> None:
    unknown = "from the codec" if found.codec.startswith("js:") else "not a code of this display"
    for state, light in found.lights.items():
        say(f"{state:<14} {light.code}  {light.rgb or '?':<8} {light.colour or unknown}")
    for warning in found.warnings:
        say(f"look: {warning}")
