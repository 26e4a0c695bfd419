"""The way of an actuation to the network server: claimed, handed over, recorded, and found again after a loss."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from baylight.control import displays
from baylight.control.downlinks.recovery import CLAIM_LIMIT
from baylight.control.downlinks.relay import Relay
from baylight.control.events.ingest import Ingest
from baylight.domain.display_loop import decisions
from baylight.domain.display_loop.actuation import LoopPolicy
from baylight.domain.downlink import Downlink, QueueItem, TriggerType
from baylight.domain.events import Join, TxAck
from baylight.domain.ids import DevEui
from baylight.domain.policies import Policies
from baylight.domain.state import State
from baylight.errors import PermanentError
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.clock import RealClock
from tests.support.eventually import until
from tests.support.factories import Bay
from tests.support.network_server import AWAY, NetworkServer
from tests.support.uplinks import FREE, OCCUPIED, uplink

POLICY = LoopPolicy()
UNKNOWN_DEVICE = PermanentError("device_not_known", "no such device")


@pytest.fixture
def clock() -> RealClock:
    return RealClock()


@pytest.fixture
def lns() -> NetworkServer:
    return NetworkServer()


@pytest.fixture
def relay(pool: Pool, lns: NetworkServer, clock: RealClock) -> Relay:
    return Relay(pool, lns, clock, POLICY)


async def want(pool: Pool, bay: Bay, state: State, clock: RealClock) -> None:
    async with pool.acquire() as connection, connection.transaction():
        display = (await displays.load(connection, [bay.display_id], POLICY))[bay.display_id]
        trigger = TriggerType.SENSOR_UPLINK
        decisions.desire(display, bay.space_id, state, previous=None, trigger=trigger, source=None, now=clock.now())
        await displays.save(connection, [display])


async def statuses(pool: Pool) -> list[str]:
    return [row["status"] for row in await pool.fetch("SELECT status FROM actuations ORDER BY id")]


async def hear(pool: Pool, bay: Bay, data: bytes, clock: RealClock) -> None:
    await Ingest(pool, clock, Policies(loop=POLICY)).store_batch([uplink(bay.sensor_eui, clock.now(), data)])


async def tell_tx_ack(pool: Pool, clock: RealClock, dev_eui: DevEui, queue_id: str) -> None:
    ingest = Ingest(pool, clock, Policies(loop=POLICY))
    await ingest.store_batch([TxAck(dev_eui, queue_id, 7, 1, "0016c001ff10a235", clock.now())])


async def test_a_light_goes_out_with_its_port_its_expiry_and_the_wish_for_a_report(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await want(pool, bay, State.OCCUPIED, clock)
    before = clock.now()
    assert await relay.send_due() == 1
    (sent,) = lns.accepted
    assert (sent.dev_eui, sent.f_port, sent.data.hex(), sent.confirmed) == (bay.display_eui, 15, "ff0000640001", False)
    assert POLICY.min_ttl <= sent.expires_at - before < POLICY.min_ttl + timedelta(seconds=5)
    row = await pool.fetchrow("SELECT * FROM actuations")
    assert row is not None
    assert (row["status"], row["downlink_queue_id"], row["downlink_sent"], row["expires_at"]) == (
        "queued", lns.items[bay.display_eui][0].id, True, sent.expires_at,
    )  # fmt: skip
    assert await relay.send_due() == 0


async def test_b10_one_is_outstanding_and_the_newest_follows(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    for state in (State.FREE, State.OCCUPIED, State.FREE, State.RESERVED):
        await want(pool, bay, state, clock)
        await relay.send_due()
    assert await statuses(pool) == ["queued", "superseded", "superseded", "pending"]
    await tell_tx_ack(pool, clock, bay.display_eui, lns.items[bay.display_eui][0].id)
    await relay.send_due()
    assert [d.data.hex()[:6] for d in lns.accepted] == ["0000ff", "ff00ff"]


async def test_b10_cars_that_come_and_go_before_the_relay_looks_cost_one_downlink(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    bay, other = await factories.add_bay(pool, "A-01"), await factories.add_bay(pool, "A-02")
    for data in (FREE, OCCUPIED, FREE, OCCUPIED):
        await hear(pool, bay, data, clock)
    await hear(pool, other, FREE, clock)
    assert await statuses(pool) == ["pending"] * 5
    assert await relay.send_due() == 2
    assert sorted(d.data.hex()[:6] for d in lns.accepted) == ["0000ff", "ff0000"]
    assert await statuses(pool) == ["superseded"] * 3 + ["queued"] * 2
    by = "SELECT a.superseded_by = b.id FROM actuations AS a, actuations AS b WHERE b.status = 'queued'"
    of_it = by + " AND b.space_id = a.space_id AND a.status = 'superseded'"
    assert [row[0] for row in await pool.fetch(of_it)] == [True] * 3


async def test_b10_the_last_decision_is_sent_though_its_process_has_a_clock_that_is_behind(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await hear(pool, bay, FREE, clock)
    behind = RealClock()
    behind.tick(timedelta(seconds=-3))
    async with pool.acquire() as connection, connection.transaction():
        display = (await displays.load(connection, [bay.display_id], POLICY, dev_euis=()))[bay.display_id]
        trigger = TriggerType.MANUAL_OVERRIDE
        decisions.desire(
            display, bay.space_id, State.OCCUPIED, previous=None, trigger=trigger, source=None, now=behind.now()
        )
        await displays.save(connection, [display])
    assert await statuses(pool) == ["pending"] * 2
    assert await relay.send_due() == 1
    assert [d.data.hex()[:6] for d in lns.accepted] == ["ff0000"]
    assert await statuses(pool) == ["superseded", "queued"], "its id follows those of the decisions before it"


async def test_a_display_that_is_heard_with_a_car_knows_what_waits_for_it(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    """Its rejoin alone would send what is desired once more; what waits already is that."""
    bay = await factories.add_bay(pool, "A-01")
    await hear(pool, bay, OCCUPIED, clock)
    ingest = Ingest(pool, clock, Policies(loop=POLICY))
    await ingest.store_batch([Join(bay.display_eui, str(uuid4()), clock.now(), "01000002")])
    await ingest.store_batch([uplink(bay.display_eui, clock.now(), b"", f_port=15)])
    assert await statuses(pool) == ["pending"]
    assert await relay.send_due() == 1


async def test_two_relays_at_once_send_each_light_once(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    for number in range(20):
        await want(pool, await factories.add_bay(pool, f"A-{number:02d}"), State.FREE, clock)
    other = Relay(pool, lns, clock, POLICY)
    await asyncio.gather(*(r.send_due() for r in (relay, other) * 3))
    assert sorted(d.dev_eui for d in lns.accepted) == sorted({d.dev_eui for d in lns.accepted})
    assert await statuses(pool) == ["queued"] * 20


async def test_a_server_that_is_away_is_tried_again_and_later_each_time(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    await want(pool, await factories.add_bay(pool, "A-01"), State.FREE, clock)
    lns.fails = lambda _: AWAY
    for tries in (1, 2, 3):
        assert await relay.send_due() == 1
        assert await relay.send_due() == 0
        assert await pool.fetchval("SELECT retry_count FROM actuations") == tries
        clock.tick(timedelta(minutes=1))
    assert relay.outage.reason == AWAY.message
    lns.fails = lambda _: None
    await relay.send_due()
    assert (await statuses(pool), relay.outage.reason) == (["queued"], None)


async def test_a_key_that_is_refused_is_a_trouble_of_the_network_server(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    """No light at all can be told then: who asks whether Baylight can work must hear of it."""
    bay = await factories.add_bay(pool, "A-01")
    await want(pool, bay, State.FREE, clock)
    lns.fails = lambda _: PermanentError("bad_api_key", "the key is refused")
    await relay.send_due()
    assert (await statuses(pool), relay.outage.reason) == (["failed"], "the key is refused")
    assert relay.counts["permanent"] == 1
    lns.fails = lambda _: None
    await want(pool, bay, State.OCCUPIED, clock)
    await relay.send_due()
    assert relay.outage.reason is None


async def test_a_refusal_for_good_fails_with_its_reason_and_holds_up_no_other_light(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    bad, good = await factories.add_bay(pool, "A-01"), await factories.add_bay(pool, "A-02")
    for bay in (bad, good):
        await want(pool, bay, State.FREE, clock)
    lns.fails = lambda downlink: UNKNOWN_DEVICE if downlink.dev_eui == bad.display_eui else None
    await relay.send_due()
    rows = await pool.fetch("SELECT display_deveui, status, downlink_error FROM actuations")
    assert {tuple(r) for r in rows} == {
        (bad.display_eui, "failed", UNKNOWN_DEVICE.message), (good.display_eui, "queued", None)
    }  # fmt: skip


async def test_an_error_that_nobody_foresaw_holds_up_no_other_light(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    odd, good = await factories.add_bay(pool, "A-01"), await factories.add_bay(pool, "A-02")
    for bay in (odd, good):
        await want(pool, bay, State.FREE, clock)

    def fails(downlink: Downlink) -> None:
        if downlink.dev_eui == odd.display_eui:
            raise RuntimeError("a bug")

    lns.fails = fails
    await relay.send_due()
    rows = await pool.fetch("SELECT display_deveui, status, downlink_error FROM actuations")
    assert {tuple(r) for r in rows} == {
        (odd.display_eui, "pending", "the network server's client failed: RuntimeError('a bug')"),
        (good.display_eui, "queued", None),
    }


async def test_b18_a_stored_code_that_is_no_light_is_never_sent(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    codes = factories.BUSYLIGHT_CODES | {"FREE": "aa01"}
    await pool.execute("UPDATE display_devices SET display_codes = $1", codes)
    await want(pool, bay, State.FREE, clock)
    await relay.send_due()
    assert (lns.accepted, await statuses(pool)) == ([], ["failed"])


async def test_an_answer_that_was_lost_is_found_in_the_queue_and_nothing_is_sent_twice(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await want(pool, bay, State.FREE, clock)
    lns.fails, lns.keeps = lambda _: AWAY, True
    await relay.send_due()
    assert await statuses(pool) == ["queued"]
    assert await pool.fetchval("SELECT downlink_queue_id FROM actuations") == lns.items[bay.display_eui][0].id


async def test_an_answer_that_was_lost_after_the_transmission_is_known_by_its_tx_ack(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await want(pool, bay, State.FREE, clock)
    lns.door, lns.fails = asyncio.Event(), lambda _: AWAY
    sending = asyncio.create_task(relay.send_due())
    await lns.entered.wait()
    await tell_tx_ack(pool, clock, bay.display_eui, "theirs")
    lns.door.set()
    await sending
    row = await pool.fetchrow("SELECT status, downlink_queue_id FROM actuations")
    assert row is not None
    assert tuple(row) == ("transmitted", "theirs")
    assert await pool.fetchval("SELECT count(*) FROM actuation_events WHERE actuation_id IS NULL") == 0


async def test_a_tx_ack_that_came_before_the_answer_counts(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await want(pool, bay, State.FREE, clock)

    lns.next_id, lns.door = "theirs", asyncio.Event()
    sending = asyncio.create_task(relay.send_due())
    await lns.entered.wait()
    await tell_tx_ack(pool, clock, bay.display_eui, "theirs")
    lns.door.set()
    await sending
    assert await statuses(pool) == ["transmitted"]
    assert await pool.fetchval("SELECT count(*) FROM actuation_events WHERE actuation_id IS NULL") == 0


async def die_while_sending(pool: Pool, relay: Relay, lns: NetworkServer) -> None:
    """The relay is gone between the claim and its outcome."""
    lns.door = asyncio.Event()
    sending = asyncio.create_task(relay.send_due())
    await lns.entered.wait()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    lns.door = None
    assert await statuses(pool) == ["sending"]


async def test_a_sender_that_died_before_it_was_heard_is_recovered_and_sent(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await want(pool, bay, State.FREE, clock)
    await die_while_sending(pool, relay, lns)
    assert await relay.recovery.recover() == 0, "it may still be at it"
    clock.tick(POLICY.lease)
    assert await relay.recovery.recover() == 1
    assert await statuses(pool) == ["pending"]
    clock.tick(timedelta(seconds=10))
    await relay.send_due()
    assert (await statuses(pool), len(lns.accepted)) == (["queued"], 1)


async def test_a_sender_that_died_after_it_was_heard_is_recovered_by_the_expiry(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await want(pool, bay, State.FREE, clock)
    await die_while_sending(pool, relay, lns)
    expires_at = await pool.fetchval("SELECT expires_at FROM actuations")
    lns.items[bay.display_eui] = [
        QueueItem("another", 15, b"", False, expires_at + timedelta(microseconds=1)),
        QueueItem("ours", 15, b"", False, expires_at),
    ]
    clock.tick(POLICY.lease)
    await relay.recovery.recover()
    row = await pool.fetchrow("SELECT status, downlink_queue_id FROM actuations")
    assert row is not None
    assert tuple(row) == ("queued", "ours")
    assert await pool.fetchval("SELECT kind FROM actuation_events ORDER BY id DESC LIMIT 1") == "recovered"


async def test_a_sender_that_died_after_the_transmission_is_recovered_by_the_tx_ack(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await want(pool, bay, State.FREE, clock)
    await die_while_sending(pool, relay, lns)
    await tell_tx_ack(pool, clock, bay.display_eui, "theirs")
    clock.tick(POLICY.lease)
    await relay.recovery.recover()
    assert await statuses(pool) == ["transmitted"]


async def test_while_the_server_does_not_tell_its_queue_nothing_is_guessed(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await want(pool, bay, State.FREE, clock)
    await die_while_sending(pool, relay, lns)
    clock.tick(POLICY.lease)
    lns.reports_queue = False
    await relay.recovery.recover()
    assert await statuses(pool) == ["sending"]
    lns.reports_queue = True
    await relay.recovery.recover()
    assert await statuses(pool) == ["pending"]


async def test_it_goes_on_after_an_error_that_nobody_foresaw(pool: Pool, lns: NetworkServer, clock: RealClock) -> None:
    """What its sender left behind is recovered, and what is new is sent."""
    relay = Relay(pool, lns, clock, LoopPolicy(lease=timedelta(seconds=0.1)))
    lost, new = await factories.add_bay(pool, "A-01"), await factories.add_bay(pool, "A-02")
    await want(pool, lost, State.FREE, clock)
    await die_while_sending(pool, relay, lns)
    await want(pool, new, State.FREE, clock)
    lns.odd_answers = 2
    await pool.execute("ALTER TABLE actuation_events RENAME TO hidden")
    running = asyncio.create_task(relay.run())
    try:
        await until(lambda: not lns.odd_answers)
        await pool.execute("ALTER TABLE hidden RENAME TO actuation_events")

        async def both_are_queued() -> bool:
            clock.tick(timedelta(seconds=1))
            return await statuses(pool) == ["queued", "queued"]

        await until(both_are_queued, every_s=0.05)
        assert not running.done()
    finally:
        running.cancel()


async def test_displays_that_were_disabled_do_not_hold_up_the_others(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    bays = [await factories.add_bay(pool, f"A-{number:02d}") for number in range(CLAIM_LIMIT + 1)]
    for bay in bays:
        await want(pool, bay, State.FREE, clock)
    last = bays[-1].display_eui
    await pool.execute("UPDATE display_devices SET enabled = false WHERE dev_eui <> $1", last)
    for _ in range(2):
        await relay.send_due()
    assert [downlink.dev_eui for downlink in lns.accepted] == [last]
    assert sorted(set(await statuses(pool))) == ["failed", "queued"]


async def test_it_ends_with_what_it_hands_over_recorded(
    pool: Pool, relay: Relay, lns: NetworkServer, clock: RealClock
) -> None:
    await want(pool, await factories.add_bay(pool, "A-01"), State.FREE, clock)
    lns.door = asyncio.Event()
    running = asyncio.create_task(relay.run())
    await lns.entered.wait()
    relay.stop()
    lns.door.set()
    await asyncio.wait_for(running, 10)
    assert await statuses(pool) == ["queued"]
