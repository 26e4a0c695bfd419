"""Calls of codecs in the sandbox."""

from __future__ import annotations

from datetime import UTC, datetime

from baylight.codecs.ts013.calls import Call, Script, decode_call

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
GOOD = Script("good", "function decodeUplink(input) { return { data: { sum: input.bytes[0] + input.fPort } }; }")


def call(source: str, *, id: str = "tried", data: bytes = b"\x01\x02", f_port: int = 10) -> Call:
    return decode_call(Script(id, source), f_port, data, AT)
