"""Display codes that JavaScript codecs encode: one for each state, from the object that the display type holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from baylight.codecs.ts013.calls import PREFIX, Answer, Call, Function, Script
from baylight.codecs.ts013.display_mapping import DisplayMapping, Mapped
from baylight.domain.downlink import MAX_PAYLOAD_BYTES
from baylight.domain.state import State
from baylight.errors import ConflictError, InputError
from baylight.ports import CodecEngine
from baylight.store.pool import Connection
from baylight.store.query import Query


@dataclass(frozen=True, slots=True)
class Codes:
    """Codes (hex) by state. `f_port`: the one that the codec names for all of them, or None."""

    by_state: dict[str, str]
    f_port: int | None


class DisplayType(NamedTuple):
    """Display type that uses a codec."""

    code: str
    default_config: dict[str, Any]


LIST_DISPLAY_TYPES = Query("js_codecs.display_codes.list_display_types", DisplayType)


async def make_codes(engine: CodecEngine, script: Script, states: Mapping[str, Any]) -> Codes:
    """Encode the code of each state. `states`: the `data` of encodeDownlink by state.

    Raises InputError `bad_states`, `encode_failed`.
    """
    if not states or not states.keys() <= State.__members__.keys():
        raise InputError("bad_states", f"states are an object: one or more of {', '.join(State)}, each with its data")
    calls = [Call(script, Function.ENCODE_DOWNLINK, json.dumps({"data": data})) for data in states.values()]
    codes, ports = {}, set()
    for state, outcome in zip(states, await engine.run(calls), strict=True):
        if not isinstance(outcome, Answer):
            raise InputError("encode_failed", f"{state}: {outcome.message}", state=state)
        if outcome.errors:
            raise InputError("encode_failed", f"{state}: {'; '.join(outcome.errors)}", state=state)
        if not outcome.bytes or len(outcome.bytes) > MAX_PAYLOAD_BYTES:
            raise InputError(
                "encode_failed", f"{state}: the codec does not return 1 to {MAX_PAYLOAD_BYTES} bytes", state=state
            )
        codes[state] = outcome.bytes.hex()
        ports.add(outcome.f_port)
    if len(ports) > 1:
        raise InputError("encode_failed", "the codec sends the states to different FPorts: a display has one")
    return Codes(codes, ports.pop())


def refuse_alike_reports(mapping: Mapped | None, *, allowed: bool) -> None:
    """Refuse a mapping in which a reported value stands for FREE and for another state, unless a person `allowed` it.

    Such a report proves nothing about the light. Raises InputError `lights_alike`.
    """
    if allowed or not isinstance(mapping, DisplayMapping):
        return
    free = mapping.states.get(State.FREE, frozenset())
    for state, values in mapping.states.items():
        if state is not State.FREE and (both := sorted(free & values)):
            raise InputError(
                "lights_alike",
                f"the mapping reads a report of {both[0]!r} as FREE and as {state}: such a report proves no light. "
                "Give the states different values; if you accept it, say so with --allow-alike (API: allow_alike)",
                state=state,
            )


async def check_displays(
    connection: Connection, engine: CodecEngine, name: str, script: Script, mapping: Mapped | None
) -> None:
    """Check that a version encodes the codes, and decodes the reports, of all display types that use the codec.

    Raises ConflictError `codes_change`.
    """
    for kind in await LIST_DISPLAY_TYPES.all(connection, codec=PREFIX + name):
        config = kind.default_config
        try:
            codes = (await make_codes(engine, script, config.get("display_states", {}))).by_state
        except InputError as error:
            raise ConflictError("codes_change", f"{kind.code}: {error.message}", device_type=kind.code) from error
        same_reports = isinstance(mapping, DisplayMapping) == config.get("reports", False)
        if codes != config.get("display_codes") or not same_reports:
            what = "encodes other codes" if same_reports else "decodes other reports"
            raise ConflictError(
                "codes_change",
                f"this version {what} than displays of the type {kind.code} have: add it under another name, with a "
                f"type of its own, or first `baylight type delete {kind.code}`, which needs that no display has it",
                device_type=kind.code,
            )
