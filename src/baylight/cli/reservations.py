"""`baylight reservation …`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from baylight.cli.options import For, Json, Limit, Space, Until, instant
from baylight.cli.output import say
from baylight.cli.run import Context, on_database, print_fields, print_rows
from baylight.domain.paging import PAGE_SIZE

if TYPE_CHECKING:
    from baylight.schedule.reservations import Reservation

app = typer.Typer(help="Reserve spaces.", no_args_is_help=True)


@app.command("add")
def add_reservation(
    space: Space,
    start: Annotated[
        datetime | None, typer.Option("--from", parser=instant, metavar="TIME", help="without: now")
    ] = None,
    until: Until = None,
    run_for: For = None,
    email: Annotated[str | None, typer.Option(help="of the person it is for")] = None,
    phone: Annotated[str | None, typer.Option(help="of the person it is for")] = None,
    request_id: Annotated[str | None, typer.Option(help="repeating it returns the same reservation")] = None,
    as_json: Json = False,
) -> None:
    """Reserve a space."""
    from baylight.schedule import reservations

    if (until is None) == (run_for is None):
        raise typer.BadParameter("give either --until or --for")

    async def work(c: Context) -> Reservation:
        begin = start or c.change.now
        end = _later(begin, run_for) if run_for else until
        assert end is not None
        made, _ = await reservations.create_reservation(
            c.change,
            reservations.NewReservation(space, begin, end, user_email=email, user_phone=phone, request_id=request_id),
        )
        return made

    print_fields(on_database(work), as_json=as_json)


def _later(begin: datetime, run_for: timedelta) -> datetime:
    try:
        return begin + run_for
    except OverflowError:
        raise typer.BadParameter("the end is out of range: years are 1 to 9999") from None


@app.command("change")
def change_reservation(
    reservation_id: Annotated[UUID, typer.Argument(help="id of the reservation")],
    until: Annotated[datetime, typer.Option("--until", parser=instant, metavar="TIME", help="new end")],
    as_json: Json = False,
) -> None:
    """Change the end of a reservation: extend or shorten it."""
    from baylight.schedule import reservations

    changed = on_database(lambda c: reservations.change_reservation(c.change, reservation_id, end_at=until))
    print_fields(changed, as_json=as_json)


@app.command("cancel")
def cancel_reservation(reservation_id: Annotated[UUID, typer.Argument(help="id of the reservation")]) -> None:
    """Cancel a reservation."""
    from baylight.schedule import reservations

    done = on_database(lambda c: reservations.cancel_reservation(c.change, reservation_id))
    say(f"reservation of {done.space} is cancelled")


@app.command("list")
def list_reservations(
    space: Annotated[str | None, typer.Option(help="only reservations of this space")] = None,
    status: Annotated[str | None, typer.Option(help="only active, completed, cancelled or no_show")] = None,
    past: Annotated[bool, typer.Option("--past", help="include reservations that have ended")] = False,
    limit: Limit = PAGE_SIZE,
    as_json: Json = False,
) -> None:
    """List reservations by start."""
    from baylight.schedule import reservations

    rows = on_database(
        lambda c: reservations.list_reservations(
            c.connection, space=space, status=status, ending_after=None if past else c.change.now, limit=limit
        )
    )
    print_rows(rows, "id space start_at end_at status request_id created_by", as_json=as_json)
