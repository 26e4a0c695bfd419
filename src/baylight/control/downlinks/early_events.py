"""Match network events that came before the network server's answer with the actuation that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from baylight.domain.display_loop import news
from baylight.domain.display_loop.display import Display
from baylight.domain.downlink import QueueItem
from baylight.domain.ids import DevEui
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement


class _EarlyEvent(NamedTuple):
    at: datetime
    kind: str
    queue_id: str
    detail: str | None
    f_cnt_down: int | None


UNMATCHED = Query("control.early_events.unmatched", _EarlyEvent)
UNMATCHED_OF_DISPLAY = Query("control.early_events.unmatched_of_display", str)
MATCH = Statement("control.early_events.match")


def find_item(queue: list[QueueItem] | None, expires_at: datetime) -> str | None:
    """Return the id of the queue item with this expiry, which is unique."""
    return next((item.id for item in queue or [] if item.expires_at == expires_at), None)


async def find_unmatched(connection: Connection, dev_eui: DevEui, since: datetime) -> str | None:
    """Return the queue item of a command that was sent before its answer was known: its tx_ack names it."""
    return await UNMATCHED_OF_DISPLAY.first(connection, dev_eui=dev_eui, since=since)


async def apply_early(connection: Connection, accepted: Mapping[str, tuple[Display, UUID]]) -> None:
    """Apply the events of accepted commands. `accepted`: display and actuation id by queue item."""
    if not accepted:
        return
    events = await UNMATCHED.all(connection, queue_ids=list(accepted))
    if not events:
        return
    for event in events:
        display, _ = accepted[event.queue_id]
        news.replay(display, event.kind, event.queue_id, event.detail, event.at, event.f_cnt_down)
    queue_ids = [event.queue_id for event in events]
    await MATCH.run(connection, queue_ids=queue_ids, actuation_ids=[accepted[q][1] for q in queue_ids])
