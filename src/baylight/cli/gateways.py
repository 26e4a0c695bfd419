"""`baylight gateway …`."""

from __future__ import annotations

from typing import Annotated

import typer

from baylight.cli.options import Json, Limit
from baylight.cli.run import on_database, print_fields, print_rows
from baylight.domain.paging import PAGE_SIZE

GatewayId = Annotated[str, typer.Argument(help="gateway id: 16 hex digits")]
After = Annotated[str | None, typer.Option(help="start after this gateway id")]
app = typer.Typer(help="See gateways: acknowledgements, refusals and airtime.", no_args_is_help=True)


@app.command("list")
def list_gateways(after: After = None, limit: Limit = PAGE_SIZE, as_json: Json = False) -> None:
    """List gateways by id, with the airtime of the last hour."""
    from baylight.inventory import gateways

    rows = on_database(lambda c: gateways.list_gateways(c.connection, c.change.now, after=after, limit=limit))
    print_rows(rows, "gateway_id last_seen_at last_ack_at displays airtime_used wrong", as_json=as_json, limit=limit)


@app.command("show")
def show_gateway(gateway_id: GatewayId, as_json: Json = False) -> None:
    """Show what a gateway does with downlinks, and its airtime of the last 24 hours."""
    from baylight.inventory import gateways

    print_fields(on_database(lambda c: gateways.get_gateway(c.connection, gateway_id, c.change.now)), as_json=as_json)
