"""Identifiers: DevEui and time-ordered UUIDs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from random import getrandbits
from typing import NewType
from uuid import UUID, SafeUUID

from baylight.errors import InputError, shorten

DevEui = NewType("DevEui", str)
"""LoRaWAN device id of 64 bits as 16 lower-case hex digits, the canonical form everywhere."""

SPACE_CODE = r"[^\s\0]([^\r\n\0]{0,18}[^\s\0])?"
"""Form of a space's code: 1 to 20 characters in one line, without NUL, without blanks around them."""
_CANONICAL = re.compile(r"[0-9a-f]{16}\Z")
_SEPARATORS = re.compile(r"[\s:\-.]")


def parse_dev_eui(text: str) -> DevEui:
    """Return the canonical form of an EUI in any common notation: either case, separated by `-`, `:`, `.` or blanks.

    Raises InputError `bad_dev_eui` for anything that is not 16 hex digits.
    """
    if _CANONICAL.match(text):
        return DevEui(text)
    bare = _SEPARATORS.sub("", text).lower()
    if not _CANONICAL.match(bare):
        excerpt = shorten(text)
        raise InputError("bad_dev_eui", f"{excerpt!r} is not a DevEUI: 16 hex digits are needed", value=excerpt)
    return DevEui(bare)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNKNOWN = SafeUUID.unknown


def uuid_of(number: int) -> UUID:
    """Return UUID(int=number) in a sixth of the constructor's time, which also checks arguments that are absent."""
    made = object.__new__(UUID)
    object.__setattr__(made, "int", number)
    object.__setattr__(made, "is_safe", _UNKNOWN)
    return made


def uuid7(at: datetime) -> UUID:
    """Return a UUID version 7 (RFC 9562, 5.7 and 6.2 method 3).

    It holds 48 bits of Unix ms, 12 bits of the fraction of the millisecond, and 62 random bits. Ids are in order of
    time to the microsecond. So rows made together lie together in an index, and a row's partition follows from its id.
    """
    since = at - _EPOCH
    ms, us = divmod(since.microseconds, 1000)
    ms += (since.days * 86_400 + since.seconds) * 1000
    fraction = us * 4096 // 1000
    return uuid_of(ms << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | getrandbits(62))


def time_of(id: UUID) -> datetime:
    """Return the time that a UUID of `uuid7` was made for, to the microsecond."""
    ms, fraction = id.int >> 80, id.int >> 64 & 0xFFF
    return _EPOCH + timedelta(milliseconds=ms, microseconds=-(-fraction * 1000 // 4096))
