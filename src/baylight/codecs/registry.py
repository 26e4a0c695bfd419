"""Interfaces of codecs and their results. A codec is pure: bytes in, values out. `codecs/all.py` lists all codecs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol, runtime_checkable

import msgspec

from baylight.domain.lights import Light
from baylight.domain.state import Occupancy


class Reading(msgspec.Struct, frozen=True):
    """Decoded meaning of a sensor's uplink.

    `occupancy` None: this frame has no information about the bay (never FREE). `fields`: JSON-ready values, units in
    the names (`battery_v`, `temperature_c`). `damaged`: the device reports that its readings cannot be trusted.
    `hold`: how long an OCCUPIED by motion counts; None: until the sensor reports another occupancy.
    """

    occupancy: Occupancy | None
    fields: dict[str, object] = {}
    damaged: bool = False
    hold: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Decoded meaning of a display's uplink.

    `code`: the light that the display reports, in the layout of its codes; None if this frame does not report it.
    `fields`: as in `Reading`.
    """

    code: bytes | None
    fields: dict[str, object] = field(default_factory=dict)


class SensorCodec(Protocol):
    """Decoder of one sensor family."""

    name: str

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        """Decode a frame. Only declared pairs of FPort and length decode.

        Raises DeviceDataError `no_data` (MAC-only frame), `unknown_f_port`, `bad_length`, `bad_value`.
        """
        ...


class DisplayDriver(Protocol):
    """Encoder and decoder of one display family. A "code" is the payload for one state as kept in `display_codes`."""

    name: str
    reports: bool
    """Flag: the device can report what it shows."""

    def encode(self, light: Light) -> bytes:
        """Return the code for a light. Raises InputError `bad_light` if this display cannot show it."""
        ...

    def check(self, code: bytes) -> None:
        """Refuse a code that does anything but show a light (it could reconfigure or brick the device).

        Raises InputError `bad_display_code` with a message that says what to change.
        """
        ...

    def describe(self, code: bytes) -> Light:
        """Return the light that a person sees for a valid code."""
        ...

    def command(self, code: bytes, *, ask_report: bool) -> bytes:
        """Return the downlink payload for a code. `ask_report`: the payload also asks the device for an uplink."""
        ...

    def decode_report(self, f_port: int | None, data: bytes) -> Report:
        """Decode an uplink. Raises DeviceDataError as `SensorCodec.decode`."""
        ...

    def shows(self, desired: bytes, reported: bytes) -> bool:
        """Return True if a person sees the same light for both codes."""
        ...


@runtime_checkable
class CountingDriver(DisplayDriver, Protocol):
    """Encoder and decoder of a display that shows numbers."""

    def count(self, number: int) -> bytes:
        """Return the code for a number of free spaces, at most the largest number that the display can show."""
        ...
