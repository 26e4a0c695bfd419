"""Queries that must stay quick with a million rows, even where the plan knows nothing of the parameters."""

from __future__ import annotations

import pytest

from baylight.store.pool import Connection
from baylight.store.query import numbered, queries


@pytest.mark.parametrize(
    ("group", "name", "arguments", "wanted"),
    [
        ("inventory.spaces", "list", "'A-1', NULL, NULL, NULL, NULL, 1", "Index Cond: ((code)::text = $1)"),
        (
            "inventory.spaces",
            "list",
            "NULL, 'A-1', NULL, NULL, NULL, 10",
            "Index Cond: ((code)::text > COALESCE($2, ''::text))",
        ),
        ("inventory.devices", "sensors", "'58a0cb00000000a1', NULL, true, 1", "Index Cond: ((dev_eui)::text = $1)"),
        (
            "inventory.devices",
            "displays",
            "NULL, '2020', true, 10",
            "Index Cond: ((dev_eui)::text > COALESCE($2, ''::text))",
        ),
        (
            "schedule.reservations",
            "list",
            "gen_random_uuid(), NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1",
            "Index Cond: (id = $1)",
        ),
        (
            "control.duplicates",
            "known",
            "'{58a0cb00000000a1}', '{3}', '{7}', '{102}', '{\\\\x01}', now()",
            "Index Cond: (((dev_eui)::text = n.dev_eui) AND (received_at >= $6))",
        ),
        (
            "control.duplicates",
            "stored_by_id",
            "'{58a0cb00000000a1}', '{00000000-0000-4000-8000-000000000001}', now()",
            "Index Cond: (((dev_eui)::text = n.dev_eui) AND (received_at >= $3))",
        ),
        ("insight.why", "uplink", "'58a0cb00000000a1', true", "Index Cond: ((dev_eui)::text = $1)"),
        ("control.gateways", "mark_late", "now(), now(), now()", "_one_outstanding"),
        ("control.gateways", "troubled", "", "_one_outstanding"),
        ("control.gateways", "used", "now(), NULL", "Index Cond: (minute_at > $1)"),
    ],
)
async def test_a_lookup_uses_its_index(db: Connection, group: str, name: str, arguments: str, wanted: str) -> None:
    await db.execute("INSERT INTO spaces (code, name) SELECT 'B-' || n, n FROM generate_series(1, 5000) AS n")
    await db.execute("ANALYZE spaces")
    await db.execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_bitmapscan = off")
    await db.execute(f"PREPARE lookup AS {numbered(queries(group)[name])[0]}")
    plan = "\n".join(
        row[0] for row in await db.fetch(f"EXPLAIN EXECUTE lookup {f'({arguments})' if arguments else ''}")
    )
    assert wanted in plan, plan
