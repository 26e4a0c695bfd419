"""Where something leaves the process: network server and clock. One to four methods each."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from baylight.domain.downlink import Downlink, QueueItem
from baylight.domain.ids import DevEui


class Clock(Protocol):
    """The only source of "now" outside the database."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...


class NetworkServer(Protocol):
    """Commands to a LoRaWAN network server."""

    async def enqueue(self, downlink: Downlink) -> str:
        """Hand over a downlink; returns the queue item id that txack, ack and log events will carry.

        Raises TransientError (try again) or PermanentError (this downlink can never be accepted).
        Not idempotent where the server makes its own ids.
        """
        ...

    async def queue(self, dev_eui: DevEui) -> list[QueueItem] | None:
        """The device's downlink queue, oldest first; None if this server cannot tell."""
        ...

    async def ping(self) -> None:
        """Raises TransientError or PermanentError (bad address, bad key) in plain words."""
        ...
