"""Downlinks to The Things Stack in the form of its MQTT, and the choice between network servers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from baylight.domain.downlink import Downlink, QueueItem
from baylight.domain.events import TxAck
from baylight.domain.ids import DevEui
from baylight.errors import PermanentError, TransientError
from baylight.lns.router import Router
from baylight.lns.tts.downlinks import TtsDownlinks
from baylight.lns.tts.events import parse
from baylight.ports import NetworkServer

EUI = DevEui("58a0cb0000110001")
ITEM = "baylight:58a0cb0000110001:0193a1c2-7f1e-7c3a-8d11-5b5a0e9c4f10:1795508190123456"
DOWNLINK = Downlink(
    id=UUID("0193a1c2-7f1e-7c3a-8d11-5b5a0e9c4f10"),
    dev_eui=EUI,
    f_port=15,
    data=bytes.fromhex("ff00006400"),
    confirmed=False,
    expires_at=datetime(2026, 11, 24, 8, 16, 30, 123456, tzinfo=UTC),
    application_id="garage/light-017",
    network_server="tts",
)


def but(**changes: Any) -> Downlink:
    values = {name: getattr(DOWNLINK, name) for name in Downlink.__slots__}
    return Downlink(**values | changes)


class Broker:
    """Publisher that stores what is published."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Any]] = []

    async def publish(self, topic: str, payload: bytes) -> None:
        self.messages.append((topic, json.loads(payload)))


async def test_a_downlink_replaces_what_waits_there() -> None:
    broker = Broker()
    assert await TtsDownlinks(broker.publish, "garage@ttn").enqueue(DOWNLINK) == ITEM
    command = {
        "f_port": 15,
        "frm_payload": "/wAAZAA=",
        "confirmed": False,
        "priority": "NORMAL",
        "correlation_ids": [ITEM],
    }
    assert broker.messages == [("v3/garage@ttn/devices/light-017/down/replace", {"downlinks": [command]})]


async def test_messages_about_an_item_carry_its_id() -> None:
    broker = Broker()
    server = TtsDownlinks(broker.publish, "garage@ttn")
    item = await server.enqueue(DOWNLINK)
    sent = {
        "end_device_ids": {"device_id": "light-017"},
        "received_at": "2026-11-24T08:15:31Z",
        "downlink_sent": broker.messages[0][1]["downlinks"][0],
    }
    event = parse("v3/garage@ttn/devices/light-017/down/sent", json.dumps(sent).encode())
    assert isinstance(event, TxAck)
    assert (event.dev_eui, event.queue_item_id) == (EUI, item)
    assert len(item) <= 100  # the limit of The Things Stack
    later = but(expires_at=datetime(2026, 11, 24, 8, 17, tzinfo=UTC))
    assert await server.enqueue(later) != item  # each try has an id of its own


async def test_a_device_without_an_uplink_has_the_console_s_name() -> None:
    broker = Broker()
    await TtsDownlinks(broker.publish, "garage@ttn").enqueue(but(application_id=None))
    assert broker.messages[0][0] == "v3/garage@ttn/devices/eui-58a0cb0000110001/down/replace"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("workshop/light-017", "other_application"),
        *((f"garage/{bad}", "bad_application_id") for bad in ("+", "a/b", "#", "a\0", "a b", "\ud800", "x" * 101)),
    ],
)
async def test_b2_a_device_elsewhere_or_without_a_topic_is_not_sent_anything(address: str, code: str) -> None:
    broker = Broker()
    with pytest.raises(PermanentError) as caught:
        await TtsDownlinks(broker.publish, "garage@ttn").enqueue(but(application_id=address))
    assert caught.value.code == code
    assert broker.messages == []


async def test_it_cannot_report_its_queue() -> None:
    server = TtsDownlinks(Broker().publish, "garage")
    assert await server.queue(EUI) is None
    await server.ping()


def test_the_command_has_the_form_of_the_published_examples(
    shared_vectors: Callable[[str], list[dict[str, Any]]],
) -> None:
    sent = {
        key
        for vector in shared_vectors("tts_events.jsonl")
        if vector["event"] == "downlinks(command)"
        for downlink in vector["payload"]["downlinks"]
        for key in downlink
    }
    assert {"f_port", "frm_payload", "confirmed", "priority", "correlation_ids"} <= sent


class Server:
    """Network server that has `items` queued, or raises `error`."""

    def __init__(self, items: list[QueueItem] | None = None, error: Exception | None = None) -> None:
        self.items, self.error = items, error
        self.taken: list[Downlink] = []

    async def enqueue(self, downlink: Downlink) -> str:
        self.taken.append(downlink)
        return "item"

    async def queue(self, dev_eui: DevEui) -> list[QueueItem] | None:
        if self.error is not None:
            raise self.error
        return self.items

    async def ping(self) -> None:
        if self.error is not None:
            raise self.error


async def test_each_downlink_goes_to_the_server_that_reaches_its_device() -> None:
    chirpstack, tts = Server(), Server()
    router: NetworkServer = Router({"chirpstack": chirpstack, "tts": tts})
    await router.enqueue(DOWNLINK)
    await router.enqueue(but(network_server="chirpstack"))
    assert [d.network_server for d in tts.taken] == ["tts"]
    assert [d.network_server for d in chirpstack.taken] == ["chirpstack"]


async def test_a_server_that_is_not_set_up_is_named() -> None:
    with pytest.raises(PermanentError, match="BAYLIGHT_TTS_") as caught:
        await Router({"chirpstack": Server()}).enqueue(DOWNLINK)
    assert caught.value.code == "network_server_not_set"


ITEMS = [QueueItem("item", 15, b"\1", False, None)]


@pytest.mark.parametrize(
    ("servers", "found"),
    [
        ([Server(ITEMS), Server(None)], ITEMS),
        ([Server(None), Server(None)], None),
        ([Server([]), Server(None)], []),
        ([Server(error=PermanentError("device_not_known", "no such device")), Server(None)], None),
        ([Server(error=PermanentError("device_not_known", "no such device")), Server(ITEMS)], ITEMS),
    ],
)
async def test_a_queue_is_what_any_server_holds(servers: list[Server], found: list[QueueItem] | None) -> None:
    assert await Router(dict(zip(("chirpstack", "tts"), servers, strict=True))).queue(EUI) == found


@pytest.mark.parametrize(
    "error", [TransientError("chirpstack_away", "away"), PermanentError("bad_api_key", "no such key")]
)
async def test_a_server_that_cannot_report_its_queue_does_not_count_as_empty(error: Exception) -> None:
    router = Router({"chirpstack": Server(error=error), "tts": Server(None)})
    with pytest.raises(type(error)):
        await router.queue(EUI)
    with pytest.raises(type(error)):
        await router.ping()
