"""`baylight override …`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from baylight.cli.options import For, Json, Reason, State, Until
from baylight.cli.output import say
from baylight.cli.run import Context, on_database, print_fields, print_json, print_rows, text

app = typer.Typer(help="Fix states by hand.", no_args_is_help=True)

TargetSpace = Annotated[str | None, typer.Argument(help="code of the space")]
TargetLocation = Annotated[str | None, typer.Option(help="instead of a space: all spaces of this location")]


@app.command("set")
def set_override(
    state: State,
    space: TargetSpace = None,
    location: TargetLocation = None,
    until: Until = None,
    run_for: For = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Fix the state of a space or a location from now on."""
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
    if as_json:
        print_json(made)
        return
    print_fields(replace(made, replaced=None), as_json=False)
    if old := made.replaced:
        end = f" until {text(old.until_at)}" if old.until_at else ""
        why = old.reason or "no reason given"
        say(f"it replaced {old.state} by {old.actor}, from {text(old.from_at)}{end}: {why}")


@app.command("end")
def end_override(space: TargetSpace = None, location: TargetLocation = None) -> None:
    """End the override of a space or a location."""
    from baylight.errors import InputError
    from baylight.schedule import overrides

    async def work(c: Context) -> int:
        if (space is None) == (location is None):
            raise InputError("one_target", "name either a space or a location")
        found = await overrides.list_overrides(c.connection, c.change.now, space=space, location=location)
        for one in found:
            await overrides.end_override(c.change, one.id)
        return len(found)

    ended = on_database(work)
    say(f"{space or location}: {'the override is ended' if ended else 'there was no override'}")


@app.command("list")
def list_overrides(as_json: Json = False) -> None:
    """List the overrides in force."""
    from baylight.schedule import overrides

    rows = on_database(lambda c: overrides.list_overrides(c.connection, c.change.now))
    print_rows(rows, "id state space location from_at until_at actor reason", as_json=as_json)
