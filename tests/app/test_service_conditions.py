"""Conditions of services of several processes on one database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from baylight.app.service_conditions import ServiceConditions
from baylight.control import conditions as stored
from baylight.domain.conditions import Condition, ConditionKind
from baylight.store.pool import Connection

AWAY, NOT_SET = ConditionKind.NETWORK_SERVER_AWAY, ConditionKind.NETWORK_SERVER_NOT_SET
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time

    def pass_s(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def rows(db: Connection) -> list[tuple[datetime, str]]:
    return [(c.since, c.evidence) for c in await stored.list_open(db)]


async def test_since_stays_and_the_evidence_is_the_newest(db: Connection, clock: Clock) -> None:
    one = ServiceConditions(clock)
    one.begin(AWAY, "chirpstack", "no route")
    clock.pass_s(5)
    one.of("chirpstack").begin(AWAY, "refused")
    assert one.open() == [Condition(AWAY, "chirpstack", NOON, "refused")]
    await one.save(db)
    assert await rows(db) == [(NOON, "refused")]


async def test_a_condition_may_begin_and_end_twice_between_two_looks_of_the_database(
    db: Connection, clock: Clock
) -> None:
    one = ServiceConditions(clock)
    for _ in range(2):
        one.begin(AWAY, "chirpstack", "no route")
        clock.pass_s(0.1)
        one.end(AWAY, "chirpstack")
    one.begin(AWAY, "chirpstack", "refused")
    await one.save(db)
    assert await rows(db) == [(clock.now(), "refused")]
    begun = await db.fetch("SELECT since FROM conditions WHERE ended_at IS NOT NULL ORDER BY since")
    assert [row["since"] for row in begun] == [NOON, NOON + timedelta(seconds=0.1)]


async def test_what_ended_before_it_was_stored_is_history(db: Connection, clock: Clock) -> None:
    """The database was away meanwhile."""
    one = ServiceConditions(clock)
    one.begin(AWAY, "chirpstack", "refused")
    clock.pass_s(60)
    one.of("chirpstack").end(AWAY)
    one.end(AWAY, "chirpstack")
    await one.save(db)
    await one.save(db)
    found = await db.fetch("SELECT since, ended_at FROM conditions")
    assert [tuple(row) for row in found] == [(NOON, NOON + timedelta(seconds=60))]


async def test_processes_with_different_views_do_not_take_turns(db: Connection, clock: Clock) -> None:
    sees, does_not_see = ServiceConditions(clock), ServiceConditions(clock)
    sees.begin(AWAY, "chirpstack", "its route is cut")
    for _ in range(5):
        clock.pass_s(2)
        for process in (sees, does_not_see):
            process.end(NOT_SET, "chirpstack")
            await process.save(db)
        does_not_see.end(AWAY, "chirpstack")
    assert await rows(db) == [(NOON, "its route is cut")]
    assert await db.fetchval("SELECT count(*) FROM conditions") == 1


async def test_a_condition_that_one_process_ends_and_another_still_sees_lasts(db: Connection, clock: Clock) -> None:
    first, second = ServiceConditions(clock), ServiceConditions(clock)
    first.begin(AWAY, "chirpstack", "timeout")
    await first.save(db)
    clock.pass_s(1)
    second.begin(AWAY, "chirpstack", "refused")
    await second.save(db)
    first.end(AWAY, "chirpstack")
    await first.save(db)
    await second.save(db)
    assert await rows(db) == [(NOON + timedelta(seconds=1), "refused")]
    for _ in range(3):
        await first.save(db)
        await second.save(db)
    assert await db.fetchval("SELECT count(*) FROM conditions") == 2
    second.end(AWAY, "chirpstack")
    await second.save(db)
    assert await rows(db) == []


async def test_a_start_restores_what_it_watches_and_leaves_the_rest(db: Connection, clock: Clock) -> None:
    before = ServiceConditions(clock)
    before.begin(AWAY, "chirpstack", "refused")
    before.begin(AWAY, "tts", "refused")
    await before.save(db)
    clock.pass_s(60)
    ended: list[Condition] = []
    after = ServiceConditions(clock, on_end=[ended.append])
    await after.restore(db, [(AWAY, "chirpstack")])
    assert [(c.subject_id, c.since) for c in after.open()] == [("chirpstack", NOON)]
    after.end(AWAY, "chirpstack")
    await after.save(db)
    assert [c.subject_id for c in ended] == ["chirpstack"]
    assert [c.subject_id for c in await stored.list_open(db)] == ["tts"]
