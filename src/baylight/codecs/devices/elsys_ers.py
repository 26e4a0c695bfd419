"""Elsys ERS Desk, and its family with the same payload.

Source: Elsys' payload description and codec.

FPort 5 (the maker's default; the public examples of The Things Network have 1), fields of a type byte and a value,
big-endian. 11, occupancy: 0 free, 1 pending (a person moved, the sensor has not yet decided), 2 occupied. A frame
with 1, or with a motion count (05) and without 11, gives no occupancy (None). An unknown type ends the reading of a
frame, because its size is unknown.
"""

from __future__ import annotations

from baylight.codecs.frame import ANY_LENGTH, declared, fields_of
from baylight.codecs.registry import Reading
from baylight.domain.state import Occupancy

_SIZES = {
    bytes((kind,)): size
    for size, kinds in {
        1: (0x02, 0x05, 0x0D, 0x0F, 0x11, 0x12, 0x1A),
        2: (0x00, 0x01, 0x04, 0x06, 0x07, 0x08, 0x0A, 0x0C, 0x0E, 0x15, 0x16, 0x18, 0x19, 0x1C),
        3: (0x03,),
        4: (0x0B, 0x10, 0x14, 0x17, 0x1B, 0x3D),
        6: (0x09,),
        65: (0x13,),
    }.items()
    for kind in kinds
}
_OCCUPANCY = b"\x11"
_MEANING = {0: Occupancy.FREE, 2: Occupancy.OCCUPIED}
_FIELDS = {
    b"\x01": ("temperature_c", 10),
    b"\x02": ("humidity_pct", 1),
    b"\x04": ("light_lux", 1),
    b"\x05": ("motion_count", 1),
    b"\x07": ("battery_v", 1000),
    b"\x11": ("occupancy", 1),
}
"""Name and divisor of each field."""


class ElsysErs:
    """Sensor that sends at each change and in an interval."""

    name = "elsys_ers"

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        declared("ERS", f_port, data, {1: ANY_LENGTH, 5: ANY_LENGTH})
        values, unread = fields_of("ERS", data, _SIZES, 1)
        fields: dict[str, object] = {}
        for kind, (name, divisor) in _FIELDS.items():
            if kind in values:
                number = int.from_bytes(values[kind], signed=name == "temperature_c")
                fields[name] = number if divisor == 1 else number / divisor
        if unread:
            fields["unread"] = unread.hex()
        occupancy = values.get(_OCCUPANCY)
        return Reading(_MEANING.get(occupancy[0]) if occupancy else None, fields)
