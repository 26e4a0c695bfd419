"""Browan TABS TBMS100 motion sensor.

Source: Browan TABS motion sensor reference manual; agrees with the public codecs of The Things Network and ZENNER.

FPort 102, 8 bytes, little-endian:

| byte | meaning |
|---|---|
| 0 | bit 0: occupied; other bits reserved |
| 1 | low nibble n: battery (25 + n) / 10 V; high nibble: remaining capacity in 1/15, 0 in older firmware (reserved) |
| 2 | low 7 bits: board temperature + 32 °C |
| 3-4 | minutes since the last event |
| 5-7 | count of events |

FPort 204, 16 bytes: answer to a configuration request, without occupancy.
"""

from __future__ import annotations

from baylight.codecs.frame import declared
from baylight.codecs.registry import Reading
from baylight.domain.state import Occupancy
from baylight.errors import DeviceDataError

_LENGTHS = {102: (8,), 204: (16,)}
_FREE, _OCCUPIED = Occupancy.FREE, Occupancy.OCCUPIED


class BrowanTbms100:
    """Sensor that sends at each change and every 60 minutes."""

    name = "browan_tbms100"

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        """Decode a frame, see `SensorCodec.decode`. `bad_value`: eight zero bytes, sent without a measurement."""
        if declared("TBMS100", f_port, data, _LENGTHS) == 204:
            return Reading(None, {"message": "configuration"})
        return Reading(_OCCUPIED if data[0] & 1 else _FREE, tabs_fields(data))


def tabs_fields(data: bytes) -> dict[str, object]:
    """Return the fields of bytes 1 to 7, which all small TABS sensors share.

    Raises DeviceDataError `bad_value` for eight zero bytes.
    """
    if not any(data):
        raise DeviceDataError("bad_value", "all bytes are zero: nothing was measured")
    fields: dict[str, object] = {
        "battery_v": (25 + (data[1] & 0x0F)) / 10,
        "temperature_c": (data[2] & 0x7F) - 32,
        "minutes_since_event": int.from_bytes(data[3:5], "little"),
        "event_count": int.from_bytes(data[5:8], "little"),
    }
    if data[1] >> 4:
        fields["battery_pct"] = round((data[1] >> 4) * 100 / 15)
    return fields
