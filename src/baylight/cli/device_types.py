"""`baylight type …`: the catalogue of device types."""

from __future__ import annotations

import typer

from baylight.cli.options import Json
from baylight.cli.run import on_database, print_rows

app = typer.Typer(help="Look up device types.", no_args_is_help=True)


@app.command("list")
def list_types(as_json: Json = False) -> None:
    """List the device types that a device can have."""
    from baylight.inventory import device_types

    rows = on_database(lambda c: device_types.list_device_types(c.connection))
    print_rows(rows, "code category manufacturer model dev_eui_prefixes shipped enabled", as_json=as_json)
