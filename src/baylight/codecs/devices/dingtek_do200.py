"""Dingtek DO200 parking detector, ultrasound and magnetometer.

Source: Dingtek's codecs for The Things Network.

FPort 3. Bytes 0 = 80, 1-2 model 00 02, 3 kind, 4 length of the frame, last = 81:

| kind | length | meaning |
|---|---|---|
| 01, 02 | 21 | reading, see below |
| 03 | 17 | parameters, without occupancy |

| bytes of a reading | meaning |
|---|---|
| 5-6 | level |
| 7 | high nibble occupied, low nibble level alarm |
| 8 | high nibble magnet alarm, low nibble low battery |
| 9-10 | battery in 0.01 V |
| 11-16 | magnetic field, three axes |

Published frames of a DO200 have nibbles of 0 only. The meaning of the high nibble of byte 7 is the one of the maker's
DO201 and DO202, whose frames are the same up to there. Any other nibble than 0 and 1 gives no occupancy
(None).
"""

from __future__ import annotations

from baylight.codecs.frame import declared
from baylight.codecs.registry import Reading
from baylight.domain.state import Occupancy
from baylight.errors import DeviceDataError

_HEAD, _TAIL = bytes.fromhex("800002"), 0x81
_LENGTHS = {1: 21, 2: 21, 3: 17}
_MEANING = {0: Occupancy.FREE, 1: Occupancy.OCCUPIED}


class DingtekDo200:
    """Sensor that sends at each change and every 24 hours."""

    name = "dingtek_do200"

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        """Decode a frame, see `SensorCodec.decode`. `bad_value`: head, length or tail is not a DO200's."""
        declared("DO200", f_port, data, {3: set(_LENGTHS.values())})
        kind = data[3]
        if data[:3] != _HEAD or data[-1] != _TAIL or not data[4] == len(data) == _LENGTHS.get(kind):
            raise DeviceDataError(
                "bad_value", f"{data.hex()} does not have the head, length and tail of a DO200's frame"
            )
        if kind == 3:
            return Reading(None, {"message": "parameters", "firmware": f"{data[5]}.{data[6]}"})
        return Reading(
            _MEANING.get(data[7] >> 4),
            {
                "message": "status",
                "level": int.from_bytes(data[5:7]),
                "level_alarm": data[7] & 0x0F,
                "magnet_alarm": data[8] >> 4,
                "battery_low": bool(data[8] & 0x0F),
                "battery_v": int.from_bytes(data[9:11]) / 100,
                "magnet": [int.from_bytes(data[at : at + 2], signed=True) for at in (11, 13, 15)],
            },
        )
