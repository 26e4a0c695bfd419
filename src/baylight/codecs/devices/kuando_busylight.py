"""Plenom Kuando Busylight IoT Omega, LoRaWAN class C, FPort 15 both ways.

Source: Plenom, Technical Documentation v4.2.2 (10 Sep 2025, HW 1.2 and 1.5).

Downlink, a light: 5 bytes. The order is red, BLUE, green.

| byte | meaning |
|---|---|
| 0, 1, 2 | red, blue, green 0-255 |
| 3, 4 | on, off in 1/100 s; off 0 = steady, whatever "on" is |
| 5 | optional, 01: answer with an uplink |

Other downlinks are commands. Their first byte shows which: AA restart, BB firmware mode, 09 diagnostics and default
light, 10 JoinEUI, 11 AppKey, two bytes 01-07 radio and intervals. They can reconfigure or brick the device.

Uplink, 24 bytes (25 with high brightness), little-endian, every 30 minutes:

| bytes | meaning |
|---|---|
| 0-3, 4-7 | RSSI in dBm, SNR in dB, signed |
| 8-11, 12-15 | downlinks received since the join, uplinks sent |
| 16-20 | the last light as in the downlink |
| 21, 22 | software, hardware revision x 10 |
| 23 | ADR |
| 24 | high brightness |

Frames of 3 or 6 bytes that begin with 09 are diagnostics; 8, 10, 19 and 20 bytes come from older firmware and other
models. They do not report the light.
"""

from __future__ import annotations

import struct

from baylight.codecs.frame import declared
from baylight.codecs.registry import Report
from baylight.domain.lights import Light
from baylight.errors import DeviceDataError, InputError

_F_PORT = 15
_COMMANDS = frozenset({0x09, 0x10, 0x11, 0xAA, 0xBB})
_WITHOUT_LIGHT = {3: "diagnostics", 6: "diagnostics", 8: "other", 10: "other", 19: "other", 20: "other"}
_LENGTHS = {_F_PORT: (*_WITHOUT_LIGHT, 24, 25)}
_STATUS = struct.Struct("<iiII5sBBB")
_STEADY_ON = 0x64
_MAX_MS = 2550


class KuandoBusylight:
    """Driver of the lamp. Codes are the 5-byte downlinks."""

    name = "kuando_busylight"
    reports = True

    def encode(self, light: Light) -> bytes:
        """Return the code of a light. Each half of a flash has 10-2550 ms and is rounded to 10 ms.

        Red increases by 1 or 2 where it would begin a command.
        """
        if not all(0 <= part <= 255 for part in (light.red, light.green, light.blue)):
            raise InputError("bad_light", "red, green and blue are 0 to 255 each")
        if not (light.red or light.green or light.blue):
            return bytes(5)
        on, off = _STEADY_ON, 0
        if light.off_ms:
            if not (10 <= light.on_ms <= _MAX_MS and 10 <= light.off_ms <= _MAX_MS):
                raise InputError("bad_light", f"a Busylight flashes 10 to {_MAX_MS} ms on and 10 to {_MAX_MS} ms off")
            on, off = round(light.on_ms / 10), round(light.off_ms / 10)
        red = light.red
        while red in _COMMANDS:
            red += 1
        return bytes((red, light.blue, light.green, on, off))

    def check(self, code: bytes) -> None:
        if len(code) != 5:
            raise InputError(
                "bad_display_code",
                f"{code.hex()} has {len(code)} bytes; a Busylight's light has 5: red, blue, green, on, off",
                display_code=code.hex(),
            )
        if code[0] in _COMMANDS:
            raise InputError(
                "bad_display_code",
                f"{code.hex()} begins with {code[0]:02x}, which begins a command that reconfigures the Busylight; "
                "change red by one or two",
                display_code=code.hex(),
            )
        if any(code[:3]) and code[3] == 0:
            raise InputError(
                "bad_display_code", f"{code.hex()} is on for 0 s; write 64 as byte 4", display_code=code.hex()
            )

    def describe(self, code: bytes) -> Light:
        """Return the light of a code. Raises InputError `bad_display_code` unless the code has 5 bytes."""
        if len(code) != 5:
            raise InputError("bad_display_code", f"{code.hex()} is not a light of a Busylight", display_code=code.hex())
        red, blue, green, on, off = code
        if not any(code[:3]) or (off and not on):
            return Light(0, 0, 0)
        return Light(red, green, blue, on * 10 if off else 0, off * 10)

    def command(self, code: bytes, *, ask_report: bool) -> bytes:
        """Return the downlink. Raises InputError as `check`: this driver sends nothing but lights."""
        self.check(code)
        return code + b"\x01" if ask_report else code

    def decode_report(self, f_port: int | None, data: bytes) -> Report:
        declared("Busylight", f_port, data, _LENGTHS)
        if len(data) in _WITHOUT_LIGHT:
            message = _WITHOUT_LIGHT[len(data)]
            if message == "diagnostics" and data[0] != 0x09:
                raise DeviceDataError("bad_value", f"{len(data)} bytes, but no diagnostics (09)", f_port=f_port)
            return Report(None, {"message": message})
        rssi, snr, received, sent, code, software, hardware, adr = _STATUS.unpack_from(data)
        fields: dict[str, object] = {
            "rssi_dbm": rssi,
            "snr_db": snr,
            "downlinks_received": received,
            "uplinks_sent": sent,
            "firmware": f"{software // 10}.{software % 10}",
            "hardware": f"{hardware // 10}.{hardware % 10}",
            "adr": bool(adr),
        }
        if len(data) == 25:
            fields["high_brightness"] = bool(data[24])
        # Before its first downlink the lamp shows its default light (dim green), while "last light" is still empty.
        is_known = received > 0 or any(code)
        return Report(code if is_known else None, fields)

    def shows(self, desired: bytes, reported: bytes) -> bool:
        return len(desired) == len(reported) == 5 and self.describe(desired) == self.describe(reported)
