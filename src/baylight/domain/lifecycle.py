"""The life of a device as one table, which the code, the trigger, the tests and the drawing in the docs follow."""

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
"""State -> states that may follow. A decommissioned device comes back only by a new registration."""


def drawing() -> str:
    """Return the table as a Mermaid state diagram."""
    steps = [f"    {before} --> {after}" for before, then in LIFECYCLE.items() for after in sorted(then)]
    return "\n".join(["stateDiagram-v2", "    [*] --> orphan", "    [*] --> registered", *steps])
