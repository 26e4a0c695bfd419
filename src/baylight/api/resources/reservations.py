"""Routes of reservations."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from baylight.access.keys import Key, Scope
from baylight.api.bodies import Body, Instant, JsonObject
from baylight.api.deps import Changing, Cursor, Database, From, Limit, Reading, Until
from baylight.api.frame import Framed
from baylight.api.pages import Page, TimeAndId, decode, page
from baylight.domain.paging import PAGE_SIZE
from baylight.schedule import reservations
from baylight.schedule.reservations import MAX_EMAIL_LENGTH, MAX_PHONE_LENGTH, MAX_REQUEST_ID_LENGTH, Reservation

router = APIRouter(prefix="/reservations", tags=["reservations and overrides"], route_class=Framed)


class NewReservation(Body):
    """Reservation in [`start_at`, `end_at`), at most one day.

    A day ends at the same time of the next day in the time zone of the site, so it may have 23 or 25 hours. The same
    `request_id` again gives the same reservation.
    """

    space: str
    start_at: Instant
    end_at: Instant
    request_id: Annotated[str | None, Field(min_length=1, max_length=MAX_REQUEST_ID_LENGTH)] = None
    user_email: Annotated[str | None, Field(max_length=MAX_EMAIL_LENGTH)] = None
    user_phone: Annotated[str | None, Field(max_length=MAX_PHONE_LENGTH)] = None
    metadata: JsonObject | None = None


class ReservationChange(Body):
    """The new end of a reservation."""

    end_at: Instant


def _visible(key: Key, reservation: Reservation) -> Reservation:
    """Return the reservation without what callers wrote about persons, for a key that may only read."""
    if key.may(Scope.WRITE):
        return reservation
    return replace(reservation, user_email=None, user_phone=None, metadata=None, request_id=None)


@router.get("")
async def list_reservations(
    key: Reading,
    connection: Database,
    space: str | None = None,
    status: str | None = None,
    ending_after: Instant | None = None,
    from_at: From = None,
    until: Until = None,
    limit: Limit = PAGE_SIZE,
    cursor: Cursor = None,
) -> Page[Reservation]:
    """List reservations by start, which is also their time. For keys without the scope `write` `user_email`,
    `user_phone`, `metadata` and `request_id` are null."""
    at = decode(cursor, TimeAndId)
    rows = await reservations.list_reservations(
        connection,
        space=space,
        status=status,
        ending_after=ending_after,
        from_at=from_at,
        until_at=until,
        after=(at.at, at.id) if at else None,
        limit=limit + 1,
    )
    return page([_visible(key, row) for row in rows], limit, lambda row: [row.start_at, row.id])


@router.post(
    "",
    status_code=201,
    responses={200: {"description": "this request_id was answered before"}, 201: {"description": "reserved"}},
)
async def create_reservation(change: Changing, new: NewReservation, response: Response) -> Reservation:
    """Reserve a space. Idempotent by `request_id`: 201 for a new reservation, 200 for one that is active already.

    `warnings` names a space that is closed, or that a car is on shortly before the reservation.
    """
    reservation, is_new = await reservations.create_reservation(change, reservations.NewReservation(**new.model_dump()))
    response.status_code = 201 if is_new else 200
    return reservation


@router.get("/{reservation_id}")
async def get_reservation(key: Reading, connection: Database, reservation_id: UUID) -> Reservation:
    """Get a reservation. For keys without the scope `write` `user_email`, `user_phone`, `metadata` and `request_id` are
    null."""
    return _visible(key, await reservations.get_reservation(connection, reservation_id))


@router.post("/{reservation_id}/cancel")
async def cancel_reservation(change: Changing, reservation_id: UUID) -> Reservation:
    """Cancel a reservation. Idempotent."""
    return await reservations.cancel_reservation(change, reservation_id)


@router.patch("/{reservation_id}")
async def change_reservation(change: Changing, reservation_id: UUID, body: ReservationChange) -> Reservation:
    """Change the end of an active reservation: extend or shorten it. Idempotent."""
    return await reservations.change_reservation(change, reservation_id, end_at=body.end_at)
