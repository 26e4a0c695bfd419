"""PNI PlacePod vehicle detection sensor.

Source: PNI PlacePod Sensor Communications Protocol, as read by the public codecs of ZENNER, akenza and TagoIO.

FPort 2, fields of channel, type and value, big-endian, in any order and number:

| channel, type | value | meaning |
|---|---|---|
| 15 66 | 1 | 1 occupied, 0 vacant: a change |
| 37 66 | 1 | the same: keep-alive |
| 02 67 | 2 | temperature in 0.1 °C, signed |
| 03 02 | 2 | battery in 0.01 V |
| 21 00, 37 00 | 1 | count of vehicles (sensors that count), at a change and as keep-alive; 80: rebooted, recalibrated |
| 01 01, 1C 01, 3F 01 | 1 | answers: recalibrated, deactivated, rebooted |
| others | 1 | the maker's own (05 00, 06 00 are common): skipped |

A frame that also answers such a command does not free the bay: the sensor has just lost its calibration. Values other
than 0 and 1 (some codecs read them as "warm") are no occupancy.
"""

from __future__ import annotations

from baylight.codecs.frame import ANY_LENGTH, declared
from baylight.codecs.registry import Reading
from baylight.domain.state import Occupancy
from baylight.errors import DeviceDataError

_STATUS = {b"\x15\x66": "change", b"\x37\x66": "keep_alive"}
_ANSWERS = {b"\x01\x01": "recalibrated", b"\x1c\x01": "deactivated", b"\x3f\x01": "rebooted"}
_COUNTS = (b"\x21\x00", b"\x37\x00")
_TEMPERATURE, _BATTERY = b"\x02\x67", b"\x03\x02"
_TWO_BYTES = (_TEMPERATURE, _BATTERY)
_MEANING = {0: Occupancy.FREE, 1: Occupancy.OCCUPIED}


class PniPlacepod:
    """Sensor that sends at each change, and keep-alives."""

    name = "pni_placepod"

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        declared("PlacePod", f_port, data, {2: ANY_LENGTH})
        occupancy, fields = None, dict[str, object]()
        while data:
            key, end = data[:2], 4 if data[:2] in _TWO_BYTES else 3
            if len(data) < end:
                raise DeviceDataError("bad_length", f"a frame of a PlacePod ends in the middle of {data.hex()}")
            value, data = data[2:end], data[end:]
            if key in _STATUS:
                occupancy = _MEANING.get(value[0])
                fields |= {"message": _STATUS[key], "status": value[0]}
            elif key in _ANSWERS:
                fields[_ANSWERS[key]] = value[0]
            elif key in _COUNTS:
                fields["rebooted" if value[0] & 0x80 else "vehicle_count"] = value[0]
            elif key == _TEMPERATURE:
                fields["temperature_c"] = int.from_bytes(value, signed=True) / 10
            elif key == _BATTERY:
                fields["battery_v"] = int.from_bytes(value) / 100
        if occupancy is Occupancy.FREE and fields.keys() & _ANSWERS.values():
            occupancy = None
        return Reading(occupancy, fields)
