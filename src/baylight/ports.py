"""Where something leaves the process: network server, clock, engine of JavaScript codecs. One to four methods each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from baylight.codecs.ts013 import Answer, Call
from baylight.domain.downlink import Downlink, QueueItem
from baylight.domain.ids import DevEui
from baylight.errors import DeviceDataError


class Clock(Protocol):
    """The only source of "now" outside the database."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...


class NetworkServer(Protocol):
    """Commands to a LoRaWAN network server."""

    async def enqueue(self, downlink: Downlink) -> str:
        """Hand over a downlink; returns the queue item id that txack, ack and log events will carry.

        Raises TransientError (try again), UnheardError (not before an uplink of the device) or PermanentError (this
        downlink can never be accepted).
        Not idempotent where the server makes its own ids.
        """
        ...

    async def queue(self, dev_eui: DevEui) -> list[QueueItem] | None:
        """The device's downlink queue, oldest first; None if this server cannot tell."""
        ...

    async def ping(self) -> None:
        """Raises TransientError or PermanentError (bad address, bad key) in plain words."""
        ...


class CodecEngine(Protocol):
    """Runs JavaScript codecs, away from this process."""

    async def run(self, calls: Sequence[Call]) -> list[Answer | DeviceDataError]:
        """One outcome for each call, in order. What a codec does wrong (throws, loops, allocates, answers nonsense)
        is the outcome of its own call: DeviceDataError `codec_failed` or `codec_timeout`."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """A device as a network server lists it. `profile`: the network server's name for its model."""

    dev_eui: str
    name: str = ""
    profile: str = ""
    application_id: str = ""


Source = Callable[[Sequence[str], str | None], AsyncIterator[Listed]]
"""Lists the devices of applications (ids), or all devices of a tenant."""
