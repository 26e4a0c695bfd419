"""Fleximodo parking sensors, in the ground and on the surface.

Source: captured frames, and the maker's codec as published by an operator. Two faults of that codec are not repeated
here: it reads a frame with both bits set as free, and it returns a status for frames that are to be ignored.

FPort 2, confirmed, 10 bytes or more (a driver's card follows, which is not kept). Bytes 0-1, flags, big-endian:

| bits | meaning |
|---|---|
| 0001, 0002 | free, busy: exactly one of them, else the sensor is at fault |
| 0008, 1000 | a change, keep-alive; without either the frame is no report |
| 0010, 0800, 2000 | to be ignored |
| 0020, 0400 | the sensor is at fault |
| 0100 | sent again: counts only as a change |
| 4000 | not calibrated |
"""

from __future__ import annotations

from baylight.codecs.frame import declared
from baylight.codecs.registry import Reading
from baylight.domain.state import Occupancy

_MEANING = {0x0001: Occupancy.FREE, 0x0002: Occupancy.OCCUPIED}
_IGNORE, _FAULT, _NOT_CALIBRATED = 0x2810, 0x0420, 0x4000
_CHANGE, _KEEP_ALIVE, _AGAIN = 0x0008, 0x1000, 0x0100


class Fleximodo:
    """Sensor that sends at each change, and keep-alives."""

    name = "fleximodo"

    def decode(self, f_port: int | None, data: bytes) -> Reading:
        declared("Fleximodo", f_port, data, {2: range(10, 243)})
        flags = int.from_bytes(data[:2])
        fields: dict[str, object] = {"flags": f"{flags:04x}"}
        occupancy = _MEANING.get(flags & 0x0003)
        if flags & _NOT_CALIBRATED:
            return Reading(None, {**fields, "message": "not_calibrated"}, damaged=True)
        if flags & _IGNORE:
            return Reading(None, {**fields, "message": "to_be_ignored"})
        if occupancy is None or flags & _FAULT:
            return Reading(None, {**fields, "message": "fault"}, damaged=True)
        if flags & _CHANGE:
            return Reading(occupancy, {**fields, "message": "change"})
        if flags & _KEEP_ALIVE and not flags & _AGAIN:
            return Reading(occupancy, {**fields, "message": "keep_alive"})
        return Reading(None, {**fields, "message": "no_report"})
