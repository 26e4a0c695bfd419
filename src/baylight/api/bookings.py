"""Reservations, and the overrides of operators."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from baylight.access.keys import Key, Scope
from baylight.api.bodies import Body, Instant, StateWord
from baylight.api.deps import Changing, Cursor, Database, Given, Limit, Reading
from baylight.api.pages import Page, TimeAndId, decode, page
from baylight.schedule import overrides, reservations
from baylight.schedule.overrides import Override
from baylight.schedule.reservations import Reservation

router = APIRouter(tags=["reservations and overrides"])


class NewReservation(Body):
    """[`start_at`, `end_at`), at most 24 hours. The same `request_id` again gives the same reservation."""

    space: str
    start_at: Instant
    end_at: Instant
    request_id: Annotated[str | None, Field(min_length=1, max_length=100)] = None
    user_email: Annotated[str | None, Field(max_length=255)] = None
    user_phone: Annotated[str | None, Field(max_length=20)] = None
    metadata: dict[str, Any] | None = None


class NewOverride(Body):
    """For a space (its code) or a location (its path), from now until `until` or until it is ended."""

    state: StateWord
    space: str | None = None
    location: str | None = None
    until: Instant | None = None
    reason: str | None = None


def _for(key: Key, reservation: Reservation) -> Reservation:
    """Who may only read does not learn who parks."""
    return reservation if key.may(Scope.WRITE) else replace(reservation, user_email=None, user_phone=None)


@router.get("/reservations")
async def list_reservations(
    key: Reading,
    connection: Database,
    space: str | None = None,
    status: str | None = None,
    ending_after: Instant | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Reservation]:
    """By start. `user_email` and `user_phone` are null for keys without the scope `write`."""
    at = decode(cursor, TimeAndId)
    rows = await reservations.list_reservations(
        connection,
        space=space,
        status=status,
        ending_after=ending_after,
        after=(at.at, at.id) if at else None,
        limit=limit + 1,
    )
    return page([_for(key, row) for row in rows], limit, lambda row: [row.start_at, row.id])


@router.post(
    "/reservations",
    status_code=201,
    responses={200: {"description": "this request_id was answered before"}, 201: {"description": "reserved"}},
)
async def reserve(change: Changing, new: NewReservation, response: Response) -> Reservation:
    """Idempotent by `request_id`: 201 for a new one, 200 for one that was there."""
    reservation, is_new = await reservations.create_reservation(change, **new.model_dump())
    response.status_code = 201 if is_new else 200
    return reservation


@router.get("/reservations/{reservation_id}")
async def show_reservation(key: Reading, connection: Database, reservation_id: UUID) -> Reservation:
    return _for(key, await reservations.get_reservation(connection, reservation_id))


@router.post("/reservations/{reservation_id}/cancel")
async def cancel_reservation(change: Changing, reservation_id: UUID) -> Reservation:
    """Idempotent."""
    return await reservations.cancel_reservation(change, reservation_id)


@router.get("/overrides")
async def list_overrides(
    key: Reading, connection: Database, given: Given, space: str | None = None, location: str | None = None
) -> list[Override]:
    """Those in force now."""
    return await overrides.list_overrides(connection, given.clock.now(), space=space, location=location)


@router.post("/overrides", status_code=201)
async def set_override(change: Changing, new: NewOverride) -> Override:
    """It takes the place of one that is in force for the same space or location."""
    return await overrides.set_override(change, **new.model_dump())


@router.delete("/overrides/{override_id}")
async def end_override(change: Changing, override_id: UUID) -> Override:
    """Idempotent."""
    return await overrides.end_override(change, override_id)
