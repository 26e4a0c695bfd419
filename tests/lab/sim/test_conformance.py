"""Behaviours of ChirpStack v4 that Baylight expects, one test each. The simulated server must have them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import grpc
import pytest

from baylight.lab.sim.behaviour import GatewayMode
from tests.support.chirpstack_site import FOREIGN, LIGHT, MARKER, SENSOR, Site, Sites


def in_a_minute() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=1)


async def test_1_events_come_in_any_order(site: Site) -> None:
    for _ in range(50):
        await site.uplink(SENSOR)
    await site.see("up", SENSOR, count=50)
    counters = [up["fCnt"] for up in site.seen("up", SENSOR)]
    assert counters != sorted(counters)
    assert sorted(counters) == list(range(1, 51))


async def test_1_an_event_may_come_twice_with_the_same_deduplication_id(sites: Sites) -> None:
    site = await sites(duplicates=1.0)
    await site.uplink(SENSOR)
    first, second = await site.see("up", SENSOR), await site.see("up", SENSOR, count=2)
    assert first == second


async def test_1_an_event_may_be_lost(sites: Sites) -> None:
    site = await sites(loss=0.5)
    for _ in range(100):
        await site.uplink(SENSOR)
    await site.fake.settled()
    await site.see("up", SENSOR, count=site.fake.published["up"])
    assert 20 < len(site.seen("up", SENSOR)) < 80


async def test_2_json_has_every_scalar_no_empty_message_and_times_with_nine_digits(site: Site) -> None:
    site.light.gateway.ahead_s = 0.0
    await site.uplink()
    up = await site.see("up")
    assert not {"object", "relayRxInfo", "joinServerContext"} & up.keys()
    assert up["confirmed"] is False
    for text in (up["time"], up["rxInfo"][0]["gwTime"], up["rxInfo"][0]["nsTime"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00", text)
        assert abs(datetime.fromisoformat(text) - datetime.now(UTC)) < timedelta(seconds=10)
    assert up["deviceInfo"]["devEui"] == LIGHT
    UUID(up["deduplicationId"])


async def test_2_without_emit_fields_defaults_are_left_out(sites: Sites) -> None:
    site = await sites(emit_fields=False)
    await site.uplink(SENSOR)
    up = await site.see("up", SENSOR)
    assert not {"object", "confirmed", "relayRxInfo"} & up.keys()


async def test_3_grpc_makes_the_id(site: Site) -> None:
    ours = str(uuid4())
    theirs = await site.enqueue(id=ours)
    assert theirs != ours
    assert (await site.see("txack"))["queueItemId"] == theirs


async def test_3_mqtt_keeps_the_id_and_drops_a_duplicate_silently(site: Site) -> None:
    site.gateway(GatewayMode.SILENT)
    ours = str(uuid4())
    site.command(b"\1", id=ours)
    await site.tried()
    site.command(b"\2", id=ours)
    site.command(b"\3", id=str(uuid4()))
    await site._until(lambda: len(site.light.queue) == 2)
    assert [(item.data, item.id == ours) for item in await site.queue()] == [(b"\1", True), (b"\3", False)]
    site.gateway(GatewayMode.OK)
    await site.see("txack", queueItemId=ours)
    await site.see("txack", count=2)
    await site.quiet()
    assert [event for event, eui, _ in site.events if eui != MARKER] == ["txack", "txack"]


async def test_3_an_id_is_accepted_again_once_it_was_sent(site: Site) -> None:
    ours = str(uuid4())
    site.command(b"\1", id=ours)
    await site.see("txack", queueItemId=ours)
    site.command(b"\1", id=ours)
    await site.see("txack", queueItemId=ours, count=2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"devEui": LIGHT.upper().replace("2", "A")},
        {"devEui": SENSOR},
        {"fPort": 0},
        {"fPort": 256},
        {"data": None},
        {"id": "not a uuid"},
    ],
)
async def test_3_a_wrong_mqtt_command_gives_no_event(site: Site, wrong: dict[str, object]) -> None:
    site.command(b"\1", **wrong)
    site.command(b"\2")
    await site.see("txack")
    assert [frame.data for frame in await site.receives(1)] == [b"\2"]


async def test_4_downlinks_go_in_order_one_per_lock(site: Site) -> None:
    began = time.monotonic()
    ids = [await site.enqueue(bytes([n])) for n in range(1, 4)]
    await site.see("txack", count=3)
    took = time.monotonic() - began
    assert [frame.data for frame in await site.receives(3)] == [b"\1", b"\2", b"\3"]
    assert {txack["queueItemId"] for txack in site.seen("txack")} == set(ids)
    assert took >= 2 * site.fake.behaviour.class_c_lock_s / site.fake.behaviour.speed


async def test_4_a_pending_head_blocks_those_behind_it(sites: Sites) -> None:
    site = await sites(class_c_timeout_s=1000.0, airtime_s=25.0)
    first = await site.enqueue(b"\1", confirmed=True)
    second = await site.enqueue(b"\2")
    await site.see("txack", queueItemId=first)
    assert [(item.id, item.is_pending) for item in await site.queue()] == [(first, True), (second, False)]
    ack = await site.see("ack", queueItemId=first)  # the device's answer, half a second of air time later
    assert ack["acknowledged"] is True
    assert [frame.data for frame in site.light.received] == [b"\1"]
    await site.see("txack", queueItemId=second)


async def test_5_txack_only_after_the_gateway_accepted_it(site: Site) -> None:
    site.gateway(GatewayMode.NACK)
    queued = await site.enqueue()
    await site.see("log", code="DOWNLINK_GATEWAY")
    await site.quiet()
    assert site.seen("txack") == []
    assert not site.light.received
    site.gateway(GatewayMode.OK)
    txack = await site.see("txack")
    assert (txack["queueItemId"], txack["fCntDown"]) == (queued, 0)
    assert txack["txInfo"]["timing"] == {"immediately": {}}
    assert await site.queue() == []


async def test_6_a_silent_gateway_is_tried_for_ever_without_an_event(site: Site) -> None:
    site.gateway(GatewayMode.SILENT)
    queued = await site.enqueue()
    await site.tries(4)
    await site.quiet()
    assert [event for event, eui, _ in site.events if eui == LIGHT] == []
    [item] = await site.queue()
    assert (item.id, item.f_cnt_down) == (queued, 0)
    site.gateway(GatewayMode.OK)
    assert (await site.see("txack"))["fCntDown"] == 0


async def test_7_a_gateways_refusal_is_logged_without_the_items_id_and_tried_again(site: Site) -> None:
    site.gateway(GatewayMode.NACK)
    queued = await site.enqueue()
    log = await site.see("log", count=2)
    assert (log["level"], log["code"], log["description"], log["context"]) == (
        "ERROR",
        "DOWNLINK_GATEWAY",
        "TOO_LATE",
        {},
    )
    assert [item.id for item in await site.queue()] == [queued]


async def test_8_an_expired_item_is_logged_with_its_id_and_gone(site: Site) -> None:
    site.gateway(GatewayMode.SILENT)
    queued = await site.enqueue(expires_at=datetime.now(UTC) + timedelta(seconds=0.3))
    log = await site.see("log", code="EXPIRED")
    assert (log["level"], log["context"]) == ("ERROR", {"queue_item_id": queued})
    assert await site.queue() == []


async def test_8_a_too_long_item_is_logged_with_its_id_and_gone(site: Site) -> None:
    queued = await site.enqueue(bytes(52))
    log = await site.see("log", code="DOWNLINK_PAYLOAD_SIZE")
    assert log["context"] == {"max_payload_size": "51", "item_size": "52", "queue_item_id": queued}
    assert await site.queue() == []
    await site.quiet()
    assert site.seen("txack") == []


async def test_9_without_an_ack_of_the_device_the_item_is_given_up(sites: Sites) -> None:
    site = await sites(airtime_s=1e6)
    queued = await site.enqueue(confirmed=True)
    ack = await site.see("ack")
    assert (ack["queueItemId"], ack["acknowledged"], ack["deduplicationId"]) == (queued, False, "")
    assert ack["fCntDown"] == (await site.see("txack"))["fCntDown"]
    await site.quiet()
    assert len(site.seen("txack")) == 1  # never transmitted a second time
    assert await site.queue() == []


async def test_9_the_devices_ack_carries_the_deduplication_id_of_its_uplink(site: Site) -> None:
    queued = await site.enqueue(confirmed=True)
    ack = await site.see("ack")
    assert (ack["queueItemId"], ack["acknowledged"]) == (queued, True)
    up = await site.see("up")
    assert (up["fPort"], up["data"]) == (0, "")
    assert up["deduplicationId"] == ack["deduplicationId"]


async def test_10_a_join_empties_the_queue_silently(site: Site) -> None:
    site.gateway(GatewayMode.SILENT)
    await site.enqueue()
    before = site.light.dev_addr
    site.fake.request_join(LIGHT)
    join = await site.see("join")
    assert join["devAddr"] == site.light.dev_addr != before
    assert await site.queue() == []
    await site.quiet()
    assert [event for event, eui, _ in site.events if eui == LIGHT] == ["join"]


async def test_11_after_a_join_nothing_is_sent_before_the_first_uplink(site: Site) -> None:
    await site.fake.join(LIGHT)
    late = await site.enqueue(b"\1", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    queued = await site.enqueue(b"\2", expires_at=in_a_minute())
    other = "2020200000000002"
    site.fake.add_device(other, class_c=True)
    await site.enqueue(dev_eui=other)
    await site.see("txack", other)  # the scheduler has run
    await site.enqueue(dev_eui=other)
    await site.see("txack", other, count=2)
    assert not site.light.received
    assert [item.id for item in await site.queue()] == [late, queued]
    assert site.seen("log") == site.seen("txack") == []
    await site.uplink()
    assert (await site.see("log"))["context"] == {"queue_item_id": late}
    assert (await site.see("txack"))["queueItemId"] == queued


@pytest.mark.parametrize("by_enqueue", [False, True])
async def test_12_a_flush_in_flight_makes_the_next_downlink_a_replay(sites: Sites, by_enqueue: bool) -> None:
    site = await sites(gateway_s=20.0, class_c_lock_s=25.0)  # 0.4 s and 0.5 s
    lost = await site.enqueue(b"\1")
    await site.tried()
    if not by_enqueue:
        await site.flush()
    kept = await site.enqueue(b"\2", flush=by_enqueue)
    txack = await site.see("txack")
    assert (txack["queueItemId"], txack["fCntDown"]) == (kept, 0)
    assert [(h.data, h.f_cnt, h.accepted) for h in await site.receives(2)][:2] == [(b"\1", 0, True), (b"\2", 0, False)]
    await site.quiet()
    assert [t for t in site.seen("txack") if t["queueItemId"] == lost] == []


async def test_12_flushing_by_enqueue_spares_a_pending_item(sites: Sites) -> None:
    site = await sites(airtime_s=1e6, class_c_timeout_s=1e6)
    pending = await site.enqueue(confirmed=True)
    await site.see("txack")
    waiting = await site.enqueue(b"\2")
    newest = await site.enqueue(b"\3", flush=True)
    assert [item.id for item in await site.queue()] == [pending, newest]
    assert waiting not in (pending, newest)
    await site.flush()
    assert await site.queue() == []


async def test_13_a_foreign_device_is_unauthenticated_to_a_tenants_key(site: Site) -> None:
    for dev_eui in (FOREIGN, "00000000000000aa"):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await site.enqueue(dev_eui=dev_eui)
        assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.UNAUTHENTICATED, "")
    assert await site.enqueue(dev_eui=FOREIGN, key=site.fake.admin_key)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"f_port": 0}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"f_port": 256}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"dev_eui": "abc"}, grpc.StatusCode.INTERNAL),
        ({"key": "wrong"}, grpc.StatusCode.UNAUTHENTICATED),
    ],
)
async def test_13_status_codes(site: Site, fields: dict[str, object], code: grpc.StatusCode) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await site.enqueue(**fields)
    assert refused.value.code() is code


async def test_14_a_txack_lacks_the_applications_tags(site: Site) -> None:
    await site.enqueue()
    await site.uplink()
    tags = (await site.see("up"))["deviceInfo"]["tags"]
    txack = await site.see("txack")
    assert tags.items() > txack["deviceInfo"]["tags"].items() == {"bay": "1-01"}.items()


async def test_class_a_device_gets_its_downlink_after_its_uplink(site: Site) -> None:
    queued = await site.enqueue(dev_eui=SENSOR)
    await site.uplink(SENSOR)
    txack = await site.see("txack", SENSOR)
    assert txack["queueItemId"] == queued
    assert txack["txInfo"]["timing"] == {"delay": {"delay": "1s"}}


async def test_a_gateway_whose_answers_are_lost_sends_the_same_frame_again_and_again(site: Site) -> None:
    site.gateway(GatewayMode.MUTE)
    await site.enqueue()
    frames = await site.receives(3)
    assert {h.f_cnt for h in frames} == {0}
    assert [h.accepted for h in frames][:3] == [True, False, False]
    await site.quiet()
    assert site.seen("txack") == []


async def test_events_have_the_fields_of_captured_ones(site: Site, shared_vectors) -> None:
    captured = [row for row in shared_vectors("chirpstack_events.jsonl") if row["kind"].startswith("captured")]
    await site.uplink()
    await site.fake.status(LIGHT)
    await site.fake.join(LIGHT)
    await site.uplink()
    await site.enqueue(confirmed=True)
    await site.enqueue(bytes(300))
    for event in ("up", "status", "join", "ack", "txack", "log"):
        ours = await site.see(event)
        theirs = [row["payload"] for row in captured if row["event"] == event]
        assert theirs, f"no captured {event}"
        assert set().union(*theirs) - {"object"} <= ours.keys(), event
        assert ours.keys() - set().union(*theirs) <= {"regionConfigId"}, event
        assert ours["deviceInfo"].keys() == theirs[-1]["deviceInfo"].keys(), event
        if "txInfo" in ours:
            assert ours["txInfo"].keys() == theirs[-1]["txInfo"].keys(), event
            lora, captured_lora = (info["txInfo"]["modulation"]["lora"] for info in (ours, theirs[-1]))
            assert lora.keys() == captured_lora.keys(), event
        for reception in ours.get("rxInfo", []):
            known = set().union(*(r for up in theirs for r in up["rxInfo"]))
            assert reception.keys() <= known
            assert {"gatewayId", "uplinkId", "rssi", "snr", "crcStatus"} <= reception.keys()


async def test_an_uplink_is_published_with_the_id_and_counter_that_uplink_returns(site: Site) -> None:
    sent = await site.fake.uplink(SENSOR, 102, b"\1\2")
    up = await site.see("up", SENSOR)
    assert (up["deduplicationId"], up["fCnt"], up["data"]) == (sent.deduplication_id, sent.f_cnt, "AQI=")


async def test_events_survive_a_restart_of_the_broker(sites: Sites, broker) -> None:
    site = await sites()
    await site.uplink(SENSOR)
    await site.see("up", SENSOR)
    broker.kill()
    await site.uplink(SENSOR)
    broker.start()
    async with asyncio.timeout(15):
        await site.fake.settled()
        while not site.fake.accepted:  # until both have subscribed again
            if site.connected:
                site.command()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(site.fake.until(lambda: bool(site.fake.accepted)), 0.2)
