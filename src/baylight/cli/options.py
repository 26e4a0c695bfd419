"""Arguments and options that several commands share, each with the parser of its value."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

import typer

MAX_DURATION_D = 36_525
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(given: str) -> timedelta:
    """Parse `30s`, `15m`, `2h` or `1d`, more than 0 and at most MAX_DURATION_D. Raises typer.BadParameter."""
    match = _DURATION.fullmatch(given.strip())
    if match is None:
        raise typer.BadParameter(f"{given!r} is no duration such as 30s, 15m, 2h or 1d")
    amount, unit = float(match[1]), _UNITS[match[2]]
    if not 0 < amount * (timedelta(**{unit: 1}) / timedelta(days=1)) <= MAX_DURATION_D:
        raise typer.BadParameter(f"{given!r} is not between 0 and {MAX_DURATION_D}d")
    return timedelta(**{unit: amount})


def instant(given: str) -> datetime:
    """Parse a time in ISO 8601 with a time zone. Raises typer.BadParameter."""
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise typer.BadParameter(f"{given!r} is no time such as 2026-11-24T09:00Z") from None
    if at.tzinfo is None:
        raise typer.BadParameter(f"{given!r} has no time zone: write {given}Z for UTC")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise typer.BadParameter(f"{given!r} is out of range") from None


class Switch(StrEnum):
    """Value of a command that closes or opens spaces."""

    ON = "on"
    OFF = "off"


Json = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
Limit = Annotated[int, typer.Option(help="maximum number of rows")]
After = Annotated[str | None, typer.Option(help="start after this DevEUI or code")]
AllowAlike = Annotated[
    bool, typer.Option("--allow-alike", help="accept that the light of another state looks like FREE")
]
Notes = Annotated[str | None, typer.Option(help="free text")]
Reason = Annotated[str | None, typer.Option(help="why")]
OnOff = Annotated[Switch, typer.Argument(help="on closes, off opens")]

Eui = Annotated[str, typer.Argument(help="DevEUI: 16 hex digits in any notation")]
Role = Annotated[
    Literal["sensor", "display"] | None, typer.Option(help="needed only if a sensor and a display have this DevEUI")
]
RoleArgument = Annotated[Literal["sensor", "display"], typer.Argument(help="which device of the space")]
Type = Annotated[str | None, typer.Option("--type", help="device type, see `baylight type list`")]
Superseded = Annotated[bool, typer.Option("--all", help="include records that corrections have replaced")]

Space = Annotated[str, typer.Argument(help="code of the space")]
STATES = "FREE, OCCUPIED, RESERVED, MAINTENANCE, OUT_OF_ORDER or UNKNOWN"
State = Annotated[str, typer.Argument(help=STATES)]

AsOf = Annotated[datetime | None, typer.Option(parser=instant, metavar="TIME", help="ISO 8601 with a time zone")]
At = Annotated[
    datetime, typer.Option("--at", parser=instant, metavar="TIME", help="time of the change, ISO 8601 with a time zone")
]
Until = Annotated[datetime | None, typer.Option(parser=instant, metavar="TIME", help="e.g. 2026-11-24T18:00Z")]
For = Annotated[
    timedelta | None, typer.Option("--for", parser=duration, metavar="TIME", help="instead of --until, e.g. 2h")
]
