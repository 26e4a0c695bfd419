"""Observe mode: Baylight receives what V2 receives, and decides without effect. Where would it decide otherwise?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from baylight.store.pool import Connection
from baylight.store.query import Query
from baylight.v2 import choices as choices_of
from baylight.v2.choices import Choices
from baylight.v2.schema import require_both_schemas


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Space whose state differs. `v2_since` and `decided_at`: instants since which each side has had its state."""

    id: UUID
    code: str
    v2_state: str
    v2_since: datetime
    state: str
    reason: str | None
    decided_at: datetime


class DisagreementCount(NamedTuple):
    """Number of spaces in which V2 has one state and Baylight, for this reason, another."""

    v2_state: str
    state: str
    reason: str | None
    spaces: int


class Observed(NamedTuple):
    """Uplinks that have come to Baylight. `since`: when the first uplink came; None without one.

    `sensors`: those that serve spaces. `sensors_received`: those of which an uplink came.
    """

    uplinks: int
    since: datetime | None
    sensors_received: int
    sensors: int


class UnreachableDisplay(NamedTuple):
    """Display that Baylight could not command at the switch. `spaces`: codes of the spaces that it serves."""

    dev_eui: str
    spaces: str
    reason: str


@dataclass(frozen=True, slots=True)
class ObserveReport:
    """Report of the spaces in which an observing Baylight disagrees with V2."""

    observed: Observed
    summary: list[DisagreementCount]
    spaces: list[Disagreement]
    unreachable: list[UnreachableDisplay]


DIFFERENCES = Query("v2.observe.differences", Disagreement)
SUMMARY = Query("v2.observe.summary", DisagreementCount)
OBSERVED = Query("v2.observe.observed", Observed)
UNREACHABLE = Query("v2.observe.unreachable", UnreachableDisplay)


async def observe_report(connection: Connection, *, grace_s: float = 60.0, limit: int = 50) -> ObserveReport:
    """Return the spaces in which an observing Baylight disagrees with V2 for more than `grace_s` seconds.

    Raises InputError `not_beside`.
    """
    await require_both_schemas(connection)
    choices = await choices_of.stored(connection) or Choices()
    kept = [what for what in ("closed", "reserved") if choices.of(f"{what}_by_hand") == "keep"]
    return ObserveReport(
        await OBSERVED.one(connection),
        await SUMMARY.all(connection, grace_s=grace_s, kept=kept),
        await DIFFERENCES.all(connection, grace_s=grace_s, limit=limit, kept=kept),
        await UNREACHABLE.all(connection, limit=limit),
    )
