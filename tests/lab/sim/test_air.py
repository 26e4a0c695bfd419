"""Gateways and the air of the simulated ChirpStack: modes, several gateways, losses, MAC-only downlinks."""

from __future__ import annotations

import pytest

from baylight.lab.sim.behaviour import REASONS, GatewayMode
from baylight.lab.sim.events import GATEWAY
from tests.support.chirpstack_site import LIGHT, SENSOR, Site, Sites

SECOND = "0016c001f153a14d"
LAMP = "2020200000000009"


@pytest.mark.parametrize("reason", REASONS)
async def test_i12_a_refusal_is_logged_at_each_try_with_its_reason_and_no_context(site: Site, reason: str) -> None:
    site.fake.set_gateway(GatewayMode.NACK, reason=reason)
    await site.enqueue()
    await site.see("log", count=2)
    assert {(log["code"], log["description"], log["context"] == {}) for log in site.seen("log")} == {
        ("DOWNLINK_GATEWAY", reason, True)
    }


async def test_i12_a_refused_mac_only_downlink_of_a_sensor_is_logged_too(sites: Sites) -> None:
    site = await sites(mac_downlinks=1.0)
    site.fake.set_gateway(GatewayMode.NACK, reason="IGNORED")
    await site.uplink(SENSOR)
    log = await site.see("log", SENSOR)
    assert (log["code"], log["description"], log["context"]) == ("DOWNLINK_GATEWAY", "IGNORED", {})
    assert log["deviceInfo"]["deviceClassEnabled"] == "CLASS_A"


async def test_the_ack_of_a_confirmed_uplink_uses_a_downlink_counter(site: Site) -> None:
    await site.uplink(confirmed=True)
    await site.fake.until(lambda: site.light.f_cnt_down == 1)
    await site.enqueue()
    assert (await site.see("txack"))["fCntDown"] == 1
    assert site.seen("log") == []


async def test_mac_only_downlinks_leave_gaps_and_push_an_item_out_of_its_window(sites: Sites) -> None:
    site = await sites(mac_downlinks=1.0)
    queued = await site.enqueue(dev_eui=SENSOR)
    await site.uplink(SENSOR)
    sensor = site.fake.devices[SENSOR]
    await site.fake.until(lambda: sensor.f_cnt_down == 1)
    assert [item.id for item in await site.queue(SENSOR)] == [queued]
    await site.enqueue()
    await site.see("txack")
    await site.uplink()
    await site.fake.until(lambda: site.light.f_cnt_down == 2)
    await site.enqueue()
    await site.see("txack", count=2)
    assert [txack["fCntDown"] for txack in site.seen("txack")] == [0, 2]


async def test_a_gateway_that_accepts_and_sends_nothing_gives_a_txack_that_proves_nothing(site: Site) -> None:
    site.gateway(GatewayMode.DEAF)
    await site.enqueue()
    await site.see("txack")
    await site.quiet()
    assert not site.light.received
    assert site.light.f_cnt_down == 1


async def test_i21_a_late_txack_comes_after_the_frame_was_sent_again_which_the_lamp_drops(sites: Sites) -> None:
    site = await sites(class_c_lock_s=2.0, scheduler_interval_s=0.5)
    site.fake.set_gateway(GatewayMode.LATE, late_s=25.0)
    queued = await site.enqueue()
    txack = await site.see("txack")
    frames = await site.receives(2)
    assert (txack["queueItemId"], txack["fCntDown"]) == (queued, 0)
    assert [frame.accepted for frame in frames][:2] == [True, False]
    await site.quiet()
    assert len(site.seen("txack")) == 1
    assert site.light.f_cnt_down == 1


async def test_a_txack_more_than_30_s_late_is_ignored(sites: Sites) -> None:
    site = await sites(class_c_lock_s=1000.0)
    site.fake.set_gateway(GatewayMode.LATE, late_s=35.0)
    await site.enqueue()
    await site.receives(1)
    done: list[bool] = []
    site.fake.after(40.0, lambda: done.append(True))
    await site.fake.until(lambda: bool(done))
    await site.quiet()
    assert site.seen("txack") == []
    assert len(await site.queue()) == 1


async def test_a_stalled_gateway_sends_what_it_held_once_it_goes_on(site: Site) -> None:
    site.gateway(GatewayMode.STALLED)
    await site.enqueue()
    await site.uplink()
    await site.tried()
    await site.fake.until(lambda: len(site.fake.gateways[GATEWAY].held) >= 2)
    await site.fake.settled()
    assert site.seen("txack") == site.seen("up") == []
    site.gateway(GatewayMode.OK)
    await site.see("txack")
    await site.see("up")
    await site.receives(1)


async def test_each_gateway_of_a_lamp_has_its_own_mode_and_the_best_one_is_used(site: Site) -> None:
    lamp = site.fake.add_device(LAMP, class_c=True, gateway_ids=(GATEWAY, SECOND))
    site.fake.set_gateway(GatewayMode.SILENT)
    await site.fake.uplink(LAMP, 15, b"\0")
    up = await site.see("up", LAMP)
    assert {reception["gatewayId"] for reception in up["rxInfo"]} == {GATEWAY, SECOND}
    assert max(up["rxInfo"], key=lambda r: r["rssi"])["gatewayId"] == GATEWAY
    await site.enqueue(dev_eui=LAMP)
    txack = await site.see("txack", LAMP)
    assert txack["gatewayId"] == SECOND, "another try goes by another gateway with a good margin"
    assert lamp.queue == []


async def test_a_lamp_is_served_by_the_gateways_of_its_last_uplink(site: Site) -> None:
    site.fake.add_device(LAMP, class_c=True, gateway_ids=(GATEWAY, SECOND))
    site.fake.gateways[GATEWAY].receives = False
    await site.fake.uplink(LAMP, 15, b"\0")
    assert [r["gatewayId"] for r in (await site.see("up", LAMP))["rxInfo"]] == [SECOND]
    await site.enqueue(dev_eui=LAMP)
    assert (await site.see("txack", LAMP))["gatewayId"] == SECOND


async def test_rx_info_is_in_any_order(site: Site) -> None:
    site.fake.add_device(LAMP, class_c=True, gateway_ids=(GATEWAY, SECOND))
    for _ in range(20):
        await site.fake.uplink(LAMP, 15, b"\0")
    await site.see("up", LAMP, count=20)
    assert {up["rxInfo"][0]["gatewayId"] for up in site.seen("up", LAMP)} == {GATEWAY, SECOND}


async def test_i20_downlinks_are_lost_in_the_air_although_there_is_a_txack(sites: Sites) -> None:
    site = await sites(downlink_loss=0.5, class_c_lock_s=0.1, scheduler_interval_s=0.1, speed=10.0)
    for _ in range(40):
        await site.enqueue()
    await site.see("txack", count=40)
    await site.quiet()
    assert 8 < len(site.light.received) < 32
    assert all(frame.accepted for frame in site.light.received)


async def test_i18_uplinks_are_lost_in_the_air_and_leave_gaps_of_the_counter(sites: Sites) -> None:
    site = await sites(uplink_loss=0.5)
    site.fake.devices["ffffffffffffffff"].paths[0].uplink_loss = 0.0
    for _ in range(60):
        await site.uplink()
    await site.quiet()
    counters = {up["fCnt"] for up in site.seen("up")}
    assert 15 < len(counters) < 45
    assert counters < set(range(1, 61))


async def test_the_losses_of_a_path_are_its_own(site: Site) -> None:
    path = site.light.paths[0]
    path.uplink_loss = path.downlink_loss = 1.0
    await site.uplink()
    await site.uplink(SENSOR)
    await site.enqueue()
    await site.see("txack")
    await site.see("up", SENSOR)
    await site.quiet()
    assert site.seen("up", LIGHT) == []
    assert not site.light.received
