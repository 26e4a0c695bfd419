"""Device types that are part of Baylight: one small TOML file each in `baylight/catalogue`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, get_type_hints


@dataclass(frozen=True, slots=True)
class DeviceType:
    """Facts that all devices of a type have in common; the columns of `device_types`.

    A sensor's reading is trusted for `uplink_interval_s` x `silent_after_intervals`.
    `default_config` of a display: `f_port`, `confirmed_downlinks`, `ask_report`, `display_codes` (state -> hex).
    """

    code: str
    category: Literal["sensor", "display"]
    manufacturer: str
    model: str
    codec: str
    dev_eui_prefixes: tuple[str, ...]
    uplink_interval_s: int
    silent_after_intervals: int
    default_config: dict[str, object]
    capabilities: dict[str, object]


@cache
def load_catalogue() -> tuple[DeviceType, ...]:
    """Return the device types, ordered by code. The file's name is the type's code."""
    folder = files("baylight.catalogue")
    paths = sorted((path for path in folder.iterdir() if path.name.endswith(".toml")), key=lambda path: path.name)
    return tuple(_device_type(path.name.removesuffix(".toml"), path.read_text("utf-8")) for path in paths)


def _device_type(code: str, text: str) -> DeviceType:
    entry = tomllib.loads(text)
    known = get_type_hints(DeviceType).keys() - {"code"}
    if entry.keys() != known:
        raise ValueError(f"catalogue/{code}.toml: keys missing or unknown: {sorted(entry.keys() ^ known)}")
    entry["dev_eui_prefixes"] = tuple(entry["dev_eui_prefixes"])
    return DeviceType(code=code, **entry)
