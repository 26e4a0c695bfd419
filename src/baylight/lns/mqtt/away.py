"""Time without a connection, and the pauses between the tries to connect."""

from __future__ import annotations

import random
import time

FIRST_PAUSE_S, MAX_PAUSE_S = 0.1, 1.5
"""Shortest and longest pause in the first minute of an outage."""
LONG_OUTAGE_S, LONG_PAUSE_S = 60.0, 5.0
SHORT_LIFE_S = 10.0
SHORT_LIFE_PAUSE_S = 1.0
"""Pause after a connection of a short life, so that two clients with one client id do not fight without a pause."""


class Away:
    """Outage of a connection. The pauses depend on how long it lasts, not on how many short connections there were."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.short_lives = 0
        """Connections of a short life, each followed by one at the first try. A second client makes such."""
        self._pause_s = FIRST_PAUSE_S
        self._tries = 0

    def connected(self) -> float | None:
        """End the outage. Return its length in seconds, or None if there was none."""
        since, self.since = self.since, None
        if self._tries > 1:
            self.short_lives = 0
        self._tries = 0
        return None if since is None else time.monotonic() - since

    def failed(self, lived_s: float | None) -> bool:
        """Note the end of a connection after `lived_s`, or a try without success (None).

        Return True if this begins an outage.
        """
        begins, now = self.since is None, time.monotonic()
        if self.since is None:
            self.since = now
        if lived_s is None:
            self._pause_s = min(self._pause_s * 2, LONG_PAUSE_S if now - self.since > LONG_OUTAGE_S else MAX_PAUSE_S)
        elif lived_s < SHORT_LIFE_S:
            self.short_lives += 1
            self._pause_s = SHORT_LIFE_PAUSE_S
        else:
            self.short_lives, self._pause_s = 0, FIRST_PAUSE_S
        return begins

    def pause_s(self) -> float:
        """Return the seconds to wait before the next try."""
        self._tries += 1
        return self._pause_s * random.uniform(0.5, 1)
