"""Libelium Plug & Sense! Smart Parking, protocol versions 2 and 3.

Source: Libelium, Smart Parking technical guide, as read by the public codecs of ZENNER. The FPort is not published;
each uplink has 11 bytes, and byte 0 names its kind.

| byte | meaning |
|---|---|
| 0 | bit 7 occupied, bit 6 change the battery, bit 4 recalibrated (version 3), low nibble: kind of frame |
| 1 | frame counter |
| 2, 3 | version 3, kinds 0 and 1: error of the sensor, temperature in °C, signed |
| 2 | version 2, kind 0: temperature in °C, signed |
| 4 | version 2, kind 1: temperature in °C, signed |

| kind | |
|---|---|
| 0, 1, 2 | a change, keep-alive, daily update: bit 7 is what the sensor measures |
| 3, 4, 5, 6, 7, 8 | error, start (two frames), service, answer to a downlink, RSSI: bit 7 is no observation |
"""

from __future__ import annotations

from typing import Literal

from baylight.codecs.frame import F_PORTS, declared
from baylight.codecs.registry import Reading
from baylight.domain.state import Occupancy
from baylight.errors import DeviceDataError

_KINDS = ("change", "keep_alive", "daily", "error", "start", "start", "service", "downlink_answer", "rssi")
_OBSERVATIONS = ("change", "keep_alive", "daily")
_LENGTHS = dict.fromkeys(F_PORTS, (11,))


class LibeliumSmartParking:
    """Sensor that sends at each change, keep-alives, and once a day. `version`: of the protocol."""

    def __init__(self, version: Literal[2, 3]) -> None:
        self.name = f"libelium_smart_parking_v{version}"
        self._version = version

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        """Decode a frame, see `SensorCodec.decode`. `bad_value`: an unknown kind of frame."""
        declared("Smart Parking", f_port, data, _LENGTHS)
        kind = data[0] & 0x0F
        if kind >= len(_KINDS):
            raise DeviceDataError("bad_value", f"a Smart Parking sends no frames of kind {kind}")
        message = _KINDS[kind]
        fields: dict[str, object] = {
            "message": message,
            "occupied_bit": bool(data[0] & 0x80),
            "battery_low": bool(data[0] & 0x40),
            "frame_counter": data[1],
        }
        error = data[2] if self._version == 3 and message in ("change", "keep_alive") else 0
        if message in ("change", "keep_alive"):
            at = 3 if self._version == 3 else 2 if message == "change" else 4
            fields["temperature_c"] = int.from_bytes(data[at : at + 1], signed=True)
        if error:
            fields["sensor_error"] = error
        recalibrated = self._version == 3 and bool(data[0] & 0x10)
        occupancy = None
        if message in _OBSERVATIONS and not error and not recalibrated:
            occupancy = Occupancy.OCCUPIED if data[0] & 0x80 else Occupancy.FREE
        return Reading(occupancy, fields, damaged=bool(error) or message == "error")
