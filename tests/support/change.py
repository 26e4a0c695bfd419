"""The person who makes a change in tests."""

from __future__ import annotations

from datetime import UTC, datetime

from baylight.access.change import Change
from baylight.domain.policies import Policies
from baylight.store.pool import Connection

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def by(
    connection: Connection,
    *,
    actor: str = "ann",
    now: datetime = NOW,
    policies: Policies = Policies(),  # noqa: B008 - a frozen value
) -> Change:
    """Return a change of Ann's at NOW, by the policies of a process without settings."""
    return Change(connection, actor, now, policies)
