"""`baylight override …`, `baylight reservation …`, `baylight key …`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from baylight.cli.run import Context, Json, duration, instant, on_database, print_fields, print_json, print_rows

if TYPE_CHECKING:
    from baylight.access.keys import Key
    from baylight.schedule.reservations import Reservation

override = typer.Typer(help="States that an operator fixes.", no_args_is_help=True)
reservation = typer.Typer(help="Bookings.", no_args_is_help=True)
key = typer.Typer(help="Keys of the API.", no_args_is_help=True)

Space = Annotated[str | None, typer.Argument(help="code of the space")]
Location = Annotated[str | None, typer.Option(help="all spaces of this location instead")]
At = Annotated[datetime | None, typer.Option(parser=instant, metavar="TIME", help="e.g. 2026-11-24T18:00Z")]


@override.command("set")
def set_override(
    state: Annotated[str, typer.Argument()],
    space: Space = None,
    location: Location = None,
    until: At = None,
    run_for: Annotated[
        timedelta | None, typer.Option("--for", parser=duration, metavar="TIME", help="instead of --until, e.g. 2h")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="why")] = None,
    as_json: Json = False,
) -> None:
    """Fixes the state of a space or a location from now on."""
    from baylight.schedule import overrides

    if until is not None and run_for is not None:
        raise typer.BadParameter("give either --until or --for")
    made = on_database(
        lambda c: overrides.set_override(
            c.change,
            state,
            space=space,
            location=location,
            until=c.change.now + run_for if run_for else until,
            reason=reason,
        )
    )
    print_fields(made, as_json=as_json)


@override.command("end")
def end_override(space: Space = None, location: Location = None) -> None:
    """Ends the override of a space or a location."""
    from baylight.errors import InputError
    from baylight.schedule import overrides

    async def work(c: Context) -> int:
        if (space is None) == (location is None):
            raise InputError("one_target", "name either a space or a location")
        found = await overrides.active(c.connection, c.change.now, space=space, location=location)
        for one in found:
            await overrides.end(c.change, one.id)
        return len(found)

    ended = on_database(work)
    typer.echo(f"{space or location}: {'the override is ended' if ended else 'there was no override'}")


@override.command("list")
def list_overrides(as_json: Json = False) -> None:
    """Overrides in force."""
    from baylight.schedule import overrides

    rows = on_database(lambda c: overrides.active(c.connection, c.change.now))
    print_rows(rows, "id state space location from_at until_at actor reason", as_json=as_json)


@reservation.command("create")
def create_reservation(
    space: Annotated[str, typer.Argument(help="code of the space")],
    start: Annotated[
        datetime | None, typer.Option("--from", parser=instant, metavar="TIME", help="without: now")
    ] = None,
    end: Annotated[datetime | None, typer.Option("--until", parser=instant, metavar="TIME")] = None,
    run_for: Annotated[
        timedelta | None, typer.Option("--for", parser=duration, metavar="TIME", help="instead of --until, e.g. 2h")
    ] = None,
    email: Annotated[str | None, typer.Option(help="who it is for")] = None,
    phone: Annotated[str | None, typer.Option(help="who it is for")] = None,
    request_id: Annotated[str | None, typer.Option(help="the same again gives the same reservation")] = None,
    as_json: Json = False,
) -> None:
    """Reserves a space."""
    from baylight.schedule import reservations

    if (end is None) == (run_for is None):
        raise typer.BadParameter("give either --until or --for")

    async def work(c: Context) -> Reservation:
        begin = start or c.change.now
        until = begin + run_for if run_for else end
        assert until is not None
        made, _ = await reservations.create(
            c.change, space, begin, until, user_email=email, user_phone=phone, request_id=request_id
        )
        return made

    print_fields(on_database(work), as_json=as_json)


@reservation.command("cancel")
def cancel_reservation(reservation_id: Annotated[UUID, typer.Argument()]) -> None:
    """Cancels a reservation."""
    from baylight.schedule import reservations

    done = on_database(lambda c: reservations.cancel(c.change, reservation_id))
    typer.echo(f"reservation of {done.space} is cancelled")


@reservation.command("list")
def list_reservations(
    space: Annotated[str | None, typer.Option(help="those of a space")] = None,
    status: Annotated[str | None, typer.Option(help="active, completed, cancelled or no_show")] = None,
    past: Annotated[bool, typer.Option("--past", help="those that have ended too")] = False,
    limit: Annotated[int, typer.Option(help="at most")] = 100,
    as_json: Json = False,
) -> None:
    """Reservations by start."""
    from baylight.schedule import reservations

    rows = on_database(
        lambda c: reservations.page(
            c.connection, space=space, status=status, ending_after=None if past else c.change.now, limit=limit
        )
    )
    print_rows(rows, "id space start_at end_at status request_id created_by", as_json=as_json)


@key.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="who or what it is for")],
    scope: Annotated[list[str] | None, typer.Option(help="read, write, admin; each implies those before it")] = None,
    as_json: Json = False,
) -> None:
    """A new key. It is shown once and kept nowhere."""
    from baylight.access import keys

    async def work(c: Context) -> tuple[Key, str]:
        return await keys.create(c.change, name, scope or ["read"])

    made, secret = on_database(work)
    if as_json:
        print_json({"key": made, "secret": secret})
    else:
        typer.echo(secret)
        typer.echo(f"{made.prefix} ({', '.join(made.scopes)}): keep it, it is not shown again", err=True)


@key.command("list")
def list_keys(as_json: Json = False) -> None:
    """Keys, the newest first."""
    from baylight.access import keys

    rows = on_database(lambda c: keys.list_keys(c.connection))
    print_rows(rows, "prefix name scopes created_at created_by last_used_at revoked_at", as_json=as_json)


@key.command("revoke")
def revoke_key(id_or_prefix: Annotated[str, typer.Argument()]) -> None:
    """Refuses a key from now on."""
    from baylight.access import keys

    revoked = on_database(lambda c: keys.revoke(c.change, id_or_prefix))
    typer.echo(f"key {revoked.prefix} is revoked")
