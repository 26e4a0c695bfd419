"""Conditions that last, with the names of their subjects, and the meaning and remedy of their kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from baylight.domain.conditions import KINDS, Cause, ConditionKind, Subject
from baylight.domain.paging import PAGE_SIZE, check_page_size
from baylight.errors import InputError
from baylight.store.pool import Connection
from baylight.store.query import Query


@dataclass(frozen=True, slots=True)
class ConditionSeen:
    """A condition that lasts. `name`: DevEUI of a device, id of a gateway, or name of a service.

    `spaces`: codes of the spaces that the device serves. `evidence`: the newest facts. `remedy`: what a person does.
    """

    id: UUID
    kind: ConditionKind
    subject: Subject
    subject_id: str
    name: str
    spaces: list[str]
    since: datetime
    evidence: str
    meaning: str
    remedy: str
    cause: Cause | None


class _Row(NamedTuple):
    id: UUID
    kind: ConditionKind
    subject_id: str
    name: str
    spaces: list[str]
    since: datetime
    evidence: str
    cause: Cause | None


LIST = Query("insight.conditions.list", _Row)
_KINDS_OF = {subject: [k for k, row in KINDS.items() if row.subject is subject] for subject in Subject}


async def list_conditions(
    connection: Connection,
    *,
    subject: str | None = None,
    kind: str | None = None,
    after: UUID | None = None,
    limit: int = PAGE_SIZE,
) -> list[ConditionSeen]:
    """Return a page of the conditions that last, oldest first, beginning after the one with an id.

    `subject`: a word of Subject, or a DevEUI, the id of a gateway, the name of a service, the code of a space. Raises
    InputError `bad_condition_kind`, `bad_limit`.
    """
    kinds = None if kind is None else [parse_kind(kind)]
    if subject in list(Subject):
        of_subject = _KINDS_OF[Subject(subject)]
        kinds, subject = [k for k in of_subject if kinds is None or k in kinds], None
    return await _read(connection, kinds, subject, None, after, check_page_size(limit))


async def of_devices(connection: Connection, device_ids: Sequence[UUID]) -> list[ConditionSeen]:
    """Return the conditions of devices, oldest first."""
    return await _read(connection, None, None, [str(id_) for id_ in device_ids], None, None)


async def _read(
    connection: Connection,
    kinds: list[ConditionKind] | None,
    subject: str | None,
    subject_ids: list[str] | None,
    after: UUID | None,
    limit: int | None,
) -> list[ConditionSeen]:
    rows = await LIST.all(
        connection,
        kinds=kinds,
        subject=subject,
        subject_ids=subject_ids,
        sensor_kinds=_KINDS_OF[Subject.SENSOR],
        display_kinds=_KINDS_OF[Subject.DISPLAY],
        after=after,
        limit=limit,
    )
    return [_seen(row) for row in rows]


def parse_kind(text: str) -> ConditionKind:
    """Return a kind. Raises InputError `bad_condition_kind`."""
    try:
        return ConditionKind(text.lower())
    except ValueError as error:
        known = ", ".join(ConditionKind)
        raise InputError("bad_condition_kind", f"{text!r} is no kind of a condition: one of {known}") from error


def _seen(row: _Row) -> ConditionSeen:
    kind = KINDS[row.kind]
    return ConditionSeen(
        row.id, row.kind, kind.subject, row.subject_id, row.name, row.spaces, row.since, row.evidence, kind.meaning,
        kind.remedy, row.cause,
    )  # fmt: skip
