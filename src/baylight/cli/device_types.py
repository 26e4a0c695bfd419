"""`baylight type …`: the catalogue of device types."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from baylight.cli.codecs import Prefix, on_engine, read_json
from baylight.cli.options import AllowAlike, Json, duration
from baylight.cli.output import say
from baylight.cli.run import on_database, print_fields, print_rows

app = typer.Typer(help="Look up, change and delete device types.", no_args_is_help=True)

Code = Annotated[str, typer.Argument(help="code of the device type, see `baylight type list`")]


@app.command("list")
def list_types(as_json: Json = False) -> None:
    """List the device types that a device can have."""
    from baylight.inventory import device_types

    rows = on_database(lambda c: device_types.list_device_types(c.connection))
    print_rows(rows, "code category manufacturer model dev_eui_prefixes shipped enabled", as_json=as_json)


@app.command("show")
def show_type(code: Code, as_json: Json = False) -> None:
    """Show everything about a device type."""
    from baylight.inventory import device_types

    print_fields(on_database(lambda c: device_types.get_device_type(c.connection, code)), as_json=as_json)


@app.command("change")
def change_type(
    code: Code,
    manufacturer: Annotated[str | None, typer.Option(help="maker of the device")] = None,
    model: Annotated[str | None, typer.Option(help="model of the device")] = None,
    every: Annotated[
        timedelta | None, typer.Option(parser=duration, metavar="TIME", help="maximum time between two uplinks")
    ] = None,
    silent_after: Annotated[
        int | None, typer.Option(help="number of missing uplinks after which a device is silent")
    ] = None,
    prefix: Prefix = None,
    no_prefix: Annotated[bool, typer.Option("--no-prefix", help="remove the prefixes")] = False,
    enabled: Annotated[
        bool | None, typer.Option("--enabled/--disabled", help="whether new devices may have the type")
    ] = None,
    states: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSON: state -> data of encodeDownlink")
    ] = None,
    f_port: Annotated[int | None, typer.Option(min=1, max=223, help="FPort of the downlinks of displays")] = None,
    confirmed: Annotated[
        bool | None, typer.Option("--confirmed/--unconfirmed", help="request an acknowledgement of each downlink")
    ] = None,
    allow_alike: AllowAlike = False,
    as_json: Json = False,
) -> None:
    """Change a type of your own. Spaces are decided again. What displays are sent changes only if no display has it.

    Of a type that ships with Baylight, only --enabled and --disabled change.
    """
    from baylight.js_codecs import type_changes

    if prefix and no_prefix:
        raise typer.BadParameter("--prefix and --no-prefix exclude each other")
    wanted = type_changes.DeviceTypeChange(
        manufacturer=manufacturer,
        model=model,
        uplink_interval_s=None if every is None else round(every.total_seconds()),
        silent_after_intervals=silent_after,
        dev_eui_prefixes=[] if no_prefix else prefix,
        enabled=enabled,
        states=None if states is None else read_json(states, {}),
        f_port=f_port,
        confirmed_downlinks=confirmed,
        allow_alike=allow_alike or None,
    )
    if wanted.of_display:
        made = on_engine(lambda c, engine: type_changes.change_device_type(c.change, code, wanted, engine))
    else:
        made = on_database(lambda c: type_changes.change_device_type(c.change, code, wanted))
    print_fields(made, as_json=as_json)


@app.command("delete")
def delete_type(code: Code) -> None:
    """Delete a type of your own that no device has."""
    from baylight.js_codecs import type_changes

    on_database(lambda c: type_changes.delete_device_type(c.change, code))
    say(f"the type {code} is deleted")
