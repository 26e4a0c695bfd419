"""Conditions of the services that a process uses: one value for readiness, page, metrics, log and doctor.

They are kept in memory, since they must be known while the database is away, and are stored so that other processes
see them. A stored condition is a fact about its service. Any process that sees it begins it, and the process whose view
changes ends it; one that still sees it begins it again with its own `since`. No process ends what it has not seen, so
processes with different views do not take turns. What a process that was killed has left is ended by the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from baylight.control import conditions as stored
from baylight.domain.conditions import Condition, ConditionKind
from baylight.insight.services import SERVICE_KINDS
from baylight.log import logger
from baylight.ports import Clock
from baylight.store.pool import Connection

log = logger("services")

READINESS = frozenset({ConditionKind.DATABASE_AWAY, ConditionKind.BROKER_AWAY, ConditionKind.BACKLOG})
"""Conditions with which the process cannot do its work: what comes in is not stored. Those of lamps, sensors, gateways
and network servers never withdraw readiness, for another process could not do better."""
_LOGGED_ELSEWHERE = frozenset({ConditionKind.DATABASE_AWAY, ConditionKind.BROKER_AWAY, ConditionKind.SANDBOX_AWAY})
"""Conditions whose part logs their beginning and end."""

Key = tuple[ConditionKind, str]


@dataclass(slots=True)
class ServiceConditions:
    """Open conditions by kind and name of the service.

    `on_end`: functions that are called with each condition that ends; they must not raise. `on_change`: called after
    each change.
    """

    clock: Clock
    on_end: list[Callable[[Condition], None]] = field(default_factory=list)
    on_change: list[Callable[[], None]] = field(default_factory=list)
    _open: dict[Key, Condition] = field(default_factory=dict)
    _changed: set[Key] = field(default_factory=set)
    _ended: list[tuple[Condition, datetime]] = field(default_factory=list)

    def open(self) -> list[Condition]:
        """Return the conditions that last, oldest first."""
        return sorted(self._open.values(), key=lambda c: (c.since, c.kind, c.subject_id))

    def find(self, kind: ConditionKind, service: str) -> Condition | None:
        return self._open.get((kind, service))

    def begin(self, kind: ConditionKind, service: str, evidence: str) -> None:
        """Begin a condition. One that lasts keeps its `since`, and has the new evidence. Idempotent."""
        key = kind, service
        before = self._open.get(key)
        if before is not None and before.evidence == evidence:
            return
        if before is None:
            self._open[key] = Condition(kind, service, self.clock.now(), evidence)
            if kind not in _LOGGED_ELSEWHERE:
                log.warning("condition_began", kind=str(kind), service=service, evidence=evidence)
        else:
            self._open[key] = replace(before, evidence=evidence)
        self._changed.add(key)
        self._announce()

    def end(self, kind: ConditionKind, service: str) -> None:
        """End a condition, and call `on_end`. Idempotent."""
        condition = self._open.pop((kind, service), None)
        if condition is None:
            return
        now = self.clock.now()
        if kind not in _LOGGED_ELSEWHERE:
            lasted_s = round((now - condition.since).total_seconds(), 1)
            log.info("condition_ended", kind=str(kind), service=service, lasted_s=lasted_s)
        self._ended.append((condition, now))
        for listener in self.on_end:
            listener(condition)
        self._announce()

    def of(self, service: str) -> OfService:
        """Return the conditions of one service."""
        return OfService(self, service)

    def set(self, kind: ConditionKind, service: str, evidence: str | None) -> None:
        """Begin a condition, or end it if there is no evidence of it."""
        if evidence:
            self.begin(kind, service, evidence)
        else:
            self.end(kind, service)

    async def restore(self, connection: Connection, watched: Iterable[Key]) -> None:
        """Add the stored conditions that this process watches: it ended before it saw their end.

        The first look at the service keeps or ends them. Stored conditions that it does not watch stay as they are.
        """
        ours = set(watched)
        for condition in await stored.list_open(connection, kinds=SERVICE_KINDS):
            key = condition.kind, condition.subject_id
            if key in ours:
                self._open.setdefault(key, condition)
        self._announce()

    async def save(self, connection: Connection) -> None:
        """Store what has changed, and what another process has ended though it lasts here. Idempotent."""
        ended, changed = list(self._ended), set(self._changed)
        if not (ended or self._open):
            return
        async with connection.transaction():
            for condition, at in ended:  # one by one: a condition may have begun and ended twice
                await stored.begin(connection, [condition])
                await stored.end(connection, [(condition.kind, condition.subject_id)], at)
            there = {(c.kind, c.subject_id) for c in await stored.list_open(connection, kinds=SERVICE_KINDS)}
            await stored.begin(connection, [c for key, c in self._open.items() if key in changed or key not in there])
        del self._ended[: len(ended)]
        self._changed -= changed

    def _announce(self) -> None:
        for listener in self.on_change:
            listener()


@dataclass(frozen=True, slots=True)
class OfService:
    """Conditions of one service, for the part that sees them."""

    _all: ServiceConditions
    _service: str

    def begin(self, kind: ConditionKind, evidence: str) -> None:
        """Begin a condition, or renew its evidence. Idempotent."""
        self._all.begin(kind, self._service, evidence)

    def end(self, kind: ConditionKind) -> None:
        """End a condition. Idempotent."""
        self._all.end(kind, self._service)
