"""Uplinks, state changes and actuations: partitions, columns that cannot be changed, and notifications."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from baylight.domain.ids import uuid7
from baylight.store.pool import Pool
from tests.support.eventually import eventually
from tests.support.factories import Bay, add_bay


async def add_uplink(pool: Pool, at: datetime) -> None:
    await pool.execute(
        "INSERT INTO uplinks (observed_at, received_at, deduplication_id, dev_eui, outcome, data) "
        "VALUES ($1, $1, $2, '58a0cb0000000001', 'unchanged', '')",
        at,
        uuid4(),
    )


async def add_actuation(pool: Pool, bay: Bay, at: datetime, **columns: Any) -> Any:
    given: dict[str, Any] = {
        "id": uuid7(at),
        "space_id": bay.space_id,
        "trigger_type": "sensor_uplink",
        "new_state": "FREE",
        "display_device_id": bay.display_id,
        "display_deveui": bay.display_eui,
        "display_code": "0000ff6400",
        "fport": 15,
        "created_at": at,
    } | columns
    places = ", ".join(f"${n}" for n in range(1, len(given) + 1))
    return await pool.fetchval(
        f"INSERT INTO actuations ({', '.join(given)}) VALUES ({places}) RETURNING id", *given.values()
    )


async def partitions(pool: Pool, parent: str) -> list[str]:
    rows = await pool.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::text::regclass ORDER BY 1", parent
    )
    return [row[0] for row in rows]


async def test_the_months_around_now_have_partitions_and_default_stays_empty(any_pool: Pool) -> None:
    bay = await add_bay(any_pool, "A1")
    now = await any_pool.fetchval("SELECT now()")
    for at in (now - timedelta(days=27), now, now + timedelta(days=50)):
        await add_uplink(any_pool, at)
        await add_actuation(any_pool, bay, at)
    for parent in ("uplinks", "actuations"):
        assert len(await partitions(any_pool, parent)) == 5
        assert await any_pool.fetchval(f"SELECT count(*) FROM {parent}") == 3
        assert await any_pool.fetchval(f"SELECT count(*) FROM {parent}_default") == 0


async def test_a_row_is_in_the_partition_of_its_month_to_the_last_microsecond(any_pool: Pool) -> None:
    bay = await add_bay(any_pool, "A1")
    edge = datetime(2031, 2, 1, tzinfo=UTC)
    for parent in ("uplinks", "actuations"):
        for month in (edge - timedelta(days=1), edge):
            assert await any_pool.fetchval("SELECT ensure_partition($1, $2)", parent, month)
    for at in (edge - timedelta(microseconds=1), edge):
        await add_uplink(any_pool, at)
        await add_actuation(any_pool, bay, at)
    for parent in ("uplinks", "actuations"):
        rows = await any_pool.fetch(f"SELECT tableoid::regclass::text FROM {parent} ORDER BY 1")
        assert [row[0] for row in rows] == [f"{parent}_y2031m01", f"{parent}_y2031m02"]


@pytest.mark.parametrize("parent", ["uplinks", "actuations"])
async def test_rows_that_came_before_their_partition_move_into_it(any_pool: Pool, parent: str) -> None:
    bay = await add_bay(any_pool, "A1")
    for month in (3, 4):
        at = datetime(2031, month, 15, tzinfo=UTC)
        await (add_uplink(any_pool, at) if parent == "uplinks" else add_actuation(any_pool, bay, at))
    assert await any_pool.fetchval(f"SELECT count(*) FROM {parent}_default") == 2
    assert await any_pool.fetchval("SELECT ensure_partition($1, '2031-03-31 23:59Z')", parent)
    assert await any_pool.fetchval(f"SELECT count(*) FROM {parent}_default") == 1
    assert await any_pool.fetchval(f"SELECT count(*) FROM {parent}_y2031m03") == 1
    assert not await any_pool.fetchval("SELECT ensure_partition($1, '2031-03-01Z')", parent)


async def test_of_two_sessions_that_create_a_partition_one_waits_and_finds_it_created(any_pool: Pool) -> None:
    make = "SELECT ensure_partition('uplinks', '2031-05-01Z')"
    waiting = "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = $1"
    async with any_pool.acquire() as first:
        oid = await first.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
        async with first.transaction():
            assert await first.fetchval(make)
            second = asyncio.create_task(any_pool.fetchval(make))
            await eventually(first, waiting, oid)
    assert not await second


async def test_old_partitions_are_dropped_and_only_for_whole_months(any_pool: Pool) -> None:
    for month in (1, 2, 3):
        await any_pool.execute(
            "SELECT ensure_partition('uplinks', make_timestamptz(2021, $1, 1, 0, 0, 0, 'UTC'))", month
        )
    dropped = await any_pool.fetch("SELECT drop_partitions('uplinks', '2021-03-31Z')")
    assert [row[0] for row in dropped] == ["uplinks_y2021m01", "uplinks_y2021m02"]
    assert "uplinks_y2021m03" in await partitions(any_pool, "uplinks")
    assert "uplinks_default" in await partitions(any_pool, "uplinks")


async def test_b7_an_uplink_is_identified_by_its_deduplication_id(any_pool: Pool) -> None:
    insert = (
        "INSERT INTO uplinks (observed_at, received_at, deduplication_id, dev_eui, f_cnt, outcome, data) "
        "VALUES (now(), now(), $1, '58a0cb0000000001', 1, 'unchanged', '') ON CONFLICT DO NOTHING"
    )
    async with any_pool.acquire() as connection, connection.transaction():
        one, other = uuid4(), uuid4()
        for deduplication_id in (one, one, other):
            await connection.execute(insert, deduplication_id)
        assert await connection.fetchval("SELECT count(*) FROM uplinks") == 2


@pytest.mark.parametrize("status", ["sending", "queued"])
async def test_b10_a_display_has_at_most_one_command_at_the_network_server(any_pool: Pool, status: str) -> None:
    bay = await add_bay(any_pool, "A1")
    now = await any_pool.fetchval("SELECT now()")
    await add_actuation(any_pool, bay, now, status=status)
    await add_actuation(any_pool, bay, now)
    with pytest.raises(asyncpg.UniqueViolationError, match="one_outstanding"):
        await any_pool.execute("UPDATE actuations SET status = 'sending' WHERE status = 'pending'")


async def test_a9_an_actuation_without_a_display_is_stored_as_failed_with_its_reason(any_pool: Pool) -> None:
    bay = await add_bay(any_pool, "A1")
    now = await any_pool.fetchval("SELECT now()")
    nothing = dict.fromkeys(("display_device_id", "display_deveui", "display_code", "fport"))
    await add_actuation(any_pool, bay, now, **nothing, status="failed", downlink_error="the space has no display")
    for missing in ({"status": "pending"}, {"status": "failed", "downlink_error": None}):
        with pytest.raises(asyncpg.CheckViolationError) as caught:
            await add_actuation(any_pool, bay, now, **(nothing | missing))
        assert caught.value.constraint_name == "actuations_sendable_or_failed"


async def test_a10_a_payload_has_1_to_242_bytes(any_pool: Pool) -> None:
    bay = await add_bay(any_pool, "A1")
    now = await any_pool.fetchval("SELECT now()")
    await add_actuation(any_pool, bay, now, display_code="00" * 242)
    for code in ("", "0", "0G", "FF", "00" * 243):
        with pytest.raises(asyncpg.CheckViolationError) as caught:
            await add_actuation(any_pool, bay, now, display_code=code)
        assert caught.value.constraint_name == "actuations_display_code"


async def test_a_long_error_can_be_kept(any_pool: Pool) -> None:
    bay = await add_bay(any_pool, "A1")
    now = await any_pool.fetchval("SELECT now()")
    await add_actuation(any_pool, bay, now, status="failed", downlink_error="ä" * 2000)


async def test_a18_a_stored_decision_cannot_be_changed(any_pool: Pool) -> None:
    bay = await add_bay(any_pool, "A1")
    await add_actuation(any_pool, bay, await any_pool.fetchval("SELECT now()"))
    await any_pool.execute(
        "INSERT INTO state_changes (space_id, new_state, source) VALUES ($1, 'FREE', 'assignment')", bay.space_id
    )
    await any_pool.execute("INSERT INTO audit_log (actor, action, object_type, object_id) VALUES ('a', 'b', 'c', 'd')")
    for change in (
        "UPDATE actuations SET display_code = '00'",
        "UPDATE actuations SET new_state = 'OCCUPIED'",
        "UPDATE state_changes SET new_state = 'OCCUPIED'",
        "TRUNCATE state_changes",
        "UPDATE audit_log SET actor = 'x'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
    ):
        with pytest.raises(asyncpg.RestrictViolationError):
            await any_pool.execute(change)
    await any_pool.execute("UPDATE actuations SET status = 'sending'")


async def test_changes_of_state_and_new_actuations_are_announced(any_pool: Pool) -> None:
    bay = await add_bay(any_pool, "A1")
    received: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    async with any_pool.acquire() as listener:

        def receive(_: object, __: int, channel: str, payload: object) -> None:
            received.put_nowait((channel, str(payload)))

        for channel in ("baylight_state", "baylight_actuations"):
            await listener.add_listener(channel, receive)
        insert = "INSERT INTO state_changes (space_id, new_state, source) SELECT $1, 'FREE', 'assignment' "
        for rows in ("WHERE false", "FROM generate_series(1, 3)"):
            await any_pool.execute(insert + rows, bay.space_id)
        await add_actuation(any_pool, bay, await any_pool.fetchval("SELECT now()"))
        async with asyncio.timeout(5):
            low, high = (await any_pool.fetchrow("SELECT min(id), max(id) FROM state_changes")) or (0, 0)
            assert await received.get() == ("baylight_state", f"{low}-{high}")
            assert await received.get() == ("baylight_actuations", "")
        for channel in ("baylight_state", "baylight_actuations"):
            await listener.remove_listener(channel, receive)
