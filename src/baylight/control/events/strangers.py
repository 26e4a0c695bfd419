"""Count the devices that send or join and are not registered, and choose which of their uplinks are stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from baylight.control.events.uplinks import Arrival
from baylight.domain.events import Join, Uplink
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


@dataclass(slots=True)
class _Stranger:
    """Events of one unknown device in a batch. `joins`: by their time."""

    arrivals: list[Arrival] = field(default_factory=list)
    joins: dict[datetime, Join] = field(default_factory=dict)

    @property
    def times(self) -> list[datetime]:
        return [*(arrival.received_at for arrival in self.arrivals), *self.joins]

    @property
    def events(self) -> list[Uplink | Join]:
        """Joins and uplinks; the newest uplink is the last one, since a session begins with its join."""
        return [*(self.joins[at] for at in sorted(self.joins)), *(arrival.uplink for arrival in self.arrivals)]

    @property
    def newest(self) -> Uplink | Join:
        return self.events[-1]

    def name(self, field_name: Literal["device_name", "profile_name"]) -> str | None:
        """Return the newest name that an event has."""
        return next((name for event in reversed(self.events) if (name := getattr(event, field_name))), None)


UPDATE = Query("control.strangers.update", _Counted)


async def count_strangers(
    connection: Connection, arrivals: Iterable[Arrival], joins: Iterable[Join], now: datetime
) -> list[Arrival]:
    """Count uplinks and joins of unknown devices; return the uplinks to store.

    These are the first KEPT_PER_HOUR of each device, none of an ignored one. `arrivals`: in the order of their time. A
    join of a registered device is not counted, and neither is one that is no newer than the last one.
    """
    strangers: dict[str, _Stranger] = {}
    for arrival in arrivals:
        strangers.setdefault(arrival.dev_eui, _Stranger()).arrivals.append(arrival)
    for join in joins:
        strangers.setdefault(join.dev_eui, _Stranger()).joins[join.at(now)] = join
    dev_euis = sorted(strangers)
    groups = [strangers[dev_eui] for dev_eui in dev_euis]
    newest = [group.newest for group in groups]
    uplinks = [group.arrivals[-1].uplink if group.arrivals else None for group in groups]
    with_data = [next((a.uplink for a in reversed(group.arrivals) if a.uplink.data), None) for group in groups]
    counted = await UPDATE.all(
        connection,
        dev_euis=dev_euis,
        uplinks=[len(group.arrivals) for group in groups],
        joins=[len(group.joins) for group in groups],
        first_at=[min(group.times) for group in groups],
        last_at=[max(group.times) for group in groups],
        first_join_at=[min(group.joins, default=None) for group in groups],
        last_join_at=[max(group.joins, default=None) for group in groups],
        network_servers=[event.network_server for event in newest],
        application_ids=[event.application_id for event in newest],
        device_names=[group.name("device_name") for group in groups],
        profile_names=[group.name("profile_name") for group in groups],
        dev_addrs=[event.dev_addr for event in newest],
        gateway_ids=[u and u.gateway_id for u in uplinks],
        rssi_dbm=[u and u.rssi_dbm for u in uplinks],
        snr_db=[u and u.snr_db for u in uplinks],
        f_ports=[u and u.f_port for u in with_data],
        datas=[u and u.data for u in with_data],
        hour=now.replace(minute=0, second=0, microsecond=0),
        max_devices=MAX_STRANGERS,
    )
    kept: list[Arrival] = []
    for row in counted:
        arrived = strangers[row.dev_eui].arrivals
        before = row.uplinks_in_hour - len(arrived)
        kept += [] if row.ignored else arrived[: max(0, KEPT_PER_HOUR - before)]
    return kept
