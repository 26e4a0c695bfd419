"""Tekzitel TekziPark, magnetometer and radar.

Source: Tekzitel's codec for The Things Network.

FPort 1, 3 bytes, or 4 and 2 for each Bluetooth beacon; FPort 2 (debug mode), 12 bytes:

| byte | meaning |
|---|---|
| 0 | bit 7 occupied, 5 battery good, 4 radar obstructed, 3 radar, 2 no beacon, 1 after a reset, 0 keep-alive |
| 1 | temperature in °C, signed |
| 2 | number of the parking event |
| 3 on FPort 1 | RSSI of the beacons in dBm, signed, then their numbers |
| 9 on FPort 2 | code of a fault, 0 = none |

After a reset "occupied" counts, "free" does not: the frame may come before the first measurement. A frame with a fault
is no occupancy.
"""

from __future__ import annotations

from baylight.codecs.frame import declared
from baylight.codecs.registry import Reading
from baylight.domain.state import Occupancy

_LENGTHS = {1: (3, *range(4, 243, 2)), 2: (12,)}


class TekzitelTekzipark:
    """Sensor that sends at each change, and keep-alives."""

    name = "tekzitel_tekzipark"

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        port = declared("TekziPark", f_port, data, _LENGTHS)
        fault = data[9] if port == 2 else 0
        reset = bool(data[0] & 0x02)
        occupancy = Occupancy.OCCUPIED if data[0] & 0x80 else Occupancy.FREE
        fields: dict[str, object] = {
            "message": "keep_alive" if data[0] & 0x01 else "change",
            "after_reset": reset,
            "radar": bool(data[0] & 0x08),
            "obstructed": bool(data[0] & 0x10),
            "battery_good": bool(data[0] & 0x20),
            "temperature_c": int.from_bytes(data[1:2], signed=True),
            "parking_id": data[2],
        }
        if fault:
            return Reading(None, {**fields, "fault": fault}, damaged=True)
        return Reading(None if reset and occupancy is Occupancy.FREE else occupancy, fields)
