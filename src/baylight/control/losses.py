"""Make good the loss of events that a broker had accepted."""

from __future__ import annotations

from datetime import datetime

from baylight.store.pool import Connection


async def make_good(connection: Connection, since: datetime, network_server: str) -> str:
    """Mark what may have changed unnoticed since then; return what was done, in words. Idempotent.

    The newest reading of each sensor of the network server may be missing, and so may the newest report of each
    display.
    """
    # Seam: control.sensors.mark_sensors(connection, UnprovenReason.SESSION_LOST, since, network_server=…) and
    # control.displays.mark_all_unproven(connection, since, network_server) belong here.
    return "events may be missing"
