"""`baylight space …`, `baylight location …`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import typer

from baylight.cli.assignments import COLUMNS, AsOf, show_then
from baylight.cli.run import Json, on_database, print_fields, print_rows

space = typer.Typer(help="Places that can be taken.", no_args_is_help=True)
location = typer.Typer(help="Sites, buildings, floors, zones, rooms.", no_args_is_help=True)

Code = Annotated[str, typer.Argument(help="code of the space")]
Path = Annotated[str, typer.Argument(help="path of names, e.g. 'Garage/Floor 1'")]
Sensor = Annotated[str | None, typer.Option(help="DevEUI of the sensor")]
Display = Annotated[str | None, typer.Option(help="DevEUI of the display")]

Latitude = Annotated[float | None, typer.Option(help="degrees, -90 to 90; with --longitude")]
Longitude = Annotated[float | None, typer.Option(help="degrees, -180 to 180; with --latitude")]


class Switch(StrEnum):
    """Closed or open."""

    ON = "on"
    OFF = "off"


class Clearable(StrEnum):
    """What a space need not have."""

    LOCATION = "location"
    POSITION = "position"


@space.command("add")
def add_space(
    code: Code,
    name: Annotated[str | None, typer.Option(help="what people call it")] = None,
    location: Annotated[str | None, typer.Option(help="path of an existing location")] = None,
    sensor: Sensor = None,
    display: Display = None,
    default_state: Annotated[str, typer.Option(help="what it shows without a sensor")] = "UNKNOWN",
    latitude: Latitude = None,
    longitude: Longitude = None,
    as_json: Json = False,
) -> None:
    """A new space, with its devices if they are registered."""
    from baylight.inventory import spaces

    made = on_database(
        lambda c: spaces.create(
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


@space.command("change")
def change_space(
    code: Code,
    name: Annotated[str | None, typer.Option(help="what people call it")] = None,
    location: Annotated[str | None, typer.Option(help="path of an existing location")] = None,
    latitude: Latitude = None,
    longitude: Longitude = None,
    clear: Annotated[list[Clearable] | None, typer.Option(help="what it shall have no more; may be repeated")] = None,
    as_json: Json = False,
) -> None:
    """Changes name, location or position; the rest stays."""
    from baylight.inventory import space_changes

    changed = on_database(
        lambda c: space_changes.change(
            c.change, code, name=name, location=location, latitude=latitude, longitude=longitude, clear=clear or ()
        )
    )
    print_fields(changed, as_json=as_json)


@space.command("list")
def list_spaces(
    location: Annotated[str | None, typer.Option(help="those of a subtree")] = None,
    state: Annotated[str | None, typer.Option(help="those in a state")] = None,
    device: Annotated[str | None, typer.Option(help="those of a device (DevEUI)")] = None,
    after: Annotated[str | None, typer.Option(help="begin after this code")] = None,
    limit: Annotated[int, typer.Option(help="at most")] = 100,
    as_json: Json = False,
) -> None:
    """Spaces by code."""
    from baylight.inventory import spaces

    rows = on_database(
        lambda c: spaces.page(c.connection, location=location, state=state, device=device, after=after, limit=limit)
    )
    columns = "code current_state state_reason current_state_at display_state sync_status sensor_deveui display_deveui"
    print_rows(rows, columns, as_json=as_json, limit=limit)


@space.command("show")
def show_space(code: Code, as_of: AsOf = None, as_json: Json = False) -> None:
    """Everything about a space; or what it was at a moment."""
    from baylight.inventory import spaces

    if as_of is not None:
        show_then(code, as_of, as_json=as_json)
        return
    print_fields(on_database(lambda c: spaces.show(c.connection, code)), as_json=as_json)


@space.command("history")
def space_history(
    code: Code,
    everything: Annotated[bool, typer.Option("--all", help="what corrections replaced too")] = False,
    as_json: Json = False,
) -> None:
    """Which devices served a space, and when."""
    from baylight.inventory import assignments

    rows = on_database(lambda c: assignments.history(c.connection, space=code, superseded=everything))
    print_rows(rows, COLUMNS + (" superseded_at" if everything else ""), as_json=as_json)


@space.command("assign")
def assign(
    code: Code,
    sensor: Sensor = None,
    display: Display = None,
    reason: Annotated[str | None, typer.Option(help="install, swap, maintenance or correction")] = None,
) -> None:
    """Makes devices serve a space, others by a reason."""
    from baylight.inventory import spaces

    done = on_database(lambda c: spaces.assign(c.change, code, sensor=sensor, display=display, reason=reason))
    typer.echo(f"{code}: sensor {done.sensor_deveui or 'none'}, display {done.display_deveui or 'none'}")


@space.command("unassign")
def unassign(code: Code, role: Annotated[Literal["sensor", "display"], typer.Argument(help="which device")]) -> None:
    """Takes a device from a space."""
    from baylight.inventory import spaces

    done = on_database(lambda c: spaces.unassign(c.change, code, role))
    typer.echo(f"{code}: sensor {done.sensor_deveui or 'none'}, display {done.display_deveui or 'none'}")


@space.command("maintenance")
def space_maintenance(code: Code, switch: Annotated[Switch, typer.Argument()]) -> None:
    """Closes (on) or opens (off) a space."""
    from baylight.inventory import spaces

    done = on_database(lambda c: spaces.set_maintenance(c.change, code, switch is Switch.ON))
    typer.echo(f"{code} is {done.current_state}")


@space.command("default-state")
def default_state(code: Code, state: Annotated[str, typer.Argument()]) -> None:
    """What a space shows while it has no sensor."""
    from baylight.inventory import spaces

    done = on_database(lambda c: spaces.set_default_state(c.change, code, state))
    typer.echo(f"{code} is {done.current_state}")


@space.command("delete")
def delete(code: Code) -> None:
    """Its history stays; its code and its devices are free again."""
    from baylight.inventory import spaces

    on_database(lambda c: spaces.delete(c.change, code))
    typer.echo(f"{code} is deleted")


@location.command("add")
def add_location(
    path: Path,
    kinds: Annotated[
        str | None, typer.Option(help="kind of each part, e.g. site/building/floor; without, the usual ones")
    ] = None,
    timezone: Annotated[str | None, typer.Option(help="of a new site, e.g. Europe/Berlin")] = None,
    as_json: Json = False,
) -> None:
    """A location, with whatever lies above it. May be repeated."""
    from baylight.inventory import locations

    wanted = kinds.split("/") if kinds else []
    made = on_database(lambda c: locations.create(c.change, path, kinds=wanted, timezone=timezone))
    print_fields(made, as_json=as_json)


@location.command("list")
def list_locations(as_json: Json = False) -> None:
    """The tree of locations."""
    from baylight.inventory import locations

    rows = on_database(lambda c: locations.tree(c.connection))
    print_rows(rows, "path kind spaces maintenance timezone", as_json=as_json)


@location.command("rename")
def rename_location(path: Path, name: Annotated[str, typer.Argument(help="for the last part of the path")]) -> None:
    """Gives a location another name."""
    from baylight.inventory import locations

    made = on_database(lambda c: locations.rename(c.change, path, name))
    typer.echo(f"it is {made.path}")


@location.command("delete")
def delete_location(path: Path) -> None:
    """One that holds no location and no space."""
    from baylight.inventory import locations

    on_database(lambda c: locations.delete(c.change, path))
    typer.echo(f"{path} is deleted")


@location.command("maintenance")
def location_maintenance(path: Path, switch: Annotated[Switch, typer.Argument()]) -> None:
    """Closes (on) or opens (off) all spaces of a location."""
    from baylight.inventory import locations

    changed = on_database(lambda c: locations.set_maintenance(c.change, path, switch is Switch.ON))
    typer.echo(f"{path}: {changed} spaces changed their state")
