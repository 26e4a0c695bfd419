"""Make good the loss of events: mark what may have changed unnoticed."""

from __future__ import annotations

from datetime import datetime

from baylight.control import displays, sensors
from baylight.domain.unproven import UnprovenReason
from baylight.store.pool import Connection
from baylight.store.query import Query

ARE_OPEN = Query("control.losses.are_open", bool)


async def make_good(connection: Connection, since: datetime, network_server: str) -> str:
    """Mark what may have changed unnoticed since then; return what was done, in words. Idempotent.

    The newest reading of each sensor of the network server may be missing, and so may the newest report of each
    display.
    """
    reason = UnprovenReason.SESSION_LOST
    spaces = await sensors.mark_sensors(connection, reason, since, network_server=network_server)
    lights = await displays.mark_all_unproven(connection, since, network_server)
    return f"{spaces} spaces and {lights} displays are unproven until their devices report"


async def are_open(connection: Connection) -> bool:
    """Return whether sensors have not reported since a loss."""
    return await ARE_OPEN.one(connection)
