"""Watch of what a process receives: a silence, and the end of a loss."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from baylight.app.service_conditions import ServiceConditions
from baylight.app.source_watch import EVENTS, LOSS_SHOWN, SourceWatch
from baylight.control import losses
from baylight.domain.conditions import ConditionKind
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.clock import Clock

LOST, SILENT = ConditionKind.BROKER_SESSION_LOST, ConditionKind.NO_EVENTS
SECOND = timedelta(seconds=1)


def watch_of(pool: Pool, clock: Clock) -> tuple[SourceWatch, ServiceConditions]:
    conditions = ServiceConditions(clock)
    ways = "application/+/device/+/event/+ at broker:1883"
    return SourceWatch(pool, clock, conditions, {}, brokers=["broker"], ways=ways), conditions


async def test_i8_no_events_is_a_condition_that_names_where_they_must_come_from(pool: Pool) -> None:
    clock = Clock(datetime.now(UTC))
    watch, conditions = watch_of(pool, clock)
    clock.tick(timedelta(hours=2))
    await watch.look()
    assert conditions.open() == []
    await factories.add_bay(pool, "A-01")
    clock.tick(timedelta(hours=2))
    await watch.look()
    found = conditions.find(SILENT, EVENTS)
    assert found is not None
    assert "application/+/device/+/event/+ at broker:1883" in found.evidence


async def test_b9_the_loss_of_a_session_is_over_when_each_sensor_has_reported_or_a_day_has_passed(pool: Pool) -> None:
    clock = Clock(datetime.now(UTC))
    watch, conditions = watch_of(pool, clock)
    await factories.add_sensor(pool, occupancy="FREE", occupancy_at=clock.now())
    async with pool.acquire() as connection:
        done = await losses.make_good(connection, clock.now(), "chirpstack")
        assert await losses.make_good(connection, clock.now(), "chirpstack") == done
        assert await losses.are_open(connection)
    conditions.begin(LOST, "broker", "lost")
    clock.tick(LOSS_SHOWN[0] + SECOND)
    await watch.look()
    assert conditions.find(LOST, "broker") is not None
    await pool.execute("UPDATE sensor_devices SET unproven_reason = NULL, unproven_since = NULL")
    await watch.look()
    assert conditions.find(LOST, "broker") is None

    async with pool.acquire() as connection:
        await losses.make_good(connection, clock.now(), "chirpstack")
    conditions.begin(LOST, "broker", "lost")
    clock.tick(LOSS_SHOWN[1] + SECOND)
    await watch.look()
    assert conditions.find(LOST, "broker") is None
