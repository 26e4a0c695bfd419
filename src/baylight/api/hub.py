"""Send changes to all watchers: one listener and one read of the database for all watchers of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

import msgspec

from baylight.domain.conditions import KINDS, Condition, ConditionKind
from baylight.insight import live
from baylight.insight.live import LiveActuation, LiveSpace, Snapshot
from baylight.log import logger
from baylight.store.listen import ACTUATIONS_CHANNEL, DISPLAYS_CHANNEL, STATE_CHANNEL, notifications
from baylight.store.pool import Pool, acquire

GATHER_S = 0.2
"""Notifications within this time cause one read."""
MAX_PAUSE_S = 15.0
"""Longest time between two reads, without a notification."""
QUEUE_LENGTH = 50
"""Number of reads that a watcher may lag behind: 10 s if there is a change in every read."""
MAX_ACTUATIONS = 50
"""Actuations of a snapshot."""
_log = logger("events")


@dataclass(frozen=True, slots=True)
class Everything:
    """Body of the event `snapshot`. `epoch`: `last_change_id` counts on within it."""

    spaces: list[LiveSpace]
    actuations: list[LiveActuation]
    last_change_id: int
    epoch: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Body of the event `gone`: a deleted space."""

    id: UUID
    code: str


@dataclass(frozen=True, slots=True)
class ServiceCondition:
    """A condition of a service that lasts, as this process sees it. `remedy`: what a person does about it."""

    kind: ConditionKind
    service: str
    since: datetime
    evidence: str
    meaning: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Services:
    """Body of the event `services`: all conditions of services that last, oldest first. A snapshot begins without."""

    conditions: list[ServiceCondition]


EVENTS: Mapping[str, type] = MappingProxyType(
    {
        "snapshot": Everything,
        "services": Services,
        "state": LiveSpace,
        "display": LiveSpace,
        "actuation": LiveActuation,
        "gone": Gone,
    }
)
"""Body of each event, by its name."""


class RestoredError(Exception):
    """Error of a read after a restore: what watchers received may no longer be true."""


class Watcher:
    """One open stream. Its queue has the events of each read as bytes of `text/event-stream`; None ends it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_LENGTH)
        self.has_snapshot = False

    def put(self, events: bytes) -> bool:
        """Queue events. Return False if the watcher is too slow; then its stream ends, and it must connect again."""
        try:
            self.queue.put_nowait(events)
        except asyncio.QueueFull:
            self.end()
            return False
        return True

    def end(self) -> None:
        """End the stream, after what fits in the queue."""
        while self.queue.full():
            self.queue.get_nowait()
        self.queue.put_nowait(None)


class Hub:
    """Watchers and what they have received. `run` it as a task. Without watchers it does not read the database."""

    def __init__(self, pool: Pool, dsn: str, conditions: Callable[[], Sequence[Condition]] = tuple) -> None:
        """`conditions()`: conditions of services that last. Call `wake` when they change."""
        self._pool = pool
        self._dsn = dsn
        self._conditions = conditions
        self._services = Services([])
        self._watchers: set[Watcher] = set()
        self._wake = asyncio.Event()
        self._spaces: dict[UUID, LiveSpace] = {}
        self._actuations: dict[UUID, LiveActuation] = {}
        self._horizon: str | None = None
        self._epoch = ""
        self.closed = False

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    def join(self) -> Watcher:
        """Add a watcher. Its first event is a snapshot."""
        watcher = Watcher()
        if self.closed:
            watcher.end()
        else:
            self._watchers.add(watcher)
            self._wake.set()
        return watcher

    def leave(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    def wake(self) -> None:
        """Look for changes now."""
        self._wake.set()

    def close(self) -> None:
        """End all streams and accept no new ones. A server that shuts down must not wait for its watchers."""
        self.closed = True
        self._end_all()

    async def run(self) -> None:
        """Read and send changes until the task is cancelled."""
        self.closed = False
        listening = asyncio.create_task(self._listen())
        try:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), MAX_PAUSE_S)
                await asyncio.sleep(0 if self._horizon is None else GATHER_S)
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
            async with acquire(self._pool) as connection:
                snapshot = await live.read_snapshot(connection, self._horizon)
            if self._horizon is not None and snapshot.epoch != self._epoch:
                raise RestoredError("the database was restored")
            self._epoch = snapshot.epoch
            events = self._changes(snapshot) + self._changed_services(_id(snapshot))
        except Exception as error:
            # A stream that stays open without events would look like a quiet car park.
            _log.warning("streams_ended", watchers=len(self._watchers), reason=str(error) or type(error).__name__)
            self._horizon = None
            self._end_all()
            return
        joining = [watcher for watcher in self._watchers if not watcher.has_snapshot]
        if events:
            for watcher in [watcher for watcher in self._watchers if watcher.has_snapshot]:
                if not watcher.put(events):
                    self._watchers.discard(watcher)
        if joining:
            event = self._snapshot(snapshot)
            if self._services.conditions:
                event += _event("services", self._services, _id(snapshot))
            for watcher in joining:
                watcher.has_snapshot = watcher.put(event)

    def _changes(self, snapshot: Snapshot) -> bytes:
        """Keep a snapshot; return what differs from the one before, as events."""
        if self._horizon is None:
            self._spaces, self._actuations = {}, {}
        self._horizon = snapshot.horizon
        event_id = _id(snapshot)
        events: list[bytes] = []
        for space in snapshot.spaces:
            before = self._spaces.get(space.id)
            if space.deleted:
                if self._spaces.pop(space.id, None):
                    events.append(_event("gone", Gone(space.id, space.code), event_id))
            elif space != before:
                self._spaces[space.id] = space
                changed = before is None or (space.state, space.state_at) != (before.state, before.state_at)
                events.append(_event("state" if changed else "display", space, event_id))
        for actuation in reversed(snapshot.actuations):
            if actuation != self._actuations.get(actuation.id):
                self._actuations[actuation.id] = actuation
                events.append(_event("actuation", actuation, event_id))
        for old in sorted(self._actuations)[:-MAX_ACTUATIONS]:
            del self._actuations[old]
        return b"".join(events)

    def _changed_services(self, event_id: str) -> bytes:
        """Keep the conditions of services; return them as an event if they differ from those before."""
        services = Services([_service_condition(condition) for condition in self._conditions()])
        if services == self._services:
            return b""
        self._services = services
        return _event("services", services, event_id)

    def _snapshot(self, snapshot: Snapshot) -> bytes:
        spaces = sorted(self._spaces.values(), key=lambda space: space.code)
        actuations = [self._actuations[id_] for id_ in sorted(self._actuations, reverse=True)]
        everything = Everything(spaces, actuations, snapshot.last_change_id, snapshot.epoch)
        return _event("snapshot", everything, _id(snapshot))

    def _end_all(self) -> None:
        for watcher in self._watchers:
            watcher.end()
        self._watchers.clear()


def _service_condition(c: Condition) -> ServiceCondition:
    return ServiceCondition(c.kind, c.subject_id, c.since, c.evidence, KINDS[c.kind].meaning, KINDS[c.kind].remedy)


def _id(snapshot: Snapshot) -> str:
    return f"{snapshot.epoch}:{snapshot.last_change_id}"


def _event(name: str, body: object, event_id: str) -> bytes:
    return b"event: %s\nid: %s\ndata: %s\n\n" % (name.encode(), event_id.encode(), msgspec.json.encode(body))
