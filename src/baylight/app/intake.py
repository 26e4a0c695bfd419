"""The way of network servers' messages into the database: read, stored in batches, rejected if need be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from baylight.domain.events import Event, Ignored, Message, Rejected
from baylight.errors import DeviceDataError, TransientError
from baylight.lns.mqtt.lanes import Read, Received
from baylight.log import logger

log = logger("intake")
Parse = Callable[[str, bytes], Event | Ignored]
"""Topic or event name, and payload, to the message. Raises DeviceDataError."""


class Intake:
    """Serves every consumer and webhook of a process."""

    def __init__(self, ingest: Callable[[Sequence[Message]], Awaitable[None]], wake_relay: Callable[[], None]) -> None:
        """`ingest` stores a batch: `Ingest.store_batch`."""
        self._ingest = ingest
        self._wake_relay = wake_relay

    def reader(self, parse: Parse) -> Read:
        """Return a function that reads topic and payload. It raises nothing: an unreadable message is Rejected."""

        def read(topic: str, payload: bytes) -> Message:
            try:
                return parse(topic, payload)
            except DeviceDataError as error:
                return Rejected(topic, payload, error.code, error.message)
            except Exception as error:
                log.error("message_not_read", topic=topic, error=repr(error), exc_info=True)
                return _unforeseen(topic, payload, error)

        return read

    async def store(self, messages: Sequence[Received]) -> None:
        """Store a batch and wake the relay. Raises as `Ingest.store_batch`."""
        await self._ingest([message.said for message in messages])
        self._wake_relay()  # there is something to send, or a tx_ack has freed a display for its next command

    async def reject(self, message: Received, error: Exception) -> None:
        """Keep a message that the database refuses for an unforeseen reason, so that the others can go on.

        Raises TransientError `rejected_not_stored`.
        """
        try:
            await self._ingest([_unforeseen(message.topic, message.payload, error)])
        except asyncpg.PostgresError as failure:
            # Bytes and a reason can always be kept: so it is the database that is not in order.
            raise TransientError("rejected_not_stored", f"the database stores nothing: {failure}") from failure

    def webhook(self, parse: Parse) -> Callable[[str, bytes], Awaitable[None]]:
        """Return a function that stores one event that came by HTTP. It raises TransientError alone."""
        read = self.reader(parse)

        async def accept(event: str, payload: bytes) -> None:
            message = Received(event, payload, read(event, payload))
            try:
                await self.store([message])
            except TransientError:
                raise
            except Exception as error:
                log.error("message_not_stored", topic=event, error=repr(error), exc_info=True)
                await self.reject(message, error)

        return accept


def _unforeseen(topic: str, payload: bytes, error: Exception) -> Rejected:
    return Rejected(topic, payload, "not_stored", f"{type(error).__name__}: {error}")
