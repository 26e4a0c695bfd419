"""Find uplinks that are stored already, and frames that came before in another event. Each is stored once.

Only frames whose counter did not go on are looked up in the table. There are few: the sensor's row is locked, and every
batch writes the counter of its newest uplink.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from baylight.control.events.uplinks import Arrival
from baylight.domain.events import MAX_DELAY
from baylight.domain.ids import DevEui
from baylight.domain.session import Session
from baylight.store.pool import Connection
from baylight.store.query import Query

SAME_FRAME_WINDOW = timedelta(minutes=1)
"""Most time between the dates that two network servers give to one frame of an unknown device.

Clocks differ, and a device repeats a frame.
"""


class _Stored(NamedTuple):
    observed_at: datetime
    deduplication_id: UUID


class _Known(NamedTuple):
    place: int
    same: bool


STORED = Query("control.duplicates.stored", _Stored)
STORED_BY_ID = Query("control.duplicates.stored_by_id", int)
KNOWN = Query("control.duplicates.known", _Known)


async def mark_stored(connection: Connection, suspects: Sequence[Arrival]) -> None:
    """Mark the uplinks that are stored already: by time and id, or by their id alone if no time of them is usable."""
    timed = [a for a in suspects if not a.timeless]
    if timed:
        times = [a.observed_at for a in timed]
        found = await STORED.all(
            connection,
            observed_at=times,
            deduplication_ids=[a.uplink.deduplication_id for a in timed],
            first_at=min(times),
            last_at=max(times),
        )
        stored = {(row.observed_at, str(row.deduplication_id)) for row in found}
        for arrival in timed if stored else ():
            arrival.duplicate = (arrival.observed_at, arrival.uplink.deduplication_id) in stored
    timeless = [a for a in suspects if a.timeless]
    if timeless:
        places = await STORED_BY_ID.all(
            connection,
            dev_euis=[a.dev_eui for a in timeless],
            deduplication_ids=[a.uplink.deduplication_id for a in timeless],
            since=min(a.received_at for a in timeless) - MAX_DELAY,
        )
        for place in places:
            timeless[place - 1].duplicate = True


async def mark_known(
    connection: Connection, arrivals: Iterable[Arrival], devices: Mapping[DevEui, Session], now: datetime
) -> None:
    """Set `known` of the frames whose counter may be known in the session of their device.

    `devices`: the locked devices.
    """
    suspects: list[Arrival] = []
    sessions: list[int] = []
    for arrival in arrivals:
        device = devices.get(arrival.dev_eui)
        if device is not None and not arrival.duplicate:
            arrival.session = device.session
            session = device.known_in(arrival.uplink)
            if session is not None:
                suspects.append(arrival)
                sessions.append(session)
    if suspects:
        uplinks = [a.uplink for a in suspects]
        found = await KNOWN.all(
            connection,
            dev_euis=[u.dev_eui for u in uplinks],
            sessions=sessions,
            f_cnts=[u.f_cnt for u in uplinks],
            f_ports=[u.f_port for u in uplinks],
            datas=[u.data for u in uplinks],
            since=now - MAX_DELAY,
        )
        for row in found:
            suspects[row.place - 1].known = row.same


def mark_copies(arrivals: Iterable[Arrival], devices: Mapping[DevEui, Session]) -> None:
    """Mark frames of `devices` that are known, and frames that came twice in the batch.

    A frame of an unknown device may be repeated. It is a copy only if another network server sent it within
    SAME_FRAME_WINDOW.
    """
    frames: dict[object, Arrival] = {}
    for arrival in arrivals:
        if arrival.duplicate:
            continue
        u = arrival.uplink
        first = frames.setdefault((u.dev_eui, u.dev_addr, u.f_cnt, u.f_port, u.data), arrival)
        if u.dev_eui in devices:
            arrival.duplicate = first is not arrival or arrival.known is True
        elif first.uplink.network_server != u.network_server:
            arrival.duplicate = arrival.at - first.at <= SAME_FRAME_WINDOW
