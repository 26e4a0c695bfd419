"""Decide whether the network servers are silent for longer than is usual at this site."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from baylight.store.pool import Connection
from baylight.store.query import Query

NEWEST = 500
"""Uplinks whose gaps give the usual gap: some minutes of a large site, some days of a small one."""
SHORTEST = timedelta(minutes=10)
NEVER = timedelta(hours=1)
"""Time after which a site with devices, and with too few uplinks to know a usual gap, counts as silent."""
FACTOR = 4
ORDINARY = 0.98
"""Share of the gaps that are not longer than the usual one. The others are nights, and outages of the past."""


class Newest(NamedTuple):
    """Beginning of the site, and the arrivals of its newest uplinks, newest first."""

    devices_since: datetime | None
    received_at: list[datetime]


class Silence(NamedTuple):
    """Silence that is longer than usual. `since`: the newest uplink; None: there never was one."""

    since: datetime | None
    limit: timedelta


NEWEST_UPLINKS = Query("control.silence.newest", Newest)


async def find(connection: Connection, now: datetime, started_at: datetime) -> Silence | None:
    """Return the silence of the site, or None. `started_at`: start of this process, which has to catch up first."""
    return judge(await NEWEST_UPLINKS.one(connection, limit=NEWEST), now, started_at)


def judge(newest: Newest, now: datetime, started_at: datetime) -> Silence | None:
    """Return the silence, or None. A site without devices is never silent."""
    if newest.devices_since is None:
        return None
    arrivals = sorted(newest.received_at)
    limit = _limit(arrivals)
    last = arrivals[-1] if arrivals else None
    begin = max(last or newest.devices_since, newest.devices_since, started_at)
    return Silence(last, limit) if now - begin > limit else None


def _limit(arrivals: list[datetime]) -> timedelta:
    gaps = sorted(after - before for before, after in pairwise(arrivals))
    if len(gaps) < 10:
        return NEVER
    return max(SHORTEST, FACTOR * gaps[int(ORDINARY * (len(gaps) - 1))])
