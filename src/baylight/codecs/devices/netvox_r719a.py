"""Netvox R719A parking sensor.

Source: Netvox's codec for The Things Network.

11 bytes on each FPort; byte 1 is the model, 59:

| FPort | bytes | meaning |
|---|---|---|
| 6 | 2 = 00 | version: 3 firmware x 10, 4 hardware, 5-8 date |
| 6 | 2 = 01 | status: 3 battery in 0.1 V, bit 7 low; 4 car: 1 there, 0 not |
| 7 | 0 = 81, 82 | answers to configuration requests; their "success" is no occupancy |
"""

from __future__ import annotations

from baylight.codecs.frame import declared
from baylight.codecs.registry import Reading
from baylight.domain.state import Occupancy
from baylight.errors import DeviceDataError

_MODEL = 0x59
_MEANING = {0: Occupancy.FREE, 1: Occupancy.OCCUPIED}


class NetvoxR719a:
    """Sensor that sends at each change, and status reports."""

    name = "netvox_r719a"

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        """Decode a frame, see `SensorCodec.decode`. `bad_value`: another model's frame, or another kind of report."""
        port = declared("R719A", f_port, data, {6: (11,), 7: (11,)})
        if data[1] != _MODEL:
            raise DeviceDataError("bad_value", f"the frame is of Netvox model {data[1]:02x}, a R719A is 59")
        if port == 7:
            return Reading(None, {"message": "configuration"})
        if data[2] == 0:
            return Reading(None, {"message": "version", "firmware": str(data[3] / 10)})
        if data[2] != 1:
            raise DeviceDataError("bad_value", f"a R719A sends no reports of kind {data[2]}")
        return Reading(
            _MEANING.get(data[4]),
            {
                "message": "status",
                "battery_v": (data[3] & 0x7F) / 10,
                "battery_low": bool(data[3] & 0x80),
                "car": data[4],
            },
        )
