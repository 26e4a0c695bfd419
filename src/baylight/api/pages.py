"""Keyset pages. A cursor is opaque: the sort key of the last item, so that new rows never shift a page."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from pydantic import BaseModel

from baylight.errors import InputError

T = TypeVar("T")
K = TypeVar("K")


class Page(BaseModel, Generic[T]):
    """`next`: the cursor of the page after this one; null at the end."""

    items: list[T]
    next: str | None


def page(rows: Sequence[T], limit: int, key: Callable[[T], Any]) -> Page[T]:
    """From one row more than `limit`, if there was one."""
    items = list(rows[:limit])
    more = len(rows) > limit
    return Page(items=items, next=encode(key(items[-1])) if more else None)


def encode(key: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def decode(cursor: str | None, kind: type[K]) -> K | None:
    """Raises InputError `bad_cursor`."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=kind)
    except (ValueError, msgspec.MsgspecError) as error:
        raise InputError("bad_cursor", "the cursor is not one of ours: begin again without it") from error


class TimeAndId(msgspec.Struct, array_like=True):
    at: datetime
    id: UUID


class TimeAndNumber(msgspec.Struct, array_like=True):
    at: datetime
    id: int
