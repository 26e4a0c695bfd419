"""Tables that what is sent to Baylight fills: their numbers of rows have bounds."""

from __future__ import annotations

from datetime import timedelta

from baylight.control import retention
from baylight.control.events.batch import INSERT_REJECTED, MAX_REJECTED
from baylight.store.pool import Connection, Pool
from tests.support.change import NOW
from tests.support.factories import add_display


async def reject(db: Connection, digest: bytes) -> None:
    await INSERT_REJECTED.run(
        db,
        digest=digest,
        topic="t",
        payload=b"",
        payload_bytes=0,
        reason="r",
        detail="d",
        now=NOW,
        max_rows=MAX_REJECTED,
    )


async def prune(db: Connection) -> None:
    await retention.run(db, NOW, uplink_months=25, actuation_months=37)


async def test_f8_rejected_messages_do_not_grow_beyond_their_bound_and_known_ones_are_counted(db: Connection) -> None:
    await db.execute(
        "INSERT INTO rejected_messages (digest, topic, payload, payload_bytes, reason, detail, first_at, last_at) "
        "SELECT sha256(n::text::bytea), 't', '', 0, 'r', 'd', $1, $1::timestamptz - make_interval(secs => n) "
        "FROM generate_series(1, $2::int) AS n",
        NOW,
        MAX_REJECTED,
    )
    await reject(db, b"new")
    await reject(db, await db.fetchval("SELECT sha256('7')"))
    assert await db.fetchval("SELECT count(*) FROM rejected_messages") == MAX_REJECTED
    assert await db.fetchval("SELECT times FROM rejected_messages WHERE digest = sha256('7')") == 2
    await prune(db)
    assert await db.fetchval("SELECT count(*) FROM rejected_messages") == retention.REJECTED_ROWS_KEPT
    assert await db.fetchval("SELECT EXISTS (SELECT FROM rejected_messages WHERE digest = sha256('7'))")
    await reject(db, b"new")
    assert await db.fetchval("SELECT count(*) FROM rejected_messages") == retention.REJECTED_ROWS_KEPT + 1


async def test_f8_gateways_that_are_gone_are_forgotten_unless_a_device_used_them_last(
    db: Connection, pool: Pool
) -> None:
    await add_display(pool, gateway_id="0000000000000002")
    await db.execute(
        "INSERT INTO gateways (gateway_id, first_seen_at, last_seen_at) VALUES ('0000000000000001', $1, $1), "
        "('0000000000000002', $1, $1), ('0000000000000003', $2, $2)",
        NOW - retention.GATEWAYS_KEPT - timedelta(hours=1),
        NOW - retention.GATEWAYS_KEPT + timedelta(hours=1),
    )
    await prune(db)
    kept = await db.fetch("SELECT gateway_id FROM gateways ORDER BY gateway_id")
    assert [row["gateway_id"] for row in kept] == ["0000000000000002", "0000000000000003"]
