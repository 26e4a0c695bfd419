"""One finding of `inspect`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Finding that stands in the way, or that a person must know.

    `examples`: at most 20 pairs of ids and detail. `choice`: the key in [resolve], or None where there is nothing to
    choose. `blocks`: the migration does not begin before this is corrected.
    """

    kind: str
    meaning: str
    count: int
    examples: list[tuple[str, str]]
    choice: str | None = None
    proposed: str | None = None
    blocks: bool = False

    def sentence(self) -> str:
        """Return what stands in the way, and what to do."""
        return f"{self.kind} ({self.meaning}): " + "; ".join(f"{id_}: {detail}" for id_, detail in self.examples[:5])
