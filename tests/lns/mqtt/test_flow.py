"""Flow control: memory does not grow with what waits at the broker, however fast it sends."""

from __future__ import annotations

import asyncio

import pytest

from baylight.domain.events import Ignored
from baylight.lab.embedded.broker import MosquittoBroker
from baylight.lns.mqtt import connection, gate
from baylight.lns.mqtt import consumer as consumers
from baylight.lns.mqtt.lanes import Received
from tests.support.eventually import until
from tests.support.mqtt import Inbox, consumer_of, leave_queued, numbers, publish, running

SLACK = 400
"""Messages of these tests that one read and the buffer of the socket may hold."""


class Held:
    """Handler of messages that counts those that were received and are not handled."""

    def __init__(self) -> None:
        self.received = self.done = self.peak = 0
        self.opened = asyncio.Event()
        self.opened.set()

    def read(self, topic: str, payload: bytes) -> Ignored:
        self.received += 1
        self.peak = max(self.peak, self.received - self.done)
        return Ignored("counted")

    async def handle(self, messages: list[Received]) -> None:
        await asyncio.sleep(0.001)  # the database: PUBACKs are sent while the broker goes on
        await self.opened.wait()
        self.done += len(messages)


def padded(many: int, size: int = 500) -> list[str]:
    return [number.zfill(size) for number in numbers(many)]


async def test_g1_a_backlog_above_the_limit_does_not_keep_a_consumer_from_connecting_while_the_database_is_away(
    mosquitto: MosquittoBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The messages of a session come before the answer to the subscription."""
    monkeypatch.setattr(gate, "MAX_BYTES", 1_000_000)
    held = Held()
    held.opened.clear()
    await leave_queued(mosquitto, padded(40, 100_000))
    consumer = consumer_of(mosquitto, Inbox(), read=held.read, handle=held.handle)
    async with running(consumer):
        assert not held.done
        held.opened.set()
        await until(lambda: held.done >= 40)
        await consumer.stop()


@pytest.mark.parametrize("version", [5, 4])
async def test_g1_a_backlog_is_received_only_as_fast_as_it_is_handled(mosquitto: MosquittoBroker, version: int) -> None:
    held = Held()
    await leave_queued(mosquitto, padded(5000))
    consumer = consumer_of(mosquitto, Inbox(), read=held.read, handle=held.handle, max_batch=20, version=version)
    async with running(consumer):
        await until(lambda: held.done >= 5000)
        assert held.peak <= consumer.lanes.room + SLACK
        await consumer.stop()


async def test_g1_large_messages_are_bounded_by_their_bytes(
    mosquitto: MosquittoBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "MAX_BYTES", 2_000_000)
    held = Held()
    held.opened.clear()
    consumer = consumer_of(mosquitto, Inbox(), read=held.read, handle=held.handle)
    async with running(consumer):
        await publish(mosquitto, padded(40, 200_000))
        await until(lambda: held.received >= 10)
        held.opened.set()
        await until(lambda: held.done >= 40)
        assert held.peak <= 12
        await consumer.stop()


async def test_g1_messages_of_qos_0_are_bounded_by_their_bytes(
    mosquitto: MosquittoBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "MAX_BYTES", 1_000_000)
    held = Held()
    held.opened.clear()
    consumer = consumer_of(mosquitto, Inbox(), read=held.read, handle=held.handle)
    async with running(consumer):
        await publish(mosquitto, padded(40, 100_000), qos=0)
        await until(lambda: held.received == 40)
        held.opened.set()
        await until(lambda: held.done and not consumer.waiting)
        assert held.done <= 12
        await consumer.stop()


async def test_g1_a_connection_lives_while_the_database_is_away_and_the_room_is_full(
    mosquitto: MosquittoBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read then, so no answer to a ping is seen."""
    monkeypatch.setattr(connection, "KEEPALIVE_S", 1)
    monkeypatch.setattr(gate, "MAX_BYTES", 1_000_000)
    held = Held()
    held.opened.clear()
    consumer = consumer_of(mosquitto, Inbox(), read=held.read, handle=held.handle)
    async with running(consumer):
        first = consumer._connection
        await publish(mosquitto, padded(40, 100_000))
        await until(lambda: held.received >= 10)
        await asyncio.sleep(4)  # twice the time after which a silent connection is closed
        assert consumer._connection is first
        held.opened.set()
        await until(lambda: held.done >= 40)
        assert held.received == 40, "none came again"
        await consumer.stop()
