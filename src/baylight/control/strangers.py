"""Count the devices that send uplinks and are not registered, and choose which of their uplinks are stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from baylight.control.uplinks import Arrival
from baylight.store.pool import Connection
from baylight.store.query import Query

KEPT_PER_HOUR = 12
"""Uplinks of one unknown device that are stored in an hour; all are counted."""
MAX_STRANGERS = 10_000
"""Unknown devices that have a row. Further ones show in the metrics alone, until others expire or are registered."""


class _Counted(NamedTuple):
    dev_eui: str
    uplinks_in_hour: int
    ignored: bool


UPDATE = Query("control.strangers.update", _Counted)


async def count_strangers(connection: Connection, arrivals: Iterable[Arrival], now: datetime) -> list[Arrival]:
    """Count uplinks of unknown devices; return those to store: the first KEPT_PER_HOUR of each, none of an ignored one.

    `arrivals`: in the order of their time.
    """
    by_device: dict[str, list[Arrival]] = {}
    for arrival in arrivals:
        by_device.setdefault(arrival.dev_eui, []).append(arrival)
    groups = [by_device[dev_eui] for dev_eui in sorted(by_device)]
    newest = [group[-1].uplink for group in groups]
    with_data = [next((a.uplink for a in reversed(group) if a.uplink.data), None) for group in groups]
    counted = await UPDATE.all(
        connection,
        dev_euis=sorted(by_device),
        uplinks=[len(group) for group in groups],
        first_at=[group[0].received_at for group in groups],
        last_at=[group[-1].received_at for group in groups],
        network_servers=[u.network_server for u in newest],
        application_ids=[u.application_id for u in newest],
        device_names=[u.device_name for u in newest],
        profile_names=[_newest_profile(group) for group in groups],
        dev_addrs=[u.dev_addr for u in newest],
        gateway_ids=[u.gateway_id for u in newest],
        rssi_dbm=[u.rssi_dbm for u in newest],
        snr_db=[u.snr_db for u in newest],
        f_ports=[u and u.f_port for u in with_data],
        datas=[u and u.data for u in with_data],
        hour=now.replace(minute=0, second=0, microsecond=0),
        max_devices=MAX_STRANGERS,
    )
    kept: list[Arrival] = []
    for row in counted:
        group = by_device[row.dev_eui]
        before = row.uplinks_in_hour - len(group)
        kept += [] if row.ignored else group[: max(0, KEPT_PER_HOUR - before)]
    return kept


def _newest_profile(group: Sequence[Arrival]) -> str | None:
    return next((a.uplink.profile_name for a in reversed(group) if a.uplink.profile_name), None)
