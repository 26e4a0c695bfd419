"""Cells of CSV files: what a cell may contain, and how a value is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import cache
from zoneinfo import available_timezones

import msgspec

from baylight.codecs.all import display_driver, sensor_codec
from baylight.codecs.ts013.calls import PREFIX
from baylight.domain.address import parse_address
from baylight.domain.bounded_json import check_json
from baylight.domain.ids import SPACE_CODE
from baylight.domain.state import State
from baylight.errors import InputError, shorten
from baylight.inventory.locations import KINDS

Parse = Callable[[str], object]
"""Turn the text of a cell into a value. Raises InputError."""


class CellError(InputError):
    """A cell that cannot be imported. The report of the import contains it."""


_QUOTED = re.compile(r"'+[=+\-@\t\r]")
_TO_QUOTE = re.compile(r"'*[=+\-@\t\r]")
_COMMA = re.compile(r"^([+-]?\d+),(\d+)$")
"""A number as spreadsheets of many languages write it."""
_DEGREES = Decimal("1e-8")
_SCRIPTED = re.compile(PREFIX + "[a-z0-9_]{1,60}")


def text(max_length: int) -> Parse:
    def parse(cell: str) -> object:
        if len(cell) > max_length:
            raise CellError("too_long", f"at most {max_length} characters are allowed, these are {len(cell)}")
        return cell

    return parse


def word(*words: str) -> Parse:
    def parse(cell: str) -> object:
        found = next((one for one in words if one.lower() == cell.lower()), None)
        if found is None:
            raise CellError("bad_word", f"{shorten(cell)!r} is none of {', '.join(words)}")
        return found

    return parse


def matching(pattern: str, what: str) -> Parse:
    known = re.compile(pattern)

    def parse(cell: str) -> object:
        if not known.fullmatch(cell):
            raise CellError("bad_text", f"{shorten(cell)!r} is not {what}")
        return cell

    return parse


def integer(minimum: int, maximum: int) -> Parse:
    def parse(cell: str) -> object:
        if not re.fullmatch(r"\d{1,9}", cell, re.ASCII) or not minimum <= int(cell) <= maximum:
            raise CellError("bad_number", f"{shorten(cell)!r} is not a whole number from {minimum} to {maximum}")
        return int(cell)

    return parse


def degrees(maximum: int) -> Parse:
    def parse(cell: str) -> object:
        try:
            value = Decimal(_COMMA.sub(r"\1.\2", cell))
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite() or abs(value) > maximum:
            raise CellError(
                "bad_number",
                f"{shorten(cell)!r} is not a number from -{maximum} to {maximum} with a decimal point or comma",
            )
        return value.quantize(_DEGREES)

    return parse


def boolean(cell: str) -> object:
    answer = cell.lower()
    if answer not in ("yes", "no", "true", "false"):  # spreadsheets make TRUE of true
        raise CellError("bad_word", f"{shorten(cell)!r} is neither yes nor no")
    return answer in ("yes", "true")


def json_object(cell: str) -> object:
    try:
        value = msgspec.json.decode(cell)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise CellError("bad_json", f"{shorten(cell)!r} is not a JSON object such as {{}}")
    check_json(value, "the cell")
    return value


def path(cell: str) -> object:
    names = [part.strip() for part in cell.split("/")]
    if not all(names) or len(names) > len(KINDS):
        raise CellError(
            "bad_path", f"{shorten(cell)!r} is not a path of 1 to {len(KINDS)} names such as Garage/Floor 1"
        )
    return "/".join(names)


_timezones = cache(available_timezones)
"""Function that returns the names of all time zones. Reading them from the disk takes milliseconds."""


def timezone(cell: str) -> object:
    if cell not in _timezones():
        raise CellError("bad_timezone", f"{shorten(cell)!r} is not a time zone such as Europe/Berlin")
    return cell


def address(cell: str) -> object:
    """Return an address of any network server. Only The Things Stack's has a `/`, which the rules of rows check."""
    return parse_address(cell, "tts")


def prefixes(cell: str) -> object:
    found = cell.lower().split()
    if not all(re.fullmatch("[0-9a-f]{1,16}", prefix) for prefix in found):
        raise CellError(
            "bad_prefix", f"{shorten(cell)!r} is not a list of 1 to 16 hex digits each, separated by blanks"
        )
    return " ".join(found)


def codec(cell: str) -> object:
    if sensor_codec(cell) is None and display_driver(cell) is None and not _SCRIPTED.fullmatch(cell):
        raise CellError("unknown_codec", f"there is no codec {shorten(cell)!r}")
    return cell


def display_codes(cell: str) -> object:
    codes = {}
    for pair in filter(None, (part.strip() for part in cell.split(";"))):
        state, equals, code = pair.partition("=")
        if not equals or state.strip().upper() not in State.__members__ or state.strip().upper() in codes:
            raise CellError(
                "bad_display_code", f"{shorten(pair)!r} is not STATE=CODE, once for each state, separated by ';'"
            )
        codes[state.strip().upper()] = code.strip()
    return codes


def unquote(cell: str) -> str:
    """Return the text of a cell without the apostrophe that `write` put before it."""
    return cell[1:] if _QUOTED.match(cell) else cell


def write(value: object) -> str:
    """Return a value as a cell.

    Text that a spreadsheet would run as a formula gets an apostrophe. Text that already has apostrophes before such a
    character gets one more, so that `unquote` gives back the original.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    text = str(value)
    return f"'{text}" if _TO_QUOTE.match(text) else text


def write_codes(value: object) -> str:
    codes = value if isinstance(value, dict) else {}
    return "; ".join(f"{state}={codes[state]}" for state in State if state in codes)


space_code = matching(SPACE_CODE, "a code of 1 to 20 characters in one line")
state = word(*(str(one) for one in State))
