"""Mapping of decoded fields to OCCUPIED and FREE. Any other value is no information: null is not FREE."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from baylight.domain.state import Occupancy
from baylight.errors import InputError

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d*)\]|\[([^.\[\]=]+)=([^\[\]]*)\]")
_NUMBER = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)\s*[a-zA-Z%°]{0,4}\s*\Z")
_OTHER = {Occupancy.OCCUPIED: Occupancy.FREE, Occupancy.FREE: Occupancy.OCCUPIED}
_NUMBER_LIMIT = 1e300
_BOUNDS = {"occupied_below": "free_above", "occupied_above": "free_below"}


@dataclass(frozen=True, slots=True)
class Path:
    """Path into JSON.

    Forms: `a.b`, `list[0]`, `list[]` (each element), `list[variable=x]` (elements whose `variable` is x).
    """

    text: str
    steps: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: object) -> Path:
        """Read a path. Raises InputError `bad_mapping`."""
        if not isinstance(text, str) or not 0 < len(text) <= 200:
            raise bad_mapping(
                f"{text!r} is not a path such as occupied, status.parking, slots[0] or [variable=occupancy].value"
            )
        steps, at = [], 0
        while at < len(text):
            match = _STEP.match(text, at)
            if match is None:
                raise bad_mapping(f"{text!r} is not a path: look at {text[at:]!r}")
            name, index, key, value = match.groups()
            steps.append((name, "") if name else ("[]", index) if index is not None else (f"[{key}", value))
            at = match.end()
        return cls(text, tuple(steps))

    def values(self, data: object) -> Iterator[object]:
        """Return the values at the path: none, one, or several."""
        found: list[object] = [data]
        for name, value in self.steps:
            found = [below for item in found for below in _below(item, name, value)]
        return iter(found)


@dataclass(frozen=True, slots=True)
class OccupancyMapping:
    """Mapping of one codec.

    `occupied`, `free`: normal forms of values. `bounds`: (occupied, free) of a threshold. OCCUPIED begins at the first
    bound and FREE at the second; between the two the sensor's last occupancy stays.
    """

    where: Path
    occupied: frozenset[str] = frozenset()
    free: frozenset[str] = frozenset()
    bounds: tuple[float, float] | None = None
    below: bool = False
    f_ports: frozenset[int] | None = None
    invert: bool = False
    motion_timeout_s: float | None = None
    ignore_on_errors: bool = True
    ignore_on_warnings: tuple[str, ...] = ()
    ignore_when: tuple[tuple[Path, frozenset[str]], ...] = ()
    battery_v: Path | None = None
    battery_pct: Path | None = None
    given: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> OccupancyMapping:
        """Read JSON. Raises InputError `bad_mapping`.

        Keys: `field`, then either `occupied` and `free` (lists of values) or `threshold` (`occupied_below` and
        `free_above`, or `occupied_above` and `free_below`); `f_ports`, `invert`, `motion_timeout_s`,
        `ignore_on_errors`, `ignore_on_warnings`, `ignore_when` (path -> values), `battery_v`, `battery_pct` (paths).
        """
        rest = dict(given)
        path = Path.parse(rest.pop("field", None))
        threshold, motion = rest.pop("threshold", None), rest.pop("motion_timeout_s", None)
        occupied, free = normals(rest.pop("occupied", []), "occupied"), normals(rest.pop("free", []), "free")
        if (threshold is None) == (not occupied):
            raise bad_mapping("a mapping has either `occupied` and `free` (lists of values) or `threshold`")
        if threshold is None and not free:
            raise bad_mapping("`free` must list the values that mean FREE")
        if threshold is not None and free:
            raise bad_mapping("`free` does not go with `threshold`")
        if both := sorted(occupied & free):
            raise bad_mapping(f"{both[0]!r} cannot mean both OCCUPIED and FREE")
        if motion is not None and not (_is_number(motion) and 0 < motion <= 86400):
            raise bad_mapping("`motion_timeout_s` is a number of seconds, at most a day")
        bounds, below = _threshold(threshold) if threshold is not None else (None, False)
        ports = rest.pop("f_ports", None)
        if ports is not None and not (_is_list(ports) and all(type(p) is int and 1 <= p <= 223 for p in ports)):
            raise bad_mapping("`f_ports` is a list of numbers 1 to 223")
        warnings, when = rest.pop("ignore_on_warnings", []), rest.pop("ignore_when", {})
        if not isinstance(warnings, list) or not all(isinstance(w, str) and w.strip() for w in warnings):
            raise bad_mapping("`ignore_on_warnings` is a list of words to look for in warnings")
        if not isinstance(when, dict):
            raise bad_mapping("`ignore_when` is an object of path: list of values")
        volts, percent = rest.pop("battery_v", None), rest.pop("battery_pct", None)
        flags = {name: rest.pop(name, default) for name, default in (("invert", False), ("ignore_on_errors", True))}
        if not all(isinstance(flag, bool) for flag in flags.values()):
            raise bad_mapping("`invert` and `ignore_on_errors` are true or false")
        if rest:
            raise bad_mapping(f"unknown keys: {', '.join(sorted(map(str, rest)))}")
        return cls(
            path,
            occupied,
            free,
            bounds,
            below,
            None if ports is None else frozenset(ports),
            flags["invert"],
            motion,
            flags["ignore_on_errors"],
            tuple(w.strip().casefold() for w in warnings),
            tuple((Path.parse(where), normals(values, where)) for where, values in when.items()),
            None if volts is None else Path.parse(volts),
            None if percent is None else Path.parse(percent),
            dict(given),
        )

    def occupancy(
        self,
        f_port: int,
        data: object,
        warnings: tuple[str, ...] = (),
        previous: Occupancy | None = None,
        age_s: float | None = None,
    ) -> Occupancy | None:
        """Return the occupancy, None for no information.

        `previous`: the sensor's last occupancy, `age_s` old. It stays between the bounds of a threshold, and an
        OCCUPIED by motion stays until `motion_timeout_s` is over.
        """
        if self.f_ports is not None and f_port not in self.f_ports:
            return None
        if any(word in warning.casefold() for warning in warnings for word in self.ignore_on_warnings):
            return None
        if any(normal(v) in values for path, values in self.ignore_when for v in path.values(data)):
            return None
        found = self._by_bounds(data, previous) if self.bounds else self._by_values(data)
        if found is Occupancy.FREE and self.motion_timeout_s is not None and previous is Occupancy.OCCUPIED:
            return None if age_s is not None and age_s < self.motion_timeout_s else found
        return found

    def _by_values(self, data: object) -> Occupancy | None:
        """Return OCCUPIED if one of the values means it, FREE if all mean it."""
        found = [normal(value) for value in self.where.values(data)]
        if any(value in self.occupied for value in found):
            meaning = Occupancy.OCCUPIED
        elif found and all(value in self.free for value in found):
            meaning = Occupancy.FREE
        else:
            return None
        return _OTHER[meaning] if self.invert else meaning

    def _by_bounds(self, data: object, previous: Occupancy | None) -> Occupancy | None:
        assert self.bounds is not None
        measured = [number(value) for value in self.where.values(data)]
        if len(measured) != 1 or measured[0] is None:
            return None
        sign = 1 if self.below else -1
        value, occupied, free = sign * measured[0], sign * self.bounds[0], sign * self.bounds[1]
        if occupied <= value <= free:
            return previous
        meaning = Occupancy.OCCUPIED if value < occupied else Occupancy.FREE
        return _OTHER[meaning] if self.invert else meaning


def normal(value: object) -> str | None:
    """Return one form for all spellings of a value: true, 1, 1.0, "1" and "TRUE" are the same.

    None: the value cannot be compared.
    """
    if isinstance(value, str):
        text = value.strip().casefold()
        if text in ("true", "false"):
            return "1.0" if text == "true" else "0.0"
        measured = number(text) if text[-1:].isdigit() else None
        return text if measured is None else repr(measured)
    if isinstance(value, bool):
        return "1.0" if value else "0.0"
    return None if (measured := number(value)) is None else repr(measured)


def number(value: object) -> float | None:
    """Return the number, also of a text with a unit of up to four letters (`"1200 mm"`); None for others."""
    if isinstance(value, str) and (match := _NUMBER.match(value)):
        return float(match[1])
    if isinstance(value, int | float) and _is_number(value):
        return float(value)
    return None


def _below(item: object, name: str, value: str) -> list[object]:
    if not name.startswith("["):
        return [item[name]] if isinstance(item, dict) and name in item else []
    if not isinstance(item, list):
        return []
    if name == "[]":
        return item if not value else item[int(value) : int(value) + 1]
    key = name[1:]
    return [e for e in item if isinstance(e, dict) and key in e and normal(e[key]) == normal(value)]


def _threshold(given: object) -> tuple[tuple[float, float], bool]:
    if isinstance(given, dict) and len(given) == 2:
        for occupied, free in _BOUNDS.items():
            bounds = [float(given[name]) for name in (occupied, free) if _is_number(given.get(name))]
            below = occupied == "occupied_below"
            if len(bounds) == 2 and (bounds[0] == bounds[1] or (bounds[0] < bounds[1]) is below):
                return (bounds[0], bounds[1]), below
    raise bad_mapping(
        "`threshold` is `occupied_below` and a higher `free_above`, or `occupied_above` and a lower `free_below`"
    )


def normals(given: object, name: str) -> frozenset[str]:
    """Return the normal forms of a list of values. Raises InputError `bad_mapping`."""
    values = [normal(value) for value in given] if isinstance(given, list) else [None]
    if None in values:
        raise bad_mapping(f"`{name}` is a list of numbers, texts, true and false; null has no meaning")
    return frozenset(v for v in values if v is not None)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_NUMBER_LIMIT < value < _NUMBER_LIMIT


def _is_list(value: object) -> bool:
    return isinstance(value, list) and bool(value)


def bad_mapping(message: str) -> InputError:
    return InputError("bad_mapping", f"mapping: {message}")
