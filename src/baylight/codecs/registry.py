"""What a codec is. A codec is pure: bytes in, values out. One explicit tuple of them stands in `codecs/all.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol, runtime_checkable

import msgspec

from baylight.domain.display import Light
from baylight.domain.state import Occupancy


class Reading(msgspec.Struct, frozen=True):
    """Decoded meaning of a sensor's uplink.

    `occupancy` None: this frame says nothing about the bay (never FREE). `fields`: JSON-ready values, units in the
    names (`battery_v`, `temperature_c`). `damaged`: the device says that its readings cannot be trusted. `hold`: how
    long an OCCUPIED by motion counts; None: until the sensor says otherwise.
    """

    occupancy: Occupancy | None
    fields: dict[str, object] = {}
    damaged: bool = False
    hold: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a display's uplink says it shows. `code`: the reported light in the layout of the display's codes,
    or None if this frame does not tell. `fields` as in `Reading`."""

    code: bytes | None
    fields: dict[str, object] = field(default_factory=dict)


class SensorCodec(Protocol):
    """Decoder of one sensor family."""

    name: str

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        """Only declared (FPort, length) pairs decode.

        Raises DeviceDataError `no_data` (MAC-only frame), `unknown_f_port`, `bad_length`, `bad_value`.
        """
        ...


class DisplayDriver(Protocol):
    """Encoder and decoder of one display family. A "code" is the payload for one state as kept in `display_codes`."""

    name: str
    reports: bool
    """Whether the device can tell what it shows."""

    def encode(self, light: Light) -> bytes:
        """Code for a light. Raises InputError `bad_light` if this display cannot show it."""
        ...

    def check(self, code: bytes) -> None:
        """Raises InputError `bad_display_code` unless `code` shows a light and does nothing else (reconfigures
        nothing, bricks nothing); the message says what to change."""
        ...

    def describe(self, code: bytes) -> Light:
        """What a person sees for a valid code."""
        ...

    def command(self, code: bytes, *, ask_report: bool) -> bytes:
        """The downlink payload for a code; with `ask_report` the device is asked to answer with an uplink."""
        ...

    def decode_report(self, f_port: int | None, data: bytes) -> Report:
        """Raises DeviceDataError as `SensorCodec.decode`."""
        ...

    def shows(self, desired: bytes, reported: bytes) -> bool:
        """Whether a person sees the same light for both codes."""
        ...


@runtime_checkable
class CountingDriver(DisplayDriver, Protocol):
    """Of a display that shows numbers."""

    def count(self, number: int) -> bytes:
        """Code for a number of free spaces; the largest that the display can write for one that it cannot."""
        ...
