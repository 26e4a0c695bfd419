"""The life of a device as one table: code, trigger, tests and the drawing in the docs follow it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

LIFECYCLE: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "orphan": frozenset({"registered"}),
        "registered": frozenset({"installed", "testing", "active", "decommissioned"}),
        "installed": frozenset({"testing", "active", "maintenance", "decommissioned"}),
        "testing": frozenset({"installed", "active", "maintenance", "decommissioned"}),
        "active": frozenset({"testing", "maintenance", "decommissioned"}),
        "maintenance": frozenset({"active", "decommissioned"}),
        "decommissioned": frozenset({"registered"}),
    }
)
"""Which step may follow which; a decommissioned device comes back only by being registered again."""


def drawing() -> str:
    """The table as a Mermaid state diagram."""
    steps = [f"    {before} --> {after}" for before, then in LIFECYCLE.items() for after in sorted(then)]
    return "\n".join(["stateDiagram-v2", "    [*] --> orphan", "    [*] --> registered", *steps])
