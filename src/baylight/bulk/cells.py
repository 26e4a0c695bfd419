"""The CSV files of bulk import and export: their columns, and what a cell may hold. docs/reference/csv.md tells it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from zoneinfo import available_timezones

import msgspec

from baylight.codecs.all import display_driver, sensor_codec
from baylight.codecs.ts013 import PREFIX
from baylight.domain.downlink import NETWORK_SERVERS
from baylight.domain.ids import SPACE_CODE, parse_dev_eui
from baylight.domain.lifecycle import LIFECYCLE
from baylight.domain.state import State
from baylight.errors import InputError, shorten
from baylight.inventory.locations import KINDS

CLEAR = "-"
"""A cell that empties what is stored; an empty cell leaves it."""
_QUOTED = re.compile(r"'+[=+\-@\t\r]")
_TO_QUOTE = re.compile(r"'*[=+\-@\t\r]")
_DEGREES = Decimal("1e-8")


@dataclass(frozen=True, slots=True)
class Column:
    """`parse` raises InputError. `required`: no empty cell. `clearable`: `-` empties it. `exact`: blanks around it
    belong to it."""

    name: str
    parse: Callable[[str], object]
    required: bool = False
    clearable: bool = False
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """One kind of file. `key`: the columns that tell which object a row speaks of."""

    kind: str
    version: int
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"# baylight {self.kind} v{self.version}"

    @property
    def table(self) -> str:
        return f"bulk_{self.group}"

    @property
    def group(self) -> str:
        return self.kind.replace("-", "_")


def _refuse(code: str, message: str) -> InputError:
    return InputError(code, message)


def _text(most: int) -> Callable[[str], object]:
    def parse(cell: str) -> object:
        if len(cell) > most:
            raise _refuse("too_long", f"at most {most} characters, here are {len(cell)}")
        return cell

    return parse


def _word(*words: str) -> Callable[[str], object]:
    def parse(cell: str) -> object:
        found = next((word for word in words if word.lower() == cell.lower()), None)
        if found is None:
            raise _refuse("bad_word", f"{shorten(cell)!r} is none of {', '.join(words)}")
        return found

    return parse


def _matching(pattern: str, what: str) -> Callable[[str], object]:
    known = re.compile(pattern)

    def parse(cell: str) -> object:
        if not known.fullmatch(cell):
            raise _refuse("bad_text", f"{shorten(cell)!r} is not {what}")
        return cell

    return parse


def _integer(least: int, most: int) -> Callable[[str], object]:
    def parse(cell: str) -> object:
        if not re.fullmatch(r"\d{1,9}", cell, re.ASCII) or not least <= int(cell) <= most:
            raise _refuse("bad_number", f"{shorten(cell)!r} is not a whole number from {least} to {most}")
        return int(cell)

    return parse


def _degrees(most: int) -> Callable[[str], object]:
    def parse(cell: str) -> object:
        try:
            value = Decimal(cell)
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite() or abs(value) > most:
            raise _refuse(
                "bad_number", f"{shorten(cell)!r} is not a number from -{most} to {most} with a decimal point"
            )
        return value.quantize(_DEGREES)

    return parse


def _yes(cell: str) -> object:
    word = cell.lower()
    if word not in ("yes", "no", "true", "false"):  # spreadsheets make TRUE of true
        raise _refuse("bad_word", f"{shorten(cell)!r} is neither yes nor no")
    return word in ("yes", "true")


def _object(cell: str) -> object:
    try:
        return msgspec.json.decode(cell, type=dict[str, msgspec.Raw]) and msgspec.json.decode(cell)
    except (ValueError, RecursionError):
        raise _refuse("bad_json", f"{shorten(cell)!r} is not a JSON object such as {{}}") from None


def _path(cell: str) -> object:
    names = [part.strip() for part in cell.split("/")]
    if not all(names) or len(names) > len(KINDS):
        raise _refuse("bad_path", f"{shorten(cell)!r} is not a path of 1 to {len(KINDS)} names such as Garage/Floor 1")
    return "/".join(names)


def _timezone(cell: str) -> object:
    if cell not in available_timezones():
        raise _refuse("bad_timezone", f"{shorten(cell)!r} is not a time zone such as Europe/Berlin")
    return cell


def _prefixes(cell: str) -> object:
    prefixes = cell.lower().split()
    if not all(re.fullmatch("[0-9a-f]{1,16}", prefix) for prefix in prefixes):
        raise _refuse("bad_prefix", f"{shorten(cell)!r} is not a list of 1 to 16 hex digits each, separated by blanks")
    return " ".join(prefixes)


_SCRIPTED = re.compile(PREFIX + "[a-z0-9_]{1,60}")


def _codec(cell: str) -> object:
    if sensor_codec(cell) is None and display_driver(cell) is None and not _SCRIPTED.fullmatch(cell):
        raise _refuse("unknown_codec", f"there is no codec {shorten(cell)!r}")
    return cell


def _codes(cell: str) -> object:
    codes = {}
    for pair in filter(None, (part.strip() for part in cell.split(";"))):
        state, equals, code = pair.partition("=")
        if not equals or state.strip().upper() not in State.__members__ or state.strip().upper() in codes:
            raise _refuse(
                "bad_display_code", f"{shorten(pair)!r} is not STATE=CODE, once for each state, separated by ';'"
            )
        codes[state.strip().upper()] = code.strip()
    return codes


def unquote(cell: str) -> str:
    """The text of a cell without the apostrophe that `write` put before it."""
    return cell[1:] if _QUOTED.match(cell) else cell


def write(value: object) -> str:
    """A value as a cell. Text that a spreadsheet would take for a formula gets an apostrophe, and text that has one
    before such a character gets another: `unquote` gives back what was there."""
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


_CODE = _matching(SPACE_CODE, "a code of 1 to 20 characters in one line")
_STATES = tuple(str(state) for state in State)

SHEETS: Mapping[str, Sheet] = MappingProxyType(
    {
        sheet.kind: sheet
        for sheet in (
            Sheet(
                "locations",
                1,
                (
                    Column("path", _path, required=True),
                    Column("kind", _word(*KINDS)),
                    Column("timezone", _timezone, clearable=True),
                    Column("maintenance", _yes),
                    Column("metadata", _object),
                ),
                ("path",),
            ),
            Sheet(
                "spaces",
                1,
                (
                    Column("code", _CODE, required=True),
                    Column("name", _text(100), exact=True),
                    Column("location", _path, clearable=True),
                    Column("latitude", _degrees(90), clearable=True),
                    Column("longitude", _degrees(180), clearable=True),
                    Column("default_state", _word(*_STATES)),
                    Column("maintenance", _yes),
                    Column("metadata", _object, clearable=True),
                ),
                ("code",),
            ),
            Sheet(
                "device-types",
                1,
                (
                    Column(
                        "code", _matching("[a-z0-9_]{1,50}", "a code of a-z, 0-9 and _ (at most 50)"), required=True
                    ),
                    Column("category", _word("sensor", "display")),
                    Column("manufacturer", _text(100), exact=True),
                    Column("model", _text(100), exact=True),
                    Column("codec", _codec),
                    Column("dev_eui_prefixes", _prefixes, clearable=True),
                    Column("uplink_interval_s", _integer(1, 100_000_000)),
                    Column("silent_after_intervals", _integer(1, 10_000)),
                    Column("default_config", _object),
                    Column("capabilities", _object),
                    Column("enabled", _yes),
                ),
                ("code",),
            ),
            Sheet(
                "devices",
                1,
                (
                    Column("role", _word("sensor", "display"), required=True),
                    Column("dev_eui", parse_dev_eui, required=True),
                    Column("device_type", _text(50)),
                    Column("enabled", _yes),
                    Column("lifecycle_state", _word(*LIFECYCLE)),
                    Column("shared", _yes),
                    Column("fport", _integer(1, 223)),
                    Column("confirmed_downlinks", _yes),
                    Column("display_codes", _codes),
                    Column("network_server", _word(*NETWORK_SERVERS)),
                    Column("application_id", _text(100), clearable=True, exact=True),
                    Column("notes", _text(2000), clearable=True, exact=True),
                ),
                ("role", "dev_eui"),
            ),
            Sheet(
                "assignments",
                1,
                (
                    Column("space", _CODE, required=True),
                    Column("sensor_deveui", parse_dev_eui, clearable=True),
                    Column("display_deveui", parse_dev_eui, clearable=True),
                ),
                ("space",),
            ),
        )
    }
)
