"""Bosch Parking Lot Sensor TPS110 (variants 0292 and others with the same messages).

Source: Bosch's description of the communication interface, as read by the public codecs of The Things Network,
ThingsBoard, ZENNER and akenza.

| FPort | length | meaning |
|---|---|---|
| 1 | 1 | status, sent at a change: bit 0 occupied |
| 2 | 1 | heartbeat: bit 0 occupied |
| 2 | 2 | heartbeat from firmware 0.39 on: byte 1 temperature in °C, signed |
| 3 | 17 | startup: 0-11 debug, 12-14 firmware, 15 cause of the reset, 16 bit 0 occupied |
| 4, 5, 6, 7 | any | device information, usage, debug, temperature alarm: no occupancy |

Startup: "occupied" counts, "free" does not. The flag is also 0 before the first measurement (each known frame after a
power-on has 0), so a light could turn green over a parked car; 1 can only be measured. The next status or heartbeat
reports the bay.
"""

from __future__ import annotations

from collections.abc import Collection

from baylight.codecs.frame import ANY_LENGTH, declared
from baylight.codecs.registry import Reading
from baylight.domain.state import Occupancy

_WITHOUT_OCCUPANCY = {4: "device_info", 5: "usage", 6: "debug", 7: "temperature_alarm"}
_LENGTHS: dict[int, Collection[int]] = {1: (1,), 2: (1, 2), 3: (17,), **dict.fromkeys(_WITHOUT_OCCUPANCY, ANY_LENGTH)}
_RESET_CAUSES = {1: "watchdog", 2: "power_on", 3: "system_request"}


class BoschTps110:
    """Sensor that sends at each change and once in 24 hours."""

    name = "bosch_tps110"

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        port = declared("TPS110", f_port, data, _LENGTHS)
        if port in _WITHOUT_OCCUPANCY:
            return Reading(None, {"message": _WITHOUT_OCCUPANCY[port]})
        if port == 3:
            return _startup(data)
        fields: dict[str, object] = {"message": "status" if port == 1 else "heartbeat"}
        if len(data) == 2:
            fields["temperature_c"] = int.from_bytes(data[1:], signed=True)
        return Reading(Occupancy.OCCUPIED if data[0] & 1 else Occupancy.FREE, fields)


def _startup(data: bytes) -> Reading:
    occupied = bool(data[16] & 1)
    return Reading(
        Occupancy.OCCUPIED if occupied else None,
        {
            "message": "startup",
            "firmware": f"{data[12]}.{data[13]}.{data[14]}",
            "reset_cause": _RESET_CAUSES.get(data[15], f"other_{data[15]}"),
            "occupied_at_start": occupied,
            "debug": data[:12].hex(),
        },
    )
