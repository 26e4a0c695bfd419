"""MerryIoT MS10 motion sensor by Browan.

Source: Browan, MerryIoT motion detection user manual, and its decoders for network servers.

FPort 122, 9 bytes (older firmware) or 10 (the temperature has two bytes), little-endian:

| byte | meaning |
|---|---|
| 0 | bit 0 occupied, bit 1 button pressed, bit 2 tampered with |
| 1 | low nibble n: battery (21 + n) / 10 V |
| 2 or 2-3 | temperature in °C, or in 0.1 °C, signed |
| then 1 | low 7 bits: relative humidity in % |
| then 2 | time since the last event |
| then 3 | count of events |

FPort 204: firmware after a join, answers to configuration requests.

A pressed button and a tamper alarm send the frame too; its bit 0 is still the sensor's occupancy.
"""

from __future__ import annotations

from baylight.codecs.frame import ANY_LENGTH, declared
from baylight.codecs.registry import Reading
from baylight.domain.state import Occupancy


class MerryiotMs10:
    """Sensor that sends at each change, every 10 minutes while occupied and every 60 minutes while free."""

    name = "merryiot_ms10"

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        if declared("MS10", f_port, data, {122: (9, 10), 204: ANY_LENGTH}) == 204:
            return Reading(None, {"message": "configuration"})
        temperature = int.from_bytes(data[2:-6], "little", signed=True)
        return Reading(
            Occupancy.OCCUPIED if data[0] & 1 else Occupancy.FREE,
            {
                "button": bool(data[0] & 2),
                "tampered": bool(data[0] & 4),
                "battery_v": (21 + (data[1] & 0x0F)) / 10,
                "temperature_c": temperature if len(data) == 9 else temperature / 10,
                "humidity_pct": data[-6] & 0x7F,
                "time_since_event": int.from_bytes(data[-5:-3], "little"),
                "event_count": int.from_bytes(data[-3:], "little"),
            },
        )
