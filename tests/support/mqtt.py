"""Consumers on real brokers, and clients that publish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import paho.mqtt.client as paho
import paho.mqtt.publish as paho_publish

from baylight.domain.conditions import ConditionKind
from baylight.domain.events import Ignored
from baylight.lab.embedded.broker import EmbeddedBroker, MosquittoBroker
from baylight.lns.mqtt.consumer import MqttConsumer
from baylight.lns.mqtt.lanes import MESSAGE_LANES, Received
from tests.support.eventually import until

Broker = EmbeddedBroker | MosquittoBroker


class Inbox:
    """Handler that keeps the messages. Until `opened` is set it does not return."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.done: list[str] = []
        self.rejected: list[str] = []
        self.messages: list[Ignored] = []
        self.opened = asyncio.Event()
        self.opened.set()
        self.fail: Callable[[list[str]], None] = lambda _: None

    async def handle(self, messages: list[Received]) -> None:
        payloads = [message.payload.decode() for message in messages]
        self.batches.append(payloads)
        await self.opened.wait()
        self.fail(payloads)
        self.done += payloads
        self.messages += [message.message for message in messages if isinstance(message.message, Ignored)]

    async def reject(self, message: Received, error: Exception) -> None:
        self.rejected.append(message.payload.decode())


def read(topic: str, payload: bytes) -> Ignored:
    """Return a message without a device. All such messages are in one lane."""
    return Ignored(payload.decode())


def consumer_of(broker: Broker, inbox: Inbox, **options: Any) -> MqttConsumer:
    defaults = {"client_id": "consumer", "topic": "t/#", "session_expiry_s": 600, "read": read}
    defaults |= {"handle": inbox.handle, "reject": inbox.reject}
    return MqttConsumer(host=broker.host, port=broker.port, **(defaults | options))


@asynccontextmanager
async def running(consumer: MqttConsumer, *, connected: bool = True) -> AsyncIterator[asyncio.Task[None]]:
    """Run the consumer. Unless the test calls stop(), it ends as abruptly as a killed process."""
    task = asyncio.create_task(consumer.run())
    try:
        if connected:
            await until(lambda: consumer.connected)
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def publish(broker: Broker, payloads: list[str], qos: int = 1) -> None:
    messages = [{"topic": f"t/{payload[:1000]}", "payload": payload, "qos": qos} for payload in payloads]
    await asyncio.to_thread(
        paho_publish.multiple, messages, hostname=broker.host, port=broker.port, protocol=paho.MQTTv5
    )


async def publish_to(broker: Broker, topics: list[str]) -> None:
    """Publish a message to each topic; its payload is the topic."""
    messages = [{"topic": topic, "payload": topic, "qos": 1} for topic in topics]
    await asyncio.to_thread(
        paho_publish.multiple, messages, hostname=broker.host, port=broker.port, protocol=paho.MQTTv5
    )


class Noted:
    """Conditions of a consumer. `open`: evidence by kind. `begun`: each kind that ever began."""

    def __init__(self) -> None:
        self.open: dict[ConditionKind, str] = {}
        self.begun: set[ConditionKind] = set()

    def begin(self, kind: ConditionKind, evidence: str) -> None:
        self.open[kind] = evidence
        self.begun.add(kind)

    def end(self, kind: ConditionKind) -> None:
        self.open.pop(kind, None)


def in_lane(lane: int) -> str:
    """Return a device whose messages are in this lane."""
    return next(eui for n in count() if hash(eui := f"{n:016x}") % MESSAGE_LANES == lane)


def numbers(many: int, start: int = 0) -> list[str]:
    return [str(number) for number in range(start, start + many)]


async def leave_queued(broker: Broker, payloads: list[str], **options: Any) -> None:
    """Make the broker keep messages for the client, which has subscribed and is away."""
    consumer = consumer_of(broker, Inbox(), **options)
    async with running(consumer):
        await consumer.stop()
    await publish(broker, payloads)


async def acknowledged(consumer: MqttConsumer, inbox: Inbox) -> None:
    """Return when the broker has read all PUBACKs, which it reads in order and batch by batch."""
    await consumer.publish("t/barrier", b"barrier")
    await until(lambda: inbox.done[-1:] == ["barrier"])
    await consumer.publish("elsewhere", b"")


CONNECT, PUBLISH, SUBSCRIBE = 1, 3, 8
"""Types of MQTT packets."""


@asynccontextmanager
async def broker_that_ends(*, at: int, farewell: bytes = b"") -> AsyncIterator[EmbeddedBroker]:
    """Yield the address of a broker of MQTT 5 that ends each connection at a type of packet, after a last packet."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            kind = 0
            while kind != at:
                kind = (await reader.readexactly(1))[0] >> 4
                packet = await reader.readexactly(await _length(reader))
                if kind == CONNECT:
                    writer.write(bytes([0x20, 3, 0, 0, 0]))
                elif kind == SUBSCRIBE:
                    writer.write(bytes([0x90, 4]) + packet[:2] + bytes([0, 1]))
        writer.write(farewell)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    broker = EmbeddedBroker()
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()


async def _length(reader: asyncio.StreamReader) -> int:
    """Read the remaining length of a packet, seven bits in each byte."""
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return length
