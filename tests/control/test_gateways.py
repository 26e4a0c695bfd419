"""Gateways: which of them acknowledge, refuse, or are silent, and how much airtime they use."""

from __future__ import annotations

from datetime import timedelta

import pytest

from baylight.control import displays, gateways
from baylight.control.ingest import Ingest
from baylight.control.relay import Relay
from baylight.domain.display_loop.actuation import LoopPolicy
from baylight.domain.downlink import TriggerType
from baylight.domain.events import Message, TxAck
from baylight.domain.policies import Policies
from baylight.domain.state import State
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.clock import RealClock
from tests.support.factories import Bay
from tests.support.network_server import NetworkServer
from tests.support.uplinks import GREEN_REPORT, uplink

GATEWAY = "0016c001ff10a235"
POLICY = LoopPolicy()


class Air:
    """A site of one gateway: bays whose displays it received, a relay that hands commands over, and ingest."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.clock = RealClock()
        self.lns = NetworkServer()
        self.relay = Relay(pool, self.lns, self.clock, POLICY)
        self.ingest = Ingest(pool, self.clock, Policies(loop=POLICY))
        self._f_cnt = 0

    async def bay(self, code: str, gateway_id: str = GATEWAY) -> Bay:
        """Add a bay whose display has sent an uplink through a gateway."""
        bay = await factories.add_bay(self.pool, code)
        await self.report(bay, gateway_id)
        return bay

    async def report(self, bay: Bay, gateway_id: str = GATEWAY) -> None:
        self._f_cnt += 1
        now = self.clock.now()
        await self.receive(
            uplink(bay.display_eui, now, GREEN_REPORT, f_port=15, f_cnt=self._f_cnt, gateway_id=gateway_id)
        )

    async def receive(self, *messages: Message) -> None:
        await self.ingest.store_batch(messages)

    async def send(self, bay: Bay, state: State = State.OCCUPIED) -> str:
        """Decide that a bay's display must show a state, and hand the command over; return its queue item."""
        async with self.pool.acquire() as connection, connection.transaction():
            display = (await displays.load(connection, [bay.display_id], POLICY))[bay.display_id]
            trigger, now = TriggerType.SENSOR_UPLINK, self.clock.now()
            display.desire(bay.space_id, state, previous=None, trigger=trigger, source=None, now=now)
            await displays.save(connection, [display])
        assert await self.relay.send_due() == 1
        return self.lns.items[bay.display_eui][-1].id

    async def tx_ack(self, bay: Bay, queue_id: str, gateway_id: str = GATEWAY, downlink_id: int = 7) -> None:
        await self.receive(TxAck(bay.display_eui, queue_id, downlink_id, 1, gateway_id, self.clock.now()))

    async def mark(self, after_s: float = 0) -> None:
        """Move the clock, and look at the gateways."""
        self.clock.tick(timedelta(seconds=after_s))
        async with self.pool.acquire() as connection:
            await gateways.mark(connection, self.clock.now())

    async def silent(self) -> list[str]:
        async with self.pool.acquire() as connection:
            return [silent.gateway_id for silent in await gateways.list_silent(connection)]


@pytest.fixture
def air(pool: Pool) -> Air:
    return Air(pool)


async def test_i1_a_gateway_that_acknowledges_nothing_for_60_s_while_a_command_waits_is_silent(air: Air) -> None:
    bay = await air.bay("A-01")
    await air.send(bay)
    await air.mark(after_s=30)
    assert await air.silent() == []
    await air.mark(after_s=31)
    assert await air.silent() == [GATEWAY]


async def test_i1_a_gateway_behind_which_no_command_waits_is_not_silent(air: Air) -> None:
    await air.bay("A-01")
    await air.mark()
    await air.mark(after_s=61)
    assert await air.silent() == []
