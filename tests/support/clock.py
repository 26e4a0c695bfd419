"""Clocks of tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


class Clock:
    """Clock that stands at `at` until the test moves it."""

    def __init__(self, at: datetime = T0) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def tick(self, by: float | timedelta) -> datetime:
        """Move the clock by seconds or by a timedelta; return the new time."""
        self.at += by if isinstance(by, timedelta) else timedelta(seconds=by)
        return self.at


class RealClock:
    """Real time, which the test may move ahead: rows of the database carry the database's own time."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def tick(self, by: timedelta) -> None:
        self.ahead += by
