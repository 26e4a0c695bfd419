"""`baylight condition …`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from baylight.cli.options import Json, Limit
from baylight.cli.run import on_database, print_rows
from baylight.domain.paging import PAGE_SIZE

Subject = Annotated[
    str | None,
    typer.Option(
        "--subject",
        help="display, sensor, gateway or service; or a DevEUI, the id of a gateway, the name of a service, a space",
    ),
]
Kind = Annotated[str | None, typer.Option("--kind", help="kind of the condition, such as sensor_refused")]
After = Annotated[UUID | None, typer.Option("--after", help="begin after the condition with this id")]
app = typer.Typer(help="List what is wrong now.", no_args_is_help=True)


@app.command("list")
def list_conditions(
    subject: Subject = None, kind: Kind = None, after: After = None, limit: Limit = PAGE_SIZE, as_json: Json = False
) -> None:
    """List the conditions that last, oldest first, with evidence and remedy."""
    from baylight.insight import conditions

    rows = on_database(
        lambda c: conditions.list_conditions(c.connection, subject=subject, kind=kind, after=after, limit=limit)
    )
    print_rows(rows, "id since kind name spaces evidence remedy", as_json=as_json, limit=limit)
