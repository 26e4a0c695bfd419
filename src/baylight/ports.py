"""Interfaces of what lies outside of the process: network server, clock, engine of JavaScript codecs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from baylight.codecs.ts013.calls import Answer, Call
from baylight.domain.conditions import ConditionKind
from baylight.domain.downlink import DeviceFacts, Downlink, QueueItem
from baylight.domain.ids import DevEui
from baylight.errors import DeviceDataError, TransientError


class Clock(Protocol):
    """Source of "now", the only one outside the database."""

    def now(self) -> datetime:
        """Return the time, aware UTC."""
        ...


class NetworkServer(Protocol):
    """Commands to a LoRaWAN network server."""

    async def enqueue(self, downlink: Downlink) -> str:
        """Hand over a downlink; return the queue item id that its txack, ack and log events will carry.

        Raises TransientError (try again; `network_server_key_refused` if the key is at fault, for which no device is to
        blame), NoUplinkYetError (try again after the next uplink of the device) or PermanentError (the server can never
        accept this downlink). Not idempotent where the server makes its own ids.
        """
        ...

    async def queue(self, dev_eui: DevEui) -> list[QueueItem] | None:
        """Return the device's downlink queue, oldest first; None if this server cannot report it."""
        ...

    async def device(self, dev_eui: DevEui) -> DeviceFacts | None:
        """Return what the server says about the device; None if this server cannot report it.

        Raises PermanentError `device_not_known`, and TransientError as `enqueue` does.
        """
        ...

    async def ping(self) -> None:
        """Check address and key. Raises TransientError in plain words.

        Its code is `network_server_key_refused` if the key is at fault; any other means that the server is away.
        """
        ...


class Conditions(Protocol):
    """Conditions of one service. They work while the database is away. Both functions are idempotent."""

    def begin(self, kind: ConditionKind, evidence: str) -> None:
        """Begin a condition, or renew its evidence."""
        ...

    def end(self, kind: ConditionKind) -> None: ...


class BrokerSession(Protocol):
    """Memory of our session at a broker. It outlives the process."""

    async def filters(self) -> frozenset[str]:
        """Return the topic filters that the session may have; empty: there never was a session.

        Raises TransientError.
        """
        ...

    async def keep(self, filters: frozenset[str]) -> None:
        """Store the topic filters that the session may have. Raises TransientError."""
        ...

    async def lost(self, since: datetime) -> str:
        """Make good the loss of the session, with all messages in it since then; return what was done, in words.

        Idempotent. Raises TransientError.
        """
        ...


Outcome = Answer | DeviceDataError | TransientError
"""Outcome of a call of a codec."""


class CodecEngine(Protocol):
    """Engine that runs JavaScript codecs outside of this process."""

    async def run(
        self, calls: Sequence[Call], *, within_s: float | None = None, quick_s: float | None = None
    ) -> list[Outcome]:
        """Run calls; return one outcome for each, in order.

        With `quick_s`, slow codecs do not run, and a call that is not quick is ended and makes its codec a slow one.
        Codecs that were quick before run first; the others may then use `quick_s` of CPU time to turn out as slow.

        A fault of a codec (it throws, loops, uses too much memory, returns nonsense) is the outcome of its own call
        only: DeviceDataError `codec_failed`, `codec_timeout` or `codec_crashed`. A call that has no answer for another
        reason has a TransientError, and can be made again: `codec_late` (no answer within `within_s`, a stalled or
        killed worker, a slow codec with `quick_s`), or `codec_suspended`.
        """
        ...

    def slow(self) -> Collection[str]:
        """Return the ids of the scripts that are slow, until a run without `quick_s` finds them quick."""
        ...

    def suspended(self) -> Mapping[str, str]:
        """Return the ids of the scripts that are suspended, each with the fault in words.

        A suspension ends with an answer of the script.
        """
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """Device as a network server lists it. `profile`: the network server's name for its model.

    `enabled`: False if it is disabled there, so that it is neither received nor sent to.
    """

    dev_eui: str
    name: str = ""
    profile: str = ""
    application_id: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class ListedApplication:
    """Application of a network server. `tenant_name`: empty if the key does not show it."""

    id: str
    name: str
    tenant_id: str
    tenant_name: str = ""


class DeviceSource(Protocol):
    """Lists of a network server."""

    def devices(self, applications: Sequence[str], tenant: str | None) -> AsyncIterator[Listed]:
        """Yield the devices of applications (ids), and all devices of a tenant (id). Raises InputError."""
        ...

    async def applications(self, known: Sequence[str]) -> list[ListedApplication]:
        """Return the applications that the key can see. `known`: ids of applications that events came from."""
        ...
