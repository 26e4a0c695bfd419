"""The present: what each space is and shows, in counts for dashboards and row by row for those who watch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from baylight.domain.downlink import ActuationStatus, SyncStatus
from baylight.domain.state import State
from baylight.store.pool import Connection
from baylight.store.query import queries

_WAITING = ("pending", "sending", "queued", "transmitted", "acknowledged")


@dataclass(frozen=True, slots=True)
class LocationCount:
    """`location`: path of names; None for the spaces without one."""

    location: str | None
    total: int
    spaces: dict[str, int]


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of live spaces by state, of serving displays by sync status, of unfinished actuations by status."""

    spaces: dict[str, int]
    displays: dict[str, int]
    actuations: dict[str, int]
    locations: list[LocationCount] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class View:
    """`horizon`: pass it to the next read to get what was touched meanwhile. `spaces`, `actuations`: JSON-ready rows
    of the live page; a deleted space comes with `deleted`. `last_change_id`: newest row of the history of states."""

    horizon: str
    last_change_id: int
    spaces: list[dict[str, Any]]
    actuations: list[dict[str, Any]]


async def view(connection: Connection, since: str | None = None) -> View:
    """Everything, or what was touched since an earlier view's `horizon`: nothing is missed, some may come twice."""
    sql = queries("insight.live")
    head = await connection.fetchrow(sql["horizon"])
    assert head is not None
    return View(
        horizon=head["horizon"],
        last_change_id=head["last_change_id"],
        spaces=[dict(row) for row in await connection.fetch(sql["spaces"], since)],
        actuations=[dict(row) for row in await connection.fetch(sql["actuations"], since)],
    )


async def summary(connection: Connection) -> Summary:
    """Every word of each vocabulary is there, with 0 if need be."""
    locations: dict[str | None, dict[str, int]] = {}
    for row in await connection.fetch(queries("insight.live")["locations"]):
        locations.setdefault(row["location"], {})[row["word"]] = row["amount"]
    return Summary(
        spaces=await _counts(connection, "spaces_by_state", list(State)),
        displays=await _counts(connection, "displays_by_sync", list(SyncStatus)),
        actuations=await _counts(connection, "actuations_waiting", [ActuationStatus(word) for word in _WAITING]),
        locations=[LocationCount(name, sum(counts.values()), counts) for name, counts in locations.items()],
    )


async def _counts(connection: Connection, query: str, words: list[Any]) -> dict[str, int]:
    found = {row["word"]: row["amount"] for row in await connection.fetch(queries("insight.live")[query])}
    return {str(word): found.get(word, 0) for word in words}
