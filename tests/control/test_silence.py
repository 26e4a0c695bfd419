"""Silence of the network servers that is longer than is usual at a site."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from baylight.control import silence
from baylight.control.silence import NEVER, SHORTEST, Newest, judge
from baylight.store.pool import Pool
from tests.support import factories

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=30)


def uplinks(gap: timedelta, *, last: timedelta, count: int = 100) -> list[datetime]:
    return [NOW - last - n * gap for n in range(count)]


def test_i8_a_site_without_devices_is_never_silent() -> None:
    assert judge(Newest(None, []), NOW, LONG_AGO) is None
    assert judge(Newest(None, uplinks(timedelta(seconds=1), last=timedelta(days=3))), NOW, LONG_AGO) is None


def test_i8_a_site_that_never_had_an_uplink_is_silent_after_an_hour() -> None:
    for since in (NOW - NEVER, NOW):
        assert judge(Newest(since, []), NOW, LONG_AGO) is None
    found = judge(Newest(NOW - NEVER - timedelta(seconds=1), []), NOW, LONG_AGO)
    assert found is not None
    assert found.since is None


def test_i8_the_limit_follows_the_gaps_of_the_site() -> None:
    for gap, limit in ((timedelta(seconds=1), SHORTEST), (timedelta(minutes=20), timedelta(minutes=80))):
        assert judge(Newest(LONG_AGO, uplinks(gap, last=limit)), NOW, LONG_AGO) is None
        found = judge(Newest(LONG_AGO, uplinks(gap, last=limit + timedelta(seconds=1))), NOW, LONG_AGO)
        assert found is not None
        assert found.limit == limit


def test_i8_an_outage_of_the_past_does_not_lengthen_the_limit() -> None:
    before = [at - timedelta(days=5) for at in uplinks(timedelta(minutes=1), last=timedelta())]
    arrivals = uplinks(timedelta(minutes=1), last=timedelta(minutes=11)) + before
    assert judge(Newest(LONG_AGO, arrivals), NOW, LONG_AGO) is not None


def test_i8_a_process_that_has_just_started_catches_up_first() -> None:
    arrivals = uplinks(timedelta(seconds=1), last=timedelta(days=1))
    assert judge(Newest(LONG_AGO, arrivals), NOW, NOW - SHORTEST) is None
    assert judge(Newest(LONG_AGO, arrivals), NOW, NOW - SHORTEST - timedelta(seconds=1)) is not None


async def test_i8_the_silence_is_read_from_the_uplinks_and_the_registry(pool: Pool) -> None:
    later = datetime.now(UTC) + timedelta(hours=2)
    async with pool.acquire() as connection:
        assert await silence.find(connection, later, LONG_AGO) is None
        await factories.add_bay(pool, "A-01")
        assert await silence.find(connection, later, LONG_AGO) is not None
        sql = (
            "INSERT INTO uplinks (dev_eui, deduplication_id, observed_at, received_at, data, outcome) "
            "VALUES ('58a0cb0000110001', gen_random_uuid(), $1, $1, '', 'unknown_device')"
        )
        await connection.execute(sql, later)
        assert await silence.find(connection, later, LONG_AGO) is None
        found = await silence.find(connection, later + timedelta(hours=2), LONG_AGO)
        assert found is not None
        assert found.since == later
