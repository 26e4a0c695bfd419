"""Faults on demand, and each behaviour of ChirpStack switched off."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import grpc
import pytest

from baylight.lab.sim.behaviour import GatewayMode
from baylight.protocol import chirpstack_pb2 as pb
from tests.support.chirpstack_site import FOREIGN, LIGHT, SENSOR, Site, Sites


async def test_a_lost_answer_leaves_the_item_in_the_queue(site: Site) -> None:
    site.gateway(GatewayMode.SILENT)
    site.fake.faults.lose_answers = True
    tag = datetime.now(UTC) + timedelta(minutes=1)
    item = pb.DeviceQueueItem(dev_eui=LIGHT, data=b"\1", f_port=15, expires_at=tag)
    request = pb.EnqueueDeviceQueueItemRequest(queue_item=item)
    with pytest.raises(grpc.aio.AioRpcError) as lost:
        await site.call("Enqueue", request, pb.EnqueueDeviceQueueItemResponse, deadline_s=0.3)
    assert lost.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    site.fake.faults.lose_answers = False
    [found] = await site.queue()
    assert found.expires_at.ToDatetime(tzinfo=UTC) == tag


async def test_a_txack_can_come_before_the_answer_to_enqueue(site: Site) -> None:
    site.fake.faults.answer_after_txack = True
    asked = asyncio.create_task(site.enqueue())
    txack = await site.see("txack")
    assert await asked == txack["queueItemId"]


async def test_the_api_can_be_down_and_comes_back_at_the_same_address(site: Site) -> None:
    target = site.fake.grpc_target
    await site.fake.grpc_down()
    async with grpc.aio.insecure_channel(target) as channel:
        call = channel.unary_unary("/api.DeviceService/GetQueue")
        with pytest.raises(grpc.aio.AioRpcError) as down:
            await call(b"", timeout=5)
    assert down.value.code() is grpc.StatusCode.UNAVAILABLE
    await site.fake.grpc_up()
    assert site.fake.grpc_target == target
    assert await site.enqueue()


async def test_a_slow_api_answers_late(site: Site) -> None:
    site.fake.faults.slow_s = 0.3
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await site.call(
            "GetQueue", pb.GetDeviceQueueItemsRequest(dev_eui=LIGHT), pb.GetDeviceQueueItemsResponse, deadline_s=0.1
        )
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await site.queue() == []


async def test_a_fault_of_one_device_only(site: Site) -> None:
    other = "2020200000000002"
    site.fake.add_device(other, class_c=True)
    site.fake.set_gateway(GatewayMode.NACK, dev_eui=LIGHT)
    await site.enqueue()
    await site.enqueue(dev_eui=other)
    await site.see("log")
    await site.see("txack", other)
    assert site.seen("txack") == site.seen("log", other) == []


@pytest.mark.parametrize(("ahead_s", "used"), [(25.0, True), (-25.0, True), (131.0, False), (-3600.0, False)])
async def test_b19_a_gateways_time_within_30_s_becomes_the_events_time(site: Site, ahead_s: float, used: bool) -> None:
    site.light.gateway.ahead_s = ahead_s
    await site.uplink()
    up = await site.see("up")
    [reception] = up["rxInfo"]
    event_time, gateway_time, server_time = (
        datetime.fromisoformat(text) for text in (up["time"], reception["gwTime"], reception["nsTime"])
    )
    assert abs(gateway_time - server_time - timedelta(seconds=ahead_s)) < timedelta(seconds=1)
    assert event_time == gateway_time if used else timedelta() < event_time - server_time < timedelta(seconds=1)


async def test_at_the_speed_of_a_real_one_an_events_time_is_200_to_240_ms_after_its_reception(sites: Sites) -> None:
    site = await sites(speed=1.0)
    await site.uplink()
    up = await site.see("up")
    [reception] = up["rxInfo"]
    apart = datetime.fromisoformat(up["time"]) - datetime.fromisoformat(reception["nsTime"])
    assert timedelta(seconds=0.2) < apart < timedelta(seconds=0.5)
    assert "gwTime" not in reception


async def test_a_status_has_the_deduplication_id_of_the_uplink_of_its_frame(site: Site) -> None:
    for _ in range(20):
        await site.fake.status(LIGHT)
    await site.see("status", count=20)
    await site.see("up", count=20)
    ids = [[payload["deduplicationId"] for payload in site.seen(event)] for event in ("up", "status")]
    assert set(ids[0]) == set(ids[1])
    order = [event for event, eui, _ in site.events if eui == LIGHT]
    assert order != ["up", "status"] * 20


async def test_status_of_a_device_that_does_not_know_its_battery(site: Site) -> None:
    await site.fake.status(LIGHT, battery=None, external_power=True)
    status = await site.see("status")
    assert (status["batteryLevel"], status["batteryLevelUnavailable"], status["externalPowerSource"]) == (0, True, True)


async def test_without_1_events_keep_their_order(sites: Sites) -> None:
    site = await sites(unordered_events=False)
    for _ in range(50):
        await site.uplink(SENSOR)
    await site.see("up", SENSOR, count=50)
    assert [up["fCnt"] for up in site.seen("up", SENSOR)] == list(range(1, 51))


async def test_without_3_grpc_keeps_the_id(sites: Sites) -> None:
    site = await sites(server_made_grpc_ids=False)
    ours = str(uuid4())
    assert await site.enqueue(id=ours) == ours


async def test_without_4_a_pending_head_blocks_no_item(sites: Sites) -> None:
    site = await sites(one_downlink_at_a_time=False, airtime_s=1e6, class_c_timeout_s=1e6)
    pending, second = await site.enqueue(confirmed=True), await site.enqueue()
    await site.see("txack", queueItemId=second)
    assert [item.id for item in await site.queue()] == [pending]


async def test_without_5_a_txack_proves_nothing(sites: Sites) -> None:
    site = await sites(txack_after_gateway_ok=False)
    site.gateway(GatewayMode.SILENT)
    queued = await site.enqueue()
    assert (await site.see("txack"))["queueItemId"] == queued
    assert not site.light.received


async def test_without_6_a_silent_gateway_loses_the_downlink(sites: Sites) -> None:
    site = await sites(silent_gateway_resends=False)
    site.gateway(GatewayMode.SILENT)
    await site.enqueue()
    await site._until(lambda: not site.light.queue)
    assert site.fake.frames == 1


async def test_without_7_a_refusal_names_the_item(sites: Sites) -> None:
    site = await sites(gateway_nack_without_id=False)
    site.gateway(GatewayMode.NACK)
    queued = await site.enqueue()
    assert (await site.see("log"))["context"] == {"queue_item_id": queued}


async def test_without_8_items_vanish(sites: Sites) -> None:
    site = await sites(expiry_and_size_logs=False)
    await site.enqueue(bytes(52))
    await site.enqueue(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    last = await site.enqueue()
    await site.see("txack", queueItemId=last)
    await site.quiet()
    assert site.seen("log") == []


async def test_without_9_a_missing_ack_blocks_for_ever(sites: Sites) -> None:
    site = await sites(ack_timeout_nack=False, airtime_s=1e6)
    pending = await site.enqueue(confirmed=True)
    await site.see("txack")
    assert [item.id for item in site.light.queue] == [pending]
    assert site.light.queue[0].timeout_at == math.inf


async def test_without_10_and_11_a_join_changes_nothing(sites: Sites) -> None:
    site = await sites(flush_on_join=False, first_uplink_rule=False)
    site.gateway(GatewayMode.SILENT)
    queued = await site.enqueue()
    site.fake.request_join(LIGHT)
    site.gateway(GatewayMode.OK)
    assert (await site.see("txack"))["queueItemId"] == queued


async def test_without_12_a_flush_in_flight_does_no_harm(sites: Sites) -> None:
    site = await sites(fcnt_reuse_after_flush=False, gateway_s=10.0)
    await site.enqueue(b"\1")
    await site.tries(1)
    await site.flush()
    await site.receives(1)
    await site.enqueue(b"\2")
    assert (await site.see("txack"))["fCntDown"] == 1
    assert [frame.accepted for frame in await site.receives(2)] == [True, True]


async def test_without_13_a_foreign_device_is_not_found(sites: Sites) -> None:
    site = await sites(foreign_device_unauthenticated=False)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await site.enqueue(dev_eui=FOREIGN)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_without_14_a_txack_has_all_tags(sites: Sites) -> None:
    site = await sites(txack_without_application_tags=False)
    await site.enqueue()
    assert "site" in (await site.see("txack"))["deviceInfo"]["tags"]
