"""A codec's own examples, as in TS013's `examples.json`: input, and the output that proves the codec."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from baylight.codecs.ts013 import Answer, Function, same
from baylight.domain.state import Occupancy, State
from baylight.errors import InputError, shorten

MOST_EXAMPLES = 500
_FUNCTIONS = {
    "uplink": Function.DECODE_UPLINK,
    "downlink-decode": Function.DECODE_DOWNLINK,
    "downlink-encode": Function.ENCODE_DOWNLINK,
}
_OCCUPANCY = {"OCCUPIED": Occupancy.OCCUPIED, "FREE": Occupancy.FREE, None: None}


@dataclass(frozen=True, slots=True)
class Example:
    """`input`: JSON text of the call. `output`: what must come of it, as far as it is written down. What the mapping
    must make of it: `occupancy`, where `tells_occupancy`; the state whose light a display `shows`, where told."""

    description: str
    function: Function
    input: str
    f_port: int
    output: Mapping[str, Any]
    tells_occupancy: bool = False
    occupancy: Occupancy | None = None
    shows: State | None = None

    def problem(
        self, answer: Answer, occupancy: Occupancy | None, shows: tuple[State, ...] | None = None
    ) -> str | None:
        """What is not as it must be, in plain words."""
        found: dict[str, object] = {
            "data": answer.data,
            "bytes": None if answer.bytes is None else list(answer.bytes),
            "fPort": answer.f_port,
            "errors": list(answer.errors),
            "warnings": list(answer.warnings),
        }
        for key, value in {"errors": [], **self.output}.items():
            expected = [] if value is None and key in ("errors", "warnings") else value
            if key in found and not same(expected, found[key]):
                return f"{key} is {_short(found[key])}, not {_short(expected)}"
        if self.tells_occupancy and occupancy is not self.occupancy:
            return f"the mapping says {occupancy or 'nothing'}, not {self.occupancy or 'nothing'}"
        if self.shows is not None and self.shows not in (shows or ()):
            found_states = "nothing" if shows is None else " and ".join(shows) or "another light"
            return f"the mapping says {found_states}, not {self.shows}"
        return None


def parse_examples(given: Sequence[Mapping[str, Any]]) -> list[Example]:
    """`type` (uplink, downlink-decode, downlink-encode), `description`, `input` (`bytes` as hex or list, `fPort`,
    `recvTime`; or `data`), `output`; of an uplink `occupancy` (OCCUPIED, FREE, null) and `shows` (the state whose light
    a display reports) are Baylight's own.

    Raises InputError `bad_examples`.
    """
    if len(given) > MOST_EXAMPLES:
        raise _bad(f"at most {MOST_EXAMPLES} examples")
    examples = []
    for n, item in enumerate(given, 1):
        try:
            examples.append(_example(n, item))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise _bad(f"example {n}: {reason}") from None
    return examples


def _example(n: int, item: Mapping[str, Any]) -> Example:
    if item.get("type", "uplink") not in _FUNCTIONS:
        raise ValueError(f"type is one of {', '.join(_FUNCTIONS)}")
    function = _FUNCTIONS[item.get("type", "uplink")]
    given, output = dict(item["input"]), dict(item["output"])
    f_port = given.get("fPort", 1)
    if function is not Function.ENCODE_DOWNLINK:
        if type(f_port) is not int or not 0 <= f_port <= 255:
            raise ValueError("fPort is a number 0 to 255")
        data = given["bytes"]
        given["bytes"] = list(bytes.fromhex(data) if isinstance(data, str) else bytes(data))
        given.setdefault("fPort", f_port)
        if "recvTime" in given:
            datetime.fromisoformat(given["recvTime"])
    elif "data" not in given:
        raise KeyError("data")
    if item.get("occupancy") not in _OCCUPANCY:
        raise ValueError("occupancy is OCCUPIED, FREE or null")
    if item.get("shows", State.FREE) not in State.__members__:
        raise ValueError(f"shows is one of {', '.join(State)}")
    return Example(
        str(item.get("description") or f"example {n}"),
        function,
        json.dumps(given),
        f_port,
        output,
        "occupancy" in item,
        _OCCUPANCY[item.get("occupancy")],
        State[item["shows"]] if "shows" in item else None,
    )


def _short(value: object) -> str:
    return shorten(json.dumps(value), 200)


def _bad(message: str) -> InputError:
    return InputError("bad_examples", f"examples: {message}")
