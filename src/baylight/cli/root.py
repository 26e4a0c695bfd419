"""The command `baylight` itself: what holds for each command below it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from baylight.cli import output
from baylight.errors import CONTROL

MAX_SHOWN = 40


class Root(TyperGroup):
    """Group of all commands. `--utc` may stand anywhere before `--`."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        for number, word in enumerate(args, start=1):
            if match := CONTROL.search(word):
                # Python gives each byte that is not UTF-8 as a lone surrogate.
                what = "is not UTF-8" if match[0] >= "\ud800" else f"has the control character U+{ord(match[0]):04X}"
                output.say(f"baylight: argument {number} {what}: {word[:MAX_SHOWN]}", err=True)
                raise typer.Exit(2)
        end = args.index("--") if "--" in args else len(args)
        output.begin_times(utc="--utc" in args[:end])
        args = [word for place, word in enumerate(args) if place >= end or word != "--utc"]
        return super().make_context(info_name, args, parent, **extra)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        output.say(f"baylight {version('baylight')}")
        raise typer.Exit


def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version of Baylight")
    ] = False,
    utc: Annotated[
        bool, typer.Option("--utc", help="print times in UTC, not in the time zone of the site; of every command")
    ] = False,
) -> None:
    """Baylight: the light on the bay tells the truth, and Baylight can prove it."""
