"""Reservations. Overlap is impossible by constraint; a request may be repeated; errors carry no personal data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from baylight.access.change import Change
from baylight.domain.bounded_json import check_json
from baylight.domain.downlink import TriggerType
from baylight.domain.paging import PAGE_SIZE, check_page_size, check_range
from baylight.domain.state import Occupancy, State
from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.inventory import spaces
from baylight.inventory.spaces import Space
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement

MAX_LATE_START = timedelta(minutes=5)
"""A reservation may begin this long ago."""
MAX_REQUEST_ID_LENGTH = 100
MAX_EMAIL_LENGTH = 255
MAX_PHONE_LENGTH = 20
STATUSES = ("active", "completed", "cancelled", "no_show")
EXPIRE_BATCH = 200
_NO_DISPLAY = UUID(int=0)
_DAY = timedelta(days=1)
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NewReservation:
    """Reservation to create, of a space (code) in [`start_at`, `end_at`); the times are aware.

    `request_id`: the same id again gives the same reservation. `user_*` is personal data.
    """

    space: str
    start_at: datetime
    end_at: datetime
    request_id: str | None = None
    user_email: str | None = None
    user_phone: str | None = None
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """Reservation of a space (`space` is its code) in [`start_at`, `end_at`). `user_*` is personal data.

    `warnings`: in the answer of `create_reservation`, why the space may not be free then.
    """

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
    warnings: list[str] = field(default_factory=list)


class DueReservation(NamedTuple):
    """Active reservation whose time has ended, and the display of its space."""

    id: UUID
    space_id: UUID
    display_device_id: UUID | None


LIST = Query("schedule.reservations.list", Reservation)
FIND_BY_REQUEST = Query("schedule.reservations.find_by_request", UUID)
INSERT = Query("schedule.reservations.insert", UUID)
FIND_TIME_ZONE = Query("schedule.reservations.find_time_zone", str)
FIND_SPACE_ID = Query("schedule.reservations.find_space_id", UUID)
LOCK_SPACES = Statement("schedule.reservations.lock_spaces")
CLOSE = Statement("schedule.reservations.close")
CHANGE_END = Statement("schedule.reservations.change_end")
LIST_DUE = Query("schedule.reservations.list_due", DueReservation)


async def create_reservation(change: Change, new: NewReservation) -> tuple[Reservation, bool]:
    """Create a reservation; return it, and whether it is new. The same request id again gives the same reservation.

    Raises InputError `naive_time`, `bad_times`, `too_long`, `in_the_past`, `bad_request_id`, `bad_user`,
    `bad_timezone`, `json_too_big`, `bad_json`; ConflictError `space_taken`, `request_id_used`, `reservation_over`;
    NotFoundError `unknown_space`.
    """
    new = replace(new, start_at=_utc(new.start_at), end_at=_utc(new.end_at))
    _check_lengths(new)
    check_json(new.metadata)
    async with change.transaction():
        space_id = (await spaces.lock_space(change.connection, new.space)).id
        warnings = _warnings(await spaces.get_space(change.connection, new.space), new, change)
        if new.request_id is not None:
            earlier = await FIND_BY_REQUEST.first(change.connection, request_id=new.request_id)
            if earlier is not None:
                return replace(await _repeated(change.connection, earlier, space_id, new), warnings=warnings), False
        await _check_times(change, space_id, new.start_at, new.end_at)
        if new.start_at < change.now - MAX_LATE_START:
            minutes = MAX_LATE_START // timedelta(minutes=1)
            raise InputError("in_the_past", f"a reservation starts at most {minutes} minutes ago")
        reservation_id = await INSERT.one(
            change.connection,
            space_id=space_id,
            start_at=new.start_at,
            end_at=new.end_at,
            user_email=new.user_email,
            user_phone=new.user_phone,
            metadata=None if new.metadata is None else dict(new.metadata),
            request_id=new.request_id,
            created_by=change.actor,
            created_at=change.now,
        )
        after = {"space": new.space, "start_at": new.start_at.isoformat(), "end_at": new.end_at.isoformat()}
        await change.record("reservation.create", "reservation", reservation_id, after=after, request_id=new.request_id)
        await change.redecide([space_id], TriggerType.API_RESERVATION, source=reservation_id)
    return replace(await get_reservation(change.connection, reservation_id), warnings=warnings), True


async def cancel_reservation(change: Change, reservation_id: UUID) -> Reservation:
    """Cancel a reservation; return it. Idempotent.

    Raises NotFoundError `unknown_reservation`; ConflictError `reservation_over` if it has ended in another way.
    """
    async with change.transaction():
        space_id = await FIND_SPACE_ID.first(change.connection, id=reservation_id)
        if space_id is None:
            raise _unknown(reservation_id)
        await LOCK_SPACES.run(change.connection, ids=[space_id])
        await change.locked()
        if await CLOSE.run(change.connection, id=reservation_id, status="cancelled"):
            await change.record("reservation.cancel", "reservation", reservation_id)
            await change.redecide([space_id], TriggerType.API_RESERVATION, source=reservation_id)
        reservation = await get_reservation(change.connection, reservation_id)
    if reservation.status != "cancelled":
        raise ConflictError(
            "reservation_over", f"the reservation is {reservation.status} already", reservation_id=str(reservation_id)
        )
    return reservation


async def change_reservation(change: Change, reservation_id: UUID, *, end_at: datetime) -> Reservation:
    """Extend or shorten an active reservation; return it. Idempotent.

    Raises NotFoundError `unknown_reservation`; InputError `naive_time`, `bad_times`, `too_long`, `in_the_past`,
    `bad_timezone`; ConflictError `space_taken`, `reservation_over`.
    """
    end_at = _utc(end_at)
    async with change.transaction():
        space_id = await FIND_SPACE_ID.first(change.connection, id=reservation_id)
        if space_id is None:
            raise _unknown(reservation_id)
        await LOCK_SPACES.run(change.connection, ids=[space_id])
        await change.locked()
        before = await get_reservation(change.connection, reservation_id)
        if before.status != "active":
            raise ConflictError(
                "reservation_over", f"the reservation is {before.status} already", reservation_id=str(reservation_id)
            )
        await _check_times(change, space_id, before.start_at, end_at)
        await CHANGE_END.run(change.connection, id=reservation_id, end_at=end_at)
        await change.record(
            "reservation.change",
            "reservation",
            reservation_id,
            before={"end_at": before.end_at.isoformat()},
            after={"end_at": end_at.isoformat()},
        )
        await change.redecide([space_id], TriggerType.API_RESERVATION, source=reservation_id)
    return await get_reservation(change.connection, reservation_id)


async def get_reservation(connection: Connection, reservation_id: UUID) -> Reservation:
    """Return a reservation. Raises NotFoundError `unknown_reservation`."""
    found = await _select(connection, reservation_id=reservation_id)
    if not found:
        raise _unknown(reservation_id)
    return found[0]


async def list_reservations(
    connection: Connection,
    *,
    space: str | None = None,
    status: str | None = None,
    ending_after: datetime | None = None,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int = PAGE_SIZE,
) -> list[Reservation]:
    """Return a page of reservations by start, starting in [`from_at`, `until_at`).

    `after`: (`start_at`, `id`) of the last one of the page before. Raises InputError `bad_status`, `bad_times`.
    """
    check_range(from_at, until_at)
    if status is not None and status not in STATUSES:
        raise InputError("bad_status", f"{status!r} is none of {', '.join(STATUSES)}", status=status)
    return await _select(
        connection,
        space=space,
        status=status,
        ending_after=ending_after,
        after=after,
        limit=check_page_size(limit),
        from_at=from_at,
        until_at=until_at,
    )


async def expire_due(change: Change) -> int:
    """Complete active reservations whose time has ended, at most EXPIRE_BATCH; return how many.

    Each space is decided again, from what its sensor reports. Several processes may do so at the same time.
    """
    completed = 0
    async with change.transaction():
        due = await LIST_DUE.all(change.connection, now=change.now, limit=EXPIRE_BATCH)
        if not due:
            return 0
        await LOCK_SPACES.run(change.connection, ids=[reservation.space_id for reservation in due])
        # Each decision locks a display: in the order of their ids, as all transactions do.
        for reservation in sorted(due, key=lambda due: (due.display_device_id or _NO_DISPLAY, due.id)):
            if not await CLOSE.run(change.connection, id=reservation.id, status="completed"):
                break  # another process ends them, or V2, which waits for the locks if they are held for long
            completed += 1
            await change.redecide([reservation.space_id], TriggerType.RESERVATION_EXPIRED, source=reservation.id)
    return completed


async def _select(
    connection: Connection,
    *,
    reservation_id: UUID | None = None,
    space: str | None = None,
    status: str | None = None,
    ending_after: datetime | None = None,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int = 1,
) -> list[Reservation]:
    after_start_at, after_id = after or (None, None)
    return await LIST.all(
        connection,
        id=reservation_id,
        space=space,
        status=status,
        ending_after=ending_after,
        from_at=from_at,
        until_at=until_at,
        after_start_at=after_start_at,
        after_id=after_id,
        limit=limit,
    )


async def _repeated(connection: Connection, earlier: UUID, space_id: UUID, new: NewReservation) -> Reservation:
    """Return the active reservation of an earlier request with the same content.

    Raises ConflictError `request_id_used`; `reservation_over` if it has been cancelled or has ended: 200 would read as
    if the space were reserved.
    """
    known = await get_reservation(connection, earlier)
    same = (known.space_id, known.start_at, known.end_at, known.user_email, known.user_phone)
    if same != (space_id, new.start_at, new.end_at, new.user_email, new.user_phone):
        raise ConflictError("request_id_used", "this request_id belongs to another reservation")
    if known.status != "active":
        raise ConflictError(
            "reservation_over",
            f"the reservation of this request_id is {known.status}: use another request_id to reserve again",
            reservation_id=str(earlier),
        )
    return known


def _warnings(space: Space, new: NewReservation, change: Change) -> list[str]:
    """Return why a space may not be free: it is closed now, or a car is on it shortly before the reservation."""
    since = f"{space.state} since {space.state_at:%Y-%m-%d %H:%M:%S} UTC"
    if space.state in (State.MAINTENANCE, State.OUT_OF_ORDER):
        return [f"{space.code} is closed: {since}"]
    taken = space.state is State.OCCUPIED
    taken |= space.state is not State.UNKNOWN and space.sensor_state is Occupancy.OCCUPIED
    if taken and new.start_at <= change.now + change.policies.decision.reserved_soon:
        return [f"a car is on {space.code}: {since}"]
    return []


def _utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise InputError("naive_time", f"{at.isoformat()} has no time zone: write for example {at.isoformat()}+00:00")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise InputError("bad_times", f"{at.isoformat()} is out of range: years are 1 to 9999 in UTC") from None


async def _check_times(change: Change, space_id: UUID, start_at: datetime, end_at: datetime) -> None:
    if end_at <= start_at:
        raise InputError("bad_times", "the end must be after the start")
    if end_at <= change.now:
        raise InputError("in_the_past", "a reservation ends in the future")
    name = await FIND_TIME_ZONE.first(change.connection, space_id=space_id) or "UTC"
    try:
        zone = ZoneInfo(name)
    except ZoneInfoNotFoundError:
        raise InputError("bad_timezone", f"this system does not know {name}, the time zone of the site") from None
    latest = next_day(start_at, zone)
    if end_at > latest:
        raise InputError(
            "too_long",
            f"a reservation lasts at most one day: until the same time of the next day in {name}",
            latest=latest.isoformat(),
        )


def next_day(at: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant at which the clocks of a zone show the same time on the next day.

    It is the later one if that time comes twice. A time that the clocks leave out counts as if they did not.
    """
    try:
        shown = at.astimezone(zone) + _DAY
        return max(shown.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    except OverflowError:  # in the last days of the year 9999
        return min(at, _LAST - _DAY) + _DAY


def _check_lengths(new: NewReservation) -> None:
    if new.request_id is not None and not 0 < len(new.request_id) <= MAX_REQUEST_ID_LENGTH:
        raise InputError("bad_request_id", f"a request_id has 1 to {MAX_REQUEST_ID_LENGTH} characters")
    if len(new.user_email or "") > MAX_EMAIL_LENGTH or len(new.user_phone or "") > MAX_PHONE_LENGTH:
        raise InputError(
            "bad_user",
            f"an e-mail address has at most {MAX_EMAIL_LENGTH}, a phone number at most {MAX_PHONE_LENGTH} characters",
        )


def _unknown(reservation_id: UUID) -> NotFoundError:
    return NotFoundError(
        "unknown_reservation", f"there is no reservation {reservation_id}", reservation_id=str(reservation_id)
    )
