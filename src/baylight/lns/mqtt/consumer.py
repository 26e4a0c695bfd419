"""Consumer of an MQTT broker. Its messages come in batches, and are acknowledged after their handler is done."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time

from baylight.errors import TransientError
from baylight.lns.mqtt.connection import Connection
from baylight.lns.mqtt.lanes import MAX_BACKOFF_S, Batch, Handle, Lanes, Read, Received, Reject
from baylight.log import logger

_log = logger("mqtt")
MAX_WAITING = 50_000
"""Limit for messages without flow control: those of QoS 0, and those that waited when a connection was lost."""
_MAX_PUBLISHING = 10  # mosquitto accepts 20 unacknowledged messages of a client


class MqttConsumer:
    """Consumer that handles all messages that wait, at most `max_batch` at once, and never waits for more.

    Lanes describes how `handle` and `reject` receive the messages, and what they may raise. Delivery is at least once:
    after a lost connection the broker sends all unacknowledged messages again.

    `read` parses topic and payload of each message when it comes, while handlers wait for the database. It raises
    nothing. `session_expiry_s`: seconds for which the broker keeps messages while we are away. `version`: version of
    MQTT, 5 or 4 (4 is MQTT 3.1.1, which has neither session expiry nor shared subscriptions).
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        client_id: str,
        topic: str,
        read: Read,
        handle: Handle,
        reject: Reject,
        session_expiry_s: int,
        share_group: str | None = None,
        user: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        max_batch: int = 1000,
        version: int = 5,
    ) -> None:
        self.host, self.port, self.tls = host, port, tls
        self.client_id, self.user, self.password = client_id, user, password
        self.topic = f"$share/{share_group}/{topic}" if share_group else topic
        self.session_expiry_s = session_expiry_s
        self.version = version
        self.read = read
        self.lanes = Lanes(handle, reject, max_batch)
        self._connection: Connection | None = None
        self._outage = f"not connected to {self._broker}"
        self._publishing = asyncio.Semaphore(_MAX_PUBLISHING)
        self._ended: asyncio.Event | None = None
        # gmqtt logs every lost connection in several lines. We log it in one.
        logging.getLogger("gmqtt").setLevel(logging.CRITICAL)

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def outage(self) -> str | None:
        """Reason why the consumer is not connected, in plain words. None while it is connected."""
        return None if self.connected else self._outage

    @property
    def waiting(self) -> int:
        """Number of received messages that no handler has begun with."""
        return self.lanes.waiting

    async def run(self) -> None:
        """Run until `stop`. Wait for a broker that is away, also at the start."""
        self._ended = asyncio.Event()
        connecting = asyncio.create_task(self._stay_connected())
        try:
            await self.lanes.run()
        finally:
            connecting.cancel()
            await asyncio.wait([connecting])
            self._ended.set()

    async def stop(self) -> None:
        """Begin no further batch. Return when the batches under way are done and acknowledged.

        Messages that wait or are being retried stay with the broker until the next start.
        """
        self.lanes.stop()
        if self._ended is not None:
            await self._ended.wait()

    async def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        """Publish a message. With QoS 1, return when the broker has acknowledged it.

        Raises TransientError `broker_away` or `broker_busy`. A broker that forbids the topic also acknowledges, and
        gmqtt does not show the reason code.
        """
        async with self._publishing:
            connection = self._connection
            if connection is None:
                raise TransientError("broker_away", f"not connected to the MQTT broker {self.host}:{self.port}")
            await connection.publish(topic, payload, qos)

    # --- connection ---

    async def _stay_connected(self) -> None:
        away_since: float | None = None
        backoff = 0.1
        while True:
            hint = ""
            connection = Connection(self)
            try:
                await connection.open()
                self._connection = connection
                since = time.monotonic()
                if away_since is None:
                    _log.info("broker_connected", broker=self._broker)
                else:
                    _log.info("broker_back", broker=self._broker, away_s=round(since - away_since, 1))
                away_since = None
                error = await connection.lost
                if time.monotonic() - since > MAX_BACKOFF_S:
                    backoff = 0.1
                else:
                    hint = f"does another process use the client id {self.client_id!r}?"
            except Exception as failure:
                error = failure
            finally:
                self._connection = None
                await connection.close()
            self._outage = f"{self._broker}: {error or type(error).__name__}"
            if away_since is None:
                away_since = time.monotonic()
                _log.warning("broker_away", broker=self._broker, error=f"{type(error).__name__}: {error}", hint=hint)
            await asyncio.sleep(backoff * random.uniform(0.5, 1))
            backoff = min(backoff * 2, MAX_BACKOFF_S)

    @property
    def _broker(self) -> str:
        return f"{self.host}:{self.port}"

    def resume(self) -> None:
        """Begin on a new connection. Drop the unacknowledged messages of former ones if MAX_WAITING messages wait.

        A broker that kept all messages sends them again. A broker that crashed may have lost them, so up to this limit
        they are handled as well.
        """
        if self.waiting >= MAX_WAITING:
            self.lanes.forget_unacknowledged()

    def put(self, connection: Connection, received: Received, qos: int) -> Batch | None:
        """Put a message into its lane. Return the batch that it is now in, or None if there is no room for it."""
        if qos == 0 and self.waiting >= MAX_WAITING:
            return None
        return self.lanes.put(connection, received, qos)
