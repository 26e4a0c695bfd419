"""Current counts for dashboards, and the current row of each space for the live page."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from baylight.domain.conditions import ConditionKind
from baylight.domain.downlink import ActuationStatus, SyncStatus
from baylight.domain.state import State
from baylight.domain.unproven import Unproven, UnprovenReason
from baylight.store.pool import Connection
from baylight.store.query import Query

UNFINISHED = (
    ActuationStatus.PENDING,
    ActuationStatus.SENDING,
    ActuationStatus.QUEUED,
    ActuationStatus.TRANSMITTED,
    ActuationStatus.ACKNOWLEDGED,
)


@dataclass(frozen=True, slots=True)
class LocationCount:
    """Live spaces of a location by state. `location`: path of names; None for the spaces without a location."""

    location: str | None
    total: int
    spaces: dict[str, int]


@dataclass(frozen=True, slots=True)
class Summary:
    """Live spaces by state, displays that serve one by sync status, unfinished actuations by status.

    `frames_missing`: frames that the gaps of frame counters show as lost, in the present sessions of all sensors and of
    all displays.
    `unproven`: live spaces with that mark by its reason. `conditions`: those that last, by kind.
    """

    spaces: dict[str, int]
    displays: dict[str, int]
    actuations: dict[str, int]
    frames_missing: dict[str, int]
    unproven: dict[str, int]
    conditions: dict[str, int]
    locations: list[LocationCount] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LiveSpace:
    """A space as the live page shows it. `location`: path of names. `conditions`: kinds of those of its display."""

    id: UUID
    code: str
    name: str
    location: str | None
    state: str
    state_at: datetime
    state_reason: str | None
    sensor_state: str | None
    display_state: str | None
    desired_state: str | None
    sync_status: str | None
    sensor_dev_eui: str | None
    display_dev_eui: str | None
    deleted: bool
    unproven: Unproven | None
    conditions: list[str]


@dataclass(frozen=True, slots=True)
class LiveActuation:
    """An actuation as the live page shows it."""

    id: UUID
    space: str
    new_state: str
    status: str
    trigger_type: str
    downlink_error: str | None
    created_at: datetime
    sent_at: datetime | None
    transmitted_at: datetime | None
    confirmed_at: datetime | None
    shown_at: datetime | None


class Horizon(NamedTuple):
    """Point in the order of transactions, and the newest state change with the epoch of its id."""

    horizon: str
    last_change_id: int
    epoch: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All spaces and the newest actuations, or those that changed since another snapshot.

    `horizon`: pass it to the next read to get what changed in between. A deleted space comes with `deleted`.
    `last_change_id`: newest row of the history of states. `epoch`: changes when a restore may use ids again.
    """

    horizon: str
    last_change_id: int
    epoch: str
    spaces: list[LiveSpace]
    actuations: list[LiveActuation]


class WordCount(NamedTuple):
    """Number of rows that have a word, such as a state."""

    word: str
    amount: int


class LocationWordCount(NamedTuple):
    """Number of spaces of a location that have a state."""

    location: str | None
    word: str
    amount: int


HORIZON = Query("insight.live.horizon", Horizon)
SPACES = Query("insight.live.spaces", LiveSpace)
ACTUATIONS = Query("insight.live.actuations", LiveActuation)
SPACES_BY_STATE = Query("insight.live.spaces_by_state", WordCount)
DISPLAYS_BY_SYNC = Query("insight.live.displays_by_sync", WordCount)
UNPROVEN_BY_REASON = Query("insight.live.unproven_by_reason", WordCount)
CONDITIONS_BY_KIND = Query("insight.live.conditions_by_kind", WordCount)
ACTUATIONS_BY_STATUS = Query("insight.live.actuations_by_status", WordCount)
FRAMES_MISSING = Query("insight.live.frames_missing", WordCount)
LOCATIONS = Query("insight.live.locations", LocationWordCount)


async def read_snapshot(connection: Connection, since: str | None = None) -> Snapshot:
    """Read all, or what changed since the `horizon` of an earlier snapshot.

    No change is missed. A change may come twice.
    """
    head = await HORIZON.one(connection)
    return Snapshot(
        horizon=head.horizon,
        last_change_id=head.last_change_id,
        epoch=head.epoch,
        spaces=await SPACES.all(connection, since=since),
        actuations=await ACTUATIONS.all(connection, since=since),
    )


async def get_summary(connection: Connection) -> Summary:
    """Count spaces, displays, actuations, frames and conditions.

    Every word of each vocabulary is in it, with 0 if need be.
    """
    locations: dict[str | None, dict[str, int]] = {}
    for row in await LOCATIONS.all(connection):
        locations.setdefault(row.location, {})[row.word] = row.amount
    return Summary(
        spaces=dict.fromkeys(map(str, State), 0) | dict(await SPACES_BY_STATE.all(connection)),
        displays=dict.fromkeys(map(str, SyncStatus), 0) | dict(await DISPLAYS_BY_SYNC.all(connection)),
        actuations=dict.fromkeys(map(str, UNFINISHED), 0) | dict(await ACTUATIONS_BY_STATUS.all(connection)),
        frames_missing=dict(await FRAMES_MISSING.all(connection)),
        unproven=dict.fromkeys(map(str, UnprovenReason), 0) | dict(await UNPROVEN_BY_REASON.all(connection)),
        conditions=dict.fromkeys(map(str, ConditionKind), 0) | dict(await CONDITIONS_BY_KIND.all(connection)),
        locations=[LocationCount(name, sum(counts.values()), counts) for name, counts in locations.items()],
    )
