"""Milesight VS330, VS340 and VS341, WS202, EM310-UDL.

Source: Milesight's public decoders (SensorDecoders) and user guides.

One FPort, 85 unless the operator set another one; fields of a channel byte, a type byte and a value, little-endian.
An unknown channel ends the reading of a frame, because its size is unknown.

| field | value | meaning |
|---|---|---|
| 01 75 | 1 | battery in % |
| 03 8E (VS330), 03 00 (VS340) | 1 | 1 occupied, 0 vacant |
| 03 00 (WS202) | 1 | 1 motion, 0 no motion for the sensor's own delay |
| 02 82 (VS330), 03 82 (EM310-UDL) | 2 | distance in mm |
| 04 8E (VS330) | 1 | 0: its calibration failed, so it cannot recognise an empty place |
| 04 00 (WS202) | 1 | light: 1 bright |
| 04 00 (EM310-UDL) | 1 | 1: tilted out of its position, so the distance is one to something else |
| FF .., FE .. | | version, serial number, start, answers to downlinks |
"""

from __future__ import annotations

from baylight.codecs.frame import ANY_LENGTH, F_PORTS, declared, fields_of
from baylight.codecs.registry import Reading
from baylight.domain.state import Occupancy

_LENGTHS = dict.fromkeys(F_PORTS, ANY_LENGTH)
_DEVICE = {0x01: 1, 0x09: 2, 0x0A: 2, 0xFF: 2, 0x16: 8, 0x0F: 1, 0xFE: 1, 0x0B: 1}
_ANSWERS = {0x10: 1, 0x02: 2, 0x03: 2, 0x06: 9}
_BATTERY = b"\x01\x75"
_COMMON = (
    {_BATTERY: 1}
    | {bytes((0xFF, kind)): size for kind, size in (_DEVICE | _ANSWERS).items()}
    | {bytes((0xFE, kind)): size for kind, size in _ANSWERS.items()}
)
_VS330 = _COMMON | {b"\x02\x82": 2, b"\x03\x8e": 1, b"\x04\x8e": 1}
_VS340 = _COMMON | {b"\x03\x00": 1}
_WS202 = _COMMON | {b"\x03\x00": 1, b"\x04\x00": 1}
_EM310_UDL = _COMMON | {b"\x03\x82": 2, b"\x04\x00": 1}
_MEANING = {0: Occupancy.FREE, 1: Occupancy.OCCUPIED}


class MilesightVs330:
    """Sensor of a room's occupancy, with the distance that it measured."""

    name = "milesight_vs330"

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        values, fields = _read("VS330", f_port, data, _VS330)
        if distance := values.get(b"\x02\x82"):
            fields["distance_mm"] = int.from_bytes(distance, "little")
        if values.get(b"\x04\x8e") == b"\x00":
            return Reading(None, {**fields, "calibration": "failed"}, damaged=True)
        return Reading(_occupancy_of(values, b"\x03\x8e"), fields)


class MilesightVs340:
    """Sensor of desks and seats; VS341 sends the same."""

    name = "milesight_vs340"

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        values, fields = _read("VS340", f_port, data, _VS340)
        return Reading(_occupancy_of(values, b"\x03\x00"), fields)


class MilesightWs202:
    """Sensor of motion (PIR) and light. Motion is occupied; "no motion" is free, because this sensor reports it so."""

    name = "milesight_ws202"

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        values, fields = _read("WS202", f_port, data, _WS202)
        if light := values.get(b"\x04\x00"):
            fields["bright"] = bool(light[0])
        return Reading(_occupancy_of(values, b"\x03\x00"), fields)


class MilesightEm310Udl:
    """Sensor of distance by ultrasound, mounted over a place: near is occupied, far is free.

    A distance between `occupied_below_mm` and `free_above_mm` is no occupancy: the state stays until the distance has
    crossed the whole band (hysteresis). A distance outside 30-4500 mm, the range that the sensor measures, is no
    occupancy either. The catalogue states the same two numbers.
    """

    name = "milesight_em310_udl"

    def __init__(self, occupied_below_mm: int = 1500, free_above_mm: int = 2000) -> None:
        self.occupied_below_mm = occupied_below_mm
        self.free_above_mm = free_above_mm

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        values, fields = _read("EM310-UDL", f_port, data, _EM310_UDL)
        measured = values.get(b"\x03\x82")
        distance_mm = int.from_bytes(measured, "little") if measured else None
        if distance_mm is not None:
            fields["distance_mm"] = distance_mm
        if values.get(b"\x04\x00", b"\x00") != b"\x00":
            return Reading(None, {**fields, "tilted": True}, damaged=True)
        return Reading(self._occupancy(distance_mm), fields)

    def _occupancy(self, distance_mm: int | None) -> Occupancy | None:
        if distance_mm is None or not 30 <= distance_mm <= 4500:
            return None
        if distance_mm < self.occupied_below_mm:
            return Occupancy.OCCUPIED
        return Occupancy.FREE if distance_mm > self.free_above_mm else None


def _read(
    model: str, f_port: int | None, data: bytes, sizes: dict[bytes, int]
) -> tuple[dict[bytes, bytes], dict[str, object]]:
    """Return the values by channel and type, and the fields of every Milesight sensor."""
    declared(model, f_port, data, _LENGTHS)
    values, unread = fields_of(model, data, sizes, 2)
    fields: dict[str, object] = {}
    if _BATTERY in values:
        fields["battery_pct"] = values[_BATTERY][0]
    if unread:
        fields["unread"] = unread.hex()
    return values, fields


def _occupancy_of(values: dict[bytes, bytes], channel: bytes) -> Occupancy | None:
    value = values.get(channel)
    return _MEANING.get(value[0]) if value else None
