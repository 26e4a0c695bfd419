"""Identifiers: DevEui and time-ordered UUIDs."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import NewType
from uuid import UUID

from baylight.errors import InputError

DevEui = NewType("DevEui", str)
"""64-bit LoRaWAN device id as 16 lower-case hex digits (the canonical form everywhere)."""

_CANONICAL = re.compile(r"[0-9a-f]{16}\Z")
_SEPARATORS = re.compile(r"[\s:\-.]")


def parse_dev_eui(text: str) -> DevEui:
    """Canonical form of an EUI in any common notation: either case, separated by `-`, `:`, `.` or blanks.

    Raises InputError `bad_dev_eui` for anything that is not 16 hex digits.
    """
    if _CANONICAL.match(text):
        return DevEui(text)
    bare = _SEPARATORS.sub("", text).lower()
    if not _CANONICAL.match(bare):
        shown = text if len(text) <= 40 else text[:40] + "…"
        raise InputError("bad_dev_eui", f"{shown!r} is not a DevEUI: 16 hex digits are needed", value=shown)
    return DevEui(bare)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def uuid7(at: datetime) -> UUID:
    """UUID version 7 (RFC 9562, section 5.7): 48 bits of Unix time in ms, then 74 random bits.

    Time-ordered, so that rows made together lie together in an index, and a row's partition follows from its id.
    """
    ms = (at - _EPOCH) // _MS
    rand = secrets.randbits(74)
    return UUID(int=ms << 80 | 0x7 << 76 | (rand >> 62) << 64 | 0b10 << 62 | (rand & ((1 << 62) - 1)))


def uuid7_floor(at: datetime) -> UUID:
    """The smallest UUIDv7-ordered bound at instant `at`: every `uuid7` made at or after it is not smaller."""
    return UUID(int=((at - _EPOCH) // _MS) << 80)
