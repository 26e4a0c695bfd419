"""`baylight orphan …`."""

from __future__ import annotations

from typing import Annotated

import typer

from baylight.cli.devices import print_device
from baylight.cli.options import After, Eui, Json, Limit, Notes, Type
from baylight.cli.run import on_database, print_fields, print_rows
from baylight.domain.paging import PAGE_SIZE

Ignored = Annotated[bool, typer.Option("--ignored", help="list ignored devices instead")]
app = typer.Typer(help="Claim or ignore unregistered devices that send or join.", no_args_is_help=True)


@app.command("list")
def list_orphans(
    after: After = None, limit: Limit = PAGE_SIZE, ignored: Ignored = False, as_json: Json = False
) -> None:
    """List unregistered devices by DevEUI."""
    from baylight.inventory import orphans

    rows = on_database(lambda c: orphans.list_orphans(c.connection, after=after, limit=limit, ignored=ignored))
    columns = (
        "dev_eui device_name profile_name network_server application_id uplinks joins first_at last_at "
        "rssi_dbm snr_db guess"
    )
    print_rows(rows, columns, as_json=as_json, limit=limit)


@app.command("show")
def show_orphan(dev_eui: Eui, as_json: Json = False) -> None:
    """Show what an unregistered device sent, and its possible types."""
    from baylight.inventory import orphans

    print_fields(on_database(lambda c: orphans.get_orphan(c.connection, dev_eui)), as_json=as_json)


@app.command("claim")
def claim_orphan(dev_eui: Eui, kind: Type = None, notes: Notes = None, as_json: Json = False) -> None:
    """Register a device by its type. --type may be left out if the profile or the DevEUI's prefix names the type."""
    from baylight.inventory import orphans

    found = on_database(lambda c: orphans.claim_orphan(c.change, dev_eui, device_type=kind, notes=notes))
    print_device(found, as_json=as_json)


@app.command("ignore")
def ignore_orphan(
    dev_eui: Eui,
    undo: Annotated[bool, typer.Option("--undo", help="list the device again")] = False,
    as_json: Json = False,
) -> None:
    """Ignore a device: count its uplinks, store none."""
    from baylight.inventory import orphans

    print_fields(on_database(lambda c: orphans.set_ignored(c.change, dev_eui, not undo)), as_json=as_json)
