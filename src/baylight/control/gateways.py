"""Gateways: which of them acknowledge, refuse, or are silent, and how much airtime they use."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from baylight.store.pool import Connection
from baylight.store.query import Query, Statement

LATE_AFTER = timedelta(seconds=10)
"""A command waits for its tx_ack from this age on. ChirpStack's scheduler and its locks take up to 6 s."""
SILENT_AFTER = timedelta(seconds=60)
"""A gateway is silent if commands have waited for so long and it has acknowledged nothing."""
FORGOTTEN_AFTER = timedelta(minutes=20)
"""Longer than the longest back-off of a display: after it no command waits any more."""


class Silent(NamedTuple):
    """Gateway that has acknowledged nothing for SILENT_AFTER. `unacked_since`: when the first waiting command was sent."""

    gateway_id: str
    unacked_since: datetime


MARK_LATE = Statement("control.gateways.mark_late")
UNMARK = Statement("control.gateways.unmark")
SILENT = Query("control.gateways.silent", Silent)


async def list_silent(connection: Connection) -> list[Silent]:
    """Return the gateways that have acknowledged nothing for SILENT_AFTER while commands waited."""
    return await SILENT.all(connection, at_least=SILENT_AFTER)


async def mark(connection: Connection, now: datetime) -> None:
    """Mark the gateways behind which commands wait, and unmark those behind which none has waited for long."""
    await MARK_LATE.run(connection, late_before=now - LATE_AFTER, now=now)
    await UNMARK.run(connection, before=now - FORGOTTEN_AFTER)
