"""JavaScript payload codecs: calls, answers, and their meaning. `ports.CodecEngine` runs them.

Source: LoRa Alliance TS013-1.0.0, payload codec API.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from baylight.codecs.registry import Reading, Report
from baylight.codecs.ts013.display_mapping import DisplayMapping, Mapped
from baylight.codecs.ts013.sensor_mapping import OccupancyMapping, number
from baylight.domain.state import Occupancy
from baylight.errors import DeviceDataError

PREFIX = "js:"
"""Prefix of a JavaScript codec: `js:<name>` stands in place of a built-in codec's name."""
MAX_MESSAGES, MAX_MESSAGE_LENGTH = 10, 300
MAX_DEPTH = 20
_BATTERIES = {"battery_v": (99.9, "%"), "battery_pct": (100.0, "V")}
"""Fields of the battery: the highest value that is one, and the unit of the other. Beyond, it has another unit."""

_ESCAPE = re.compile(r"\\(u0000|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)")
_REPLACEMENT = "\\ufffd"


class Function(StrEnum):
    """Function of a codec, by its name in the standard."""

    DECODE_UPLINK = "decodeUplink"
    ENCODE_DOWNLINK = "encodeDownlink"
    DECODE_DOWNLINK = "decodeDownlink"


@dataclass(frozen=True, slots=True)
class Script:
    """Text of a codec. `id` never names another text, so an engine may cache what it compiled."""

    id: str
    source: str


@dataclass(frozen=True, slots=True)
class Call:
    """Call of a codec. `input` is its argument as JSON text, with `recvTime` as ISO 8601."""

    script: Script
    function: Function
    input: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of a codec. `data` is JSON-ready and fit for jsonb. `bytes` and `f_port`: an encoder's."""

    data: object
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    bytes: bytes | None = None
    f_port: int | None = None


def decode_call(script: Script, f_port: int | None, data: bytes, received_at: datetime) -> Call:
    """Return the call that decodes a frame.

    Raises DeviceDataError `no_data` for a frame without data, which no codec decodes.
    """
    if not f_port or not data:
        raise DeviceDataError("no_data", "the frame carries no data", f_port=f_port)
    text = f'{{"bytes":{list(data)},"fPort":{f_port},"recvTime":"{received_at.isoformat()}"}}'
    return Call(script, Function.DECODE_UPLINK, text)


def answer(text: str) -> Answer:
    """Read the JSON text that an engine returns. Raises DeviceDataError `codec_failed` if it is no answer."""
    try:
        found = json.loads(_storable(text))
    except (ValueError, RecursionError):
        raise DeviceDataError("codec_failed", "the codec's answer is not JSON") from None
    if not isinstance(found, dict):
        raise DeviceDataError("codec_failed", "the codec's answer is not an object")
    if text.count("[") + text.count("{") > MAX_DEPTH and _deeper(found, MAX_DEPTH):
        raise DeviceDataError("codec_failed", f"the codec's answer is nested deeper than {MAX_DEPTH}")
    return Answer(
        found.get("data"),
        _messages(found.get("errors")),
        _messages(found.get("warnings")),
        _bytes(found.get("bytes")),
        _f_port(found.get("fPort")),
    )


@dataclass(frozen=True, slots=True)
class Decoded:
    """Answer for an uplink, with what is needed to find its meaning.

    The meaning may depend on the sensor's last occupancy, or on the codes of the display.
    """

    answer: Answer
    mapping: Mapped | None
    f_port: int

    def reading(self, previous: Occupancy | None = None, age_s: float | None = None) -> Reading:
        """Return the reading. `previous`: the sensor's last occupancy if it is still trusted, `age_s` seconds old.

        Raises DeviceDataError `codec_error` if the codec reports errors and its mapping does not accept them.
        """
        mapping = self.mapping if isinstance(self.mapping, OccupancyMapping) else None
        data, fields = self.answer.data, self._fields(refuse=mapping is None or mapping.ignore_on_errors)
        for name, (limit, other_unit) in _BATTERIES.items():
            path = getattr(mapping, name, None)
            value = next(path.values(data), None) if path else fields.get(name)
            measured = None if isinstance(value, str) and value.strip().endswith(other_unit) else number(value)
            if measured is not None and 0 <= measured <= limit:
                fields[name] = measured
            else:
                fields.pop(name, None)
        if mapping is None:
            return Reading(None, fields)
        occupancy = mapping.occupancy(self.f_port, data, self.answer.warnings, previous, age_s)
        moved = occupancy is Occupancy.OCCUPIED and mapping.motion_timeout_s is not None
        return Reading(occupancy, fields, hold=timedelta(seconds=mapping.motion_timeout_s or 0) if moved else None)

    def report(self, codes: Mapping[str, str]) -> Report:
        """Return the report of a display with these `codes` (hex).

        Its code is that of the state whose light the display reports, or an empty code if it shows another light.
        Raises DeviceDataError `codec_error`.
        """
        fields = self._fields(refuse=True)
        shows = self.mapping.shows(self.f_port, self.answer.data) if isinstance(self.mapping, DisplayMapping) else None
        if shows is None:
            return Report(None, fields)
        return Report(bytes.fromhex(next((codes[state] for state in shows if state in codes), "")), fields)

    def _fields(self, *, refuse: bool) -> dict[str, object]:
        if refuse and self.answer.errors:
            raise DeviceDataError("codec_error", "; ".join(self.answer.errors))
        data = self.answer.data
        fields: dict[str, object] = {}
        if isinstance(data, dict):
            fields = dict(data)
        elif data is not None:
            fields = {"data": data}
        if self.answer.warnings:
            fields["warnings"] = list(self.answer.warnings)
        return fields


def _storable(text: str) -> str:
    """Replace NUL and halves of surrogate pairs, which PostgreSQL cannot store.

    Codecs make both of padded or damaged text.
    """
    if "\\u" not in text:
        return text
    return _ESCAPE.sub(lambda m: _REPLACEMENT if len(m[1]) == 5 else m[0], text)


def _deeper(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    return levels == 0 or any(_deeper(v, levels - 1) for v in (value.values() if isinstance(value, dict) else value))


def _messages(value: object) -> tuple[str, ...]:
    """Return errors or warnings as texts.

    The standard has a list of strings; codecs also return strings and objects.
    """
    if not value:
        return ()
    items: Sequence[object] = value if isinstance(value, list) else [value]
    texts = [item if isinstance(item, str) else json.dumps(item) for item in items]
    return tuple(text[:MAX_MESSAGE_LENGTH] for text in texts[:MAX_MESSAGES])


def _bytes(value: object) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, list) and all(type(b) is int and 0 <= b <= 255 for b in value):
        return bytes(value)
    raise DeviceDataError("codec_failed", "the codec's bytes are not a list of numbers 0 to 255")


def _f_port(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is int and 1 <= value <= 223:
        return value
    raise DeviceDataError("codec_failed", "the codec's fPort is not a number 1 to 223")


def same(expected: object, found: object) -> bool:
    """Compare JSON values: true is not 1, numbers may differ by rounding, a missing key is not null."""
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return abs(expected - found) <= 1e-9 * max(1.0, abs(expected), abs(found))
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        return expected.keys() == found.keys() and all(same(expected[key], found[key]) for key in expected)
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(same, expected, found))
    return expected == found
