"""`baylight device …`: swaps, installations and removals, and where a device was when."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from baylight.cli.options import AsOf, At, Eui, Json, Limit, Role, RoleArgument, Space, Superseded, instant
from baylight.cli.output import say
from baylight.cli.run import Context, on_database, print_json, print_rows, text
from baylight.domain.paging import PAGE_SIZE

if TYPE_CHECKING:
    from baylight.inventory.swaps import Swap

app = typer.Typer()

COLUMNS = "space role dev_eui from_at until_at reason actor"


@app.command("swap")
def swap_device(
    old: Annotated[str, typer.Argument(help="DevEUI of the device to replace")],
    new: Annotated[str, typer.Argument(help="DevEUI of the device that replaces it; it must be registered")],
    at: Annotated[
        datetime | None,
        typer.Option(parser=instant, metavar="TIME", help="time of the swap, if not now: ISO 8601 with a time zone"),
    ] = None,
    note: Annotated[str | None, typer.Option(help="why")] = None,
    retire: Annotated[bool, typer.Option("--retire", help="decommission the old device")] = False,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Replace a device by another. You can undo it for 24 hours."""
    from baylight.inventory import swaps

    done = on_database(lambda c: swaps.swap(c.change, old, new, at=at, note=note, retire=retire, role=role))
    _print_swap(done, as_json=as_json)


@app.command("undo")
def undo_swap(
    what: Annotated[str, typer.Argument(help="id of the swap, or the DevEUI of one of the two devices")],
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Undo a swap of the last 24 hours."""
    from baylight.inventory import swaps

    async def work(c: Context) -> Swap:
        try:
            swap_id = UUID(what)
        except ValueError:
            swap_id = await swaps.get_latest_swap_id(c.connection, what, role)
        return await swaps.undo_swap(c.change, swap_id)

    _print_swap(on_database(work), as_json=as_json)


@app.command("swaps")
def list_swaps(
    dev_eui: Annotated[str | None, typer.Argument(help="DevEUI of a device; without: all swaps")] = None,
    role: Role = None,
    limit: Limit = PAGE_SIZE,
    as_json: Json = False,
) -> None:
    """List swaps, newest first."""
    from baylight.inventory import swaps

    rows = on_database(lambda c: swaps.list_swaps(c.connection, device=dev_eui, role=role, limit=limit))
    print_rows(rows, "id role spaces old new at recorded_at actor undone_at", as_json=as_json)


@app.command("where")
def locate_device(
    dev_eui: Eui, role: Role = None, as_of: AsOf = None, superseded: Superseded = False, as_json: Json = False
) -> None:
    """List the spaces that a device served, and when; or at one time."""
    from baylight.inventory import assignments

    rows = on_database(
        lambda c: (
            assignments.list_assignments_as_of(c.connection, as_of, device=dev_eui, role=role)
            if as_of
            else assignments.list_assignments(c.connection, device=dev_eui, role=role, superseded=superseded)
        )
    )
    print_rows(rows, COLUMNS + (" superseded_at" if superseded else ""), as_json=as_json)


@app.command("install")
def install_device(dev_eui: Eui, space: Space, at: At, role: Role = None) -> None:
    """Record, after the fact, that a device was installed in a space. Its uplinks since then count."""
    from baylight.inventory import assignments

    on_database(lambda c: assignments.install(c.change, space, dev_eui, at=at, role=role))
    say(f"{dev_eui} serves {space} since {text(at)}")


@app.command("remove")
def remove_device(space: Space, role: RoleArgument, at: At) -> None:
    """Record, after the fact, that a device was removed from a space."""
    from baylight.inventory import assignments

    on_database(lambda c: assignments.remove(c.change, space, role, at=at))
    say(f"{space} has no {role} since {text(at)}")


def _print_swap(done: Swap, *, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    which = "undone" if done.undone_at else "done"
    say(f"{done.role} {done.old} -> {done.new} on {', '.join(done.spaces)} since {text(done.at)}: {which}")
    for warning in done.warnings:
        say(f"  look: {warning}")
    if not done.undone_at:
        say(f"  undo it within 24 hours: baylight device undo {done.id}")
