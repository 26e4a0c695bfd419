"""What time brings: late spaces and displays, reservations that end, and a loop that outlives its troubles."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import asyncpg
import pytest
from structlog.testing import capture_logs

from baylight.app.timer import MAX_DUE, Timer
from baylight.control import displays
from baylight.control.downlinks.relay import Relay
from baylight.domain.display_loop import decisions
from baylight.domain.display_loop.actuation import LoopPolicy
from baylight.domain.downlink import TriggerType
from baylight.domain.policies import Policies
from baylight.domain.state import Policy, State
from baylight.schedule import reservations
from baylight.store.pool import Pool, open_pool
from tests.support import factories
from tests.support.change import by
from tests.support.clock import RealClock
from tests.support.eventually import until
from tests.support.factories import Bay
from tests.support.network_server import NetworkServer
from tests.support.servers import Database

LOOP = LoopPolicy()
POLICIES = Policies(Policy(reserved_soon=timedelta()), LOOP)


@pytest.fixture
def clock() -> RealClock:
    return RealClock()


@pytest.fixture
def timer(pool: Pool, clock: RealClock) -> Timer:
    return Timer(pool, clock, POLICIES, 25, 37)


async def heard(pool: Pool, bay: Bay, occupancy: str, at: datetime) -> None:
    """The bay as it is after a reading of that time."""
    await pool.execute(
        "UPDATE sensor_devices SET occupancy = $2, occupancy_at = $3 WHERE id = $1", bay.sensor_id, occupancy, at
    )
    await pool.execute(
        "UPDATE spaces SET current_state = $2, state_reason = 'sensor', recompute_at = $3 WHERE id = $1",
        bay.space_id, occupancy, at + timedelta(hours=3),
    )  # fmt: skip


async def state(pool: Pool, bay: Bay) -> str:
    return str(await pool.fetchval("SELECT current_state FROM spaces WHERE id = $1", bay.space_id))


async def hand_over(pool: Pool, bay: Bay, clock: RealClock) -> None:
    """A light that the network server has, and no gateway sends."""
    async with pool.acquire() as connection, connection.transaction():
        display = (await displays.load(connection, [bay.display_id], LOOP))[bay.display_id]
        trigger, now = TriggerType.SENSOR_UPLINK, clock.now()
        decisions.desire(display, bay.space_id, State.FREE, previous=None, trigger=trigger, source=None, now=now)
        await displays.save(connection, [display])
    await Relay(pool, NetworkServer(reports_queue=None), clock, LOOP).send_due()


async def ask(pool: Pool, clock: RealClock) -> int:
    """Look at the commands that nothing is known of. The network server cannot report its queue."""
    return await Relay(pool, NetworkServer(reports_queue=None), clock, LOOP).recovery.recover()


async def test_b9_a_space_is_unknown_once_its_sensor_was_silent_too_long(
    pool: Pool, timer: Timer, clock: RealClock
) -> None:
    bay, fresh = await factories.add_bay(pool, "A-01"), await factories.add_bay(pool, "A-02")
    await heard(pool, bay, "FREE", clock.now() - timedelta(hours=3))
    await heard(pool, fresh, "FREE", clock.now() - timedelta(hours=2))
    assert await timer.spaces() == 1
    assert (await state(pool, bay), await state(pool, fresh)) == ("UNKNOWN", "FREE")
    row = await pool.fetchrow("SELECT trigger_type, new_state, status FROM actuations")
    assert row is not None
    assert tuple(row) == ("sensor_silent", "UNKNOWN", "pending")
    assert await timer.spaces() == 0


async def test_two_loops_at_once_decide_each_space_once(pool: Pool, timer: Timer, clock: RealClock) -> None:
    for number in range(10):
        bay = await factories.add_bay(pool, f"A-{number:02d}")
        await heard(pool, bay, "FREE", clock.now() - timedelta(hours=4))
    other = Timer(pool, clock, POLICIES, 25, 37)
    await asyncio.gather(*(loop.spaces() for loop in (timer, other) * 2))
    assert await pool.fetchval("SELECT count(*) FROM state_changes") == 10
    assert await pool.fetchval("SELECT count(*) FROM actuations") == 10


async def test_a_downlink_that_no_gateway_sent_expires_and_is_sent_anew(
    pool: Pool, timer: Timer, clock: RealClock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await hand_over(pool, bay, clock)
    clock.tick(LOOP.ask_after)
    assert await ask(pool, clock) == 1
    assert await pool.fetchval("SELECT status FROM actuations") == "queued"
    clock.tick(LOOP.min_ttl + LOOP.grace)
    assert await ask(pool, clock) == 1
    rows = await pool.fetch("SELECT status, trigger_type FROM actuations ORDER BY id")
    assert [tuple(r) for r in rows] == [("expired", "sensor_uplink"), ("pending", "reconciliation")]


@pytest.mark.parametrize(("report_timeout_s", "status"), [(300, "transmitted"), (60, "failed")])
async def test_a8_a_change_waits_for_a_report_as_long_as_the_settings_say(
    pool: Pool, clock: RealClock, report_timeout_s: int, status: str
) -> None:
    policies = Policies(loop=LoopPolicy(report_timeout=timedelta(seconds=report_timeout_s)))
    bay = await factories.add_bay(pool, "A-01")
    await heard(pool, bay, "FREE", clock.now())
    await hand_over(pool, bay, clock)
    await pool.execute("UPDATE actuations SET status = 'transmitted', transmitted_at = $1", clock.now())
    clock.tick(timedelta(seconds=100))
    async with pool.acquire() as connection:
        change = by(connection, now=clock.now(), policies=policies)
        async with change.transaction():
            assert await change.redecide([bay.space_id], TriggerType.ASSIGNMENT) == 0
    assert await pool.fetchval("SELECT status FROM actuations ORDER BY id LIMIT 1") == status


async def test_a_downlink_of_a_display_that_serves_no_space_any_more_expires_too(
    pool: Pool, timer: Timer, clock: RealClock
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await hand_over(pool, bay, clock)
    async with pool.acquire() as connection, connection.transaction():
        display = (await displays.load(connection, [bay.display_id], LOOP))[bay.display_id]
        decisions.release(display, clock.now())
        await displays.save(connection, [display])
    clock.tick(LOOP.ttl + LOOP.grace)
    await ask(pool, clock)
    assert await pool.fetchval("SELECT status FROM actuations") == "expired"
    assert await timer.displays() == 0


async def test_what_is_due_is_looked_at_once_however_much_it_is(pool: Pool, timer: Timer, clock: RealClock) -> None:
    """A deadline that would not move on would keep the loop busy for ever."""
    await factories.add_display(pool)
    await pool.execute(
        "INSERT INTO display_devices (dev_eui, device_type, fport, display_codes, desired_state, sync_status, "
        "reconcile_at) SELECT lpad(to_hex(n), 16, '0'), 'kuando_busylight', 15, display_codes, 'FREE', 'drifted', $2 "
        "FROM generate_series(1, $1) AS n, display_devices",
        MAX_DUE + 10,
        clock.now(),
    )
    seen = [await timer.displays() for _ in range(3)]
    assert seen == [MAX_DUE, 10, 0]


async def test_b11_a_reservation_ends_by_the_clock_and_asks_the_sensor(
    pool: Pool, timer: Timer, clock: RealClock
) -> None:
    bay, now = await factories.add_bay(pool, "A-01"), clock.now()
    await heard(pool, bay, "OCCUPIED", now)
    async with pool.acquire() as connection:
        await reservations.create_reservation(
            by(connection, now=now, policies=POLICIES),
            reservations.NewReservation("A-01", now + timedelta(hours=1), now + timedelta(hours=2)),
        )
    clock.tick(timedelta(hours=1, seconds=1))
    await timer.spaces()
    assert await state(pool, bay) == "OCCUPIED"
    clock.tick(timedelta(hours=1))
    assert await timer.reservations() == 1
    await timer.spaces()
    assert await state(pool, bay) == "OCCUPIED"
    assert await pool.fetchval("SELECT status FROM reservations") == "completed"


async def test_housekeeping_comes_hourly(pool: Pool, timer: Timer, clock: RealClock) -> None:
    await timer.housekeeping()
    latest = "SELECT max(relname) FROM pg_class WHERE relname LIKE 'uplinks\\_y%' AND relkind = 'r'"
    before = await pool.fetchval(latest)
    clock.tick(timedelta(minutes=59))
    await timer.housekeeping()
    assert await pool.fetchval(latest) == before
    clock.tick(timedelta(days=70))
    await timer.housekeeping()
    assert await pool.fetchval(latest) > before


async def is_unknown(pool: Pool, bay: Bay) -> bool:
    return await state(pool, bay) == "UNKNOWN"


async def has_partitions_ahead(pool: Pool) -> bool:
    sql = "SELECT count(*) > 4 FROM pg_class WHERE relname LIKE 'uplinks\\_y%' AND relkind = 'r'"
    return bool(await pool.fetchval(sql))


async def test_the_loop_goes_on_after_an_error_that_nobody_foresaw(pool: Pool, timer: Timer, clock: RealClock) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await heard(pool, bay, "FREE", clock.now() - timedelta(hours=4))
    await pool.execute("ALTER TABLE state_changes RENAME TO hidden")
    clock.tick(timedelta(days=100))
    with pytest.raises(asyncpg.UndefinedTableError):
        await timer.spaces()
    running = asyncio.create_task(timer.run())
    try:
        await until(lambda: has_partitions_ahead(pool))  # the last part of a round, after the one that failed
        await pool.execute("ALTER TABLE hidden RENAME TO state_changes")
        await until(lambda: is_unknown(pool, bay))
    finally:
        running.cancel()


async def test_a_database_that_takes_nothing_is_a_trouble_until_all_of_a_round_works(
    pool: Pool, database: Database, timer: Timer, clock: RealClock
) -> None:
    """Some parts have nothing to do, or only read: that they work does not end the trouble of the others."""
    bay = await factories.add_bay(pool, "A-01")
    await heard(pool, bay, "FREE", clock.now() - timedelta(hours=4))
    await timer.housekeeping()
    standby = await open_pool(f"{database.dsn}{'&' if '?' in database.dsn else '?'}default_transaction_read_only=on")
    with capture_logs() as logs:
        timer.pool = standby
        await timer.round()
        assert "read-only" in (timer.outage.reason or "")
        timer.pool = pool
        await timer.round()
    await standby.close()
    assert timer.outage.reason is None
    assert [line["event"] for line in logs] == ["database_outage", "database_works_again"]


async def test_a_relay_and_a_loop_at_once_do_not_get_in_each_others_way(
    pool: Pool, timer: Timer, clock: RealClock
) -> None:
    """Both lock displays; neither waits for the other for long, and none is skipped for good."""
    bays = [await factories.add_bay(pool, f"A-{number:02d}") for number in range(12)]
    for bay in bays:
        await heard(pool, bay, "FREE", clock.now() - timedelta(hours=4))
    await timer.spaces()
    await pool.execute("UPDATE display_devices SET reconcile_at = $1", clock.now())
    relay = Relay(pool, NetworkServer(reports_queue=None), clock, LOOP)
    async with asyncio.timeout(20):
        while await pool.fetchval("SELECT count(*) FROM actuations WHERE status = 'queued'") < len(bays):
            await asyncio.gather(relay.send_due(), timer.displays(), timer.spaces())


async def test_what_takes_over_when_an_override_ends_is_not_told_as_its_cause(
    pool: Pool, timer: Timer, clock: RealClock
) -> None:
    bay, now = await factories.add_bay(pool, "A-01"), clock.now()
    await pool.execute(
        "INSERT INTO reservations (space_id, start_time, end_time) VALUES ($1, $2, $3)",
        bay.space_id, now - timedelta(minutes=5), now + timedelta(hours=1),
    )  # fmt: skip
    override = await pool.fetchval(
        "INSERT INTO overrides (space_id, state, valid, actor) VALUES ($1, 'OUT_OF_ORDER', tstzrange($2, $3), 'ann')"
        " RETURNING id",
        bay.space_id, now - timedelta(minutes=1), now + timedelta(minutes=1),
    )  # fmt: skip
    await pool.execute("UPDATE spaces SET recompute_at = $1", now)
    await timer.spaces()
    clock.tick(timedelta(minutes=2))
    await timer.spaces()
    told = await pool.fetch("SELECT new_state, source, trigger_source FROM state_changes ORDER BY id")
    assert [tuple(row) for row in told] == [
        ("OUT_OF_ORDER", "manual_override", str(override)),
        ("RESERVED", "manual_override", None),
    ]
