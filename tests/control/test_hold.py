"""Few commands wait in the network server behind a gateway that acknowledges nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from baylight.control import gateways
from baylight.control.downlinks.hold import MAX_WAITING, PROBE_INTERVAL
from baylight.control.downlinks.relay import Relay
from baylight.control.events.ingest import Ingest
from baylight.domain.display_loop.actuation import LoopPolicy
from baylight.domain.events import TxAck
from baylight.domain.ids import DevEui
from baylight.domain.policies import Policies
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.clock import Clock
from tests.support.network_server import AWAY, NetworkServer
from tests.support.uplinks import GREEN_REPORT, OCCUPIED, RED_REPORT, uplink

DEAD, ALIVE = "0016c001ff10a2dd", "0016c001ff10a2aa"
POLICY = LoopPolicy(min_ttl=timedelta(minutes=30), ttl=timedelta(minutes=30))


async def test_i1_at_most_20_commands_wait_behind_a_dead_gateway_and_others_are_free(pool: Pool) -> None:
    clock = Clock(datetime.now(UTC))
    lns = NetworkServer()
    relay, ingest = Relay(pool, lns, clock, POLICY), Ingest(pool, clock, Policies(loop=POLICY))
    bays = [await factories.add_bay(pool, f"A-{n:02d}") for n in range(41)]
    first, others, healthy = bays[0], bays[1:-1], bays[-1]
    for bay in bays:
        gateway = ALIVE if bay is healthy else DEAD
        at = clock.tick(0.01)
        await ingest.store_batch([uplink(bay.display_eui, at, GREEN_REPORT, f_port=15, gateway_id=gateway)])
    await ingest.store_batch([uplink(first.sensor_eui, clock.tick(1), OCCUPIED)])
    assert await relay.send_due() == 1
    clock.tick(15)
    async with pool.acquire() as connection, connection.transaction():
        await gateways.review(connection, clock.now())

    await ingest.store_batch([uplink(bay.sensor_eui, clock.now(), OCCUPIED) for bay in [*others, healthy]])
    clock.tick(0.1)
    await _send_all(relay)
    behind = sum(len(lns.items.get(DevEui(bay.display_eui), [])) for bay in [first, *others])
    assert behind == MAX_WAITING
    assert len(lns.items[DevEui(healthy.display_eui)]) == 1

    clock.tick(60)
    async with pool.acquire() as connection, connection.transaction():
        await gateways.review(connection, clock.now())
    sent = [await _send_all(relay) for _ in range(2)]
    clock.tick(PROBE_INTERVAL)
    assert [*sent, await _send_all(relay)] == [1, 0, 1], "one probe each interval"

    item = lns.items[DevEui(first.display_eui)][0].id
    await ingest.store_batch([TxAck(DevEui(first.display_eui), item, 1, 1, DEAD, clock.tick(2))])
    assert await _send_all(relay) == len(others) - MAX_WAITING + 1 - 2, "its first acknowledgement frees the rest"


async def test_i1_at_most_20_commands_go_at_once_to_a_gateway_that_has_acknowledged_none_lately(pool: Pool) -> None:
    clock = Clock(datetime.now(UTC))
    lns = NetworkServer()
    relay, ingest = Relay(pool, lns, clock, POLICY), Ingest(pool, clock, Policies(loop=POLICY))
    bays = [await factories.add_bay(pool, f"A-{n:02d}") for n in range(2 * MAX_WAITING + 5)]
    behind = [uplink(bay.display_eui, clock.now(), GREEN_REPORT, f_port=15, gateway_id=DEAD) for bay in bays]
    await ingest.store_batch(behind)
    await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(0.01), OCCUPIED) for bay in bays])
    clock.tick(0.1)
    assert await _send_all(relay) == MAX_WAITING
    clock.tick(1)
    assert await _send_all(relay) == 0, "those that were sent still wait"

    sent = next(bay for bay in bays if lns.items.get(DevEui(bay.display_eui)))
    item = lns.items[DevEui(sent.display_eui)][0].id
    await ingest.store_batch([TxAck(DevEui(sent.display_eui), item, 1, 1, DEAD, clock.tick(1))])
    assert await _send_all(relay) == len(bays) - MAX_WAITING, "it acknowledges: all others are sent"


async def test_a_report_that_proves_a_command_frees_a_gateway_whose_tx_acks_are_lost(pool: Pool) -> None:
    clock = Clock(datetime.now(UTC))
    lns = NetworkServer()
    relay, ingest = Relay(pool, lns, clock, POLICY), Ingest(pool, clock, Policies(loop=POLICY))
    bays = [await factories.add_bay(pool, f"A-{n:02d}") for n in range(2 * MAX_WAITING + 5)]
    behind = [uplink(bay.display_eui, clock.now(), GREEN_REPORT, f_port=15, gateway_id=DEAD) for bay in bays]
    await ingest.store_batch(behind)
    await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(0.01), OCCUPIED) for bay in bays])
    clock.tick(0.1)
    assert await _send_all(relay) == MAX_WAITING
    for wait_s in (11, 61):
        clock.tick(wait_s)
        async with pool.acquire() as connection, connection.transaction():
            await gateways.review(connection, clock.now())
    assert await _send_all(relay) == 1, "a probe"

    sent = next(bay for bay in bays if lns.items.get(DevEui(bay.display_eui)))
    report = uplink(sent.display_eui, clock.tick(1), RED_REPORT, f_port=15, f_cnt=2, gateway_id=ALIVE)
    await ingest.store_batch([report])
    assert await _send_all(relay) == len(bays) - MAX_WAITING - 1, "the lamp received it: its gateway sends"


async def test_i1_a_command_that_is_not_accepted_keeps_no_place_behind_the_gateway(pool: Pool) -> None:
    clock = Clock(datetime.now(UTC))
    lns = NetworkServer(fails=lambda _: AWAY)
    relay, ingest = Relay(pool, lns, clock, POLICY), Ingest(pool, clock, Policies(loop=POLICY))
    bays = [await factories.add_bay(pool, f"A-{n:02d}") for n in range(MAX_WAITING + 5)]
    behind = [uplink(bay.display_eui, clock.now(), GREEN_REPORT, f_port=15, gateway_id=DEAD) for bay in bays]
    await ingest.store_batch(behind)
    await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(0.01), OCCUPIED) for bay in bays])
    clock.tick(0.1)
    assert await relay.send_due() == MAX_WAITING
    lns.fails = lambda _: None
    assert await relay.send_due() == 5
    assert len(lns.accepted) == 5


async def _send_all(relay: Relay) -> int:
    total = 0
    while sent := await relay.send_due():
        total += sent
    return total
