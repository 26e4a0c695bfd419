"""Pages of history read what they return, not the table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from baylight.store.pool import Pool
from baylight.store.query import queries
from tests.support.factories import add_bay

BAYS = 20
EACH = 300
LIMIT = 50
NOW = datetime.now(UTC)
LAST = UUID(int=2**128 - 1)


@pytest.fixture
async def filled(pool: Pool) -> Any:
    """The first of 20 bays with 300 uplinks, changes and actuations each."""
    bays = [await add_bay(pool, f"A-{number}") for number in range(BAYS)]
    for bay in bays:
        await pool.execute(
            """INSERT INTO state_changes (space_id, new_state, source, "timestamp")
               SELECT $1, 'FREE', 'sensor_uplink', $2::timestamptz - n * interval '1 min'
               FROM generate_series(1, $3::int) AS n""",
            bay.space_id, NOW, EACH,
        )  # fmt: skip
        await pool.execute(
            """INSERT INTO actuations (id, space_id, trigger_type, new_state, status, downlink_error, created_at)
               SELECT uuid7(at), $1, 'sensor_uplink', 'FREE', 'failed', 'no display', at
               FROM generate_series($2::timestamptz - $3::int * interval '1 min', $2, interval '1 min') AS at""",
            bay.space_id, NOW, EACH,
        )  # fmt: skip
        await pool.execute(
            """INSERT INTO uplinks (observed_at, received_at, deduplication_id, dev_eui, outcome, data)
               SELECT at, at, gen_random_uuid(), $1, 'unchanged', ''
               FROM generate_series($2::timestamptz - $3::int * interval '1 min', $2, interval '1 min') AS at""",
            bay.sensor_eui, NOW, EACH,
        )  # fmt: skip
    await pool.execute("ANALYZE state_changes, actuations, uplinks, spaces")
    return bays[0]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "name", ["uplinks", "state_changes", "state_changes_of_space", "actuations_of_space", "actuations"]
)
async def test_a_page_reads_little_more_than_its_rows(pool: Pool, filled: Any, name: str, first: bool) -> None:
    at = None if first else NOW
    arguments: dict[str, list[Any]] = {
        "uplinks": [filled.sensor_eui, at, None if first else LAST, LIMIT],
        "state_changes": [None if first else 5000, LIMIT],
        "state_changes_of_space": [filled.space_id, at, None if first else 10**9, LIMIT],
        "actuations_of_space": [filled.space_id, at, None if first else LAST, None, LIMIT],
        "actuations": [None if first else LAST, None, None, LIMIT],
    }
    plan = await pool.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {queries('insight.history')[name]}", *arguments[name])
    table = name.removesuffix("_of_space")
    scans = [node for node in _nodes(plan[0]["Plan"]) if node.get("Relation Name", "").startswith(table)]
    read = sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in scans)
    assert scans
    assert read <= 2 * LIMIT + 10, [(node["Node Type"], node.get("Index Name"), node["Actual Rows"]) for node in scans]


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for below in plan.get("Plans", []) for node in _nodes(below))]
