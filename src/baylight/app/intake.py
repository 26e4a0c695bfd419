"""Intake of messages from network servers: it parses them, stores them in batches, and keeps rejected ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from baylight.app.refusals import Refusals
from baylight.domain.events import Event, Ignored, Message, Rejected
from baylight.errors import DeviceDataError, TransientError
from baylight.lns.mqtt.lanes import Handle, Read, Received
from baylight.log import logger

log = logger("intake")
Parse = Callable[[str, bytes], Event | Ignored]
"""Function from topic or event name, and payload, to the message. It raises DeviceDataError."""


class Intake:
    """Intake of every consumer and webhook of a process."""

    def __init__(self, ingest: Callable[[Sequence[Message]], Awaitable[None]], wake_relay: Callable[[], None]) -> None:
        """`ingest` stores a batch (`Ingest.store_batch`); `wake_relay` is called after it."""
        self._ingest = ingest
        self._wake_relay = wake_relay

    def reader(self, parse: Parse) -> Read:
        """Return a function that parses topic and payload. It raises nothing, and returns Rejected if that fails."""

        def read(topic: str, payload: bytes) -> Message:
            try:
                return parse(topic, payload)
            except DeviceDataError as error:
                return Rejected(topic, payload, error.code, error.message)
            except Exception as error:
                log.error("message_not_read", topic=topic, error=repr(error), exc_info=True)
                return _unforeseen(topic, payload, error)

        return read

    async def store(self, batch: Sequence[Received]) -> None:
        """Store a batch and wake the relay. Raises as `ingest` does."""
        await self._ingest([received.message for received in batch])
        self._wake_relay()  # there is something to send, or a tx_ack has freed a display for its next command

    def storing(self, refusals: Refusals) -> Handle:
        """Return `store` for one source, whose refused messages are counted."""

        async def store(batch: list[Received]) -> None:
            await self.store(batch)
            refusals.note(received.message for received in batch)

        return store

    async def reject(self, received: Received, error: Exception) -> None:
        """Store a message that the database refuses for an unforeseen reason as Rejected. The others then go on.

        Raises TransientError `rejected_not_stored`.
        """
        try:
            await self._ingest([_unforeseen(received.topic, received.payload, error)])
        except asyncpg.PostgresError as failure:
            # A database in order stores any bytes with a reason. So the fault is not the message's.
            raise TransientError("rejected_not_stored", f"the database stores nothing: {failure}") from failure

    def webhook(self, parse: Parse, refusals: Refusals | None = None) -> Callable[[str, bytes], Awaitable[None]]:
        """Return a function that stores one event that came by HTTP. It raises only TransientError.

        `refusals` counts those that are refused.
        """
        read = self.reader(parse)
        store = self.storing(refusals) if refusals else self.store

        async def accept(event: str, payload: bytes) -> None:
            received = Received(event, payload, read(event, payload))
            try:
                await store([received])
            except TransientError:
                raise
            except Exception as error:
                log.error("message_not_stored", topic=event, error=repr(error), exc_info=True)
                await self.reject(received, error)

        return accept


def _unforeseen(topic: str, payload: bytes, error: Exception) -> Rejected:
    return Rejected(topic, payload, "not_stored", f"{type(error).__name__}: {error}")
