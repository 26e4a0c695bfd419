"""Uplinks that wait for their JavaScript codec: read in the order in which they are decoded, and written when they are.

They stand in `uplinks` with the outcome `to_decode`, and in `uplinks_to_decode` until their codec answers. So a restart
loses none.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from baylight.control.events.batch import Batch
from baylight.control.events.uplinks import Arrival
from baylight.domain.display_loop.display import Display
from baylight.domain.events import Uplink
from baylight.domain.ids import DevEui
from baylight.domain.sensor import Sensor
from baylight.domain.state import Occupancy
from baylight.errors import TransientError
from baylight.store.pool import Connection
from baylight.store.query import Query, RowsStatement, Statement

MAX_LATER = 100
"""Uplinks that are decoded in one transaction."""
_MICROSECOND = timedelta(microseconds=1)


class Due(NamedTuple):
    """Uplink that waits for the codec of its device. `codec` is empty for a device that is not registered any more."""

    dev_eui: DevEui
    deduplication_id: str
    observed_at: datetime
    received_at: datetime
    at: datetime
    dev_addr: str | None
    tries: int
    network_at: datetime | None
    f_cnt: int | None
    f_port: int | None
    data: bytes
    network_server: str
    codec: str
    moved_at: datetime | None


class _Wait(NamedTuple):
    dev_eui: DevEui
    deduplication_id: str
    at: datetime
    received_at: datetime


class _Decoded(msgspec.Struct, gc=False):
    """Row for `UPDATE_UPLINKS`."""

    observed_at: datetime
    deduplication_id: str
    outcome: str
    reading: dict[str, object] | None
    occupancy: Occupancy | None
    error: str | None


class _Tries(msgspec.Struct, gc=False):
    """Row for `UPDATE_TRIES`."""

    observed_at: datetime
    deduplication_id: str
    tries: int


DUE = Query("control.later.due", Due)
OF_SENSORS = Query("control.later.of_sensors", _Wait)
LOCK = Query("control.later.lock", str)
UPDATE_UPLINKS = RowsStatement("control.later.update_uplinks", _Decoded)
DELETE_DECODED = Statement("control.later.delete_decoded")
UPDATE_TRIES = RowsStatement("control.later.update_tries", _Tries)


async def list_due(
    connection: Connection, *, held: Collection[str] = (), only: Collection[str] | None = None, limit: int = MAX_LATER
) -> list[Due]:
    """Return uplinks to decode: those tried least first, then the oldest. `held`: codecs (`js:<name>`) to leave out."""
    return await DUE.all(connection, held=list(held), only=None if only is None else list(only), limit=limit)


async def load_waits(connection: Connection, sensors: Iterable[Sensor]) -> None:
    """Set `waits` of locked sensors that have uplinks to decode. Most batches have none, and read nothing."""
    waiting = {s.dev_eui: s for s in sensors if s.to_decode_since is not None}
    if waiting:
        for row in await OF_SENSORS.all(connection, dev_euis=sorted(waiting)):
            waiting[row.dev_eui].waits[row.deduplication_id] = (row.at, row.received_at)


class LaterBatch(Batch):
    """Batch of uplinks that are stored already, and whose codecs are asked again."""

    def __init__(self, due: Sequence[Due], now: datetime, *, quick_s: float | None = None) -> None:
        super().__init__((), now, recheck_all=False, quick_s=quick_s)
        self.arrivals = sorted((_arrival(d) for d in due), key=lambda a: a.received_at)
        for n, arrival in enumerate(self.arrivals):
            arrival.again_at = now + n * _MICROSECOND
        self.events = list(self.arrivals)
        self.dev_euis = sorted({d.dev_eui for d in due})

    def keep_order(self) -> None:
        """Let an uplink wait if an older one of its device waits for lack of time: the older one is decoded first."""
        late: set[DevEui] = set()
        for arrival in self.arrivals:
            if isinstance(arrival.decoded, TransientError):
                if arrival.decoded.code == "codec_late":
                    late.add(arrival.dev_eui)
            elif arrival.dev_eui in late and arrival.decoded is not None:
                arrival.decoded = TransientError("codec_late", "an older uplink of the device is decoded first")

    async def leave_out_duplicates(self, connection: Connection, sensors: dict[DevEui, Sensor]) -> None:
        """Lock the uplinks that wait, and leave out those that another process has decoded."""
        waiting = set(await LOCK.all(connection, **_keys(self.arrivals)))
        for arrival in self.arrivals:
            arrival.duplicate = arrival.uplink.deduplication_id not in waiting
        self.arrivals = [a for a in self.arrivals if not a.duplicate]

    async def leave_out_display_copies(
        self, connection: Connection, sensors: dict[DevEui, Sensor], displays: dict[DevEui, Display]
    ) -> None:
        """Leave out none: copies were left out when the uplinks were stored."""

    async def write_uplinks(self, connection: Connection, registered: Container[DevEui] = ()) -> None:
        """Write the outcomes, and what still waits."""
        decoded = [a for a in self.arrivals if a.outcome != "to_decode"]
        waiting = [a for a in self.arrivals if a.outcome == "to_decode"]
        for arrival in decoded:
            self.counts["to_decode", arrival.outcome] += 1
        if self.arrivals:
            await UPDATE_UPLINKS.run_all(connection, [_decoded(a) for a in self.arrivals])
        if decoded:
            await DELETE_DECODED.run(connection, **_keys(decoded))
        if waiting:
            rows = [_Tries(a.observed_at, a.uplink.deduplication_id, a.tries) for a in waiting]
            await UPDATE_TRIES.run_all(connection, rows)


def _arrival(d: Due) -> Arrival:
    uplink = Uplink(
        dev_eui=d.dev_eui,
        deduplication_id=d.deduplication_id,
        observed_at=d.observed_at,
        network_at=d.network_at,
        dev_addr=d.dev_addr,
        f_cnt=d.f_cnt,
        f_port=d.f_port,
        data=d.data,
        network_server=d.network_server,
    )
    outdated = d.moved_at is not None and d.received_at <= d.moved_at
    return Arrival(
        uplink, d.dev_eui, d.observed_at, d.network_at, d.received_at, d.at, tries=d.tries, outdated=outdated
    )


def _keys(arrivals: Iterable[Arrival]) -> dict[str, list[object]]:
    arrivals = list(arrivals)
    return {
        "observed_at": [a.observed_at for a in arrivals],
        "deduplication_ids": [a.uplink.deduplication_id for a in arrivals],
    }


def _decoded(a: Arrival) -> _Decoded:
    return _Decoded(a.observed_at, a.uplink.deduplication_id, a.outcome, a.reading, a.occupancy, a.error)
