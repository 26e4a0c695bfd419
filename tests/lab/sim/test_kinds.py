"""Message of each kind as recorded from a real ChirpStack, and as the simulated one publishes it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from baylight.lab.sim.behaviour import GatewayMode
from baylight.lab.sim.commands import parse_command
from baylight.lab.sim.events import Json
from baylight.lab.sim.network import CodecError, History
from tests.lab.sim import recorded
from tests.support.chirpstack_site import SENSOR, Payload, Site, Sites

NEW, FAR = "2020200000000009", "0016c001f153a14d"


def name_of(event: str, payload: Payload) -> str:
    """Return the name that kinds.jsonl gives to such a message."""
    match event:
        case "ack":
            return f"ack:{payload['acknowledged']}"
        case "join":
            return f"join:{payload['deviceInfo']['deviceClassEnabled']}"
        case "log":
            return f"log:{payload['code']}"
        case "txack":
            return "txack:classC" if "immediately" in payload["txInfo"]["timing"] else "txack:classA"
        case "up":
            receptions = payload["rxInfo"]
            if "gwTime" in receptions[0]:
                return "up:gwtime"
            return "up:multi" if len(receptions) > 1 else "up:object" if "object" in payload else "up:plain"
        case _:
            return event


def shape(value: object, key: str = "") -> object:
    """Return the fields and types of a message, without the values and without fields that are often absent."""
    if key in ("tags", "object"):
        return key
    if isinstance(value, dict):
        return {k: shape(v, k) for k, v in value.items() if k not in recorded.OPTIONAL}
    if isinstance(value, list):
        return [shape(entry) for entry in value]
    return type(value).__name__


def decode(f_port: int, data: bytes) -> Json:
    if data == b"bad":
        raise CodecError("decodeUplink returned errors: wrong port")
    return {"occupied": True}


async def one_of_each(site: Site) -> dict[str, Payload]:
    """Let each kind of message be published once; return them by name."""
    fake = site.fake
    near = site.light.gateway
    coded = "58a0cb00000000b2"
    fake.add_device(coded, codec=decode)
    fake.add_device("58a0cb00000000b6", gateway_ids=(near.id, FAR))
    fake.add_device(NEW, class_c=True, history=History.REGISTERED)
    await fake.uplink(SENSOR, 102, b"\1")
    await fake.uplink("58a0cb00000000b6", 102, b"\1")
    await fake.uplink(coded, 102, b"\1")
    await fake.uplink(coded, 102, b"bad")
    await fake.uplink(coded, 102, b"\1", again=True)
    await fake.status(SENSOR, battery=50.0)
    await site.quiet()
    fake.devices[coded].restart_counter()
    await fake.uplink(coded, 102, b"\1")
    await fake.join(NEW)
    await fake.join(NEW)
    for code in ("OTAA", "UPLINK_MIC"):
        fake.devices[NEW].join_refusal = code
        fake.request_join(NEW)
        await site.see("log", NEW, code=code)
    await site.enqueue(dev_eui=SENSOR)
    await fake.uplink(SENSOR, 102, b"\1")
    await site.enqueue(confirmed=True)
    await site.see("ack", acknowledged=True)
    await downlinks_that_fail(site)
    near.ahead_s = 1.0
    await fake.uplink(SENSOR, 102, b"\1")
    await site.quiet()
    return {name_of(event, payload): payload for event, _, payload in site.events}


async def downlinks_that_fail(site: Site) -> None:
    site.light.paths[0].downlink_loss = 1.0
    await site.enqueue(confirmed=True)
    await site.see("ack", acknowledged=False)
    site.light.f_cnt_down = 32
    await site.enqueue(is_encrypted=True, f_cnt_down=0)
    await site.enqueue(bytes(100))
    await site.enqueue(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await site.see("log", code="EXPIRED")
    site.gateway(GatewayMode.NACK)
    await site.enqueue()
    await site.see("log", code="DOWNLINK_GATEWAY")


async def test_each_kind_has_the_recorded_fields_types_and_texts(sites: Sites) -> None:
    kinds: list[dict[str, Any]] = recorded.rows("kinds.jsonl")
    site = await sites(class_a_lock_s=0.5)
    found = await one_of_each(site)
    assert {row["name"] for row in kinds} - {"down"} <= found.keys()
    for row in kinds:
        if row["name"] == "down":
            _, dev_eui, item = parse_command(row["topic"], json.dumps(row["payload"]).encode())
            assert (dev_eui, item.id, item.f_port) == ("2020200000000004", row["payload"]["id"], 15)
            continue
        ours, theirs = found[row["name"]], row["payload"]
        assert shape(ours) == shape(theirs), row["name"]
        assert ours.get("level") == theirs.get("level")
        assert ours.get("description") == theirs.get("description")
        assert ours.get("txInfo") == theirs.get("txInfo")
