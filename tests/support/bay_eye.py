"""Sensor type with a JavaScript codec: `acme_bay_eye`, decoded by the codec `bay_eye`."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from baylight.domain.events import Uplink
from baylight.inventory.device_types import DeviceTypeRow
from baylight.js_codecs import types, versions
from baylight.store.pool import Connection
from tests.support import uplinks
from tests.support.change import by

SOURCE = """
function decodeUplink(input) {
  if (input.bytes.length < 2) throw new Error('a frame has two bytes');
  if (input.bytes[0] === 0xee) for (;;);
  return { data: { taken: input.bytes[0] === 1, battery: (input.bytes[1] / 10).toFixed(1) + ' V' } };
}
function encodeDownlink(input) { return { bytes: [input.data.on ? 1 : 0], fPort: 7 }; }
"""
MAPPING = {"field": "taken", "occupied": [True], "free": [False], "f_ports": [3], "battery_v": "battery"}
EXAMPLES: list[dict[str, Any]] = [
    {
        "type": "uplink",
        "description": "a car",
        "input": {"bytes": "0124", "fPort": 3},
        "output": {"data": {"taken": True, "battery": "3.6 V"}},
        "occupancy": "OCCUPIED",
    },
    {
        "type": "uplink",
        "description": "no car",
        "input": {"bytes": "0024", "fPort": 3},
        "output": {"data": {"taken": False, "battery": "3.6 V"}},
        "occupancy": "FREE",
    },
    {
        "type": "downlink-encode",
        "description": "on",
        "input": {"data": {"on": True}},
        "output": {"bytes": [1], "fPort": 7},
    },
]
_counters: defaultdict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))
OCCUPIED, FREE = b"\x01\x24", b"\x00\x24"


async def add(
    db: Connection, source: str = SOURCE, mapping: Mapping[str, Any] | None = MAPPING, **more: Any
) -> versions.Version:
    given: dict[str, Any] = {"examples": EXAMPLES}
    return await versions.create_codec(by(db), "bay_eye", source, mapping=mapping, **given | more)


async def add_type(db: Connection, name: str = "bay_eye", **more: Any) -> DeviceTypeRow:
    given: dict[str, Any] = {"manufacturer": "Acme", "model": "Bay Eye", "uplink_interval_s": 3600}
    return await types.create_sensor_type(by(db), name, types.NewDeviceType("acme_bay_eye", **given | more))


def uplink(dev_eui: str, at: datetime, data: bytes = OCCUPIED, f_port: int | None = 3) -> Uplink:
    """Return a new uplink; each has the next frame counter of its device."""
    return uplinks.uplink(dev_eui, at, data, f_port=f_port, f_cnt=next(_counters[dev_eui]))
