"""Errors, named by what their reader must do. Each carries the ids that it is about."""

from __future__ import annotations

import re

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters of ASCII and of ISO 6429 (C1), marks that turn the direction of a text, and lone surrogates."""
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters but tab and line ends, and lone surrogates: no part of a text that a person gives."""


def escape(line: str) -> str:
    """Return one line of text for a terminal: each character that does something to it is written as `\\u001b`.

    Devices, network servers and callers of the API can write any text. An escape sequence in it could rewrite the lines
    above, and a line feed could add a line. Within JSON, the escaped form means the same character.
    """
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", line)


def shorten(text: str, limit: int = 40) -> str:
    """Return the beginning of a text, for a message."""
    return text if len(text) <= limit else text[:limit] + "…"


class BaylightError(Exception):
    """Base of all errors of Baylight.

    `code` is stable and machine-readable (snake_case); `facts` holds ids and values, never personal data.
    """

    def __init__(self, code: str, message: str, **facts: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.facts = facts


class InputError(BaylightError):
    """Error of the caller, who must change something: HTTP 4xx, exit code 2."""

    status = 422


class NotFoundError(InputError):
    """Error of a caller who names something that does not exist."""

    status = 404


class ConflictError(InputError):
    """Error of a request that contradicts what is stored (overlap, duplicate, wrong state)."""

    status = 409


class DeviceDataError(BaylightError):
    """Error of an unusable message of a device or network server. The message is stored, counted, and never retried."""


class TransientError(BaylightError):
    """Error of what may work later. `retry_after_s` is a hint, or None."""

    def __init__(self, code: str, message: str, *, retry_after_s: float | None = None, **facts: object) -> None:
        super().__init__(code, message, **facts)
        self.retry_after_s = retry_after_s


class DevicesHeldError(TransientError):
    """Error of a batch that was stored but for the messages of some devices: another program holds their rows.

    `dev_euis`: these devices; None stands for the messages that name no device.
    """

    def __init__(self, dev_euis: frozenset[str | None]) -> None:
        super().__init__("devices_held", f"another program holds the rows of {len(dev_euis)} devices")
        self.dev_euis = dev_euis


class PermanentError(BaylightError):
    """Error that no retry can mend: a person must act."""


class NoUplinkYetError(PermanentError):
    """Error of a command to a device that cannot be addressed before its first uplink. A retry helps only after it."""
