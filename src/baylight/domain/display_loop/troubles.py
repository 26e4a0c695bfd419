"""Conditions of one display: which last, since when, and what began or ended since it was loaded."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from baylight.domain.conditions import Condition, ConditionKind


class Troubles(msgspec.Struct, gc=False):
    """Conditions of one display by kind. A kind that is seen again keeps its `since`."""

    open: dict[ConditionKind, Condition] = msgspec.field(default_factory=dict)
    begun: dict[ConditionKind, Condition] = msgspec.field(default_factory=dict)
    """Conditions that began, or have new evidence, since the display was loaded."""
    ended: dict[ConditionKind, datetime] = msgspec.field(default_factory=dict)
    new: set[ConditionKind] = msgspec.field(default_factory=set)
    """Kinds of `begun` that did not last before."""

    def __contains__(self, kind: ConditionKind) -> bool:
        return kind in self.open

    def begin(self, kind: ConditionKind, subject_id: str, evidence: str, at: datetime) -> None:
        """Begin a condition, or renew its evidence. Idempotent."""
        before = self.open.get(kind)
        if before is not None and before.evidence == evidence:
            return
        if kind in self.ended and before is None:
            del self.ended[kind]  # it is stored as open: it goes on
        elif before is None:
            self.new.add(kind)
        since, cause = (before.since, before.cause) if before else (at, None)
        condition = Condition(kind, subject_id, since, evidence, cause)
        self.open[kind] = self.begun[kind] = condition

    def end(self, kinds: Iterable[ConditionKind], at: datetime) -> None:
        """End conditions. Idempotent."""
        for kind in kinds:
            if self.open.pop(kind, None) is None:
                continue
            self.begun.pop(kind, None)
            if kind in self.new:
                self.new.remove(kind)  # it was never stored
            else:
                self.ended[kind] = at
