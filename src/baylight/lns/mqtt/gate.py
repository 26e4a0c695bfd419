"""Flow control of a connection, for a broker that sends more than the receive maximum of MQTT 5 allows.

Mosquitto 2.0.11 does so while acknowledgements come, and MQTT 3.1.1 has no receive maximum.
"""

from __future__ import annotations

import asyncio
import time

from gmqtt import Client

MAX_BYTES = 64 * 1024 * 1024
"""Limit for the payloads of unacknowledged messages of a connection."""

OPENING_S = 1.0
"""Seconds for which a gate may hold back the SUBACK, before which a session's messages come. They are not handled while
the database is away. A broker that receives no acknowledgement keeps to its limits."""


class Gate:
    """Count of the unacknowledged messages of a connection. Above its limits, nothing is read from the socket.

    So TCP stops the broker. A broker that keeps to the receive maximum is not stopped, so its other packets are read.
    """

    def __init__(self, max_messages: int) -> None:
        self._max_messages = max_messages
        self._messages = self._bytes = 0
        self._open = asyncio.Event()
        self._open.set()
        self._subscribed = self._must_read = False

    def received(self, payload: bytes) -> None:
        self._messages += 1
        self._bytes += len(payload)
        self._turn()

    def acknowledged(self, payload: bytes) -> None:
        self._messages -= 1
        self._bytes -= len(payload)
        self._turn()

    def _turn(self) -> None:
        if self._messages > self._max_messages or self._bytes >= MAX_BYTES:
            self._open.clear()
        else:
            self._open.set()

    def subscribed(self) -> None:
        """Note that the SUBACK is read, so that nothing has to be read before the gate opens."""
        self._subscribed, self._must_read = True, False

    def install(self, client: Client, keepalive_s: float) -> None:
        """Let the client, which has a connection, read only while the gate is open."""
        connection = client._connection
        read = connection._protocol.read

        async def read_when_open(n: int = -1) -> bytes:
            await asyncio.sleep(0)  # the tasks of the messages that were read begin, and count them
            while not (self._open.is_set() or self._must_read):
                try:
                    await asyncio.wait_for(self._open.wait(), keepalive_s if self._subscribed else OPENING_S)
                except TimeoutError:
                    connection._last_data_in = time.monotonic()  # we do not read, so silence is no sign of a fault
                    self._must_read = not self._subscribed
            data: bytes = await read(n)
            return data

        connection._protocol.read = read_when_open
