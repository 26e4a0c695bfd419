"""Note the devices that send uplinks and are not registered, and choose which of their uplinks are stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from baylight.control.uplinks import Arrival
from baylight.domain.ids import DevEui
from baylight.store.pool import Connection
from baylight.store.query import queries

KEPT_PER_HOUR = 12
"""Uplinks of one unknown device that are stored in an hour; all are counted."""
MAX_STRANGERS = 10_000
"""Unknown devices that are noted; the next ones show in the metrics alone, until others expire or are registered."""


async def note_strangers(connection: Connection, strangers: Iterable[Arrival], now: datetime) -> list[Arrival]:
    """Notes the devices; returns the uplinks to store: the first few of each device and hour, none of an ignored one.

    `strangers`: in the order of their time.
    """
    by_device: dict[DevEui, list[Arrival]] = {}
    for arrival in strangers:
        by_device.setdefault(arrival.uplink.dev_eui, []).append(arrival)
    rows = await connection.fetch(
        queries("inventory.orphans")["hear"],
        *(list(column) for column in zip(*(_row(eui, by_device[eui]) for eui in sorted(by_device)), strict=True)),
        now.replace(minute=0, second=0, microsecond=0),
        MAX_STRANGERS,
    )
    kept: list[Arrival] = []
    for row in rows:
        heard = by_device[row["dev_eui"]]
        before = row["uplinks_in_hour"] - len(heard)
        kept += [] if row["ignored"] else heard[: max(0, KEPT_PER_HOUR - before)]
    return kept


def _row(dev_eui: DevEui, heard: Sequence[Arrival]) -> tuple[object, ...]:
    """In the order of `hear`."""
    newest = heard[-1].uplink
    profile = next((a.uplink.profile_name for a in reversed(heard) if a.uplink.profile_name), None)
    told = next((a.uplink for a in reversed(heard) if a.uplink.data), None)
    return (
        dev_eui, len(heard), heard[0].received_at, heard[-1].received_at, newest.network_server, newest.application_id,
        newest.device_name, profile, newest.dev_addr, newest.gateway_id, newest.rssi_dbm, newest.snr_db,
        told and told.f_port, told and told.data,
    )  # fmt: skip
