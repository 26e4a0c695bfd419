"""LoRaWAN session of a device: its network server, its frame counter, and the place of each frame in the order.

Clocks only help where the counter says nothing. A gateway may hold a frame back or deliver it twice, a network server
may publish frames in any order, and every clock may be wrong or may be set back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from baylight.domain.events import Join, Uplink

CLOSE = timedelta(seconds=10)
"""Frames made within this time may have overtaken each other: a lower counter alone does not prove a restart."""
FAR = 64
"""Difference of two counters from which on frames have not overtaken each other."""
EARLIER_SESSION = -1
"""Value of `reading_f_cnt`: the newest reading is of an earlier session, or there is none. Times order it."""


class Kind(StrEnum):
    """Kind of place that a frame has in the order of a device's frames."""

    NEWEST = "newest"
    """The frame follows all known frames."""
    STALE = "stale"
    """The frame precedes the newest one. It is stored, and it must not turn the state back."""
    REDELIVERY = "redelivery"
    """The frame is known. It has no effect."""
    RESTART = "restart"
    """The frame is the first known one of a new session: the newest frame of all."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Place of a frame. `missing`, `first_f_cnt`: values of the session with this frame.

    `in_session`: the frame belongs to the session of the newest frame, so their counters compare.
    """

    kind: Kind
    missing: int
    first_f_cnt: int | None
    in_session: bool = True

    @property
    def is_newest(self) -> bool:
        return self.kind is Kind.NEWEST or self.kind is Kind.RESTART


class Session(msgspec.Struct, gc=False):
    """Session of a device as far as it is stored.

    `dev_addr`, `last_f_cnt`, `last_uplink_at`: of its newest frame, by the network server's clock or ours. A join sets
    `dev_addr`, and `last_f_cnt` to None. `first_f_cnt`: lowest known counter; None: unknown. `frames_missing`: counters
    between the two that no stored frame has. `reading_f_cnt`: counter of the frame with the newest reading or report.
    `session`: its number; stored uplinks have it too. `session_since`: arrival of its join or first frame; None:
    unknown. `former_dev_addr`: address of the session before, the same as `dev_addr` after a counter restart.
    """

    network_server: str
    application_id: str | None
    dev_addr: str | None
    last_f_cnt: int | None
    last_uplink_at: datetime | None
    first_f_cnt: int | None
    frames_missing: int
    reading_f_cnt: int
    session: int
    session_since: datetime | None
    former_dev_addr: str | None
    last_join_at: datetime | None
    last_join_id: str | None

    def route(self, event: Uplink | Join) -> bool:
        """Choose network server and application for downlinks: those of the last join, else of the first uplink.

        A later uplink with another application changes nothing, for else each client of the broker could redirect
        downlinks.
        Return True if the choice changed.
        """
        if not event.application_id:
            return False
        first = self.application_id is None or (self.last_f_cnt is None and self.last_join_at is None)
        # An import of The Things Stack's list may store the application without the device id.
        completes = event.application_id.startswith(f"{self.application_id}/")
        if not (isinstance(event, Join) or first or completes):
            return False
        before = (self.network_server, self.application_id)
        self.network_server, self.application_id = event.network_server, event.application_id
        return before != (self.network_server, self.application_id)

    # Frames --------------------------------------------------------------------------------------------------------

    def frames_ahead(self, uplink: Uplink) -> int | None:
        """Return how far the frame counter lies beyond the newest one of the same session. None: another session."""
        if self.last_f_cnt is None or uplink.f_cnt is None or uplink.dev_addr != self.dev_addr:
            return None
        return uplink.f_cnt - self.last_f_cnt

    def known_in(self, uplink: Uplink) -> int | None:
        """Return the number of the session whose frames `place` must know: whether one has the counter of this frame.

        None: it needs to know nothing.
        """
        ahead = self.frames_ahead(uplink)
        if ahead is None:
            of_former = uplink.dev_addr is not None and uplink.dev_addr == self.former_dev_addr
        elif ahead <= 0:
            return self.session
        else:
            of_former = ahead >= FAR and self.former_dev_addr == self.dev_addr
        return self.session - 1 if of_former else None

    def place(self, uplink: Uplink, made_at: datetime, now: datetime, *, known: bool | None = None) -> Place:
        """Return the place of a frame. Changes nothing.

        `made_at`: the earliest time that a usable clock gives for the frame; not later than `now`. `known`: a frame
        with this counter is known (see `known_in`), with the same data (True) or with other data (False).
        """
        if uplink.dev_addr is not None and self.dev_addr is not None and uplink.dev_addr != self.dev_addr:
            return self._place_of_another_address(uplink, made_at, now, known=known)
        last_at = min(self.last_uplink_at or now, now)
        older = made_at < last_at and self.last_uplink_at is not None
        f_cnt, last = uplink.f_cnt, self.last_f_cnt
        if f_cnt is None:
            return self._at(Kind.STALE if older else Kind.NEWEST)
        if last is None:
            return Place(Kind.NEWEST, self.frames_missing, f_cnt)
        if f_cnt > last:
            ahead = f_cnt - last
            if ahead > 1 and self._of_the_run_before(made_at, now):  # the next counter is never one of that run
                return self._at(Kind.STALE, in_session=False)
            if ahead >= FAR and known:
                return self._at(Kind.REDELIVERY, in_session=False)
            return Place(Kind.NEWEST, self.frames_missing + ahead - 1, self.first_f_cnt)
        if self._of_the_run_before(made_at, now) or (older and known is False):
            return self._at(Kind.STALE, in_session=False)  # its counter was used again after the restart
        if known:
            return self._at(Kind.REDELIVERY)
        if older:
            return self._late(f_cnt)
        if known is None and last - f_cnt < FAR and (made_at - last_at < CLOSE or self._in_a_gap(f_cnt)):
            return self._late(f_cnt)
        return Place(Kind.RESTART, 0, f_cnt)

    def _place_of_another_address(
        self, uplink: Uplink, made_at: datetime, now: datetime, *, known: bool | None
    ) -> Place:
        if uplink.dev_addr == self.former_dev_addr:
            if known:
                return self._at(Kind.REDELIVERY, in_session=False)
            began_at = min(self.session_since or now, now)
            if made_at < max(began_at, min(self.last_uplink_at or began_at, now)):
                return self._at(Kind.STALE, in_session=False)
        return Place(Kind.RESTART, 0, uplink.f_cnt)

    def _of_the_run_before(self, made_at: datetime, now: datetime) -> bool:
        """Return True for a frame that was made before the counter of the session restarted."""
        if self.former_dev_addr is None or self.former_dev_addr != self.dev_addr:
            return False
        began_at, newest_at = self.session_since, self.last_uplink_at
        return began_at is not None and newest_at is not None and made_at < min(began_at, newest_at) <= now

    def _in_a_gap(self, f_cnt: int) -> bool:
        return self.frames_missing > 0 and (self.first_f_cnt is None or f_cnt > self.first_f_cnt)

    def _at(self, kind: Kind, *, in_session: bool = True) -> Place:
        return Place(kind, self.frames_missing, self.first_f_cnt, in_session)

    def _late(self, f_cnt: int) -> Place:
        """Return the place of an unknown frame with a lower counter: it fills a gap, or extends what is known."""
        first = self.first_f_cnt
        if first is not None and f_cnt < first:
            return Place(Kind.STALE, self.frames_missing + first - f_cnt - 1, f_cnt)
        return Place(Kind.STALE, max(0, self.frames_missing - 1), first)

    def follow(self, uplink: Uplink, place: Place, at: datetime, now: datetime) -> bool:
        """Record a frame at its place.

        Return True if more changed than `last_f_cnt`, `last_uplink_at` and `frames_missing` by the newest frame. `at`:
        time of the frame by the clock that decides order and age.
        """
        before = (self.dev_addr, self.session, self.first_f_cnt)
        changed = self._clip(now)
        if place.kind is Kind.RESTART:
            self._begin(uplink.dev_addr, now)
        if place.in_session:
            self.first_f_cnt, self.frames_missing = place.first_f_cnt, place.missing
        if place.is_newest:
            self.dev_addr = uplink.dev_addr or self.dev_addr
            self.last_f_cnt = uplink.f_cnt if uplink.f_cnt is not None else self.last_f_cnt
            self.last_uplink_at = at
        return changed or not place.is_newest or before != (self.dev_addr, self.session, self.first_f_cnt)

    def _clip(self, now: datetime) -> bool:
        """Replace times that lie in the future, because our clock was set back. Return True if there were any."""
        before = self.session_since, self.last_uplink_at
        if self.session_since is not None and self.session_since > now:
            self.session_since = now
        if self.last_uplink_at is not None and self.last_uplink_at > now:
            self.last_uplink_at = now
        return before != (self.session_since, self.last_uplink_at)

    # Readings ------------------------------------------------------------------------------------------------------

    def has_newer_reading(self, uplink: Uplink, place: Place, made_at: datetime, reading_at: datetime | None) -> bool:
        """Return True if the reading of a frame is newer than the newest one, whose time is `reading_at`.

        A frame may be `stale` although its reading is newer: only frames without a reading overtook it.
        """
        if place.kind is Kind.REDELIVERY:
            return False
        if place.is_newest or reading_at is None:
            return True
        if self.reading_f_cnt == EARLIER_SESSION:
            return made_at >= reading_at
        return place.in_session and uplink.f_cnt is not None and uplink.f_cnt > self.reading_f_cnt

    def note_reading(self, uplink: Uplink, place: Place) -> None:
        """Record that the newest reading is that of this frame."""
        f_cnt = uplink.f_cnt if place.in_session else None
        self.reading_f_cnt = EARLIER_SESSION if f_cnt is None else f_cnt

    # Joins ---------------------------------------------------------------------------------------------------------

    def join(self, event: Join, now: datetime) -> bool:
        """Record a join. Return False for one that is known, or that is older than the newest one. Idempotent.

        A new address proves a new join, whatever the times. Joins may arrive after the first frames of their session.
        """
        moved = event.dev_addr is not None and event.dev_addr != self.dev_addr
        if event.deduplication_id == self.last_join_id or (moved and event.dev_addr == self.former_dev_addr):
            return False
        at, last_at = event.at(now), self.last_join_at
        if not moved and last_at is not None and event.observed_at is not None and event.observed_at <= last_at <= now:
            return False
        self.last_join_id, self.last_join_at = event.deduplication_id, at
        if moved or self.last_uplink_at is None or at > self.last_uplink_at or self.last_uplink_at > now:
            self._begin(event.dev_addr, now)
            if not moved:
                self.former_dev_addr = None
        return True

    def _begin(self, dev_addr: str | None, now: datetime) -> None:
        self.former_dev_addr, self.dev_addr = self.dev_addr, dev_addr or self.dev_addr
        self.session += 1
        self.session_since = now
        self.last_f_cnt = self.first_f_cnt = None
        self.frames_missing = 0
        self.reading_f_cnt = EARLIER_SESSION
