"""The way of a message from the consumer to ingest."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from baylight.app.program import Program
from baylight.domain.events import Ignored, Rejected
from baylight.errors import DeviceDataError
from baylight.lns.mqtt.lanes import Received
from baylight.settings import Settings


def parse(topic: str, payload: bytes) -> Ignored:
    if payload == b"unreadable":
        raise DeviceDataError("bad_json", "not JSON")
    if payload == b"unforeseen":
        raise ZeroDivisionError
    return Ignored(payload.decode())


async def test_what_nobody_foresaw_while_a_message_is_read_meets_its_handler() -> None:
    program: Any = Program(Settings(database_url=SecretStr("postgresql://nowhere/none"), mqtt_host=""))
    taken: list[object] = []

    async def take(messages: list[object]) -> None:
        taken.extend(messages)

    program.ingest, program.relay = SimpleNamespace(take=take), SimpleNamespace(wake=lambda: None)
    read, handle = program._way_of(parse)

    payloads = [b"fine", b"unreadable", b"unforeseen"]
    fine, unreadable, unforeseen = [Received("t", payload, read("t", payload)) for payload in payloads]
    await handle([fine, unreadable, Received("t", b"read late")])
    refused = Rejected("t", b"unreadable", "bad_json", "not JSON")
    assert taken == [Ignored("fine"), refused, Ignored("read late")]

    assert unforeseen.said is None
    with pytest.raises(ZeroDivisionError):
        await handle([unforeseen])
