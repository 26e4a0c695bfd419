"""Messages of an MQTT broker in batches, acknowledged only after their handler is done with them."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time

from baylight.errors import TransientError
from baylight.lns.mqtt.connection import Connection
from baylight.lns.mqtt.lanes import LONGEST_BACKOFF_S, Batch, Handle, Lanes, Read, Received, Reject
from baylight.log import logger

_log = logger("mqtt")
MOST_WAITING = 50_000
"""Bounds what flow control does not: messages of QoS 0, and those that were held when a connection was lost."""
_UNDER_WAY = 10  # mosquitto takes 20 unacknowledged messages of a client


class MqttConsumer:
    """Takes what is waiting, up to `max_batch` messages at once, and never waits for more; how `handle` and `reject`
    get them, and what they may raise: see Lanes. Delivery is at least once: after a lost connection the broker sends
    everything unacknowledged again.

    `read`: reads topic and payload of each message when it comes, while handlers wait for the database. It raises
    nothing.

    `session_expiry_s`: how long the broker keeps messages while we are away. `version`: of MQTT, 5 or 4 (3.1.1, which
    has neither session expiry nor shared subscriptions).
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
        self._publishing = asyncio.Semaphore(_UNDER_WAY)
        self._ended: asyncio.Event | None = None
        # gmqtt tells of every lost connection in several lines; ours tell it once.
        logging.getLogger("gmqtt").setLevel(logging.CRITICAL)

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def outage(self) -> str | None:
        """Why it is not connected, in plain words; None while it is."""
        return None if self.connected else self._outage

    @property
    def waiting(self) -> int:
        """Messages received that no handler has begun with."""
        return self.lanes.waiting

    async def run(self) -> None:
        """Until `stop`; a broker that is away, even at the start, is waited for."""
        self._ended = asyncio.Event()
        connecting = asyncio.create_task(self._stay_connected())
        try:
            await self.lanes.run()
        finally:
            connecting.cancel()
            await asyncio.wait([connecting])
            self._ended.set()

    async def stop(self) -> None:
        """Begins no batch any more, and returns when those under way are done and acknowledged.

        What waits, or is being retried, stays with the broker for the next start.
        """
        self.lanes.stop()
        if self._ended is not None:
            await self._ended.wait()

    async def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        """Returns when the broker acknowledged it (QoS 1). Raises TransientError `broker_away` or `broker_busy`.

        A broker that forbids the topic acknowledges too: gmqtt keeps the reason code to itself.
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
                if time.monotonic() - since > LONGEST_BACKOFF_S:
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
            backoff = min(backoff * 2, LONGEST_BACKOFF_S)

    @property
    def _broker(self) -> str:
        return f"{self.host}:{self.port}"

    def resume(self) -> None:
        """On a new connection what waits from former ones comes again, for a broker that kept everything. One that
        crashed may not have: so it is handled all the same, unless it piles up."""
        if self.waiting >= MOST_WAITING:
            self.lanes.forget_unacknowledged()

    def take(self, connection: Connection, message: Received, qos: int) -> Batch | None:
        """The batch that the message is now in; None if there is no room for it."""
        if qos == 0 and self.waiting >= MOST_WAITING:
            return None
        return self.lanes.take(connection, message, qos)
