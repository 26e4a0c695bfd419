"""What a broker answers to a published message."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from baylight.domain.conditions import ConditionKind
from baylight.errors import PermanentError, TransientError
from baylight.lab.embedded.broker import MosquittoBroker, find_mosquitto
from baylight.lns.mqtt.consumer import MqttConsumer
from tests.support.eventually import until
from tests.support.mqtt import PUBLISH, Broker, Inbox, Noted, broker_that_ends, consumer_of, running

FORBIDDEN = ConditionKind.BROKER_FORBIDS_PUBLISHING


@pytest.fixture(params=["", "max_queued_messages 100000\n"])
def with_acl(request: pytest.FixtureRequest, tmp_path: Path) -> MosquittoBroker:
    """Broker that lets each client read all topics, and write only below `allowed/`.

    Mosquitto 2.0 closes the connection after a forbidden message if `max_queued_messages` is 0 (the first parameter).
    """
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed: apt-get install mosquitto")
    acl = tmp_path / "acl"
    acl.write_text("topic read #\ntopic write allowed/#\n")
    acl.chmod(0o600)
    return MosquittoBroker(tmp_path / "mosquitto", more=f"acl_file {acl}\n{request.param}")


async def accepted(consumer: MqttConsumer, topic: str) -> bool:
    try:
        await consumer.publish(topic, b"{}")
    except (PermanentError, TransientError):
        return False
    return True


async def test_i10_a_broker_that_forbids_publishing_is_a_permanent_failure(with_acl: MosquittoBroker) -> None:
    await asyncio.to_thread(with_acl.start)
    noted = Noted()
    consumer = consumer_of(with_acl, Inbox(), conditions=noted)
    try:
        async with running(consumer):
            with capture_logs() as lines:
                for device in ("b", "c", "d", "b"):
                    await until(lambda: consumer.connected)
                    topic = f"application/a/device/{device}/command/down"
                    with pytest.raises(PermanentError, match=f"{topic} .not authorized, 0x87") as caught:
                        await consumer.publish(topic, b"{}")
                    assert caught.value.code == "broker_forbids_publishing"
            assert "right to write" in noted.open[FORBIDDEN]
            await until(lambda: accepted(consumer, "allowed/1"))
            assert [line["event"] for line in lines].count("broker_away") <= 1
            assert FORBIDDEN not in noted.open
            await consumer.stop()
    finally:
        with_acl.stop()


async def test_i10_publishing_is_tried_again_after_the_right_was_given(mosquitto: MosquittoBroker) -> None:
    noted = Noted()
    consumer = consumer_of(mosquitto, Inbox(), conditions=noted)
    async with running(consumer):
        consumer._forbidden["application/a"] = time.monotonic() + 0.2
        noted.begin(FORBIDDEN, "not authorized")
        topic = "application/a/device/b/command/down"
        assert not await accepted(consumer, topic)
        await until(lambda: accepted(consumer, topic))
        assert FORBIDDEN not in noted.open
        await consumer.stop()


async def test_b4_the_broker_reports_that_no_client_reads_a_topic(mosquitto: MosquittoBroker) -> None:
    consumer = consumer_of(mosquitto, Inbox())
    async with running(consumer):
        assert await consumer.publish("t/1", b"") is True
        assert await consumer.publish("elsewhere", b"") is False
        await consumer.stop()


@pytest.mark.parametrize(
    "bad", ["application/+/device/1/command/down", "a/#", "a\0", "a\n", "\ud800", "", "x" * 65_536]
)
async def test_b2_a_bad_topic_is_refused_and_the_connection_stays(any_broker: Broker, bad: str) -> None:
    consumer = consumer_of(any_broker, Inbox())
    async with running(consumer):
        first = consumer._connection
        for _ in range(3):
            with pytest.raises(PermanentError) as caught:
                await consumer.publish(bad, b"{}")
            assert caught.value.code == "bad_topic"
            caught.value.message.encode()
        await consumer.publish("t/1", b"")
        assert consumer._connection is first
        await consumer.stop()


async def test_b2_a_message_at_which_the_broker_ends_each_connection_is_given_up() -> None:
    """Some brokers answer a message that they forbid by closing the connection."""
    errors: list[type[Exception]] = []
    async with broker_that_ends(at=PUBLISH) as broker:
        consumer = consumer_of(broker, Inbox())
        async with running(consumer):
            for _ in range(4):
                await until(lambda: consumer.connected)
                with pytest.raises((TransientError, PermanentError)) as caught:
                    await consumer.publish("application/a/device/b/command/down", b"{}")
                errors.append(type(caught.value))
            await consumer.stop()
    assert errors == [TransientError] * 3 + [PermanentError]
