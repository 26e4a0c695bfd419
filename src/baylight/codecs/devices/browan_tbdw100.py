"""Browan TABS TBDW100 door and window sensor.

Source: Browan's reference manual, as read by the public codecs of The Things Network and ZENNER.

FPort 100, 8 bytes: byte 0 bit 0: open; bytes 1-7 as in a TBMS100's frame. FPort 204: answers to configuration requests.

Open means occupied: the magnet has left the sensor. Where a closed door means that somebody is inside, this type
does not fit.
"""

from __future__ import annotations

from baylight.codecs.devices.browan_tbms100 import tabs_fields
from baylight.codecs.frame import ANY_LENGTH, declared
from baylight.codecs.registry import Reading
from baylight.domain.state import Occupancy


class BrowanTbdw100:
    """Sensor that sends at each change."""

    name = "browan_tbdw100"

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        """Decode a frame, see `SensorCodec.decode`. `bad_value`: eight zero bytes, as from a TBMS100."""
        if declared("TBDW100", f_port, data, {100: (8,), 204: ANY_LENGTH}) == 204:
            return Reading(None, {"message": "configuration"})
        return Reading(Occupancy.OCCUPIED if data[0] & 1 else Occupancy.FREE, tabs_fields(data))
