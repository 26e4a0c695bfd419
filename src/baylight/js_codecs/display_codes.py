"""Codes that JavaScript codecs make: of each state of a display type, from the object that the type keeps for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from baylight.codecs.ts013 import PREFIX, Answer, Call, Function, Script
from baylight.codecs.ts013_display import DisplayMapping, Mapped
from baylight.domain.state import State
from baylight.errors import ConflictError, InputError
from baylight.inventory.display_codes import LONGEST_CODE
from baylight.ports import CodecEngine
from baylight.store.pool import Connection
from baylight.store.query import queries


@dataclass(frozen=True, slots=True)
class Codes:
    """State -> hex; `f_port`: the one that the codec names for all of them, if it does."""

    by_state: dict[str, str]
    f_port: int | None


async def make_codes(engine: CodecEngine, script: Script, states: Mapping[str, Any]) -> Codes:
    """`states`: state -> the `data` of encodeDownlink. Raises InputError `bad_states`, `encode_failed`."""
    if not states or not states.keys() <= State.__members__.keys():
        raise InputError("bad_states", f"states are an object: one or more of {', '.join(State)}, each with its data")
    calls = [Call(script, Function.ENCODE_DOWNLINK, json.dumps({"data": data})) for data in states.values()]
    codes, ports = {}, set()
    for state, outcome in zip(states, await engine.run(calls), strict=True):
        if not isinstance(outcome, Answer):
            raise InputError("encode_failed", f"{state}: {outcome.message}", state=state)
        if outcome.errors:
            raise InputError("encode_failed", f"{state}: {'; '.join(outcome.errors)}", state=state)
        if not outcome.bytes or len(outcome.bytes) > LONGEST_CODE:
            raise InputError(
                "encode_failed", f"{state}: the codec makes no 1 to {LONGEST_CODE} bytes of it", state=state
            )
        codes[state] = outcome.bytes.hex()
        ports.add(outcome.f_port)
    if len(ports) > 1:
        raise InputError("encode_failed", "the codec sends the states to different FPorts: a display has one")
    return Codes(codes, ports.pop())


async def check_displays(
    connection: Connection, engine: CodecEngine, name: str, script: Script, mapping: Mapped | None
) -> None:
    """Raises ConflictError `codes_change` if a display type that is used has other codes than this version would make,
    or reports what this version would not tell."""
    for kind in await connection.fetch(queries("js_codecs.versions")["display_types"], PREFIX + name):
        config = kind["default_config"]
        try:
            codes = (await make_codes(engine, script, config.get("display_states", {}))).by_state
        except InputError as error:
            raise ConflictError("codes_change", f"{kind['code']}: {error.message}", device_type=kind["code"]) from error
        told = isinstance(mapping, DisplayMapping)
        if codes != config.get("display_codes") or told != config.get("reports", False):
            what = "makes other codes" if told == config.get("reports", False) else "tells other reports"
            raise ConflictError(
                "codes_change",
                f"this version {what} than displays of the type {kind['code']} have: add it under another name, with a "
                "type of its own",
                device_type=kind["code"],
            )
