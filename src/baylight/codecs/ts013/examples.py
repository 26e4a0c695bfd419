"""Examples of a codec, as in TS013's `examples.json`: input, and the output that proves the codec."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from baylight.codecs.ts013.calls import Answer, Function, same
from baylight.domain.state import Occupancy, State
from baylight.errors import InputError, shorten

MAX_EXAMPLES = 500
_FUNCTIONS = {
    "uplink": Function.DECODE_UPLINK,
    "downlink-decode": Function.DECODE_DOWNLINK,
    "downlink-encode": Function.ENCODE_DOWNLINK,
}
_OCCUPANCY = {"OCCUPIED": Occupancy.OCCUPIED, "FREE": Occupancy.FREE, None: None}


@dataclass(frozen=True, slots=True)
class Example:
    """Example of a call and its results.

    `input`: JSON text of the call, `length` the number of its bytes. `output`: the expected output; a key that it lacks
    is not compared. `occupancy`: the result of the mapping, compared if `has_occupancy`. `shows`: the state whose light
    a display reports, compared unless it is None.
    """

    description: str
    function: Function
    input: str
    f_port: int
    output: Mapping[str, Any]
    length: int = 0
    has_occupancy: bool = False
    occupancy: Occupancy | None = None
    shows: State | None = None

    def problem(
        self, answer: Answer, occupancy: Occupancy | None, shows: tuple[State, ...] | None = None
    ) -> str | None:
        """Return the first difference from what is expected, in plain words; None if there is none."""
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
        if self.has_occupancy and occupancy is not self.occupancy:
            return f"the mapping gives {occupancy or 'nothing'}, not {self.occupancy or 'nothing'}"
        if self.shows is not None and self.shows not in (shows or ()):
            found_states = "nothing" if shows is None else " and ".join(shows) or "another light"
            return f"the mapping gives {found_states}, not {self.shows}"
        return None


def parse_examples(given: Sequence[Mapping[str, Any]]) -> list[Example]:
    """Read examples. Raises InputError `bad_examples`.

    Keys: `type` (uplink, downlink-decode, downlink-encode), `description`, `input` (`bytes` as hex or list, `fPort`,
    `recvTime`; or `data`), `output` (its `bytes` as hex or list). Two more keys of an uplink are Baylight's own:
    `occupancy` (OCCUPIED, FREE, null) and `shows` (the state whose light a display reports).
    """
    if len(given) > MAX_EXAMPLES:
        raise _bad(f"at most {MAX_EXAMPLES} examples")
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
    if isinstance(output.get("bytes"), str):
        output["bytes"] = list(bytes.fromhex(output["bytes"]))
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
        len(given.get("bytes", ())),
        "occupancy" in item,
        _OCCUPANCY[item.get("occupancy")],
        State[item["shows"]] if "shows" in item else None,
    )


def _short(value: object) -> str:
    return shorten(json.dumps(value), 200)


def _bad(message: str) -> InputError:
    return InputError("bad_examples", f"examples: {message}")
