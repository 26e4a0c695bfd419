"""No write of V2 fails, waits for another transaction of V2's that it did not wait for before, or is lost (H4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from baylight.store.pool import Connection
from baylight.v2 import run
from tests.support.eventually import eventually
from tests.support.v2 import CHOICES, V2Database, connect, display, sensor

MAX_WAIT_S = 0.5
"""Generous: 5 ms are meant. A statement that waits for the other transaction waits until the test ends that."""

RESERVE = (
    "INSERT INTO reservations (space_id, start_time, end_time) SELECT id,"
    " date_trunc('hour', now()) + $2 * interval '1 h',"
    " date_trunc('hour', now()) + ($2 + 2) * interval '1 h' FROM spaces WHERE code = $1"
)


@asynccontextmanager
async def second(v2: V2Database) -> AsyncIterator[Connection]:
    """A second connection of the V2 application."""
    connection = await connect(v2.dsn, role="parking")
    try:
        yield connection
    finally:
        await connection.close()


async def quickly(connection: Connection, statement: str, *values: Any) -> None:
    began = time.monotonic()
    await connection.execute(statement, *values)
    assert time.monotonic() - began < MAX_WAIT_S


def crossing() -> dict[str, tuple[list[Any], list[Any]]]:
    """For each way in which transactions of V2's met: what A does, then B, whose rows in V2 are others."""
    add = "INSERT INTO spaces (name, code, building, sensor_eui, display_eui) VALUES ('x', $1, $2, $3, $4)"
    return {
        "new building": ([add, "Q1", "NewHouse", None, None], [add, "Q2", "NewHouse", None, None]),
        "new display": ([add, "Q1", None, None, display(99)], [add, "Q2", None, None, display(99)]),
        "shared display": ([add, "Q1", None, None, display(1)], [add, "Q2", None, None, display(1)]),
        "one sensor in two spellings": (
            [add, "Q1", None, sensor(0xAB), None],
            [add, "Q2", None, sensor(0xAB).upper(), None],
        ),
        "overlap": ([RESERVE, "P1", 10], [RESERVE, "P1", 11]),
        "moved to a new building": (
            ["UPDATE spaces SET building = 'NewB2' WHERE code = $1", "P1"],
            ["UPDATE spaces SET building = 'NewB2' WHERE code = $1", "P2"],
        ),
    }


async def begin(v2: V2Database) -> None:
    for n in (1, 2, 3):
        await v2.add(f"P{n}", display_eui=display(n), sensor_eui=sensor(n))
    await v2.apply("verify")


@pytest.mark.parametrize("way", crossing())
async def test_h4_transactions_of_v2_that_never_met_do_not_wait_for_each_other(v2: V2Database, way: str) -> None:
    await begin(v2)
    first, then = crossing()[way]
    async with second(v2) as b:
        async with v2.legacy.transaction():
            await v2.legacy.execute(*first)
            await quickly(b, *then)
            verdict = await v2.verify()
            assert "queue" in {d.check for d in verdict.differences}
            await v2.drain()  # A is still open, so nothing is lost and nothing is done
            assert len(await v2.queued()) == 1
        await v2.drain()
    verdict = await v2.verify()
    assert verdict.differences == []
    assert len(await v2.quarantine()) == (1 if way in ("overlap", "one sensor in two spellings") else 0)


@pytest.mark.parametrize("way", ["overlap", "new building", "new display", "shared display"])
async def test_h4_transactions_of_v2_that_cross_both_succeed(v2: V2Database, way: str) -> None:
    """A does x, B does y, then A what meets y, and B what meets x."""
    await begin(v2)
    add = "INSERT INTO spaces (name, code, building, display_eui) VALUES ('x', $1, $2, $3)"
    make: Callable[[str, int], list[Any]] = {
        "overlap": lambda who, n: [RESERVE, f"P{n}", 10 if who == "A" else 11],
        "new building": lambda who, n: [add, f"{who}{n}", f"House {n}", None],
        "new display": lambda who, n: [add, f"{who}{n}", None, display(90 + n)],
        "shared display": lambda who, n: [add, f"{who}{n}", None, display(n)],
    }[way]
    async with second(v2) as b, v2.legacy.transaction(), b.transaction():
        await quickly(v2.legacy, *make("A", 1))
        await quickly(b, *make("B", 2))
        await quickly(v2.legacy, *make("A", 2))
        await quickly(b, *make("B", 1))
    await v2.drain()
    verdict = await v2.verify()
    assert verdict.differences == []
    assert await v2.quarantine() == ({("*", "overlap")} if way == "overlap" else set())
    assert verdict.counts["reservations"] == ((4, 2) if way == "overlap" else (0, 0))
    assert verdict.counts["spaces"] == ((6, 6) if way == "overlap" else (10, 10))


async def test_h4_a_transaction_that_had_to_wait_once_does_not_wait_again(v2: V2Database) -> None:
    await begin(v2)
    add = "INSERT INTO spaces (name, code, building) VALUES ('x', $1, 'NewHouse')"
    note = "INSERT INTO state_changes (space_id, new_state, source) SELECT id, 'FREE', 'x' FROM spaces WHERE code = $1"
    async with second(v2) as b, v2.legacy.transaction():
        await v2.legacy.execute(add, "Q")
        async with b.transaction():
            for n in range(100):
                await b.execute(add, f"Q{n}")
                await b.execute(note, f"Q{n}")
    count = "SELECT left(reason, 5) AS reason, count(*) FROM v2_migration.queue GROUP BY 1 ORDER BY 1"
    reasons = await v2.admin.fetch(count)
    assert [tuple(row) for row in reasons] == [("55P03", 1), ("behin", 199)]
    await v2.drain()
    verdict = await v2.verify()
    assert verdict.differences == []
    assert verdict.counts["state_changes"] == (100, 100)


async def test_h4_what_hangs_on_a_space_that_waits_waits_too(v2: V2Database) -> None:
    await begin(v2)
    async with second(v2) as b:
        async with v2.legacy.transaction():
            await v2.legacy.execute("INSERT INTO spaces (name, code, building) VALUES ('x', 'Q1', 'NewHouse')")
            await b.execute("INSERT INTO spaces (name, code, building) VALUES ('x', 'Q2', 'NewHouse')")
            await b.execute(RESERVE, "Q2", 10)
            await b.execute(
                "INSERT INTO state_changes (space_id, new_state, source) SELECT id, 'FREE', 'x' FROM spaces"
                " WHERE code IN ('P1', 'Q2')"
            )
        assert [table for table, _ in await v2.queued()] == ["spaces", "reservations", "state_changes"]
    await v2.drain()
    verdict = await v2.verify()
    assert verdict.differences == []
    assert verdict.counts["reservations"] == (1, 1)
    assert verdict.counts["state_changes"] == (2, 2)


async def test_h4_wide_writes_are_left_to_the_queue_and_none_is_lost(v2: V2Database) -> None:
    await begin(v2)
    await v2.legacy.execute("INSERT INTO spaces (name, code) SELECT 'x', 'W' || n FROM generate_series(1, 300) AS n")
    assert len(await v2.queued()) == 300
    await v2.legacy.execute("UPDATE spaces SET building = 'H' || (right(code, 1)), metadata = '{}'")
    await v2.legacy.execute("DELETE FROM spaces WHERE code LIKE 'W1%'")
    await v2.drain()
    verdict = await v2.verify()
    assert verdict.differences == []
    assert verdict.counts["spaces"][0] == 306 - 111


async def test_h4_a_state_of_v2_that_waited_over_the_switch_gives_way_to_baylights_decision(v2: V2Database) -> None:
    await begin(v2)
    async with v2.baylight.transaction():
        await v2.baylight.execute("SELECT FROM spaces FOR UPDATE")
        await v2.legacy.execute("UPDATE spaces SET state = 'OCCUPIED' WHERE code = 'P1'")
    await v2.admin.execute("UPDATE v2_migration.control SET owner = 'baylight'")
    await v2.drain()
    assert (await v2.verify()).differences == []


@pytest.mark.parametrize("stage", ["verify", "switch"])
async def test_h4_baylight_does_not_overwrite_what_v2_wrote_and_it_has_not_followed_yet(
    v2: V2Database, stage: str
) -> None:
    await begin(v2)
    await v2.apply(stage)
    row = await v2.legacy.fetchrow("SELECT id FROM spaces WHERE code = 'P1'")
    assert row is not None
    async with v2.baylight.transaction():
        await v2.baylight.execute("SELECT FROM spaces WHERE id = $1 FOR UPDATE", row["id"])
        await v2.legacy.execute("UPDATE spaces SET name = 'by V2' WHERE id = $1", row["id"])
    rename = 'UPDATE spaces SET metadata = \'{"by": "Baylight"}\' WHERE id = $1'
    with pytest.raises(asyncpg.LockNotAvailableError):
        await v2.baylight.execute(rename, row["id"])
    await v2.drain()
    await v2.baylight.execute(rename, row["id"])
    old = await v2.old(row["id"])
    assert (old["name"], old["metadata"]) == ("by V2", {"by": "Baylight"})
    assert (await v2.verify()).green


async def test_h4_codes_and_sensors_that_v2_exchanges_while_they_wait_are_exchanged(v2: V2Database) -> None:
    await begin(v2)
    ids = {row["code"]: row["id"] for row in await v2.legacy.fetch("SELECT id, code FROM spaces")}
    async with v2.baylight.transaction():
        await v2.baylight.execute("SELECT FROM spaces FOR UPDATE")
        for column in ("code", "sensor_eui"):
            find = f"SELECT id, {column} AS value FROM spaces WHERE id = ANY($1) ORDER BY id"
            a, b = await v2.legacy.fetch(find, [ids["P1"], ids["P2"]])
            for space, value in ((a["id"], "T"), (b["id"], a["value"]), (a["id"], b["value"])):
                await v2.legacy.execute(f"UPDATE spaces SET {column} = $2 WHERE id = $1", space, value)
    await v2.drain()
    assert (await v2.verify()).differences == []
    assert await v2.quarantine() == set()
    one, two = await v2.new(ids["P1"]), await v2.new(ids["P2"])
    assert {(one["code"], one["sensor_deveui"]), (two["code"], two["sensor_deveui"])} == {
        ("P2", sensor(2)), ("P1", sensor(1)),
    }  # fmt: skip


async def test_h4_a_space_with_a_waiting_change_can_be_deleted_and_its_code_used_again(v2: V2Database) -> None:
    await begin(v2)
    async with v2.baylight.transaction():
        await v2.baylight.execute("SELECT FROM spaces FOR UPDATE")
        await v2.legacy.execute("DELETE FROM spaces WHERE code = 'P1'")
    again = await v2.add("P1", sensor_eui=sensor(1))
    await v2.drain()
    assert (await v2.verify()).differences == []
    assert await v2.quarantine() == {("*", "deleted_by_v2")}
    assert (await v2.new(again))["sensor_deveui"] == sensor(1)


async def test_h4_a_reservation_that_baylight_cancels_makes_room_for_one_of_v2s(v2: V2Database) -> None:
    await begin(v2)
    await v2.legacy.execute(RESERVE, "P1", 10)
    await v2.legacy.execute(RESERVE, "P1", 11)
    assert await v2.quarantine() == {("*", "overlap")}
    await v2.baylight.execute("UPDATE reservations SET status = 'cancelled'")
    await v2.drain()
    assert await v2.quarantine() == set()
    assert (await v2.verify()).counts["reservations"] == (2, 2)


async def test_h4_a_revoked_key_that_waits_is_refused_as_soon_as_it_follows(v2: V2Database) -> None:
    key = await v2.insert("api_keys", {"key_hash": "$2b$04$x", "key_name": "gate"})
    await begin(v2)
    async with v2.baylight.transaction():
        await v2.baylight.execute("SELECT FROM api_keys FOR UPDATE")
        await v2.legacy.execute("UPDATE api_keys SET is_active = false WHERE id = $1", key)
    with pytest.raises(asyncpg.LockNotAvailableError):
        await v2.baylight.execute("UPDATE api_keys SET is_active = false, revoked_at = now() WHERE id = $1", key)
    await v2.drain()
    assert not await v2.baylight.fetchval("SELECT is_active FROM api_keys WHERE id = $1", key)
    async with v2.baylight.transaction():
        await v2.baylight.execute("SELECT FROM api_keys FOR UPDATE")
        await v2.legacy.execute("DELETE FROM api_keys WHERE id = $1", key)
    await v2.drain()
    assert await v2.baylight.fetchval("SELECT count(*) FROM api_keys WHERE id = $1", key) == 0
    assert (await v2.verify()).green


async def test_h4_a_transaction_that_repeats_reads_does_not_fail_because_of_baylight(v2: V2Database) -> None:
    await begin(v2)
    async with v2.legacy.transaction(isolation="repeatable_read"):
        await v2.legacy.execute("SELECT FROM spaces")
        await v2.baylight.execute("UPDATE spaces SET recompute_at = now() WHERE code = 'P1'")
        await v2.legacy.execute("UPDATE spaces SET state = 'OCCUPIED' WHERE code = 'P1'")
    await v2.drain()
    assert (await v2.verify()).differences == []


async def test_h4_a_transaction_of_v2_whose_snapshot_is_older_than_baylights_row_loses_nothing(v2: V2Database) -> None:
    await begin(v2)
    async with v2.baylight.transaction():
        await v2.baylight.execute("SELECT FROM spaces FOR UPDATE")
        async with v2.legacy.transaction():
            await v2.legacy.execute("UPDATE spaces SET name = 'x' WHERE code = 'P1'")
            await v2.legacy.execute(RESERVE, "P1", 10)
    async with v2.legacy.transaction(isolation="repeatable_read"):
        assert await v2.legacy.fetchval("SELECT count(*) FROM reservations") == 1
        await v2.drain()
        await v2.legacy.execute("DELETE FROM reservations")
    await v2.drain()
    verdict = await v2.verify()
    assert verdict.differences == []
    assert verdict.counts["reservations"] == (0, 0)


async def test_h4_tables_that_another_session_locks_make_no_write_of_v2_fail(v2: V2Database) -> None:
    await begin(v2)
    key = await v2.insert("api_keys", {"key_hash": "$2b$04$x", "key_name": "gate"})
    tables = await v2.admin.fetchval(
        "SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relkind = 'r'"
        " AND relname NOT IN ('queue', 'control')"
        " AND relnamespace IN ('baylight_next'::regnamespace, 'v2_migration'::regnamespace)"
    )
    async with v2.admin.transaction():
        await v2.admin.execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
        await quickly(v2.legacy, "UPDATE spaces SET state = 'OCCUPIED' WHERE code = 'P1'")
        await quickly(v2.legacy, "UPDATE spaces SET name = 'x' WHERE code = 'P2'")
        await quickly(
            v2.legacy, "INSERT INTO spaces (name, code) SELECT 'x', 'W' || n FROM generate_series(1, 60) AS n"
        )
        await quickly(v2.legacy, "UPDATE spaces SET metadata = '{}'")
        await quickly(v2.legacy, RESERVE, "P1", 10)
        await quickly(
            v2.legacy, "INSERT INTO state_changes (space_id, new_state, source) SELECT id, 'FREE', 'x' FROM spaces"
        )
        await quickly(v2.legacy, "UPDATE api_keys SET is_active = false WHERE id = $1", key)
    await v2.drain()
    assert (await v2.verify()).differences == []


async def test_h4_the_settings_of_v2s_session_stay_its_own(v2: V2Database) -> None:
    await begin(v2)
    await v2.legacy.execute("SET lock_timeout = '12s'")
    async with v2.baylight.transaction():
        await v2.baylight.execute("SELECT FROM spaces WHERE code = 'P1' FOR UPDATE")
        async with v2.legacy.transaction():
            await v2.legacy.execute("UPDATE spaces SET name = 'x'")
            assert await v2.legacy.fetchval("SHOW lock_timeout") == "12s"
            assert await v2.legacy.fetchval("SELECT current_setting('baylight.v2_queue', true)") == "on"
        assert await v2.legacy.fetchval("SELECT current_setting('baylight.v2_queue', true)") == ""


async def test_h4_apply_drains_before_it_verifies_and_names_what_still_waits(v2: V2Database) -> None:
    await begin(v2)
    async with second(v2) as b:
        async with v2.legacy.transaction():
            await v2.legacy.execute("INSERT INTO spaces (name, code, building) VALUES ('x', 'Q1', 'NewHouse')")
            await b.execute("INSERT INTO spaces (name, code, building) VALUES ('x', 'Q2', 'NewHouse')")
            (waits,) = [d for d in (await v2.verify()).differences if d.check == "queue"]
            space = await b.fetchval("SELECT id FROM spaces WHERE code = 'Q2'")
            assert waits.id == f"spaces {space}"
            assert waits.detail.startswith("waits since ")
            assert "tried 0 times: 55P03" in waits.detail
        await v2.apply("switch")
    assert await v2.queued() == []


async def test_h4_what_waits_when_the_names_are_exchanged_follows_in_the_same_transaction(v2: V2Database) -> None:
    await begin(v2)
    await v2.apply("switch")
    ends = asyncio.Event()

    async def hold() -> None:
        async with v2.legacy.transaction():
            await v2.legacy.execute("INSERT INTO spaces (name, code, building) VALUES ('x', 'Q1', 'NewHouse')")
            async with second(v2) as b:
                await b.execute("INSERT INTO spaces (name, code, building) VALUES ('x', 'Q2', 'NewHouse')")
            await ends.wait()

    def log(line: str) -> None:
        if "names them" in line:
            ends.set()

    holding = asyncio.create_task(hold())
    await eventually(v2.admin, "SELECT EXISTS (SELECT FROM v2_migration.queue)")
    await run.apply(v2.dsn, to="contract", choices=CHOICES, patience_s=20, log=log)
    await holding
    assert await v2.admin.fetchval("SELECT count(*) FROM public.spaces WHERE code IN ('Q1', 'Q2')") == 2
    assert await v2.queued() == []
    await v2.rollback("verify")
    await v2.legacy.execute("UPDATE spaces SET name = 'y' WHERE code = 'Q2'")
    assert (await v2.verify()).differences == []


async def test_h4_v2s_row_that_is_held_does_not_delay_a_decision_of_baylight(v2: V2Database) -> None:
    await begin(v2)
    await v2.apply("switch")
    async with v2.legacy.transaction():
        await v2.legacy.execute("SELECT FROM spaces WHERE code = 'P1' FOR UPDATE")
        await v2.baylight.execute("UPDATE spaces SET current_state = 'OCCUPIED' WHERE code IN ('P1', 'P2')")
    await v2.drain()
    states = await v2.legacy.fetch("SELECT state FROM spaces WHERE code IN ('P1', 'P2')")
    assert [row["state"] for row in states] == ["OCCUPIED", "OCCUPIED"]
    assert (await v2.verify()).differences == []
