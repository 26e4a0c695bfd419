"""Light that a lamp may show: what it reported, and which commands it may have received since.

A network server never proves that a lamp did not receive a frame. So each command, ours or foreign, may have been
received until a certain time. A report proves a light only if no other command may have been received after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

Same = Callable[[str, str], bool]
"""Function that returns True if a person sees the same light for both codes."""


@dataclass(frozen=True, slots=True)
class Possible:
    """Commands that a lamp may have received: the last one, and the last time of all others.

    `code`: None is a light that is not known, such as that of a foreign command or of a restart. `until`: the last time
    at which the lamp may receive the command of `code`. `others_until`: the same for all commands of other codes.
    `unknown_until`: the last time at which the lamp may have come to show any light, by a restart or a foreign command.
    """

    code: str | None = None
    until: datetime | None = None
    others_until: datetime | None = None
    unknown_until: datetime | None = None

    def add(self, code: str | None, until: datetime) -> Possible:
        """Return the value after another command, which the lamp may receive until `until`. Idempotent."""
        if self.until is None or code == self.code:
            return replace(self, code=code, until=_later(self.until, until))
        if until >= self.until:
            return replace(self, code=code, until=until, others_until=_later(self.others_until, self.until))
        return replace(self, others_until=_later(self.others_until, until))

    def unknown(self, until: datetime) -> Possible:
        """Return the value after an event that may have given the lamp any light until `until`. Idempotent."""
        return replace(self, unknown_until=_later(self.unknown_until, until))

    def over(self, at: datetime) -> Possible:
        """Return the value after a proof that all commands before were over at `at`.

        A newer command was transmitted or received then: the network server's queue is first in, first out, and a lamp
        drops a frame whose counter is older.
        """
        return replace(self, until=_earlier(self.until, at), others_until=_earlier(self.others_until, at))

    def disproves(self, code: str, at: datetime, same: Same) -> bool:
        """Return True if another light than that of `code` may have been received after `at`."""
        if any(until is not None and until > at for until in (self.others_until, self.unknown_until)):
            return True
        is_same = self.code is not None and same(self.code, code)
        return self.until is not None and self.until > at and not is_same


def _later(first: datetime | None, second: datetime) -> datetime:
    return second if first is None or first < second else first


def _earlier(first: datetime | None, second: datetime) -> datetime | None:
    return first if first is None or first < second else second
