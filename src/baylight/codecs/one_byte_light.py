"""A light that shows what one byte says: the small protocol that a self-built or adapted light is programmed for.

Downlink, 1 byte:

| byte | light |
|---|---|
| 00 | off |
| 01, 02, 03 | green, red, yellow |
| 04, 05, 07 | orange, purple, white |
| 06 | blue, flashing once in 2 s |

Uplink, optional: 1 byte, what it shows now. A light need not send it, so it is kept as a fact and not waited for.
"""

from __future__ import annotations

from collections.abc import Mapping

from baylight.codecs.frame import F_PORTS, declared
from baylight.codecs.registry import Report
from baylight.domain.display import COLOURS, Light, name
from baylight.errors import InputError

_LIGHTS = {
    0x00: COLOURS["off"],
    0x01: COLOURS["green"],
    0x02: COLOURS["red"],
    0x03: COLOURS["yellow"],
    0x04: COLOURS["orange"],
    0x05: COLOURS["purple"],
    0x06: Light(0, 0, 255, 1000, 1000),
    0x07: COLOURS["white"],
}


class OneByteLight:
    """Codes are the bytes. It shows the lights that it is made with, and no others."""

    name = "one_byte_light"
    reports = False
    lights: Mapping[int, Light] = _LIGHTS

    def encode(self, light: Light) -> bytes:
        """The light that has the same name."""
        for byte, own in self.lights.items():
            if name(own) == name(light):
                return bytes((byte,))
        own_names = ", ".join(name(own) for own in self.lights.values())
        raise InputError("bad_light", f"this display cannot show {name(light)}, it has: {own_names}")

    def check(self, code: bytes) -> None:
        self.describe(code)

    def describe(self, code: bytes) -> Light:
        """Raises InputError `bad_display_code` for anything but a byte of the table."""
        light = self.lights.get(code[0]) if len(code) == 1 else None
        if light is None:
            known = ", ".join(f"{byte:02x}" for byte in self.lights)
            raise InputError(
                "bad_display_code",
                f"{code.hex()!r} is no light of this display: one of {known}",
                display_code=code.hex(),
            )
        return light

    def command(self, code: bytes, *, ask_report: bool) -> bytes:
        """Raises InputError as `check`. It cannot be asked for a report."""
        self.check(code)
        return code

    def decode_report(self, f_port: int | None, data: bytes) -> Report:
        declared("one-byte light", f_port, data, dict.fromkeys(F_PORTS, (1,)))
        return Report(None, {"shows": data.hex()})

    def shows(self, desired: bytes, reported: bytes) -> bool:
        return desired == reported
