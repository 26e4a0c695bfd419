"""Netvox R602A siren and strobe.

Source: Netvox's user manual and codec for The Things Network.

11 bytes; byte 1 is the model, 69. Downlink on FPort 7:

| byte 0 | meaning |
|---|---|
| 90 | start a warning: 2 mode of the siren, 3 mode of the strobe, 4-5 duration in s, big-endian; 6-10 = 0 |
| 03 | the same, and answer 83 |
| 01, 02 | write and read the configuration |

Uplink: FPort 6, byte 2 = 00 version, 01 status (3-4 heartbeat in s, 5 not 0: warns; older firmware leaves 5 at 0);
FPort 7: 81, 82, 83 answers, byte 2 = 0 success.

A warning ends after its duration, 65535 s at most. Of the numbers of the modes only 1, 1 (siren and strobe) are
published, and not every firmware reports whether it warns. So no report of it is a proof.
"""

from __future__ import annotations

from baylight.codecs.frame import declared
from baylight.codecs.registry import Report
from baylight.domain.lights import COLOURS, Light, name
from baylight.errors import DeviceDataError, InputError

_MODEL = 0x69
_START, _START_AND_ANSWER = b"\x90\x69", b"\x03\x69"
_RESERVED = bytes(5)
_SILENT = _START + bytes(9)
_WARNING = _START + b"\x01\x01\x00\xb4" + _RESERVED
_ANSWERS = {0x81: "configuration", 0x82: "configuration", 0x83: "started"}
_WARNS = Light(255, 0, 0, 500, 500)


class NetvoxR602a:
    """Driver of the siren. Codes are the downlinks that start a warning. A person sees either a flash or nothing."""

    name = "netvox_r602a"
    reports = False

    def encode(self, light: Light) -> bytes:
        """Return siren and strobe for 180 s for flashing red, neither of them for off."""
        if name(light) not in ("flashing red", "off"):
            raise InputError("bad_light", f"a R602A is flashing red or off, not {name(light)}")
        return _SILENT if name(light) == "off" else _WARNING

    def check(self, code: bytes) -> None:
        if len(code) != 11 or code[:2] != _START or code[6:] != _RESERVED:
            raise InputError(
                "bad_display_code",
                f"{code.hex()!r} starts no warning of a R602A: 9069, siren, strobe, two bytes of seconds, five of 00",
                display_code=code.hex(),
            )
        if any(code[2:4]) != any(code[4:6]):
            raise InputError(
                "bad_display_code",
                f"{code.hex()} warns for 0 s, or of nothing; set modes and seconds, or leave both at 0",
                display_code=code.hex(),
            )

    def describe(self, code: bytes) -> Light:
        """Return flashing red for a warning, else off. Raises InputError `bad_display_code` as `check`."""
        self.check(code)
        return _WARNS if any(code[2:4]) else COLOURS["off"]

    def command(self, code: bytes, *, ask_report: bool) -> bytes:
        """Return the downlink. The answer to `ask_report` means "started", not what is shown.

        Raises InputError as `check`.
        """
        self.check(code)
        return _START_AND_ANSWER + code[2:] if ask_report else code

    def decode_report(self, f_port: int | None, data: bytes) -> Report:
        port = declared("R602A", f_port, data, {6: (11,), 7: (11,)})
        if data[1] != _MODEL:
            raise DeviceDataError("bad_value", f"the frame is of Netvox model {data[1]:02x}, a R602A is 69")
        if port == 7:
            if data[0] not in _ANSWERS:
                raise DeviceDataError("bad_value", f"a R602A sends no answers {data[0]:02x}")
            fields: dict[str, object] = {"message": _ANSWERS[data[0]]}
            return Report(None, fields if data[0] == 0x82 else {**fields, "success": data[2] == 0})
        if data[2] == 0:
            return Report(None, {"message": "version", "firmware": str(data[3] / 10)})
        return Report(None, {"message": "status", "heartbeat_s": int.from_bytes(data[3:5]), "warns": data[5] != 0})

    def shows(self, desired: bytes, reported: bytes) -> bool:
        return desired == reported
