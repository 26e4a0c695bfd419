"""Rows whose values Baylight refuses: V2's write succeeds all the same, and the quarantine has them one by one (H4)."""

from __future__ import annotations

import pytest

from tests.support.v2 import V2Database


async def test_h4_a_wider_list_of_states_never_makes_a_write_fail(v2: V2Database) -> None:
    for n in (1, 2, 3):
        await v2.add(f"P{n}")
    await v2.apply("verify")
    await v2.admin.execute("ALTER TABLE spaces DROP CONSTRAINT valid_state")
    await v2.legacy.execute("UPDATE spaces SET state = 'CHARGING' WHERE code IN ('P1', 'P2')")
    await v2.legacy.execute("UPDATE spaces SET state = 'OCCUPIED' WHERE code = 'P3'")
    await v2.add("Q1", state="CHARGING")
    assert await v2.quarantine() == {("*", "refused")}
    assert await v2.queued() == []
    assert (await v2.verify()).differences == []
    space = await v2.legacy.fetchval("SELECT id FROM spaces WHERE code = 'Q1'")
    await v2.legacy.execute(
        "INSERT INTO reservations (space_id, start_time, end_time) VALUES ($1, now(), now() + interval '1 h')", space
    )
    await v2.legacy.execute(
        "INSERT INTO state_changes (space_id, new_state, source) VALUES ($1, 'CHARGING', 'x')", space
    )
    # Corrected in V2, it is carried, with what has happened to it meanwhile.
    await v2.legacy.execute("UPDATE spaces SET state = 'RESERVED'")
    await v2.drain()
    assert await v2.quarantine() == set()
    verdict = await v2.verify()
    assert verdict.differences == []
    assert (verdict.counts["reservations"], verdict.counts["state_changes"]) == ((1, 1), (1, 1))


WIDER = {
    "history": (
        "ALTER TABLE state_changes ALTER source TYPE text",
        "INSERT INTO state_changes (space_id, new_state, source) SELECT id, 'FREE', repeat('s', n)"
        " FROM spaces CROSS JOIN (VALUES (5), (60)) AS v (n) WHERE code = 'P1'",
        "state_changes",
    ),
    "phone": (
        "ALTER TABLE reservations ALTER user_phone TYPE varchar(60)",
        "INSERT INTO reservations (space_id, start_time, end_time, user_phone) SELECT id, now() + n * interval '1 d',"
        " now() + n * interval '1 d' + interval '1 h', CASE n WHEN 1 THEN '+44 (0) 118 999 881 999 119' END"
        " FROM spaces CROSS JOIN (VALUES (1), (2)) AS v (n) WHERE code = 'P1'",
        "reservations",
    ),
    "end before start": (
        "ALTER TABLE reservations DROP CONSTRAINT valid_times",
        "INSERT INTO reservations (space_id, start_time, end_time) SELECT id, now() + interval '1 d',"
        " now() + interval '1 d' + n * interval '1 h' FROM spaces CROSS JOIN (VALUES (-1), (1)) AS v (n)"
        " WHERE code = 'P1'",
        "reservations",
    ),
    "two days": (
        "ALTER TABLE reservations DROP CONSTRAINT valid_duration",
        "INSERT INTO reservations (space_id, start_time, end_time) SELECT id, now() + n * interval '9 d',"
        " now() + n * interval '9 d' + n * interval '20 h' FROM spaces CROSS JOIN (VALUES (1), (2)) AS v (n)"
        " WHERE code = 'P1'",
        "reservations",
    ),
    "key name": (
        "ALTER TABLE api_keys ALTER key_name TYPE text",
        "INSERT INTO api_keys (key_hash, key_name) SELECT '$2b$12$' || n, repeat('k', n)"
        " FROM (VALUES (9), (109)) AS v (n)",
        "api_keys",
    ),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", WIDER)
async def test_h4_rows_that_baylight_refuses_are_quarantined_one_by_one(v2: V2Database, what: str, when: str) -> None:
    change, write, table = WIDER[what]
    await v2.add("P1")
    await v2.admin.execute(change)
    await v2.apply("backfill" if when == "after" else "expand")
    if when == "before":
        await v2.admin.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await v2.legacy.execute(write)
        await v2.admin.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        await v2.apply("backfill")
    else:
        await v2.legacy.execute(write)
    assert await v2.quarantine() == {("*", "refused")}
    verdict = await v2.verify()
    assert verdict.differences == []
    rows_of_v2 = await v2.legacy.fetchval(f"SELECT count(*) FROM {table}")
    assert await v2.baylight.fetchval(f"SELECT count(*) FROM {table}") == rows_of_v2 - 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_h4_keys_with_ids_that_people_wrote_are_carried(v2: V2Database, when: str) -> None:
    if when == "after":
        await v2.apply("backfill")
    for n in range(1, 4):
        await v2.legacy.execute(
            "INSERT INTO api_keys (id, key_hash, key_name) VALUES ($1, $2, 'k')",
            f"00000000-0000-0000-0000-00000000000{n}", f"$2b$12${n}",
        )  # fmt: skip
    await v2.apply("verify")
    assert await v2.quarantine() == set()
    assert await v2.baylight.fetchval("SELECT count(DISTINCT key_prefix) FROM api_keys") == 4
