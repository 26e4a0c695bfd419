"""Errors, named by what their reader must do. Each carries the ids that it speaks of."""

from __future__ import annotations


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
    """The caller must change something: HTTP 4xx, exit code 2."""

    status = 422


class NotFoundError(InputError):
    """The named thing does not exist."""

    status = 404


class ConflictError(InputError):
    """The request contradicts what is already stored (overlap, duplicate, wrong state)."""

    status = 409


class DeviceDataError(BaylightError):
    """A message of a device or network server is unusable: it is stored, counted, and never retried."""


class TransientError(BaylightError):
    """It may work later. `retry_after_s` is a hint, or None."""

    def __init__(self, code: str, message: str, *, retry_after_s: float | None = None, **facts: object) -> None:
        super().__init__(code, message, **facts)
        self.retry_after_s = retry_after_s


class PermanentError(BaylightError):
    """Retrying cannot help: a person must be told."""


class UnheardError(PermanentError):
    """The device cannot be addressed before it was heard: retrying helps then, and not earlier."""
