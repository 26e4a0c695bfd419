"""Recordings of a real ChirpStack, and the comparison of what the simulated one publishes with them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

Payload = dict[str, Any]
OWN = Path(__file__).parent / "recordings"
SHARED = Path(
    os.environ.get("BAYLIGHT_TEST_RECORDINGS", Path(__file__).resolve().parents[4] / "shared" / "cases" / "chirpstack")
)

IDS = {"deduplicationId", "queueItemId", "deduplication_id", "queue_item_id", "downlinkId", "uplinkId"}
"""Ids: their values differ, their relations do not."""
NAMES = {"tenantId", "applicationId", "deviceProfileId"}
TIMES = {"time", "nsTime", "gwTime"}
OPTIONAL = {"channel", "rfChain", "metadata"}
"""Fields of a reception that are often absent."""
TOGETHER_S = 0.05
"""Messages closer than this are independent tasks of ChirpStack: they have no order."""


@dataclass(frozen=True)
class Message:
    """Event of a device. `at`: seconds on the recording's own clock."""

    event: str
    dev_eui: str
    at: float
    payload: Payload


def read(name: str) -> list[Message]:
    """Return a recording; an empty list if neither folder has it."""
    for folder in (SHARED, OWN):
        path = folder / name
        if path.exists():
            return [_message(json.loads(line)) for line in path.read_text().splitlines()]
    return []


def rows(name: str) -> list[Payload]:
    """Return the objects of a file of lines, from the shared folder if it is there."""
    path = SHARED / name if (SHARED / name).exists() else OWN / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _message(row: Payload) -> Message:
    levels = row["topic"].split("/")
    return Message(levels[5], levels[3], float(row["at"]), row["payload"])


@dataclass
class Comparison:
    """Comparison of two sequences. `differences` names each place that differs."""

    speed: float
    ids: dict[str, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    def sequences(self, real: list[Message], fake: list[Message]) -> None:
        """Compare kinds, fields, absent fields, relations of ids and counters, and distances in time."""
        real, fake = _ordered(real, TOGETHER_S), _ordered(fake, TOGETHER_S / self.speed)
        kinds = [[(m.event, m.dev_eui) for m in messages] for messages in (real, fake)]
        if kinds[0] != kinds[1]:
            self.differences.append(f"messages: {kinds[0]} is real, {kinds[1]} is simulated")
            return
        for one, other in zip(real, fake, strict=True):
            self.value(one.event, one.payload, other.payload)
            self._delay(one.payload, other.payload)
        for n in range(1, len(real)):
            apart = [m[n].at - m[n - 1].at for m in (real, fake)]
            if abs(apart[0] - apart[1] * self.speed) > 1.5:
                self.differences.append(
                    f"message {n} comes {apart[0]:.2f} s after the one before, {apart[1]:.2f} s here"
                )

    def value(self, where: str, real: object, fake: object) -> None:
        if isinstance(real, dict) and isinstance(fake, dict):
            keys = [set(side) - OPTIONAL for side in (real, fake)]
            if keys[0] != keys[1]:
                self.differences.append(f"{where}: fields {sorted(keys[0] ^ keys[1])} differ")
            for key in keys[0] & keys[1]:
                self._field(f"{where}.{key}", key, real[key], fake[key])
        elif isinstance(real, list) and isinstance(fake, list):
            by = [sorted(side, key=lambda entry: str(entry.get("gatewayId"))) for side in (real, fake)]
            if len(by[0]) != len(by[1]):
                self.differences.append(f"{where}: {len(by[0])} entries, {len(by[1])} here")
            for n, (one, other) in enumerate(zip(*by, strict=False)):
                self.value(f"{where}[{n}]", one, other)
        elif real != fake or type(real) is not type(fake):
            self.differences.append(f"{where}: {real!r} is real, {fake!r} is simulated")

    def _field(self, where: str, key: str, real: object, fake: object) -> None:
        if key in IDS:
            known = self.ids.setdefault(str(real), str(fake))
            if known != str(fake) or (not real) != (not fake) or type(real) is not type(fake):
                self.differences.append(f"{where}: {fake!r} is another id than {known!r}")
        elif key in TIMES:
            if len(str(real)) != len(str(fake)):
                self.differences.append(f"{where}: {real!r} has another form than {fake!r}")
        elif key not in NAMES:
            self.value(where, real, fake)

    def _delay(self, real: Payload, fake: Payload) -> None:
        """Compare the distance from each reception (nsTime) to the event's time."""
        for one, other in zip(real.get("rxInfo", ()), fake.get("rxInfo", ()), strict=False):
            apart = [_apart(real["time"], one["nsTime"]), _apart(fake["time"], other["nsTime"]) * self.speed]
            if not apart[0] - 0.1 < apart[1] < apart[0] + 0.6:
                self.differences.append(f"time is {apart[0]:.3f} s after nsTime, {apart[1]:.3f} s here")


def _ordered(messages: Iterable[Message], together_s: float) -> list[Message]:
    """Return messages in order; those that are tasks of the same frame in the order of their kinds."""
    found: list[list[Message]] = []
    for message in sorted(messages, key=lambda m: m.at):
        if found and message.at - found[-1][-1].at < together_s:
            found[-1].append(message)
        else:
            found.append([message])
    return [m for group in found for m in sorted(group, key=lambda m: (m.event, m.dev_eui))]


def _apart(later: str, earlier: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
