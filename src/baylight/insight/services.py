"""Services that an installation stands on: what they must serve, and which of their conditions last."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from baylight.control import conditions
from baylight.domain.conditions import KINDS, Condition, Subject
from baylight.domain.ids import DevEui
from baylight.store.pool import Connection
from baylight.store.query import Query

SERVICE_KINDS = tuple(kind for kind, row in KINDS.items() if row.subject is Subject.SERVICE)
MAX_REPORTED = 10
MARGIN = timedelta(seconds=5)
"""Time by which the clocks of two servers may differ. An absence is noticed, and its end too, within a part of it."""


class _ByServer(NamedTuple):
    network_server: str
    displays: int


class _Reported(NamedTuple):
    dev_eui: DevEui
    application_id: str


DISPLAYS_BY_SERVER = Query("insight.services.displays_by_server", _ByServer)
SENSORS_NOT_RECEIVED = Query("insight.services.sensors_not_received", str)
REPORTED_DISPLAYS = Query("insight.services.reported_displays", _Reported)


async def count_displays(connection: Connection) -> dict[str, int]:
    """Return how many displays of live spaces are reached through each network server."""
    return dict(await DISPLAYS_BY_SERVER.all(connection))


async def list_reported_displays(connection: Connection, network_server: str) -> dict[DevEui, str]:
    """Return application ids of displays that the network server itself reported, newest last: it had them."""
    return dict(await REPORTED_DISPLAYS.all(connection, network_server=network_server, limit=MAX_REPORTED))


async def list_sensors_not_received(
    connection: Connection, network_server: str, since: datetime, until: datetime
) -> list[str]:
    """Return the DevEUIs of sensors whose newest uplink may have been lost while the network server was away.

    It was away from `since` until it answered again. If it received uplinks meanwhile, only its API was away: none.
    """
    return await SENSORS_NOT_RECEIVED.all(
        connection, network_server=network_server, since=since, until=until, margin=MARGIN
    )


async def list_conditions(connection: Connection) -> list[Condition]:
    """Return the stored conditions of services that last, oldest first."""
    return await conditions.list_open(connection, kinds=SERVICE_KINDS)
