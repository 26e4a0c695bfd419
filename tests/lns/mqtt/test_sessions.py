"""Session of a consumer at a broker: its subscriptions, and its loss."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest
from structlog.testing import capture_logs

from baylight.domain.conditions import ConditionKind
from baylight.errors import TransientError
from baylight.lab.embedded.broker import MosquittoBroker
from baylight.lns.mqtt.topics import can_publish, matcher
from tests.support.eventually import until
from tests.support.mqtt import Inbox, Noted, consumer_of, publish_to, running


class Memory:
    """Memory of a session that outlives its consumer. `away`: the database does not answer."""

    def __init__(self, *topic_filters: str) -> None:
        self.stored = frozenset(topic_filters)
        self.kept: list[frozenset[str]] = []
        self.losses: list[datetime] = []
        self.away = False

    async def filters(self) -> frozenset[str]:
        self._answer()
        return self.stored

    async def keep(self, filters: frozenset[str]) -> None:
        self._answer()
        self.stored = filters
        self.kept.append(filters)

    async def lost(self, since: datetime) -> str:
        self._answer()
        self.losses.append(since)
        return "2 sensors are marked"

    def _answer(self) -> None:
        if self.away:
            raise TransientError("session_not_stored", "no database")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"topic": "a/#"}, {"topic": "a/1/#"}),
        ({"topic": "a/#"}, {"topic": "a/#", "share_group": "g"}),
        ({"topic": "a/#", "share_group": "g"}, {"topic": "a/1/#"}),
        ({"topic": "a/#", "share_group": "g"}, {"topic": "a/1/#", "share_group": "h"}),
        ({"topic": "a/+/x"}, {"topic": "a/1/x"}),
    ],
)
async def test_i7_a_restart_with_other_settings_ends_the_former_subscription(
    mosquitto: MosquittoBroker, before: dict[str, str], after: dict[str, str]
) -> None:
    memory, inbox = Memory(), Inbox()
    former = consumer_of(mosquitto, Inbox(), session=memory, **before)
    async with running(former):
        await former.stop()
    assert memory.stored == {former.topic}

    consumer = consumer_of(mosquitto, inbox, session=memory, **after)
    async with running(consumer):
        assert memory.stored == {consumer.topic}
        await publish_to(mosquitto, ["a/1/x", "a/2/x", "a/1/x"])
        await until(lambda: inbox.done.count("a/1/x") == 2)
        await consumer.stop()
    both = {"a/1/x", "a/2/x"} if after["topic"] == "a/#" else {"a/1/x"}
    assert set(inbox.done) == both
    assert "outside_topic" not in {message.reason for message in inbox.messages}


async def test_i7_a_message_of_a_forgotten_subscription_is_refused_and_counted(mosquitto: MosquittoBroker) -> None:
    """The memory is lost, e.g. because the database was restored: then the topic decides."""
    former = consumer_of(mosquitto, Inbox(), topic="a/#")
    async with running(former):
        await former.stop()
    await publish_to(mosquitto, ["a/2/x", "a/1/x"])
    inbox = Inbox()
    consumer = consumer_of(mosquitto, inbox, topic="a/1/#", session=Memory())
    async with running(consumer):
        await until(lambda: len(inbox.done) == 2)
        assert [message.reason for message in inbox.messages] == ["outside_topic", "a/1/x"]
        await consumer.stop()


async def test_i7_a_filter_is_stored_before_it_is_subscribed_to(mosquitto: MosquittoBroker) -> None:
    memory = Memory("a/#")
    consumer = consumer_of(mosquitto, Inbox(), topic="a/1/#", session=memory)
    async with running(consumer):
        await consumer.stop()
    assert memory.kept == [frozenset({"a/#", "a/1/#"}), frozenset({"a/1/#"})]


async def test_b9_the_first_connection_is_no_loss_and_a_lost_session_is(mosquitto: MosquittoBroker) -> None:
    memory, noted = Memory(), Noted()
    consumer = consumer_of(mosquitto, Inbox(), session=memory, conditions=noted)
    async with running(consumer):
        assert memory.losses == []
        await asyncio.to_thread(mosquitto.stop)
        await until(lambda: not consumer.connected)
        await asyncio.to_thread(mosquitto.start)
        await until(lambda: consumer.connected)
        assert memory.losses == []
        assert ConditionKind.BROKER_SESSION_LOST not in noted.open

        memory.away = True
        await asyncio.to_thread(mosquitto.stop)
        mosquitto.forget()
        with capture_logs() as lines:
            await asyncio.to_thread(mosquitto.start)
            await until(lambda: consumer.connected)
        assert [line["log_level"] for line in lines if line["event"] == "broker_session_lost"] == ["error"]
        assert memory.losses == []
        memory.away = False
        await until(lambda: len(memory.losses) == 1)
        await until(lambda: ConditionKind.BROKER_SESSION_LOST in noted.open)
        assert "2 sensors are marked" in noted.open[ConditionKind.BROKER_SESSION_LOST]
        await consumer.stop()


async def test_b9_a_session_that_was_lost_while_the_process_was_away_is_noticed(mosquitto: MosquittoBroker) -> None:
    memory = Memory()
    consumer = consumer_of(mosquitto, Inbox(), session=memory)
    async with running(consumer):
        await consumer.stop()
    await asyncio.to_thread(mosquitto.stop)
    mosquitto.forget()
    await asyncio.to_thread(mosquitto.start)
    consumer = consumer_of(mosquitto, Inbox(), session=memory)
    async with running(consumer):
        await until(lambda: len(memory.losses) == 1)
        await consumer.stop()


async def test_b9_without_its_memory_a_consumer_does_not_connect(mosquitto: MosquittoBroker) -> None:
    memory = Memory()
    memory.away = True
    consumer = consumer_of(mosquitto, Inbox(), session=memory)
    async with running(consumer, connected=False):
        await until(lambda: "no database" in (consumer.outage or ""))
        assert not consumer.connected
        memory.away = False
        await until(lambda: consumer.connected)
        await consumer.stop()


@pytest.mark.parametrize(
    ("topic_filter", "inside", "outside"),
    [
        ("a/+/c", ["a/b/c", "a//c"], ["a/b", "a/b/c/d", "a/b/x", "x/b/c"]),
        ("a/#", ["a", "a/", "a/b/c\n"], ["ab", "b/a"]),
        ("#", ["a", "a/b"], []),
        ("+", ["a"], ["a/b"]),
        ("$share/g/a/+", ["a/b"], ["g/a/b", "$share/g/a/b"]),
        ("a.b/(c)", ["a.b/(c)"], ["axb/c"]),
    ],
)
def test_a_filter_matches_as_a_broker_matches_it(topic_filter: str, inside: list[str], outside: list[str]) -> None:
    matches = matcher(topic_filter)
    assert [topic for topic in inside + outside if matches(topic)] == inside


@pytest.mark.parametrize("bad", ["", "a/+", "a/#", "a\0", "a\n", "a\x7f", "\ud800", "\uffff", "x" * 65_536])
def test_b2_a_topic_that_a_broker_may_refuse_is_not_published(bad: str) -> None:
    assert not can_publish(bad)
    assert can_publish("application/a b/ä")
