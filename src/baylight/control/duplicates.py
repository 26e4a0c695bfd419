"""Find uplinks that are stored already, and frames that two network servers delivered. Both are stored once.

Only frames whose counter did not go on are looked up in the table. There are few: the sensor's row is locked, and every
batch writes the counter of its newest uplink.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from baylight.control.uplinks import Arrival
from baylight.domain.ids import DevEui
from baylight.domain.session import Session
from baylight.store.pool import Connection
from baylight.store.query import Query

SAME_FRAME_WINDOW = timedelta(minutes=1)
"""Most time between the dates that two network servers give to one frame.

Clocks differ, and a device repeats a frame.
"""
MAX_AHEAD = timedelta(days=2)
"""Longest time that `observed_at` may lie in the future: gateways without GPS run minutes ahead (B19)."""


class _Stored(NamedTuple):
    observed_at: datetime
    deduplication_id: UUID


STORED = Query("control.duplicates.stored", _Stored)
COPIES = Query("control.duplicates.copies", int)


async def mark_stored(connection: Connection, suspects: Sequence[Arrival]) -> None:
    """Mark the uplinks that are stored already."""
    if not suspects:
        return
    times = [a.observed_at for a in suspects]
    found = await STORED.all(
        connection,
        observed_at=times,
        deduplication_ids=[a.uplink.deduplication_id for a in suspects],
        first_at=min(times),
        last_at=max(times),
    )
    stored = {(row.observed_at, str(row.deduplication_id)) for row in found}
    for arrival in suspects if stored else ():
        arrival.duplicate = (arrival.observed_at, arrival.uplink.deduplication_id) in stored


async def mark_copies(
    connection: Connection, arrivals: Iterable[Arrival], devices: Mapping[DevEui, Session], *, several: bool
) -> None:
    """Mark frames that came through another network server before: same device, session, counter, data and time.

    `devices`: the locked devices. `several`: the batch holds uplinks from more than one network server.
    """
    frames: dict[object, Arrival] = {}
    suspects: list[Arrival] = []
    for arrival in arrivals:
        if arrival.duplicate:
            continue
        u = arrival.uplink
        first = arrival
        if several:
            first = frames.setdefault((u.dev_eui, u.dev_addr, u.f_cnt, u.f_port, u.data), arrival)
        device = devices.get(u.dev_eui)
        if first.uplink.network_server != u.network_server and arrival.at - first.at <= SAME_FRAME_WINDOW:
            arrival.duplicate = True
        elif device is not None and (ahead := device.frames_ahead(u)) is not None and ahead <= 0:
            suspects.append(arrival)
    if suspects:
        await _mark_stored_copies(connection, suspects)


async def _mark_stored_copies(connection: Connection, suspects: Sequence[Arrival]) -> None:
    uplinks = [a.uplink for a in suspects]
    times = [a.at for a in suspects]
    found = await COPIES.all(
        connection,
        dev_euis=[u.dev_eui for u in uplinks],
        f_cnts=[u.f_cnt for u in uplinks],
        f_ports=[u.f_port for u in uplinks],
        datas=[u.data for u in uplinks],
        network_servers=[u.network_server for u in uplinks],
        times=times,
        apart=SAME_FRAME_WINDOW,
        observed_after=min(times) - MAX_AHEAD,
    )
    for place in found:
        suspects[place - 1].duplicate = True
