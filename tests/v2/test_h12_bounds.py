"""The work of the migration is bounded by rows, not by ids or by what one session holds (H12)."""

from __future__ import annotations

import time

from tests.support.v2 import V2Database


async def test_h12_a_history_with_huge_gaps_between_its_ids_is_carried_at_once(v2: V2Database) -> None:
    await v2.legacy.execute(
        "INSERT INTO state_changes (id, space_id, new_state, source) SELECT n * 1000000000000, id, 'FREE', 'x'"
        " FROM spaces CROSS JOIN generate_series(-1, 400) AS n WHERE code = 'A001'"
    )
    began = time.monotonic()
    await v2.apply("verify")
    assert time.monotonic() - began < 30
    assert (await v2.verify()).counts["state_changes"] == (402, 402)


async def test_h12_a_statement_of_v2_that_writes_many_rows_stays_cheap(v2: V2Database) -> None:
    await v2.legacy.execute("INSERT INTO spaces (name, code) SELECT 'x', 'W' || n FROM generate_series(1, 3000) AS n")
    wide = "UPDATE spaces SET metadata = '{\"n\": %d}'"
    began = time.monotonic()
    await v2.legacy.execute(wide % 1)
    alone_s = time.monotonic() - began
    await v2.apply("expand")
    await v2.legacy.execute(wide % 0)
    assert await v2.queued() == []  # the backfill carries them
    await v2.apply("backfill")
    began = time.monotonic()
    await v2.legacy.execute(wide % 2)
    assert time.monotonic() - began < 3 * alone_s + 0.2
    await v2.drain()
    assert (await v2.verify()).differences == []
