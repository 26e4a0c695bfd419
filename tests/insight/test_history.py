"""Pages of history read what they return, not the table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from baylight.insight import history
from baylight.store.pool import Pool
from baylight.store.query import Query
from tests.support.factories import Bay, add_bay

BAYS = 20
EACH = 300
LIMIT = 50
NOW = datetime.now(UTC)
LAST = UUID(int=2**128 - 1)


@pytest.fixture
async def filled(pool: Pool) -> Bay:
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
    "query",
    [
        history.LIST_UPLINKS,
        history.LIST_STATE_CHANGES,
        history.LIST_STATE_CHANGES_OF_SPACE,
        history.LIST_ACTUATIONS,
        history.LIST_ACTUATIONS_OF_SPACE,
    ],
    ids=repr,
)
async def test_a_page_reads_little_more_than_its_rows(pool: Pool, filled: Bay, query: Query[Any], first: bool) -> None:
    last: object = None
    if not first:
        last = {history.LIST_STATE_CHANGES: 5000, history.LIST_STATE_CHANGES_OF_SPACE: 10**9}.get(query, LAST)
    parameters = {
        "dev_eui": filled.sensor_eui,
        "space_id": filled.space_id,
        "before": None if first else NOW,
        "before_id": last,
        "status": None,
        "display_dev_eui": None,
        "from_at": None,
        "until_at": None,
        "limit": LIMIT,
    }
    arguments = [parameters[name] for name in query.parameters]
    plan = await pool.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query.sql}", *arguments)
    table = query.name.split(".list_")[1].removesuffix("_of_space")
    scans = [node for node in _nodes(plan[0]["Plan"]) if node.get("Relation Name", "").startswith(table)]
    read = sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in scans)
    assert scans
    assert read <= 2 * LIMIT + 10, [(node["Node Type"], node.get("Index Name"), node["Actual Rows"]) for node in scans]


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for below in plan.get("Plans", []) for node in _nodes(below))]
