"""Dragino LDS02 door sensor.

Source: Dragino's codec for The Things Network and ChirpStack.

FPort 10, 10 bytes, big-endian:

| byte | meaning |
|---|---|
| 0-1 | bit 15 open, bit 14 water, low 14 bits: battery in mV |
| 2 | mode: 1 door; others (2 water, 3 both) belong to sister models and are no occupancy |
| 3-5 | count of openings |
| 6-8 | minutes that the last opening lasted |
| 9 | bit 0 alarm |

Open means occupied, as with the Browan TBDW100.
"""

from __future__ import annotations

from baylight.codecs.frame import declared
from baylight.codecs.registry import Reading
from baylight.domain.state import Occupancy

_DOOR = 1


class DraginoLds02:
    """Sensor that sends at each change and every 24 hours."""

    name = "dragino_lds02"

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        declared("LDS02", f_port, data, {10: (10,)})
        fields: dict[str, object] = {"battery_v": (int.from_bytes(data[:2]) & 0x3FFF) / 1000, "mode": data[2]}
        if data[2] != _DOOR:
            return Reading(None, fields)
        fields |= {
            "openings": int.from_bytes(data[3:6]),
            "last_open_minutes": int.from_bytes(data[6:9]),
            "alarm": bool(data[9] & 1),
        }
        return Reading(Occupancy.OCCUPIED if data[0] & 0x80 else Occupancy.FREE, fields)
