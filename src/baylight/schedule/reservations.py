"""Reservations. Overlap is impossible by constraint; a request may be repeated; errors carry no personal data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from baylight.access.change import Change
from baylight.domain.downlink import TriggerType
from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.inventory import spaces
from baylight.inventory.devices import PAGE, page_size
from baylight.store.pool import Connection
from baylight.store.query import queries

MAX_DURATION = timedelta(hours=24)
MAX_LATE_START = timedelta(minutes=5)
"""A reservation may begin this long ago."""
STATUSES = ("active", "completed", "cancelled", "no_show")
EXPIRE_BATCH = 200
_NO_DISPLAY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Reservation:
    """[`start_at`, `end_at`) of a space (`space` is its code). `user_*` is personal data."""

    id: UUID
    space_id: UUID
    space: str
    start_at: datetime
    end_at: datetime
    status: str
    user_email: str | None
    user_phone: str | None
    metadata: dict[str, Any] | None
    request_id: str | None
    created_by: str | None
    created_at: datetime


async def create_reservation(
    change: Change,
    space: str,
    start_at: datetime,
    end_at: datetime,
    *,
    request_id: str | None = None,
    user_email: str | None = None,
    user_phone: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> tuple[Reservation, bool]:
    """The reservation, and whether it is new. The same request again (by `request_id`) gives the same reservation.

    Times aware. Raises InputError `naive_time`, `bad_times`, `too_long`, `in_the_past`, `bad_request_id`, `bad_user`;
    ConflictError `space_taken`, `request_id_used`; NotFoundError.
    """
    start_at, end_at = _utc(start_at), _utc(end_at)
    _check_lengths(request_id, user_email, user_phone)
    async with change.transaction():
        place = await spaces.lock(change.connection, space)
        if request_id is not None:
            earlier = await change.connection.fetchval(queries("schedule.reservations")["by_request"], request_id)
            if earlier is not None:
                known = await get_reservation(change.connection, earlier)
                same = (known.space_id, known.start_at, known.end_at, known.user_email, known.user_phone)
                if same != (place["id"], start_at, end_at, user_email, user_phone):
                    raise ConflictError("request_id_used", "this request_id belongs to another reservation")
                return known, False
        _check_times(start_at, end_at, change.now)
        reservation_id = await change.connection.fetchval(
            queries("schedule.reservations")["insert"],
            place["id"],
            start_at,
            end_at,
            user_email,
            user_phone,
            None if metadata is None else dict(metadata),
            request_id,
            change.actor,
            change.now,
        )
        after = {"space": space, "start_at": start_at.isoformat(), "end_at": end_at.isoformat()}
        await change.record(
            "reservation.create",
            "reservation",
            reservation_id,
            after=after,
            request_id=request_id,
        )
        await _redecide(change, place["id"], TriggerType.API_RESERVATION, reservation_id)
    return await get_reservation(change.connection, reservation_id), True


async def cancel_reservation(change: Change, reservation_id: UUID) -> Reservation:
    """Idempotent. Raises NotFoundError; ConflictError `reservation_over` if it has ended otherwise."""
    async with change.transaction():
        row = await change.connection.fetchrow(queries("schedule.reservations")["space_of"], reservation_id)
        if row is None:
            raise _unknown(reservation_id)
        await change.connection.fetch(queries("schedule.reservations")["lock_spaces"], [row["id"]])
        if (
            await change.connection.fetchval(queries("schedule.reservations")["close"], reservation_id, "cancelled")
            is not None
        ):
            await change.record("reservation.cancel", "reservation", reservation_id)
            await _redecide(change, row["id"], TriggerType.API_RESERVATION, reservation_id)
        reservation = await get_reservation(change.connection, reservation_id)
    if reservation.status != "cancelled":
        raise ConflictError(
            "reservation_over", f"the reservation is {reservation.status} already", reservation_id=str(reservation_id)
        )
    return reservation


async def get_reservation(connection: Connection, reservation_id: UUID) -> Reservation:
    """Raises NotFoundError `unknown_reservation`."""
    row = await connection.fetchrow(
        queries("schedule.reservations")["list"], reservation_id, None, None, None, None, None, 1
    )
    if row is None:
        raise _unknown(reservation_id)
    return Reservation(**row)


async def list_reservations(
    connection: Connection,
    *,
    space: str | None = None,
    status: str | None = None,
    ending_after: datetime | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int = PAGE,
) -> list[Reservation]:
    """By start; `after`: (`start_at`, `id`) of the last one of the page before."""
    if status is not None and status not in STATUSES:
        raise InputError("bad_status", f"{status!r} is none of {', '.join(STATUSES)}", status=status)
    start, last = after or (None, None)
    rows = await connection.fetch(
        queries("schedule.reservations")["list"], None, space, status, ending_after, start, last, page_size(limit)
    )
    return [Reservation(**row) for row in rows]


async def expire_due(change: Change) -> int:
    """Completes live reservations that have ended, each space decided anew by what its sensor says; returns how many.

    Several processes may do so at once. At most EXPIRE_BATCH in a call.
    """
    done = 0
    async with change.transaction():
        due = await change.connection.fetch(queries("schedule.reservations")["due"], change.now, EXPIRE_BATCH)
        if not due:
            return 0
        await change.connection.fetch(queries("schedule.reservations")["lock_spaces"], [row["space_id"] for row in due])
        # Each decision locks a display: in the order of their ids, as everybody does.
        for row in sorted(due, key=lambda row: (row["display_device_id"] or _NO_DISPLAY, row["id"])):
            if (
                await change.connection.fetchval(queries("schedule.reservations")["close"], row["id"], "completed")
                is not None
            ):
                done += 1
                await _redecide(change, row["space_id"], TriggerType.RESERVATION_EXPIRED, row["id"])
    return done


def _utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise InputError("naive_time", f"{at.isoformat()} has no time zone: write for example {at.isoformat()}+00:00")
    return at.astimezone(UTC)


def _check_times(start_at: datetime, end_at: datetime, now: datetime) -> None:
    if end_at <= start_at:
        raise InputError("bad_times", "the end must be after the start")
    if end_at - start_at > MAX_DURATION:
        raise InputError("too_long", "a reservation lasts at most 24 hours")
    if start_at < now - MAX_LATE_START or end_at <= now:
        raise InputError(
            "in_the_past", f"the start may lie at most {MAX_LATE_START // timedelta(minutes=1)} minutes back"
        )


def _check_lengths(request_id: str | None, user_email: str | None, user_phone: str | None) -> None:
    if request_id is not None and not 0 < len(request_id) <= 100:
        raise InputError("bad_request_id", "a request_id has 1 to 100 characters")
    if len(user_email or "") > 255 or len(user_phone or "") > 20:
        raise InputError("bad_user", "an e-mail address has at most 255, a phone number at most 20 characters")


def _unknown(reservation_id: UUID) -> NotFoundError:
    return NotFoundError(
        "unknown_reservation", f"there is no reservation {reservation_id}", reservation_id=str(reservation_id)
    )


async def _redecide(change: Change, space_id: UUID, trigger: TriggerType, source: UUID) -> None:
    await change.redecide([space_id], trigger, source=source)
