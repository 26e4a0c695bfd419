"""`baylight location …`."""

from __future__ import annotations

from typing import Annotated

import typer

from baylight.cli.options import Json, OnOff, Switch
from baylight.cli.output import say
from baylight.cli.run import on_database, print_fields, print_rows

app = typer.Typer(help="Manage sites, buildings, floors, zones and rooms.", no_args_is_help=True)

Path = Annotated[str, typer.Argument(help="path of names, e.g. 'Garage/Floor 1'")]


@app.command("add")
def add_location(
    path: Path,
    kinds: Annotated[
        str | None,
        typer.Option(
            help="kind of each part: site, building, floor, zone or room, e.g. site/floor; without: the usual kinds"
        ),
    ] = None,
    timezone: Annotated[str | None, typer.Option(help="time zone of a new site, e.g. Europe/Berlin")] = None,
    as_json: Json = False,
) -> None:
    """Add a location and those above it. You may repeat the command."""
    from baylight.inventory import locations

    wanted = kinds.split("/") if kinds else []
    made = on_database(lambda c: locations.create_location(c.change, path, kinds=wanted, timezone=timezone))
    print_fields(made, as_json=as_json)


@app.command("list")
def list_locations(as_json: Json = False) -> None:
    """List the tree of locations."""
    from baylight.inventory import locations

    rows = on_database(lambda c: locations.list_locations(c.connection))
    print_rows(rows, "path kind spaces maintenance change_hold_s timezone", as_json=as_json)


@app.command("rename")
def rename_location(path: Path, name: Annotated[str, typer.Argument(help="new last part of the path")]) -> None:
    """Rename a location."""
    from baylight.inventory import locations

    made = on_database(lambda c: locations.rename_location(c.change, path, name))
    say(f"the new path is {made.path}")


@app.command("delete")
def delete_location(path: Path) -> None:
    """Delete a location that holds no location and no space."""
    from baylight.inventory import locations

    on_database(lambda c: locations.delete_location(c.change, path))
    say(f"{path} is deleted")


@app.command("maintenance")
def set_maintenance(path: Path, switch: OnOff) -> None:
    """Close (on) or open (off) all spaces of a location."""
    from baylight.inventory import locations

    changed = on_database(lambda c: locations.set_maintenance(c.change, path, switch is Switch.ON))
    say(f"{path}: {changed} spaces changed their state")


@app.command("change-hold")
def set_change_hold(
    path: Path,
    seconds: Annotated[int | None, typer.Argument(help="0 to 60; without: as the location above, or 0")] = None,
) -> None:
    """Let changes of lights wait while airtime is short."""
    from baylight.inventory import locations

    made = on_database(lambda c: locations.set_change_hold(c.change, path, seconds))
    wait = "as the location above" if made.change_hold_s is None else f"{made.change_hold_s} s"
    say(f"{made.path}: changes wait {wait} while airtime is short")
