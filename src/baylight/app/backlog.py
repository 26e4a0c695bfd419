"""Backlog: whether the news that came while this process could not read or store it is stored by now."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Protocol

QUIET_S = 1.0
"""Seconds without waiting messages after which a backlog counts as read."""
BOUND_S = 60.0
"""Longest time that deadlines wait for a backlog."""


WAITS_TOO_LONG_S = 30.0
"""Seconds that a message may wait to be stored."""


def backlog(waits_s: float) -> str | None:
    """Return the evidence of a backlog; None if no message has waited too long. `waits_s`: of the oldest message."""
    return f"messages wait longer than {WAITS_TOO_LONG_S:.0f} s to be stored" if waits_s > WAITS_TOO_LONG_S else None


class Reader(Protocol):
    """Part of a consumer that the backlog needs."""

    @property
    def connected(self) -> bool: ...

    @property
    def waiting(self) -> int: ...


class Backlog:
    """Gate for what follows from time alone: after a start, or after a lost broker or database, news goes first.

    A sensor is not silent, and a command is not lost, while the event that says so waits to be read.
    """

    def __init__(
        self,
        readers: Collection[Reader],
        stores: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`stores`: returns True if the database accepts events."""
        self._readers, self._stores, self._monotonic = readers, stores, monotonic
        self._behind_since: float | None = monotonic()
        self._quiet_since: float | None = None

    def is_read(self) -> bool:
        """Return True if time may act now. Call it at intervals of at most QUIET_S."""
        now = self._monotonic()
        if not self._stores() or not all(reader.connected for reader in self._readers):
            self._behind_since = now if self._behind_since is None else self._behind_since
            self._quiet_since = None
        elif self._behind_since is not None:
            if any(reader.waiting for reader in self._readers):
                self._quiet_since = None
            elif self._quiet_since is None:
                self._quiet_since = now
            elif now - self._quiet_since >= QUIET_S:
                self._behind_since = self._quiet_since = None
        return self._behind_since is None or now - self._behind_since >= BOUND_S
