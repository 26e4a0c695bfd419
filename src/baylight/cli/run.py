"""Connection, exit codes and output of commands. Heavy imports wait until a command needs them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, TypeVar

import typer

from baylight.cli.output import say, say_shaped, set_zones, zone_of
from baylight.errors import escape

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic_core import ErrorDetails

    from baylight.access.change import Change
    from baylight.settings import Settings
    from baylight.store.pool import Connection

FOUND, INPUT, LATER = 1, 2, 3
"""Exit codes besides 0."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Context:
    """Connection, settings and change of one command."""

    connection: Connection
    settings: Settings
    change: Change


def run(work: Coroutine[object, object, T]) -> T:
    """Run a coroutine; an error becomes one line on standard error and an exit code."""
    import uvloop

    with exit_on_error():
        return uvloop.run(work)


def on_database(work: Callable[[Context], Awaitable[T]]) -> T:
    """Run `work` on a connection to the database of BAYLIGHT_DATABASE_URL."""
    return run(_on_database(work))


async def _on_database(work: Callable[[Context], Awaitable[T]]) -> T:
    from getpass import getuser

    from baylight.access.change import Change
    from baylight.app.policies import policies_of
    from baylight.store.connect import connect

    settings = load_settings()
    connection = await connect(settings.dsn(), interactive=True)
    try:
        now = await connection.fetchval("SELECT clock_timestamp()")
        change = Change(connection, f"cli:{getuser()}", now, policies_of(settings))
        done = await work(Context(connection, settings, change))
        await _load_zones(connection)
        return done
    finally:
        await connection.close()


async def _load_zones(connection: Connection) -> None:
    from baylight.inventory import locations
    from baylight.store.connect import FORBIDDEN, MISSING_SCHEMA

    with suppress(*MISSING_SCHEMA, FORBIDDEN):
        set_zones(await locations.list_time_zones(connection))


def load_settings() -> Settings:
    """Read the settings. Raises InputError `bad_settings`."""
    from pydantic import ValidationError

    from baylight.errors import InputError
    from baylight.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(f"BAYLIGHT_{'__'.join(map(str, e['loc'])).upper()}: {_reason(e)}" for e in error.errors())
        raise InputError("bad_settings", wrong) from error


def _reason(error: ErrorDetails) -> str:
    if error["type"] == "too_short":
        return f"at least {error['ctx']['min_length']} characters are needed"
    return error["msg"]


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Print an error as one line and exit with its code."""
    from baylight.errors import BaylightError, InputError
    from baylight.store.connect import BAD_VALUE, FORBIDDEN, MISSING_SCHEMA, RETRY

    try:
        yield
    except InputError as error:
        _leave(error.message, INPUT)
    except BaylightError as error:
        _leave(error.message, LATER)
    except MISSING_SCHEMA:
        _leave("the database does not have the schema of this version: run `baylight db upgrade`", INPUT)
    except FORBIDDEN as error:
        _leave(
            f"{error}. `baylight db` and `baylight v2` need the owner's address in BAYLIGHT_DATABASE_URL; "
            "for other commands let the owner run `baylight db upgrade`, which renews the rights of service users",
            INPUT,
        )
    except BAD_VALUE:
        _leave("a value is out of range or has characters that cannot be stored", INPUT)
    except RETRY as error:
        _leave(f"the database cannot run the command now: {error or type(error).__name__}", LATER)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _leave(message: str, code: int) -> None:
    say(f"baylight: {' '.join(message.split())}", err=True)
    raise typer.Exit(code)


def print_json(value: object) -> None:
    """Print dataclasses, times, ids and numbers as JSON."""
    import msgspec

    say_shaped(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_rows(rows: Sequence[object], columns: str, *, as_json: bool, limit: int | None = None) -> None:
    """Print a table of attributes of `rows`, named in `columns`; with `as_json` all attributes as JSON.

    `limit`: the requested size of the page; a full page is followed by a hint on the next.
    """
    if as_json:
        print_json(rows)
        return
    names = columns.split()
    cells = [[name.replace("_", " ") for name in names]]
    cells += [[text(getattr(row, name), zone_of(row)) for name in names] for row in rows]
    widths = [max(len(line[n]) for line in cells) for n in range(len(names))]
    for line in cells if rows else []:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if not rows:
        say("none", err=True)
    elif limit is not None and len(rows) >= limit:
        say(f"there may be more: --after {cells[-1][0]}", err=True)


def print_fields(row: DataclassInstance, *, as_json: bool) -> None:
    """Print each attribute of a dataclass that has a value, one a line."""
    if as_json:
        print_json(row)
        return
    shown = [(f.name.replace("_", " "), getattr(row, f.name)) for f in fields(row)]
    for name, value in shown:
        if value is not None and value not in ([], {}):
            say(f"{name:<20} {text(value, zone_of(row))}")


def text(value: object, zone: tzinfo | None = None) -> str:
    """Return a value on one line as a person reads it. `zone`: of times; default: as `zone_of` returns it."""
    return escape(_text(value, zone or zone_of()))


def _text(value: object, zone: tzinfo) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{_in_zone(value, zone):%Y-%m-%d %H:%M:%S %Z}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(_text(part, zone) for part in value) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(part, zone)}" for key, part in value.items()) or "-"
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    if isinstance(value, bytes):
        return value.hex()
    if is_dataclass(value) and type(value).__str__ is object.__str__:
        parts = {f.name.replace("_", " "): getattr(value, f.name) for f in fields(value)}
        return _text({name: part for name, part in parts.items() if part not in (None, [], {})}, zone)
    return str(value)


def _in_zone(at: datetime, zone: tzinfo) -> datetime:
    try:
        return at.astimezone(zone)
    except OverflowError:  # within a day of the years 1 and 9999
        return at
