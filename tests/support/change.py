"""The person who makes a change in tests."""

from __future__ import annotations

from datetime import UTC, datetime

from baylight.domain.state import Policy

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
BY = {"actor": "ann", "now": NOW, "policy": Policy()}
"""Who makes the change, when, and by which policy: arguments of most writes."""
