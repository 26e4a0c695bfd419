"""Codecs of a folder, and the calls that they are tried with.

Layouts: TheThingsNetwork/lorawan-devices (`*-codec.yaml` with examples, beside the JavaScript); and JavaScript files
alone, perhaps with a `*-codec.json` that has a frame (Milesight-IoT/SensorDecoders).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

RECV_TIME = "2026-11-24T09:00:00.000Z"
FUNCTIONS = {
    "uplinkDecoder": "decodeUplink",
    "downlinkEncoder": "encodeDownlink",
    "downlinkDecoder": "decodeDownlink",
}
_FRAMES = (bytes(11), bytes(range(1, 24)), b"\xff" * 8)
_F_PORTS = (1, 2, 10)


@dataclass
class Codec:
    """JavaScript file. `calls`: (function, JSON text of the input), without repetitions."""

    path: str
    source: str
    calls: dict[tuple[str, str], None] = field(default_factory=dict)

    def add(self, function: str, given: dict[str, Any]) -> None:
        self.calls[function, json.dumps(given, default=str)] = None

    def decode(self, f_port: int, data: bytes) -> None:
        self.add("decodeUplink", {"bytes": list(data), "fPort": f_port, "recvTime": RECV_TIME})


def read(folder: Path) -> list[Codec]:
    """Return the codecs of a folder by path, each with the calls of its examples and with made-up frames."""
    found: dict[Path, Codec] = {}
    for path in sorted(folder.rglob("*.js")):
        if path.is_file():
            name = str(path.relative_to(folder))
            found[path.resolve()] = Codec(name, path.read_text("utf-8", errors="replace").removeprefix("\ufeff"))
    for path in sorted(folder.rglob("*.yaml")):
        for source, function, given in _examples(path):
            if codec := found.get(source.resolve()):
                codec.add(function, given)
    for path, codec in found.items():
        for beside in path.parent.glob("*.json"):
            if frame := _frame(beside):
                codec.decode(85, frame)
        if "ecode" in codec.source:
            for frame in _FRAMES:
                for f_port in _F_PORTS:
                    codec.decode(f_port, frame)
    return [codec for codec in found.values() if codec.calls]


def _examples(path: Path) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    try:
        given = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return
    for part, function in FUNCTIONS.items() if isinstance(given, dict) else ():
        section = given.get(part)
        if isinstance(section, dict) and isinstance(section.get("fileName"), str):
            for example in section.get("examples") or ():
                if isinstance(example, dict) and isinstance(example.get("input"), dict):
                    more = {"recvTime": RECV_TIME} if function == "decodeUplink" else {}
                    yield path.parent / section["fileName"], function, more | example["input"]


def _frame(path: Path) -> bytes | None:
    try:
        given = json.loads(path.read_text("utf-8"))
        return bytes.fromhex(given["bytes"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
