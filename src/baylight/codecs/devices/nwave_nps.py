"""Nwave parking sensors NPS310SM and NPS405 (FM, SM). Their bits differ: one's codec misreads the other's frames.

Source: Nwave's codecs for The Things Network.

| FPort | NPS310SM | NPS405 |
|---|---|---|
| 1, a change | 1 byte: bit 0 occupied | 1 byte: bit 7 occupied, low 7 bits: how long the previous state lasted |
| 2, heartbeat | 1 byte: bit 0 occupied | 3 bytes, see below |
| 3, startup | 5 bytes: 3 of firmware, cause of the reset, bit 0 occupied | the same |
| 6, debug | any | any |
| 10, a user's tag | - | 5 bytes: bit 7 occupied (0: not known), low 7 bits as FPort 1; 4 of the tag |

Heartbeat of an NPS405: a byte whose bit 7 is occupied and whose low 7 bits are the health of the hardware; a byte of
battery in 4 mV above 2.5 V; a byte of temperature in 0.5 °C above 10 °C, signed.
Startup: "occupied" counts, "free" does not, because the frame may come before the first measurement. The tag of a user
is not stored.
"""

from __future__ import annotations

from baylight.codecs.frame import ANY_LENGTH, declared
from baylight.codecs.registry import Reading
from baylight.domain.state import Occupancy


class NwaveNps310:
    """Sensor that sends at each change, and heartbeats."""

    name = "nwave_nps310"

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        port = declared("NPS310", f_port, data, {1: (1,), 2: (1,), 3: (5,), 6: ANY_LENGTH})
        if port == 3:
            return _startup(data)
        if port == 6:
            return Reading(None, {"message": "debug"})
        message = "change" if port == 1 else "heartbeat"
        return Reading(Occupancy.OCCUPIED if data[0] & 1 else Occupancy.FREE, {"message": message})


class NwaveNps405:
    """Sensor that sends at each change, heartbeats, and tags of users."""

    name = "nwave_nps405"

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        port = declared("NPS405", f_port, data, {1: (1,), 2: (3,), 3: (5,), 6: ANY_LENGTH, 10: (5,)})
        if port == 3:
            return _startup(data)
        if port == 6:
            return Reading(None, {"message": "debug"})
        occupied = bool(data[0] & 0x80)
        if port == 10:
            return Reading(Occupancy.OCCUPIED if occupied else None, {"message": "tag"})
        fields: dict[str, object] = {"message": "change"}
        if port == 2:
            fields = {
                "message": "heartbeat",
                "hardware_health": data[0] & 0x7F,
                "battery_v": (2500 + 4 * data[1]) / 1000,
                "temperature_c": int.from_bytes(data[2:], signed=True) / 2 + 10,
            }
        return Reading(Occupancy.OCCUPIED if occupied else Occupancy.FREE, fields)


def _startup(data: bytes) -> Reading:
    occupied = bool(data[4] & 1)
    return Reading(
        Occupancy.OCCUPIED if occupied else None,
        {
            "message": "startup",
            "firmware": f"{data[0]}.{data[1]}.{data[2]}",
            "reset_cause": data[3],
            "occupied_at_start": occupied,
        },
    )
