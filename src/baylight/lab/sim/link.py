"""MQTT 5 connection of the simulated ChirpStack. A message stays here until the broker has acknowledged it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable

import gmqtt
from gmqtt.mqtt.constants import MQTTv50

_IN_FLIGHT = 200
_BACKLOG = 5_000
_CONNECT_S = 15.0


class Link:
    """Connection that publishes in order; at QoS 1 at least once, even if the connection breaks."""

    def __init__(self, host: str, port: int, on_command: Callable[[str, bytes], None], *, qos: int) -> None:
        self._host, self._port, self._on_command, self._qos = host, port, on_command, qos
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._in_flight: dict[int, tuple[str, bytes]] = {}
        self._sending: tuple[str, bytes] | None = None
        self._moved = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._client = self._new_client()

    def _new_client(self) -> gmqtt.Client:
        client = gmqtt.Client(
            f"chirpstack-{random.getrandbits(48):012x}",
            persistent_storage=self,
        )
        client.set_config({"reconnect_delay": 1, "reconnect_retries": -1})
        client.on_connect = self._connected
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._message
        return client

    async def start(self, command_topic: str) -> None:
        """Connect, also after stop()."""
        self._command_topic = command_topic
        self._subscribed.clear()
        async with asyncio.timeout(_CONNECT_S):
            await self._client.connect(self._host, self._port, keepalive=30, version=MQTTv50)
            await self._subscribed.wait()
        self._pump = asyncio.create_task(self._run(), name="simulated ChirpStack's events")

    async def stop(self, *, drop: bool = False) -> None:
        """Disconnect; `drop`: also lose what waits, as a stopped process does."""
        if self._pump is not None:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump
        await self._client.disconnect()
        if drop:
            self._waiting.clear()
            self._in_flight.clear()
            self._client = self._new_client()

    def publish(self, topic: str, payload: bytes) -> None:
        self._waiting.append((topic, payload))
        self._moved.set()

    async def has_room(self) -> None:
        """Wait while `_BACKLOG` messages or more wait to be published."""
        await self._until(lambda: len(self._waiting) < _BACKLOG)

    async def drained(self) -> None:
        """Return when the broker has acknowledged everything."""
        await self._until(lambda: not self._waiting and not self._in_flight)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._moved.clear()
            await self._moved.wait()

    async def _run(self) -> None:
        while True:
            await self._until(lambda: bool(self._waiting) and len(self._in_flight) < _IN_FLIGHT)
            if not self._client.is_connected:
                await asyncio.sleep(0.05)
                continue
            message = self._sending = self._waiting.popleft()
            try:
                self._client.publish(*message, qos=self._qos)
            except OverflowError:  # the broker's receive maximum is smaller than ours
                self._waiting.appendleft(message)
                await asyncio.sleep(0.002)
            self._moved.set()

    def _connected(self, *_: object) -> None:
        self._client.subscribe(self._command_topic, qos=self._qos)

    def _message(self, _client: object, topic: str, payload: bytes, *_: object) -> int:
        self._on_command(topic, bytes(payload))
        return 0

    # gmqtt's storage of unacknowledged messages. Its own drops them at a reconnect, because each session is a new one
    # (ChirpStack's default, too). This one publishes them again.

    def push_message(self, mid: int, package: bytes) -> None:
        if self._sending is not None:
            self._in_flight[mid] = self._sending

    def remove_message_by_mid(self, mid: int) -> None:
        if self._in_flight.pop(mid, None) is not None:
            self._moved.set()

    @property
    def is_empty(self) -> bool:
        return True

    async def wait_empty(self) -> None:
        """Return at once: at a connect, clear() has put all unacknowledged messages back."""

    def clear(self) -> None:
        for mid in self._in_flight:
            self._client._package_handler.id_generator.free_id(mid)
        self._waiting.extendleft(reversed(self._in_flight.values()))
        self._in_flight.clear()
        self._moved.set()

    def get_all(self) -> list[tuple[int, bytes]]:
        return []
