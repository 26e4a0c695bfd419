"""Heltec displays of bays and zones, class C.

Source: the protocol of their firmware, with its own samples.

Both receive on FPort 1. They send FF C3 on FPort 1 after a join (class C is on), and 3 bytes each hour: 0-1 downlinks
received, big-endian; 2 the last byte of the last downlink.

| display | downlink |
|---|---|
| status | 1 byte: 01 FREE, 02 OCCUPIED, 03 RESERVED; any other is shown as UNKNOWN, for which Baylight sends 00 |
| zone counter | 1 to 4 digits in ASCII |

The status display shows words; the lights here stand for them. It has no word for MAINTENANCE and OUT_OF_ORDER.
A counter shows how many places are known to be free: "0" stands for red, any other number for green. Its uplink holds
one digit of up to four, so it does not prove the number.
"""

from __future__ import annotations

from baylight.codecs.devices.one_byte_light import OneByteLight
from baylight.codecs.frame import declared
from baylight.codecs.registry import Report
from baylight.domain.lights import COLOURS, Light, name
from baylight.errors import DeviceDataError, InputError

_CLASS_C = b"\xff\xc3"
_LENGTHS = {1: (2, 3)}
_WORDS = {0x01: COLOURS["green"], 0x02: COLOURS["red"], 0x03: COLOURS["yellow"], 0x00: COLOURS["white"]}


class HeltecStatus(OneByteLight):
    """Display of one bay. Codes are the bytes."""

    name = "heltec_status"
    reports = True
    lights = _WORDS

    def decode_report(self, f_port: int | None, data: bytes) -> Report:
        fields = _report("status display", f_port, data)
        return Report(data[2:] or None, fields)


class HeltecCounter:
    """Display of a zone. Codes are the digits in ASCII."""

    name = "heltec_counter"
    reports = False

    def encode(self, light: Light) -> bytes:
        """Return "1" for green, "0" for red."""
        if name(light) not in ("green", "red"):
            raise InputError("bad_light", f"a counter shows numbers, 0 for red and 1 for green, but not {name(light)}")
        return b"1" if name(light) == "green" else b"0"

    def count(self, number: int) -> bytes:
        return str(min(number, 9999)).encode()

    def check(self, code: bytes) -> None:
        if not (1 <= len(code) <= 4 and code.isdigit()):
            raise InputError(
                "bad_display_code",
                f"{code.hex()!r} is no number of a counter: 1 to 4 digits in ASCII, as 3234 for 24",
                display_code=code.hex(),
            )

    def describe(self, code: bytes) -> Light:
        """Return green for a number, red for 0. Raises InputError `bad_display_code` as `check`."""
        self.check(code)
        return COLOURS["green" if int(code) else "red"]

    def command(self, code: bytes, *, ask_report: bool) -> bytes:
        """Return the code: a counter has no request for a report. Raises InputError as `check`."""
        self.check(code)
        return code

    def decode_report(self, f_port: int | None, data: bytes) -> Report:
        return Report(None, _report("zone counter", f_port, data))

    def shows(self, desired: bytes, reported: bytes) -> bool:
        return desired == reported


def _report(model: str, f_port: int | None, data: bytes) -> dict[str, object]:
    declared(model, f_port, data, _LENGTHS)
    if data == _CLASS_C:
        return {"message": "class_c"}
    if len(data) == 2:
        raise DeviceDataError("bad_value", f"{data.hex()} is not the message that class C is on (ffc3)")
    return {"message": "status", "downlinks_received": int.from_bytes(data[:2]), "last_byte": data[2:].hex()}
