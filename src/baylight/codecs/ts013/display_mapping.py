"""Reports of displays with a JavaScript codec: which decoded values stand for the light of which state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from baylight.codecs.ts013.sensor_mapping import OccupancyMapping, Path, bad_mapping, normals
from baylight.codecs.ts013.sensor_mapping import normal as normal_form
from baylight.domain.state import State


@dataclass(frozen=True, slots=True)
class DisplayMapping:
    """Mapping of decoded values to lights. `states`: normal forms of the values of each state's light."""

    where: Path
    states: Mapping[State, frozenset[str]]
    f_ports: frozenset[int] | None = None

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> DisplayMapping:
        """Read JSON: `field` (path), `states` (state -> list of values), `f_ports`. Raises InputError `bad_mapping`."""
        rest = dict(given)
        path, listed, ports = Path.parse(rest.pop("field", None)), rest.pop("states"), rest.pop("f_ports", None)
        if not isinstance(listed, dict) or not listed or not listed.keys() <= State.__members__.keys():
            raise bad_mapping(f"`states` is an object of state: list of values; states are {', '.join(State)}")
        states = {State[name]: normals(values, f"states.{name}") for name, values in listed.items()}
        if not all(states.values()):
            raise bad_mapping("each state of `states` has at least one value")
        if ports is not None and not (isinstance(ports, list) and all(type(p) is int and 1 <= p <= 223 for p in ports)):
            raise bad_mapping("`f_ports` is a list of numbers 1 to 223")
        if rest:
            raise bad_mapping(f"unknown keys beside `states`: {', '.join(sorted(map(str, rest)))}")
        return cls(path, states, None if ports is None else frozenset(ports))

    def shows(self, f_port: int, data: object) -> tuple[State, ...] | None:
        """Return the states whose light is reported (empty: another light), or None if this frame reports no light."""
        if self.f_ports is not None and f_port not in self.f_ports:
            return None
        found = [normal_form(value) for value in self.where.values(data)]
        if len(found) != 1 or found[0] is None:
            return None
        return tuple(state for state, values in self.states.items() if found[0] in values)


Mapped = OccupancyMapping | DisplayMapping


def parse_mapping(given: Mapping[str, Any]) -> Mapped:
    """Read a mapping: a display's if it has `states`, else a sensor's. Raises InputError `bad_mapping`."""
    return DisplayMapping.parse(given) if "states" in given else OccupancyMapping.parse(given)
