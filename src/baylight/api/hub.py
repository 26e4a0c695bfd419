"""One listener per process tells all watchers what changed, with one read of the database for all of them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec

from baylight.insight import live
from baylight.log import logger
from baylight.store.listen import ACTUATIONS_CHANNEL, DISPLAYS_CHANNEL, STATE_CHANNEL, notifications
from baylight.store.pool import Pool

TOGETHER_S = 0.2
"""Notifications this close together become one read."""
LOOK_ANYWAY_S = 15.0
QUEUE_LENGTH = 50
"""Reads that a watcher may lag behind: ten seconds where something always changes."""
_log = logger("events")


class Watcher:
    """A bounded queue: of each read the events, as bytes of `text/event-stream`; None ends the stream."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_LENGTH)
        self.greeted = False

    def put(self, events: bytes) -> bool:
        """False if the watcher is too slow: its stream ends, and it comes back for a new snapshot."""
        try:
            self.queue.put_nowait(events)
        except asyncio.QueueFull:
            self.end()
            return False
        return True

    def end(self) -> None:
        while self.queue.full():
            self.queue.get_nowait()
        self.queue.put_nowait(None)


class Hub:
    """`run` it as a task. Without watchers it reads nothing."""

    def __init__(self, pool: Pool, dsn: str) -> None:
        self._pool = pool
        self._dsn = dsn
        self._watchers: set[Watcher] = set()
        self._wake = asyncio.Event()
        self._spaces: dict[str, dict[str, Any]] = {}
        self._actuations: dict[str, dict[str, Any]] = {}
        self._horizon: str | None = None
        self.closed = False

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    def join(self) -> Watcher:
        """Its first event is a snapshot."""
        watcher = Watcher()
        if self.closed:
            watcher.end()
        else:
            self._watchers.add(watcher)
            self._wake.set()
        return watcher

    def leave(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    def close(self) -> None:
        """Ends every stream, now and from now on; a server that shuts down must not wait for its watchers."""
        self.closed = True
        self._end_all()

    async def run(self) -> None:
        self.closed = False
        listening = asyncio.create_task(self._listen())
        try:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), LOOK_ANYWAY_S)
                await asyncio.sleep(0 if self._horizon is None else TOGETHER_S)
                self._wake.clear()
                await self._round()
        finally:
            listening.cancel()
            self.close()

    async def _listen(self) -> None:
        async for _ in notifications(self._dsn, STATE_CHANNEL, DISPLAYS_CHANNEL, ACTUATIONS_CHANNEL):
            self._wake.set()

    async def _round(self) -> None:
        if not self._watchers:
            self._horizon = None
            return
        try:
            async with self._pool.acquire(timeout=5) as connection:
                view = await live.view(connection, self._horizon)
            events = self._take(view)
        except Exception as error:
            # A stream that stays open without news would look like a quiet car park.
            _log.warning("watchers_sent_away", watchers=len(self._watchers), reason=str(error) or type(error).__name__)
            self._horizon = None
            self._end_all()
            return
        joining = [watcher for watcher in self._watchers if not watcher.greeted]
        if events:
            for watcher in [watcher for watcher in self._watchers if watcher.greeted]:
                if not watcher.put(events):
                    self._watchers.discard(watcher)
        if joining:
            snapshot = self._snapshot(view.last_change_id)
            for watcher in joining:
                watcher.greeted = watcher.put(snapshot)

    def _take(self, view: live.View) -> bytes:
        """Keeps the view; what differs from before, as events."""
        if self._horizon is None:
            self._spaces, self._actuations = {}, {}
        self._horizon = view.horizon
        events: list[bytes] = []
        for row in view.spaces:
            id_ = str(row["id"])
            before = self._spaces.get(id_)
            if row["deleted"]:
                if self._spaces.pop(id_, None):
                    events.append(_event("gone", {"id": id_, "code": row["code"]}, view.last_change_id))
                continue
            self._spaces[id_] = row
            if row != before:
                state = before is None or (row["state"], row["since"]) != (before["state"], before["since"])
                events.append(_event("state" if state else "display", row, view.last_change_id))
        for row in reversed(view.actuations):
            id_ = str(row["id"])
            if row != self._actuations.get(id_):
                self._actuations[id_] = row
                events.append(_event("actuation", row, view.last_change_id))
        for old in sorted(self._actuations)[:-50]:
            del self._actuations[old]
        return b"".join(events)

    def _snapshot(self, last_change_id: int) -> bytes:
        body = {
            "spaces": sorted(self._spaces.values(), key=lambda row: row["code"]),
            "actuations": [self._actuations[id_] for id_ in sorted(self._actuations, reverse=True)],
            "last_change_id": last_change_id,
        }
        return _event("snapshot", body, last_change_id)

    def _end_all(self) -> None:
        for watcher in self._watchers:
            watcher.end()
        self._watchers.clear()


def _event(name: str, body: dict[str, Any], last_change_id: int) -> bytes:
    return b"event: %s\nid: %d\ndata: %s\n\n" % (name.encode(), last_change_id, msgspec.json.encode(body))
