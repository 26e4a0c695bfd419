"""`baylight space …`."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from baylight.cli.device_life import COLUMNS
from baylight.cli.options import STATES, After, AsOf, Json, Limit, OnOff, RoleArgument, Space, State, Superseded, Switch
from baylight.cli.output import say
from baylight.cli.run import on_database, print_fields, print_json, print_rows, text
from baylight.domain.paging import PAGE_SIZE
from baylight.errors import escape

app = typer.Typer(help="Manage spaces: the places that can be taken.", no_args_is_help=True)

Name = Annotated[str | None, typer.Option(help="name for people")]
Location = Annotated[str | None, typer.Option(help="path of an existing location")]
Sensor = Annotated[str | None, typer.Option(help="DevEUI of the sensor")]
Display = Annotated[str | None, typer.Option(help="DevEUI of the display")]
Latitude = Annotated[float | None, typer.Option(help="degrees, -90 to 90; with --longitude")]
Longitude = Annotated[float | None, typer.Option(help="degrees, -180 to 180; with --latitude")]


class Clearable(StrEnum):
    """Attribute that a space need not have."""

    LOCATION = "location"
    POSITION = "position"


@app.command("add")
def add_space(
    code: Space,
    name: Name = None,
    location: Location = None,
    sensor: Sensor = None,
    display: Display = None,
    default_state: Annotated[str, typer.Option(help=f"state while the space has no sensor: {STATES}")] = "UNKNOWN",
    latitude: Latitude = None,
    longitude: Longitude = None,
    as_json: Json = False,
) -> None:
    """Add a space, with devices that are registered."""
    from baylight.inventory import spaces

    made = on_database(
        lambda c: spaces.create_space(
            c.change,
            code,
            name=name,
            location=location,
            sensor=sensor,
            display=display,
            default_state=default_state,
            latitude=latitude,
            longitude=longitude,
        )
    )
    print_fields(made, as_json=as_json)


@app.command("change")
def change_space(
    code: Space,
    name: Name = None,
    location: Location = None,
    latitude: Latitude = None,
    longitude: Longitude = None,
    clear: Annotated[list[Clearable] | None, typer.Option(help="remove this attribute; may be repeated")] = None,
    as_json: Json = False,
) -> None:
    """Change name, location or position. The rest stays."""
    from baylight.inventory import spaces

    changed = on_database(
        lambda c: spaces.change_space(
            c.change, code, name=name, location=location, latitude=latitude, longitude=longitude, clear=clear or ()
        )
    )
    print_fields(changed, as_json=as_json)


@app.command("list")
def list_spaces(
    location: Annotated[str | None, typer.Option(help="only this location and those below it")] = None,
    state: Annotated[str | None, typer.Option(help=f"only spaces in this state: {STATES}")] = None,
    device: Annotated[str | None, typer.Option(help="only spaces of this device (DevEUI)")] = None,
    after: After = None,
    limit: Limit = PAGE_SIZE,
    as_json: Json = False,
) -> None:
    """List spaces by code."""
    from baylight.inventory import spaces

    rows = on_database(
        lambda c: spaces.list_spaces(
            c.connection, location=location, state=state, device=device, after=after, limit=limit
        )
    )
    columns = "code state state_reason state_at display_state sync_status sensor_dev_eui display_dev_eui"
    print_rows(rows, columns, as_json=as_json, limit=limit)


@app.command("show")
def show_space(code: Space, as_of: AsOf = None, as_json: Json = False) -> None:
    """Show everything about a space, or what it was at a time."""
    from baylight.inventory import spaces

    if as_of is not None:
        _show_then(code, as_of, as_json=as_json)
        return
    print_fields(on_database(lambda c: spaces.get_space(c.connection, code)), as_json=as_json)


@app.command("history")
def list_history(code: Space, superseded: Superseded = False, as_json: Json = False) -> None:
    """List the devices that served a space, and when."""
    from baylight.inventory import assignments

    rows = on_database(lambda c: assignments.list_assignments(c.connection, space=code, superseded=superseded))
    print_rows(rows, COLUMNS + (" superseded_at" if superseded else ""), as_json=as_json)


@app.command("assign")
def assign_devices(
    code: Space,
    sensor: Sensor = None,
    display: Display = None,
    reason: Annotated[str | None, typer.Option(help="install, swap, maintenance or correction")] = None,
) -> None:
    """Assign devices to a space. Give --reason to replace a device that is already there."""
    from baylight.inventory import spaces

    done = on_database(lambda c: spaces.assign(c.change, code, sensor=sensor, display=display, reason=reason))
    say(f"{code}: sensor {done.sensor_dev_eui or 'none'}, display {done.display_dev_eui or 'none'}")


@app.command("unassign")
def unassign_device(code: Space, role: RoleArgument) -> None:
    """Unassign a device from a space."""
    from baylight.inventory import spaces

    done = on_database(lambda c: spaces.unassign(c.change, code, role))
    say(f"{code}: sensor {done.sensor_dev_eui or 'none'}, display {done.display_dev_eui or 'none'}")


@app.command("maintenance")
def set_maintenance(code: Space, switch: OnOff) -> None:
    """Close (on) or open (off) a space."""
    from baylight.inventory import spaces

    done = on_database(lambda c: spaces.set_maintenance(c.change, code, switch is Switch.ON))
    say(f"{code} is {done.state}")


@app.command("default-state")
def set_default_state(code: Space, state: State) -> None:
    """Set the state of a space while it has no sensor."""
    from baylight.inventory import spaces

    done = on_database(lambda c: spaces.set_default_state(c.change, code, state))
    say(f"{code} is {done.state}")


@app.command("delete")
def delete_space(code: Space, yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False) -> None:
    """Delete a space. Its history stays; its code and its devices are free again."""
    from baylight.inventory import spaces

    if not yes:
        question = f"Deleting {code} cancels its reservations, and its devices serve no space. Go on?"
        typer.confirm(escape(question), abort=True, err=True)
    on_database(lambda c: spaces.delete_space(c.change, code))
    say(f"{code} is deleted")


def _show_then(code: str, at: datetime, *, as_json: bool) -> None:
    from baylight.insight.as_of import get_space_as_of

    found = on_database(lambda c: get_space_as_of(c.connection, code, at))
    if as_json:
        print_json(found)
        return
    say(f"{found.code} at {text(at)}: {found.state or 'not yet there'}")
    if found.state_at:
        say(f"  since    {text(found.state_at)}, {found.reason}")
    say(f"  sensor   {found.sensor_dev_eui or 'none'}")
    if found.reading:
        say(f"           reported {found.reading.occupancy} at {text(found.reading.received_at)}")
    say(f"  display  {found.display_dev_eui or 'none'}")
    if found.light:
        light = found.light
        say(f"           {light.colour or light.code} ({light.state or '?'}), {light.proof} at {text(light.at)}")
