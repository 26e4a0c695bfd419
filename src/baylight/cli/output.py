"""The only way of text to the terminal, without characters that do something to it. Time zones of what is shown.

`baylight.errors.escape` describes the characters.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

import typer

from baylight.errors import escape

_BETWEEN_BREAKS = re.compile("[^\n\t]+")


def say(line: str, *, err: bool = False) -> None:
    """Print one line, on standard error with `err`."""
    _print(escape(line), err=err)


def say_lines(lines: Iterable[str]) -> None:
    """Print several lines."""
    for line in lines:
        say(line)


def say_shaped(text: str) -> None:
    """Print text that has its own lines and tabs, such as JSON."""
    _print(_BETWEEN_BREAKS.sub(lambda part: escape(part[0]), text))


def say_source(text: str) -> None:
    """Print a source file. Only a terminal gets it escaped, so that a redirected copy is the same file."""
    if sys.stdout.isatty():
        say_shaped(text)
    else:
        typer.echo(text)


def draw(line: str) -> None:
    """Write a progress bar over the present line of standard error, which is a terminal."""
    sys.stderr.write(f"\r\x1b[K{escape(line)}")
    sys.stderr.flush()


def _print(text: str, *, err: bool = False) -> None:
    encoding = (sys.stderr if err else sys.stdout).encoding or "utf-8"
    typer.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=err)


class _Times:
    """Time zones of one command. `zones`: by name of the site."""

    utc = False
    zones: Mapping[str, str | None] = {}


def begin_times(*, utc: bool) -> None:
    """Print times in UTC until `set_zones`, or also after it with `utc`."""
    _Times.utc, _Times.zones = utc, {}


def set_zones(zones: Mapping[str, str | None]) -> None:
    """Set the time zones of the sites by name. None: the site has none."""
    _Times.zones = zones


def zone_of(row: object = None) -> tzinfo:
    """Return the time zone in which the times of a row are printed.

    It is the zone of the site of the row's location; else the one that all sites have; else UTC.
    """
    location = getattr(row, "location", None)
    site = _Times.zones.get(location.partition("/")[0]) if isinstance(location, str) else None
    everywhere = set(_Times.zones.values())
    name = site or (everywhere.pop() if len(everywhere) == 1 else None)
    return UTC if _Times.utc or name is None else ZoneInfo(name)
