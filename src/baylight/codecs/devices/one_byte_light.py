"""Light with a protocol of one byte, for which a self-built or adapted light is programmed.

Downlink, 1 byte:

| byte | light |
|---|---|
| 00 | off |
| 01, 02, 03 | green, red, yellow |
| 04, 05, 07 | orange, purple, white |
| 06 | blue, flashing once in 2 s |

Uplink, optional: 1 byte, what it shows now. Not every such light sends it, so it is stored as a fact and proves
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from baylight.codecs.frame import F_PORTS, declared
from baylight.codecs.registry import Report
from baylight.domain.lights import COLOURS, Light, name
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
    """Driver of such a light. Codes are the bytes of the table; it can show no other lights."""

    name = "one_byte_light"
    reports = False
    lights: Mapping[int, Light] = _LIGHTS

    def encode(self, light: Light) -> bytes:
        """Return the byte of the light that has the same name."""
        for byte, own in self.lights.items():
            if name(own) == name(light):
                return bytes((byte,))
        own_names = ", ".join(name(own) for own in self.lights.values())
        raise InputError("bad_light", f"this display cannot show {name(light)}, but: {own_names}")

    def check(self, code: bytes) -> None:
        self.describe(code)

    def describe(self, code: bytes) -> Light:
        """Return the light of a code. Raises InputError `bad_display_code` for all but a byte of the table."""
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
        """Return the code: there is no request for a report. Raises InputError as `check`."""
        self.check(code)
        return code

    def decode_report(self, f_port: int | None, data: bytes) -> Report:
        declared("one-byte light", f_port, data, dict.fromkeys(F_PORTS, (1,)))
        return Report(None, {"shows": data.hex()})

    def shows(self, desired: bytes, reported: bytes) -> bool:
        return desired == reported
