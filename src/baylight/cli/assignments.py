"""`baylight device …` over both registries: register, look, swap, and who served whom when."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import typer

from baylight.cli.devices import All, Application, Eui, Limit, NetworkServer, Notes, Type, parse_codes, print_display
from baylight.cli.run import Context, Json, instant, on_database, print_fields, print_json, print_rows, text

if TYPE_CHECKING:
    from baylight.inventory.devices import Display, Sensor
    from baylight.inventory.swaps import Swap

device = typer.Typer(help="Sensors and displays alike.", no_args_is_help=True)

Role = Annotated[Literal["sensor", "display"] | None, typer.Option(help="needed only if both have this DevEUI")]
AsOf = Annotated[datetime | None, typer.Option(parser=instant, metavar="TIME", help="ISO 8601 with a time zone")]
Since = Annotated[datetime, typer.Option("--at", parser=instant, metavar="TIME", help="since when, ISO 8601")]
SpaceCode = Annotated[str, typer.Argument(help="code of the space")]
RULES = "any_free, all_free, count or worst_state"
COLUMNS = "space role dev_eui from_at until_at reason actor"


@device.command("register")
def register(
    dev_eui: Eui,
    kind: Type = None,
    code: Annotated[
        list[str] | None,
        typer.Option(metavar="STATE=CODE", help="of a display: hex, or a light (#ff9900, 'red, flashing 500/500')"),
    ] = None,
    notes: Notes = None,
    mobile: Annotated[bool, typer.Option("--mobile", help="a sensor that may wander between spaces")] = False,
    shared: Annotated[
        str | None, typer.Option(metavar="RULE", help=f"a display over several spaces, by a rule: {RULES}")
    ] = None,
    network_server: NetworkServer = "chirpstack",
    application: Application = None,
    as_json: Json = False,
) -> None:
    """Registers a sensor or a display, as its type says. May be repeated."""
    from baylight.domain.ids import parse_dev_eui
    from baylight.inventory import device_types, devices

    codes = parse_codes(code or [])

    async def work(c: Context) -> Sensor | Display:
        if await device_types.category_for(c.connection, parse_dev_eui(dev_eui), kind) == "sensor":
            if codes or shared is not None:
                raise typer.BadParameter("--code and --shared are of displays, this is a sensor")
            sensor, _ = await devices.register_sensor(
                c.change,
                dev_eui,
                device_type=kind,
                notes=notes,
                mobile=mobile,
                network_server=network_server,
                application_id=application,
            )
            return sensor
        if mobile:
            raise typer.BadParameter("--mobile is of sensors, this is a display")
        found, _ = await devices.register_display(
            c.change,
            dev_eui,
            device_type=kind,
            display_codes=codes,
            notes=notes,
            shared=shared is not None,
            shared_rule=shared or "worst_state",
            network_server=network_server,
            application_id=application,
        )
        return found

    _print_device(on_database(work), as_json=as_json)


@device.command("show")
def show(dev_eui: Eui, role: Role = None, as_json: Json = False) -> None:
    """Everything about a device."""
    from baylight.inventory import assignments, devices

    async def work(c: Context) -> Sensor | Display:
        found = await assignments.find_device(c.connection, dev_eui, role)
        return await (devices.sensor if found["role"] == "sensor" else devices.display)(c.connection, dev_eui)

    _print_device(on_database(work), as_json=as_json)


@device.command("list")
def list_devices(limit: Limit = 100, everything: All = False, as_json: Json = False) -> None:
    """Sensors, then displays, by DevEUI; at most so many of each."""
    from baylight.inventory import devices

    async def work(c: Context) -> list[Sensor | Display]:
        sensors = await devices.sensors(c.connection, limit=limit, decommissioned=everything)
        return [*sensors, *await devices.displays(c.connection, limit=limit, decommissioned=everything)]

    rows = on_database(work)
    print_rows(rows, "dev_eui device_type lifecycle_state enabled spaces last_seen_at rssi_dbm", as_json=as_json)


@device.command("change")
def change(
    dev_eui: Eui,
    role: Role = None,
    notes: Annotated[str | None, typer.Option(help="anything worth remembering; '' for none")] = None,
    mobile: Annotated[
        bool | None, typer.Option("--mobile/--not-mobile", help="whether a sensor may wander between spaces")
    ] = None,
    f_port: Annotated[int | None, typer.Option(min=1, max=223, help="of a display's downlinks")] = None,
    confirmed: Annotated[
        bool | None, typer.Option("--confirmed/--unconfirmed", help="whether a display must acknowledge downlinks")
    ] = None,
    as_json: Json = False,
) -> None:
    """Changes notes, FPort, confirmation or mobility; the rest stays."""
    from baylight.inventory import assignments, device_changes

    async def work(c: Context) -> Sensor | Display:
        found = await assignments.find_device(c.connection, dev_eui, role)
        if found["role"] == "sensor":
            if f_port is not None or confirmed is not None:
                raise typer.BadParameter("--f-port and --confirmed are of displays, this is a sensor")
            return await device_changes.change_sensor(c.change, dev_eui, notes=notes, mobile=mobile)
        if mobile is not None:
            raise typer.BadParameter("--mobile is of sensors, this is a display")
        return await device_changes.change_display(
            c.change, dev_eui, notes=notes, fport=f_port, confirmed_downlinks=confirmed
        )

    _print_device(on_database(work), as_json=as_json)


@device.command("retire")
def retire(dev_eui: Eui, role: Role = None, reason: Annotated[str | None, typer.Option(help="why")] = None) -> None:
    """Decommissions a device that serves no space. Its history stays."""
    from baylight.inventory import assignments, device_changes

    async def work(c: Context) -> None:
        found = await assignments.find_device(c.connection, dev_eui, role)
        await device_changes.set_lifecycle(c.change, found["role"], dev_eui, "decommissioned", reason=reason)

    on_database(work)
    typer.echo(f"{dev_eui} is decommissioned")


@device.command("share")
def share(dev_eui: Eui, rule: Annotated[str, typer.Argument(help=f"{RULES}; or none: it serves one space")]) -> None:
    """Lets a display stand for several spaces."""
    from baylight.inventory import device_changes

    wanted = None if rule == "none" else rule
    found = on_database(lambda c: device_changes.set_shared(c.change, dev_eui, wanted))
    typer.echo(f"{found.dev_eui}: {found.shared_rule if found.shared else 'serves one space'}")


@device.command("swap")
def swap_device(
    old: Annotated[str, typer.Argument(help="DevEUI of the device that goes")],
    new: Annotated[str, typer.Argument(help="DevEUI of the one that comes; it is registered already")],
    at: Annotated[
        datetime | None,
        typer.Option(parser=instant, metavar="TIME", help="when it was done, if not now: ISO 8601 with a time zone"),
    ] = None,
    note: Annotated[str | None, typer.Option(help="why")] = None,
    retire: Annotated[bool, typer.Option("--retire", help="decommission the old one")] = False,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """The new device takes the place of the old one. It can be undone."""
    from baylight.inventory import swaps

    done = on_database(lambda c: swaps.swap(c.change, old, new, at=at, note=note, retire=retire, role=role))
    _print_swap(done, as_json=as_json)


@device.command("undo")
def undo(
    what: Annotated[str, typer.Argument(help="id of the swap, or the DevEUI of one of the two")],
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Takes back a swap of the last 24 hours."""
    from baylight.inventory import swaps

    async def work(c: Context) -> Swap:
        try:
            swap_id = UUID(what)
        except ValueError:
            swap_id = await swaps.latest(c.connection, what, role)
        return await swaps.undo(c.change, swap_id)

    _print_swap(on_database(work), as_json=as_json)


@device.command("swaps")
def list_swaps(
    dev_eui: Annotated[str | None, typer.Argument(help="DevEUI of a device; without: all")] = None,
    role: Role = None,
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """Swaps, the newest first."""
    from baylight.inventory import swaps

    rows = on_database(lambda c: swaps.swaps(c.connection, device=dev_eui, role=role, limit=limit))
    print_rows(rows, "id role spaces old new at recorded_at actor undone_at", as_json=as_json)


@device.command("where")
def where(
    dev_eui: Eui,
    role: Role = None,
    as_of: AsOf = None,
    everything: Annotated[bool, typer.Option("--all", help="what corrections replaced too")] = False,
    as_json: Json = False,
) -> None:
    """Where a device was, and when; or at one moment."""
    from baylight.inventory import assignments

    rows = on_database(
        lambda c: (
            assignments.as_of(c.connection, as_of, device=dev_eui, role=role)
            if as_of
            else assignments.history(c.connection, device=dev_eui, role=role, superseded=everything)
        )
    )
    print_rows(rows, COLUMNS + (" superseded_at" if everything else ""), as_json=as_json)


@device.command("install")
def install(dev_eui: Eui, space: SpaceCode, at: Since, role: Role = None) -> None:
    """Tells late that a device serves a space. What it sent since then counts."""
    from baylight.inventory import assignments

    on_database(lambda c: assignments.install(c.change, space, dev_eui, at=at, role=role))
    typer.echo(f"{dev_eui} serves {space} since {text(at)}")


@device.command("remove")
def remove(
    space: SpaceCode, role: Annotated[Literal["sensor", "display"], typer.Argument(help="which device")], at: Since
) -> None:
    """Tells late that a device was taken from a space."""
    from baylight.inventory import assignments

    on_database(lambda c: assignments.remove(c.change, space, role, at=at))
    typer.echo(f"{space} has no {role} since {text(at)}")


def show_then(code: str, at: datetime, *, as_json: bool) -> None:
    """A space as it was at a moment."""
    from baylight.insight.as_of import space_as_of

    found = on_database(lambda c: space_as_of(c.connection, code, at))
    if as_json:
        print_json(found)
        return
    typer.echo(f"{found.code} at {text(at)}: {found.state or 'not yet there'}")
    if found.state_since:
        typer.echo(f"  since    {text(found.state_since)}, {found.reason}")
    typer.echo(f"  sensor   {found.sensor or 'none'}")
    if found.reading:
        typer.echo(f"           said {found.reading.occupancy} at {text(found.reading.received_at)}")
    typer.echo(f"  display  {found.display or 'none'}")
    if found.light:
        light = found.light
        typer.echo(f"           {light.colour or light.code} ({light.state or '?'}), {light.proof} at {text(light.at)}")


def _print_device(found: Sensor | Display, *, as_json: bool) -> None:
    from baylight.inventory.devices import Display

    if isinstance(found, Display):
        print_display(found, as_json=as_json)
    else:
        print_fields(found, as_json=as_json)


def _print_swap(done: Swap, *, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    which = "undone" if done.undone_at else "done"
    typer.echo(f"{done.role} {done.old} -> {done.new} on {', '.join(done.spaces)} since {text(done.at)}: {which}")
    for warning in done.warnings:
        typer.echo(f"  look: {warning}")
    if not done.undone_at:
        typer.echo(f"  take it back within 24 hours: baylight device undo {done.id}")
