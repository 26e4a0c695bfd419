"""Store conditions: begin, renew, end, list. The caller holds the lock of the device that a condition concerns."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple

import msgspec

from baylight.domain.conditions import Cause, Condition, ConditionKind
from baylight.store.pool import Connection
from baylight.store.query import Query, RowsStatement, Statement

MAX_EVIDENCE = 2000
"""Characters of evidence that are stored."""


class _Begin(msgspec.Struct, omit_defaults=True, gc=False):
    """Row for `BEGIN`."""

    kind: ConditionKind
    subject_id: str
    at: datetime
    evidence: str
    cause_kind: ConditionKind | None = None
    cause_id: str | None = None


class _End(msgspec.Struct, gc=False):
    """Row for `END`."""

    kind: ConditionKind
    subject_id: str
    at: datetime


class _Open(NamedTuple):
    kind: ConditionKind
    subject_id: str
    since: datetime
    evidence: str
    cause_kind: ConditionKind | None
    cause_id: str | None


BEGIN = RowsStatement("control.conditions.begin", _Begin)
END = RowsStatement("control.conditions.end", _End)
GIVE_CAUSES = Statement("control.conditions.give_causes")
OPEN = Query("control.conditions.open", _Open)


async def begin(connection: Connection, conditions: Iterable[Condition]) -> None:
    """Begin conditions. One that lasts keeps its `since`, and has the new evidence and cause. Idempotent."""
    rows = sorted(conditions, key=lambda c: (c.subject_id, c.kind))
    if rows:
        await BEGIN.run(connection, rows=[_begin(c) for c in rows])


async def end(connection: Connection, over: Iterable[tuple[ConditionKind, str]], at: datetime) -> None:
    """End conditions, named by kind and subject. Idempotent: those that do not last are left out."""
    rows = [_End(kind, subject_id, at) for kind, subject_id in sorted(over, key=lambda o: (o[1], o[0]))]
    if rows:
        await END.run(connection, rows=rows)


async def give_causes(connection: Connection, kinds: Collection[ConditionKind]) -> None:
    """Lay the conditions of displays that no command reaches beneath those of their network server. Idempotent."""
    await GIVE_CAUSES.run(connection, kinds=list(kinds))


async def list_open(
    connection: Connection,
    *,
    kinds: Collection[ConditionKind] | None = None,
    subject_ids: Collection[str] | None = None,
) -> list[Condition]:
    """Return the conditions that last, oldest first. None: of all kinds; of all subjects."""
    rows = await OPEN.all(
        connection,
        kinds=None if kinds is None else list(kinds),
        subject_ids=None if subject_ids is None else list(subject_ids),
    )
    return [_condition(row) for row in rows]


def _begin(c: Condition) -> _Begin:
    row = _Begin(c.kind, c.subject_id, c.since, c.evidence[:MAX_EVIDENCE])
    if c.cause is not None:
        row.cause_kind, row.cause_id = c.cause.kind, c.cause.subject_id
    return row


def _condition(row: _Open) -> Condition:
    cause = Cause(row.cause_kind, row.cause_id) if row.cause_kind is not None and row.cause_id is not None else None
    return Condition(row.kind, row.subject_id, row.since, row.evidence, cause)
