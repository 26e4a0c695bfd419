"""What has happened: uplinks, changes of state, actuations with every step. Pages run from the newest back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from baylight.domain.downlink import ActuationStatus
from baylight.domain.ids import parse_dev_eui
from baylight.errors import InputError, NotFoundError
from baylight.store.pool import Connection
from baylight.store.query import queries


@dataclass(frozen=True, slots=True)
class UplinkRow:
    """`data`: the payload in hex. `outcome`: what became of it."""

    dev_eui: str
    deduplication_id: UUID
    observed_at: datetime
    network_at: datetime | None
    received_at: datetime
    f_cnt: int | None
    f_port: int | None
    data: str
    reading: dict[str, Any] | None
    occupancy: str | None
    outcome: str
    error: str | None
    rssi_dbm: int | None
    snr_db: float | None
    gateway_id: str | None


@dataclass(frozen=True, slots=True)
class StateChange:
    """`considered`: the rules that applied, the winner first. `trigger_source`: id of what is behind it."""

    id: int
    space: str
    at: datetime
    previous_state: str | None
    new_state: str
    reason: str | None
    trigger_type: str
    trigger_source: str | None
    uplink_observed_at: datetime | None
    considered: list[Any] | None


@dataclass(frozen=True, slots=True)
class Step:
    """`at`: the network's time, `received_at` ours. `detail`: the network server's own words."""

    at: datetime
    received_at: datetime
    kind: str
    attempt: int | None
    downlink_queue_id: str | None
    downlink_id: int | None
    f_cnt_down: int | None
    gateway_id: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Actuation:
    """`sent_at`: the network server accepted it; `transmitted_at`: a gateway sent it; `confirmed_at`: the device
    acknowledged or reported it; `shown_at`: the device said that it shows it. `steps` only where one is asked for."""

    id: UUID
    space: str
    display: str | None
    trigger_type: str
    trigger_source: str | None
    previous_state: str | None
    new_state: str
    display_code: str | None
    fport: int | None
    confirmed: bool
    status: str
    downlink_error: str | None
    downlink_queue_id: str | None
    retry_count: int
    created_at: datetime
    sent_at: datetime | None
    transmitted_at: datetime | None
    confirmed_at: datetime | None
    shown_at: datetime | None
    response_time_ms: int | None
    superseded_by: UUID | None
    steps: list[Step] = field(default_factory=list)


async def uplinks(
    connection: Connection, dev_eui: str, *, before: tuple[datetime, UUID] | None = None, limit: int
) -> list[UplinkRow]:
    """`before`: received_at and deduplication_id of the last one of the page before."""
    at, deduplication_id = before or (None, None)
    rows = await connection.fetch(
        queries("insight.history")["uplinks"], parse_dev_eui(dev_eui), at, deduplication_id, limit
    )
    return [UplinkRow(**row) for row in rows]


async def state_changes(
    connection: Connection, *, space: str | None = None, before: tuple[datetime, int] | None = None, limit: int
) -> list[StateChange]:
    """`space`: a code, of a deleted space too. `before`: `at` and id of the last one of the page before."""
    at, last = before or (None, None)
    if space is None:
        rows = await connection.fetch(queries("insight.history")["state_changes"], last, limit)
    else:
        space_id = await _space_id(connection, space)
        rows = await connection.fetch(queries("insight.history")["state_changes_of_space"], space_id, at, last, limit)
    return [StateChange(**row) for row in rows]


async def actuations(
    connection: Connection,
    *,
    space: str | None = None,
    display: str | None = None,
    status: str | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int,
) -> list[Actuation]:
    """`before`: created_at and id of the last one of the page before. Raises InputError `bad_status`, `one_filter`."""
    if status is not None and status not in list(ActuationStatus):
        raise InputError("bad_status", f"{status!r} is no status: one of {', '.join(ActuationStatus)}", status=status)
    if space is not None and display is not None:
        raise InputError("one_filter", "filter by space or by display, not by both")
    at, last = before or (None, None)
    if space is None:
        eui = parse_dev_eui(display) if display is not None else None
        rows = await connection.fetch(queries("insight.history")["actuations"], last, eui, status, limit)
    else:
        space_id = await _space_id(connection, space)
        rows = await connection.fetch(
            queries("insight.history")["actuations_of_space"], space_id, at, last, status, limit
        )
    return [Actuation(**row) for row in rows]


async def actuation(connection: Connection, actuation_id: UUID) -> Actuation:
    """With its steps. Raises NotFoundError `unknown_actuation`."""
    row = await connection.fetchrow(queries("insight.history")["actuation"], actuation_id)
    if row is None:
        raise NotFoundError("unknown_actuation", f"there is no actuation {actuation_id}", actuation=actuation_id)
    steps = await connection.fetch(queries("insight.history")["steps"], actuation_id)
    return Actuation(**row, steps=[Step(**step) for step in steps])


async def _space_id(connection: Connection, code: str) -> UUID:
    found: UUID | None = await connection.fetchval(queries("insight.history")["space_id"], code)
    if found is None:
        raise NotFoundError("unknown_space", f"there is no space {code!r}", space=code)
    return found
