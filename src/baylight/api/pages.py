"""Keyset pages. A cursor is opaque: the sort key of the last item, so that new rows shift no page."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

import msgspec
from pydantic import BaseModel

from baylight.errors import InputError

T = TypeVar("T")
K = TypeVar("K")


class Page(BaseModel, Generic[T]):
    """A page of a list. `next`: the cursor of the next page; null at the end."""

    items: list[T]
    next: str | None


def page(rows: Sequence[T], limit: int, key: Callable[[T], object]) -> Page[T]:
    """Make a page of `limit` rows. One more row means that there is another page. `key`: the sort key of a row."""
    items = list(rows[:limit])
    more = len(rows) > limit
    return Page(items=items, next=encode(key(items[-1])) if more else None)


def encode(key: object) -> str:
    """Return the cursor of a sort key."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def decode(cursor: str | None, kind: type[K]) -> K | None:
    """Return the sort key of a cursor. Raises InputError `bad_cursor`."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=kind)
    except (ValueError, msgspec.MsgspecError) as error:
        raise InputError("bad_cursor", "the cursor is not from this API: start again without it") from error


class TimeAndId(msgspec.Struct, array_like=True):
    """Sort key of rows with a UUID."""

    at: datetime
    id: UUID


class TimeAndNumber(msgspec.Struct, array_like=True):
    """Sort key of rows with a number."""

    at: datetime
    id: int
