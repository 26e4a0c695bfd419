"""Store the topic filters of our sessions at brokers."""

from __future__ import annotations

from baylight.store.pool import Connection
from baylight.store.query import Query, Statement

FILTERS = Query("control.broker_sessions.filters", str)
KEEP = Statement("control.broker_sessions.keep")


async def filters(connection: Connection, broker: str, client_id: str) -> frozenset[str]:
    """Return the topic filters that our session may have; empty: there never was a session."""
    return frozenset(await FILTERS.all(connection, broker=broker, client_id=client_id))


async def keep(connection: Connection, broker: str, client_id: str, topic_filters: frozenset[str]) -> None:
    """Store the topic filters that our session may have."""
    await KEEP.run(connection, broker=broker, client_id=client_id, filters=sorted(topic_filters))
