"""Class C scheduler: whom it tries at each tick, and how displays that cannot be reached starve others."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from baylight.lab.sim.behaviour import Behaviour, GatewayMode
from baylight.lab.sim.downlinks import Downlinks
from baylight.lab.sim.events import Json, new_id
from baylight.lab.sim.gateways import Gateways
from baylight.lab.sim.network import Application, Device, Frame, History, Item, Path
from baylight.lab.sim.scheduler import Scheduler
from tests.support.chirpstack_site import LIGHT, Site, Sites

HEALTHY = "2020200000ffffff"
TICK_S = 1.01
"""Interval of the scheduler with the time that a tick takes."""


class Stuck:
    """Scheduler without events and timers, over devices of which a number cannot be reached."""

    def __init__(self, number: int, *, dead_gateway: bool, batch: int = 100, lock_s: float = 2.0) -> None:
        behaviour, chance = Behaviour(class_c_lock_s=lock_s, scheduler_batch=batch), random.Random(1)
        gateways = Gateways(self, behaviour, chance)
        self.downlinks = Downlinks(self, gateways, behaviour, chance)
        self.scheduler = Scheduler(self.downlinks, gateways, behaviour, chance)
        self.now = 0.0
        self.dead, self.alive = Path(gateways.get("dead")), Path(gateways.get("alive"))
        for n in range(number):
            self.add(f"20202000{n:08x}", self.dead, used=dead_gateway)
        for _ in range(20):
            self.tick()

    def add(self, dev_eui: str, path: Path, *, used: bool = True) -> Device:
        device = Device(dev_eui, "", "", True, Application("a", "a", "t", {}), {}, [path], None, class_c=True)
        if used:
            device.expected_f_cnt, device.received_by = 1, [path]
        self.downlinks.enqueue(device, Item(new_id(), 15, b"\1", False))
        return device

    def tick(self) -> None:
        self.now += TICK_S
        self.scheduler.tick(self.now)

    def ticks_until_tried(self, most: int = 30) -> int | None:
        """Return the number of ticks until a healthy device with the highest DevEUI is tried, None for never."""
        [item] = self.add(HEALTHY, self.alive).queue
        for n in range(1, most + 1):
            self.tick()
            if item.tries:
                return n
        return None

    def after(self, seconds: float, call: Callable[[], None]) -> None: ...

    def emit(self, device: Device, event: str, payload: Json) -> None: ...

    def tx_ack(self, device: Device, frame: Frame, status: str) -> None: ...

    def unanswered(self, device: Device, frame: Frame) -> None: ...

    def landed(self, device: Device, frame: Frame) -> None: ...


@pytest.mark.parametrize("dead_gateway", [False, True], ids=["no uplink yet", "dead gateway"])
@pytest.mark.parametrize(("number", "ticks"), [(0, {1}), (90, {1, 2}), (150, {1, 2}), (190, {1, 2}), (220, {None})])
def test_i1_displays_that_cannot_be_reached_starve_those_behind_them(
    number: int, ticks: set[int | None], dead_gateway: bool
) -> None:
    """Measured with a real one: after 1.1 s with none, 1.4 s with 150, 2.4 s with 190, never with 220."""
    assert Stuck(number, dead_gateway=dead_gateway).ticks_until_tried() in ticks


@pytest.mark.parametrize("dead_gateway", [False, True], ids=["no uplink yet", "dead gateway"])
def test_i1_a_larger_batch_cures_it(dead_gateway: bool) -> None:
    assert Stuck(305, dead_gateway=dead_gateway).ticks_until_tried() is None
    assert Stuck(305, dead_gateway=dead_gateway, batch=1000).ticks_until_tried() in (1, 2)


def test_i1_a_display_with_a_lower_dev_eui_is_not_starved() -> None:
    stuck = Stuck(300, dead_gateway=False)
    [item] = stuck.add("0000000000000001", stuck.alive).queue
    stuck.tick()
    assert item.tries == 1


def test_i1_with_the_default_lock_a_dead_gateway_starves_from_500_displays_on() -> None:
    """A tried device is locked for 5 s, one that waits for its first uplink for 2 s."""
    assert Stuck(480, dead_gateway=True, lock_s=5.0).ticks_until_tried() is not None
    assert Stuck(520, dead_gateway=True, lock_s=5.0).ticks_until_tried() is None
    assert Stuck(220, dead_gateway=False, lock_s=5.0).ticks_until_tried() is None


async def test_i1_items_of_a_display_that_was_never_received_are_never_tried_and_never_expire(site: Site) -> None:
    new = "2020200000000009"
    site.fake.add_device(new, class_c=True, history=History.ACTIVATED)
    past = datetime.now(UTC) - timedelta(seconds=1)
    queued = [await site.enqueue(dev_eui=new, expires_at=past) for _ in range(3)]
    for _ in range(3):  # runs of the scheduler
        await site.enqueue()
    await site.see("txack", count=3)
    assert [(item.id, item.f_cnt_down) for item in await site.queue(new)] == [(id, 0) for id in queued]
    assert site.seen("log", new) == []
    await site.fake.uplink(new, 15, b"\0")
    await site.see("log", new, count=3, code="EXPIRED")
    assert await site.queue(new) == []


async def test_i1_a_registered_device_that_never_joined_is_not_served_either(site: Site) -> None:
    new = "2020200000000009"
    device = site.fake.add_device(new, class_c=True, history=History.REGISTERED)
    await site.enqueue(dev_eui=new)
    await site.enqueue()
    await site.see("txack")
    await site.fake.uplink(new, 15, b"\0")
    await site.quiet()
    assert [event for event, eui, _ in site.events if eui == new] == []
    assert device.queue[0].tries == 0


async def test_i26_the_class_a_lock_starts_again_with_each_uplink(sites: Sites) -> None:
    site = await sites(class_c_lock_s=0.1)
    locks = []
    for n in range(3):
        await site.uplink()
        await site.see("up", count=n + 1)
        locks.append(site.light.run_after)
    assert locks == sorted(set(locks))
    await site.quiet()
    queued = await site.enqueue()
    txack = await site.see("txack", queueItemId=queued)
    assert txack["txInfo"]["timing"] == {"immediately": {}}
    assert time.monotonic() >= locks[-1]


async def test_a_silent_gateways_item_is_tried_once_per_lock(sites: Sites) -> None:
    site = await sites(class_c_lock_s=2.0, speed=20.0)
    site.gateway(GatewayMode.SILENT)
    await site.enqueue()
    await site.tries(3)
    [item] = site.light.queue
    assert item.tries == 3
    assert site.fake.devices[LIGHT].f_cnt_down == 0


async def test_i26_a_lock_below_the_time_until_the_tx_ack_sends_each_frame_twice(sites: Sites) -> None:
    site = await sites(class_c_lock_s=1.0, scheduler_interval_s=0.1, gateway_s=1.6, speed=4.0)
    for n in range(1, 4):
        await site.enqueue(bytes([n]))
        await site.see("txack", count=n)
    assert site.fake.frames >= 6
    assert len(site.seen("txack")) == 3
    assert [frame.f_cnt for frame in await site.receives(6)].count(0) >= 2
