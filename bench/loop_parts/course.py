"""What happened at a bay, by the simulation itself: cars, and lights of its lamp. Times are monotonic seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from baylight.codecs.all import display_driver
from baylight.codecs.catalogue import load_catalogue
from baylight.domain.lights import Light, distinguishable

MIN_WATCHED_S = 20.0
"""Time that a change must have been watched before it counts as one whose light was never shown."""
_DRIVER = display_driver("kuando_busylight")


def _codes() -> dict[str, str]:
    kind = next(kind for kind in load_catalogue() if kind.code == "kuando_busylight")
    codes = kind.default_config["display_codes"]
    assert isinstance(codes, Mapping)
    return {str(state): str(code) for state, code in codes.items()}


CODES = _codes()
"""Code of each state, as the catalogue has it."""


@lru_cache
def light_of(code: str) -> Light:
    assert _DRIVER is not None
    return _DRIVER.describe(bytes.fromhex(code))


@lru_cache
def alike(a: Light, b: Light) -> bool:
    """Return True if a driver takes one light for the other."""
    return not distinguishable(a, b)


def right_light(occupied: bool) -> Light:
    return light_of(CODES["OCCUPIED" if occupied else "FREE"])


@dataclass(frozen=True, slots=True)
class Change:
    """Arrival or departure of a car, watched until the next one or the end of the scenario.

    `wrong_s`: seconds in which the light was not that of the change. `light_s`: seconds until it first was; None: it
    never was. `at_once`: it already was when the car moved.
    """

    at: float
    watched_s: float
    wrong_s: float
    light_s: float | None

    @property
    def at_once(self) -> bool:
        return self.light_s == 0.0

    @property
    def at_least_s(self) -> float:
        """Seconds until the light, or those that were watched without it."""
        return self.watched_s if self.light_s is None else self.light_s


@dataclass(slots=True)
class Course:
    """Cars and lights of a bay, oldest first. Each list begins with what was so at first."""

    cars: list[tuple[float, bool]] = field(default_factory=list)
    lights: list[tuple[float, Light]] = field(default_factory=list)

    @property
    def occupied(self) -> bool:
        return self.cars[-1][1]

    @property
    def light(self) -> Light:
        return self.lights[-1][1]

    def changes(self, begin: float, end: float) -> Iterator[Change]:
        """Yield the changes between `begin` and `end`."""
        for (at, occupied), until in zip(self.cars, [at for at, _ in self.cars[1:]] + [end], strict=True):
            if begin <= at < end:
                yield self._change(at, min(until, end), right_light(occupied))

    def wrong_s(self, begin: float, end: float) -> float:
        """Return the seconds between `begin` and `end` in which the light was not that of the car."""
        turns = [begin, *(at for at, _ in self.cars if begin < at < end), end]
        was = [occupied for at, occupied in self.cars if at <= begin][-1:]
        occupied = was + [occupied for at, occupied in self.cars if begin < at < end]
        spans = zip(turns, turns[1:], occupied, strict=False)
        return sum(self._change(at, until, right_light(car)).wrong_s for at, until, car in spans)

    def _change(self, at: float, until: float, right: Light) -> Change:
        wrong_s, light_s = 0.0, None
        for (since, light), next_at in zip(self.lights, [at for at, _ in self.lights[1:]] + [until], strict=True):
            since, next_at = max(since, at), min(next_at, until)
            if next_at <= since:
                continue
            if not alike(light, right):
                wrong_s += next_at - since
            elif light_s is None:
                light_s = since - at
        return Change(at, until - at, wrong_s, light_s)


def never_shown_share(changes: list[Change]) -> float | None:
    """Return the share of changes whose light was never shown, of those watched long enough; None without any."""
    counted = [change for change in changes if change.watched_s >= MIN_WATCHED_S]
    if not counted:
        return None
    return sum(change.light_s is None for change in counted) / len(counted)
