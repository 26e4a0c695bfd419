"""`baylight orphan …`."""

from __future__ import annotations

from typing import Annotated

import typer

from baylight.cli.devices import After, Eui, Limit, Notes, Type
from baylight.cli.run import Json, on_database, print_fields, print_rows

Ignored = Annotated[bool, typer.Option("--ignored", help="those that are ignored")]
app = typer.Typer(help="Devices that are heard but not registered.", no_args_is_help=True)


@app.command("list")
def list_orphans(after: After = None, limit: Limit = 100, ignored: Ignored = False, as_json: Json = False) -> None:
    """The inbox, by DevEUI."""
    from baylight.inventory import orphans

    rows = on_database(lambda c: orphans.page(c.connection, after=after, limit=limit, ignored=ignored))
    columns = "dev_eui uplinks first_at last_at rssi_dbm snr_db network_server profile_name likely"
    print_rows(rows, columns, as_json=as_json, limit=limit)


@app.command("show")
def show_orphan(dev_eui: Eui, as_json: Json = False) -> None:
    """What was heard of it, and what it may be."""
    from baylight.inventory import orphans

    print_fields(on_database(lambda c: orphans.show(c.connection, dev_eui)), as_json=as_json)


@app.command("claim")
def claim_orphan(dev_eui: Eui, kind: Type = None, notes: Notes = None, as_json: Json = False) -> None:
    """Registers it, as what its type is; without --type as the guess that stands out."""
    from baylight.inventory import orphans

    found = on_database(lambda c: orphans.claim(c.change, dev_eui, device_type=kind, notes=notes))
    print_fields(found, as_json=as_json)


@app.command("ignore")
def ignore_orphan(
    dev_eui: Eui, undo: Annotated[bool, typer.Option("--undo", help="notice it again")] = False, as_json: Json = False
) -> None:
    """It is counted from now on, and no more."""
    from baylight.inventory import orphans

    print_fields(on_database(lambda c: orphans.set_ignored(c.change, dev_eui, not undo)), as_json=as_json)
