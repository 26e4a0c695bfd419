"""Faults of the connection that a person must see: QoS 0, a second client with our client id, a broker that flaps."""

from __future__ import annotations

import asyncio
import time

import pytest

from baylight.domain.conditions import ConditionKind
from baylight.errors import TransientError
from baylight.lab.embedded.broker import EmbeddedBroker, MosquittoBroker
from baylight.lns.mqtt import away, connection
from baylight.lns.mqtt import consumer as consumers
from tests.support.eventually import until
from tests.support.mqtt import (
    CONNECT,
    SUBSCRIBE,
    Inbox,
    Noted,
    broker_that_ends,
    consumer_of,
    numbers,
    publish,
    running,
)

AWAY, SHARED, QOS_0 = (
    ConditionKind.BROKER_AWAY,
    ConditionKind.BROKER_CLIENT_ID_SHARED,
    ConditionKind.BROKER_QOS_0,
)


async def test_i15_messages_of_qos_0_are_a_condition_until_none_comes(
    mosquitto: MosquittoBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "SETTLED_S", 0.05)
    monkeypatch.setattr(consumers, "QOS_0_OVER_S", 0.5)
    noted, inbox = Noted(), Inbox()
    consumer = consumer_of(mosquitto, inbox, conditions=noted)
    async with running(consumer):
        await publish(mosquitto, numbers(5))
        await until(lambda: len(inbox.done) == 5)
        assert QOS_0 not in noted.begun
        await publish(mosquitto, ["quiet"], qos=0)
        await until(lambda: QOS_0 in noted.open)
        assert "set qos=1" in noted.open[QOS_0]
        await until(lambda: QOS_0 not in noted.open)
        await consumer.stop()


async def test_i15_qos_0_of_a_server_that_has_no_other_is_no_fault(mosquitto: MosquittoBroker) -> None:
    noted, inbox = Noted(), Inbox()
    consumer = consumer_of(mosquitto, inbox, conditions=noted, version=4)
    async with running(consumer):
        await publish(mosquitto, ["quiet"], qos=0)
        await until(lambda: inbox.done == ["quiet"])
        assert QOS_0 not in noted.begun
        await consumer.stop()


async def test_i15_a_broker_that_grants_qos_0_alone_is_a_condition(tmp_path_factory: pytest.TempPathFactory) -> None:
    broker = MosquittoBroker(tmp_path_factory.mktemp("broker"), more="max_qos 0\n")
    await asyncio.to_thread(broker.start)
    noted = Noted()
    consumer = consumer_of(broker, Inbox(), conditions=noted)
    try:
        async with running(consumer):
            await until(lambda: QOS_0 in noted.open)
            await consumer.stop()
    finally:
        broker.stop()


async def test_i15_a_second_client_with_the_same_client_id_is_a_condition_of_both(
    mosquitto: MosquittoBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "SETTLED_S", 0.5)
    noted = Noted(), Noted()
    one, two = (consumer_of(mosquitto, Inbox(), conditions=n) for n in noted)
    async with running(one):
        async with running(two):
            await until(lambda: all(SHARED in n.open for n in noted))
            assert "'consumer'" in noted[0].open[SHARED]
            await two.stop()
        await until(lambda: one.connected and SHARED not in noted[0].open)
        await one.stop()


async def test_i15_the_reason_code_of_a_taken_over_session_is_enough() -> None:
    """Mosquitto 2.0.11 sends none."""
    noted = Noted()
    async with broker_that_ends(at=SUBSCRIBE, farewell=bytes([0xE0, 2, 0x8E, 0])) as broker:
        consumer = consumer_of(broker, Inbox(), conditions=noted)
        async with running(consumer, connected=False):
            await until(lambda: SHARED in noted.open)
            assert "0x8e" in noted.open[SHARED]
            await consumer.stop()


async def test_i15_without_a_reason_code_short_connections_in_turn_give_it_away(mosquitto: MosquittoBroker) -> None:
    """MQTT 3.1.1 has no reason codes."""
    noted = Noted(), Noted()
    one, two = (consumer_of(mosquitto, Inbox(), conditions=n, version=4) for n in noted)
    async with running(one), running(two):
        await until(lambda: any(SHARED in n.begun for n in noted))
        await asyncio.gather(one.stop(), two.stop())


async def test_b10_a_broker_that_flaps_is_connected_again_within_two_seconds(broker: EmbeddedBroker) -> None:
    """Each absence is a condition, however short: its end ends the back-offs of the displays."""
    noted = Noted()
    consumer = consumer_of(broker, Inbox(), conditions=noted)
    async with running(consumer):
        for away_s in (0.5, 2.0, 0.1, 3.0, 0.5, 2.0):
            await asyncio.to_thread(broker.stop)
            await until(lambda: AWAY in noted.open)
            await asyncio.sleep(away_s)  # the subject is a delay
            await asyncio.to_thread(broker.start)
            since = time.monotonic()
            await until(lambda: consumer.connected)
            assert time.monotonic() - since < 2
            assert AWAY not in noted.open
        await consumer.stop()
    assert SHARED not in noted.begun


def test_b10_the_pauses_of_the_first_minute_are_short() -> None:
    outage = away.Away()
    outage.connected()
    assert outage.failed(3600)
    pauses = []
    for _ in range(20):
        pauses.append(outage.pause_s())
        assert not outage.failed(None)
    assert pauses[0] <= away.FIRST_PAUSE_S
    assert max(pauses) <= away.MAX_PAUSE_S
    outage.connected()
    for lived_s in (1, 2, 3, 4, 5, 6):
        outage.failed(lived_s)
        assert outage.pause_s() <= away.SHORT_LIFE_PAUSE_S
        outage.connected()


async def test_b10_a_lane_goes_on_within_two_seconds_after_a_long_outage(mosquitto: MosquittoBroker) -> None:
    inbox, down = Inbox(), True

    def fail(payloads: list[str]) -> None:
        if down:
            raise TransientError("database_away", "no database")

    inbox.fail = fail
    consumer = consumer_of(mosquitto, inbox)
    async with running(consumer):
        await publish(mosquitto, numbers(3))
        await until(lambda: len(inbox.batches) >= 6)
        down, since = False, time.monotonic()
        await until(lambda: sorted(inbox.done) == numbers(3))
        assert time.monotonic() - since < 2
        await consumer.stop()


@pytest.mark.parametrize(
    ("farewell", "words"),
    [
        (bytes([0xE0, 2, 0x9E, 0]), "unset BAYLIGHT_MQTT_SHARE_GROUP"),
        (bytes([0xE0, 2, 0x8B, 0]), "the broker shuts down"),
        (bytes([0xE0, 2, 0xAF, 0]), "reason 0xaf"),
        (b"", "before it answered: is it MQTT 5"),
    ],
)
async def test_the_reason_of_a_broker_is_given_in_words(farewell: bytes, words: str) -> None:
    async with broker_that_ends(at=CONNECT, farewell=farewell) as broker:
        consumer = consumer_of(broker, Inbox())
        async with running(consumer, connected=False):
            await until(lambda: words in (consumer.outage or ""), lambda: consumer.outage or "connected")
            await consumer.stop()


async def test_a_broker_that_never_answers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT_S", 0.3)

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    broker = EmbeddedBroker()
    broker.port = server.sockets[0].getsockname()[1]
    consumer = consumer_of(broker, Inbox())
    async with running(consumer, connected=False):
        await until(lambda: "no answer" in (consumer.outage or ""), lambda: consumer.outage or "connected")
        await consumer.stop()
    server.close()
