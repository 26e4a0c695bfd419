"""Fields of network servers' messages (protobuf's JSON). Every value is checked before it is used."""

from __future__ import annotations

import binascii
import re
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec

from baylight.errors import DeviceDataError

MAX_PAYLOAD = 256 * 1024
MAX_DATA = 4096
MAX_TEXT = 500
INT16 = 2**15 - 1
UInt8 = Annotated[int, msgspec.Meta(ge=0, le=2**8 - 1)]
UInt32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
EUI64 = re.compile(r"[0-9a-f]{16}\Z")
DEV_ADDR = re.compile(r"[0-9a-f]{8}\Z")
_FIRST_YEAR, _END_YEAR = 2010, 2100

T = TypeVar("T")


def decode(decoder: msgspec.json.Decoder[T], payload: bytes, advice: str) -> T:
    """Decode a message. `advice`: what to set in the network server if the message is not JSON.

    Raises DeviceDataError `too_large`, `bad_json`, `bad_event`.
    """
    if len(payload) > MAX_PAYLOAD:
        raise DeviceDataError("too_large", f"the message has {len(payload)} bytes, more than {MAX_PAYLOAD}")
    try:
        return decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise DeviceDataError("bad_event", clean(str(error), MAX_TEXT)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DeviceDataError("bad_json", f"not JSON ({clean(str(error), MAX_TEXT)}); {advice}") from None


def data(text: str, name: str) -> bytes:
    """Return the bytes of base64, padded or not. Raises DeviceDataError `too_large`, `bad_event`."""
    if len(text) > MAX_DATA * 4 // 3 + 4:
        raise DeviceDataError("too_large", f"the payload has {len(text) * 3 // 4} bytes, more than {MAX_DATA}")
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError as error:
        raise DeviceDataError("bad_event", f"{name} is not base64: {error}") from None


def instant(value: object) -> datetime | None:
    """Return a time, or None if it is no text, absent, unreadable, without offset, or not in 2010 to 2099.

    Digits beyond microseconds are cut off.
    """
    if not isinstance(value, str) or not value:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    if at.tzinfo is None or not _FIRST_YEAR <= at.year < _END_YEAR:
        return None
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def hex_digits(text: str | None, form: re.Pattern[str]) -> str | None:
    """Return the text in lower case, None if it has another form."""
    if not text:
        return None
    if form.match(text):
        return text
    lower = text.lower()
    return lower if form.match(lower) else None


def short(text: str | None) -> str | None:
    """Return at most 200 characters of the text, None for an empty one."""
    if not text:
        return None
    return text if len(text) <= 200 and "\0" not in text else clean(text, 200) or None


def clean(text: str, max_length: int) -> str:
    """Cut the text, and remove NUL, which PostgreSQL's text cannot hold."""
    return text[:max_length].replace("\0", "")
