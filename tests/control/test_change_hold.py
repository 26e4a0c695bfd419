"""Few frames where none is needed: changes that come and go, and changes while the airtime is short."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from baylight.control import conditions
from baylight.control.downlinks.relay import Relay
from baylight.control.events.ingest import Ingest
from baylight.domain.conditions import Condition, ConditionKind
from baylight.domain.display_loop.actuation import LoopPolicy
from baylight.domain.events import TxAck
from baylight.domain.ids import DevEui
from baylight.domain.policies import Policies
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.clock import Clock
from tests.support.factories import Bay
from tests.support.network_server import NetworkServer
from tests.support.uplinks import FREE, GREEN_REPORT, OCCUPIED, uplink

GATEWAY, OTHER = "0016c001ff10a235", "0016c001ff10a2aa"
POLICY = LoopPolicy()


class Park:
    """Bays whose lamps show green, proven by a report."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.clock, self.lns = pool, Clock(datetime.now(UTC)), NetworkServer()
        self.relay = Relay(pool, self.lns, self.clock, POLICY)
        self.ingest = Ingest(pool, self.clock, Policies(loop=POLICY))

    async def bay(self, code: str, *, floor: Any = None, gateway_id: str = GATEWAY) -> Bay:
        bay = await factories.add_bay(self.pool, code, floor=floor)
        await self.car(bay, FREE)
        await self.relay.send_due()
        item = self.lns.items[DevEui(bay.display_eui)][0].id
        await self.ingest.store_batch([TxAck(DevEui(bay.display_eui), item, 1, 1, gateway_id, self.clock.tick(1))])
        report = uplink(bay.display_eui, self.clock.tick(1), GREEN_REPORT, f_port=15, gateway_id=gateway_id)
        await self.ingest.store_batch([report])
        assert await self.status(bay) == "in_sync"
        self.lns.accepted.clear()
        self.clock.tick(60)
        return bay

    async def car(self, bay: Bay, frame: bytes) -> None:
        await self.ingest.store_batch([uplink(bay.sensor_eui, self.clock.tick(0.1), frame)])
        self.clock.tick(0.1)

    async def status(self, bay: Bay) -> str:
        return str(await self.pool.fetchval("SELECT sync_status FROM display_devices WHERE id = $1", bay.display_id))

    async def short(self, gateway_id: str) -> None:
        condition = Condition(ConditionKind.GATEWAY_AIRTIME, gateway_id, self.clock.now(), "g1: 80 %")
        async with self.pool.acquire() as connection:
            await conditions.begin(connection, [condition])

    async def sent_after(self, seconds: float) -> int:
        self.clock.tick(seconds)
        return await self.relay.send_due()


@pytest.fixture
def park(pool: Pool) -> Park:
    return Park(pool)


async def test_i28_a_change_that_comes_and_goes_before_it_is_sent_sends_nothing(park: Park) -> None:
    bay = await park.bay("A-01")
    await park.car(bay, OCCUPIED)
    assert await park.status(bay) != "in_sync", "red is desired, and not shown"
    await park.car(bay, FREE)
    assert await park.sent_after(0) == 0
    assert park.lns.accepted == []
    assert await park.status(bay) == "in_sync"
    left = await park.pool.fetch("SELECT status FROM actuations WHERE status NOT IN ('shown', 'superseded')")
    assert left == []


async def test_i28_a_light_that_is_not_proven_is_sent_also_if_the_state_is_back(park: Park) -> None:
    bay = await park.bay("A-01")
    await park.pool.execute("UPDATE display_devices SET unknown_until = $1", park.clock.now())
    await park.car(bay, OCCUPIED)
    await park.car(bay, FREE)
    assert await park.sent_after(0) == 1


async def test_i28_a_location_holds_changes_while_the_airtime_of_the_gateway_is_short(park: Park) -> None:
    site = await factories.add_location(park.pool, "Garage", kind="site", change_hold_s=5)
    floor = await factories.add_location(park.pool, "Floor 1", parent_id=site["id"])
    calm = await factories.add_location(park.pool, "Floor 2", parent_id=site["id"], change_hold_s=0)
    held = await park.bay("A-01", floor=floor["id"])
    at_once = await park.bay("A-02", floor=calm["id"])
    other_gateway = await park.bay("A-03", floor=floor["id"], gateway_id=OTHER)
    no_location = await park.bay("A-04")
    await park.short(GATEWAY)
    for bay in (held, at_once, other_gateway, no_location):
        await park.car(bay, OCCUPIED)
    assert await park.sent_after(0) == 3
    assert held.display_eui not in {d.dev_eui for d in park.lns.accepted}
    assert await park.sent_after(3) == 0
    assert await park.sent_after(2) == 1, "5 s after the change"


async def test_i28_a_held_change_that_goes_sends_nothing(park: Park) -> None:
    floor = await factories.add_location(park.pool, "Garage", kind="site", change_hold_s=5)
    bay = await park.bay("A-01", floor=floor["id"])
    await park.short(GATEWAY)
    await park.car(bay, OCCUPIED)
    assert await park.sent_after(2) == 0
    await park.car(bay, FREE)
    assert [await park.sent_after(1) for _ in range(8)] == [0] * 8
    assert await park.status(bay) == "in_sync"


async def test_i28_changes_that_follow_each_other_do_not_prolong_the_hold(park: Park) -> None:
    floor = await factories.add_location(park.pool, "Garage", kind="site", change_hold_s=5)
    bay = await park.bay("A-01", floor=floor["id"])
    await park.short(GATEWAY)
    await park.car(bay, OCCUPIED)
    await park.car(bay, FREE)
    park.clock.tick(4)
    await park.car(bay, OCCUPIED)
    assert await park.sent_after(1) == 1


async def test_i28_a_gateway_that_refuses_for_its_airtime_is_short_of_it(park: Park) -> None:
    floor = await factories.add_location(park.pool, "Garage", kind="site", change_hold_s=5)
    bay = await park.bay("A-01", floor=floor["id"])
    refused = "UPDATE gateways SET refusals = 1, refusal = 'DUTY_CYCLE_OVERFLOW', refused_at = $1"
    await park.pool.execute(refused, park.clock.now() - timedelta(seconds=1))
    await park.car(bay, OCCUPIED)
    assert await park.sent_after(2) == 0
    assert await park.sent_after(3) == 1
