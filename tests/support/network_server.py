"""Network server in memory, which the test drives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from baylight.domain.downlink import DeviceFacts, Downlink, QueueItem
from baylight.domain.ids import DevEui
from baylight.errors import BaylightError, TransientError

AWAY = TransientError("chirpstack_away", "it does not answer")
HEARD = DeviceFacts(enabled=True, class_c=True, last_seen_at=datetime(2026, 3, 1, tzinfo=UTC))


@dataclass
class NetworkServer:
    """Network server that accepts every downlink and makes ids of its own.

    `fails` returns the error of a call, `keeps` says whether the server has the item nonetheless. `reports_queue`:
    False if every question for a queue gets AWAY, None if the server has no way to report one. `odd_answers` is the
    number of questions that end in a bug. Calls wait until `door` is set, if there is one.
    """

    fails: Callable[[Downlink], BaylightError | None] = lambda _: None
    keeps: bool = False
    reports_queue: bool | None = True
    odd_answers: int = 0
    next_id: str | None = None
    facts: DeviceFacts | None = HEARD
    accepted: list[Downlink] = field(default_factory=list)
    items: dict[DevEui, list[QueueItem]] = field(default_factory=dict)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    door: asyncio.Event | None = None

    async def enqueue(self, downlink: Downlink) -> str:
        self.entered.set()
        if self.door is not None:
            await self.door.wait()
        error = self.fails(downlink)
        if error is None or self.keeps:
            self.accepted.append(downlink)
            item = QueueItem(self.next_id or str(uuid4()), downlink.f_port, downlink.data, False, downlink.expires_at)
            self.items.setdefault(downlink.dev_eui, []).append(item)
            if error is None:
                return item.id
        assert error is not None
        raise error

    async def queue(self, dev_eui: DevEui) -> list[QueueItem] | None:
        if self.odd_answers:
            self.odd_answers -= 1
            raise RuntimeError("a bug")
        if self.reports_queue is None:
            return None
        if not self.reports_queue:
            raise AWAY
        return list(self.items.get(dev_eui, []))

    async def device(self, dev_eui: DevEui) -> DeviceFacts | None:
        return self.facts

    async def ping(self) -> None: ...
