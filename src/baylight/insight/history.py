"""The past: uplinks, state changes, and actuations with their steps. Each page begins with the newest row."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from baylight.domain.downlink import ActuationStatus
from baylight.domain.ids import parse_dev_eui
from baylight.domain.paging import check_range
from baylight.errors import InputError, NotFoundError
from baylight.inventory.assignments import find_space_id
from baylight.store.pool import Connection
from baylight.store.query import Query


@dataclass(frozen=True, slots=True)
class UplinkRow:
    """A stored uplink. `data`: the payload in hex. `outcome`: how Baylight used it."""

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
    """Change of a space's state.

    `considered`: the rules that applied, the winner first. `trigger_source`: id of the cause.
    """

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
    """A step of a delivery. `at` is the network's time, `received_at` ours. `detail`: text of the network server."""

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
    """A decision that a display must show something, and its delivery.

    `sent_at`: the network server accepted the command; `transmitted_at`: a gateway sent it; `confirmed_at`: the device
    acknowledged it or reported its code; `shown_at`: the device reported that it shows the code. Only a single
    actuation has its `steps`.
    """

    id: UUID
    space: str
    display_dev_eui: str | None
    trigger_type: str
    trigger_source: str | None
    previous_state: str | None
    new_state: str
    display_code: str | None
    f_port: int | None
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


LIST_UPLINKS = Query("insight.history.list_uplinks", UplinkRow)
LIST_STATE_CHANGES = Query("insight.history.list_state_changes", StateChange)
LIST_STATE_CHANGES_OF_SPACE = Query("insight.history.list_state_changes_of_space", StateChange)
LIST_ACTUATIONS = Query("insight.history.list_actuations", Actuation)
LIST_ACTUATIONS_OF_SPACE = Query("insight.history.list_actuations_of_space", Actuation)
GET_ACTUATION = Query("insight.history.get_actuation", Actuation)
STEPS = Query("insight.history.steps", Step)


async def list_uplinks(
    connection: Connection,
    dev_eui: str,
    *,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int,
) -> list[UplinkRow]:
    """Return uplinks of a device, received in [`from_at`, `until_at`). Raises InputError `bad_times`.

    `before`: received_at and deduplication_id of the last row of the previous page.
    """
    times = check_range(from_at, until_at)
    at, deduplication_id = before or (None, None)
    return await LIST_UPLINKS.all(
        connection, dev_eui=parse_dev_eui(dev_eui), before=at, before_id=deduplication_id, limit=limit, **times
    )


async def list_state_changes(
    connection: Connection,
    *,
    space: str | None = None,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
    before: tuple[datetime, int] | None = None,
    limit: int,
) -> list[StateChange]:
    """Return state changes of all spaces, or of one, in [`from_at`, `until_at`).

    Raises NotFoundError `unknown_space`; InputError `bad_times`.

    `space`: a code, also of a deleted space. `before`: `at` and id of the last row of the previous page.
    """
    times = check_range(from_at, until_at)
    at, last = before or (None, None)
    if space is None:
        return await LIST_STATE_CHANGES.all(connection, before_id=last, limit=limit, **times)
    space_id = await find_space_id(connection, space)
    return await LIST_STATE_CHANGES_OF_SPACE.all(
        connection, space_id=space_id, before=at, before_id=last, limit=limit, **times
    )


async def list_actuations(
    connection: Connection,
    *,
    space: str | None = None,
    display: str | None = None,
    status: str | None = None,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int,
) -> list[Actuation]:
    """Return actuations of all spaces, of one (code), or of one display (DevEUI), created in [`from_at`, `until_at`).

    `before`: created_at and id of the last row of the previous page. Raises InputError `bad_status`, `one_filter`,
    `bad_times`; NotFoundError `unknown_space`.
    """
    if status is not None and status not in list(ActuationStatus):
        raise InputError("bad_status", f"{status!r} is no status: one of {', '.join(ActuationStatus)}", status=status)
    if space is not None and display is not None:
        raise InputError("one_filter", "filter by space or by display, not by both")
    times = check_range(from_at, until_at)
    at, last = before or (None, None)
    if space is None:
        eui = parse_dev_eui(display) if display is not None else None
        return await LIST_ACTUATIONS.all(
            connection, before_id=last, display_dev_eui=eui, status=status, limit=limit, **times
        )
    space_id = await find_space_id(connection, space)
    return await LIST_ACTUATIONS_OF_SPACE.all(
        connection, space_id=space_id, before=at, before_id=last, status=status, limit=limit, **times
    )


async def get_actuation(connection: Connection, actuation_id: UUID) -> Actuation:
    """Return an actuation with its steps. Raises NotFoundError `unknown_actuation`."""
    found = await GET_ACTUATION.first(connection, id=actuation_id)
    if found is None:
        raise NotFoundError("unknown_actuation", f"there is no actuation {actuation_id}", actuation=actuation_id)
    return replace(found, steps=await STEPS.all(connection, actuation_id=actuation_id))
