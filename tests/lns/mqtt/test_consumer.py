"""Consumer on real brokers."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from baylight.domain.events import Ignored, Join
from baylight.domain.ids import DevEui
from baylight.errors import TransientError
from baylight.lab.embedded.broker import EmbeddedBroker, MosquittoBroker
from baylight.lns.mqtt.lanes import Received
from tests.support.eventually import until
from tests.support.mqtt import (
    Broker,
    Inbox,
    acknowledged,
    consumer_of,
    in_lane,
    leave_queued,
    numbers,
    publish,
    read,
    running,
)


async def test_messages_arrive_in_order_and_topics_with_them(any_broker: Broker) -> None:
    topics: list[str] = []
    inbox = Inbox()

    async def handle(messages: list[Received]) -> None:
        topics.extend(message.topic for message in messages)
        await inbox.handle(messages)

    consumer = consumer_of(any_broker, inbox, handle=handle)
    async with running(consumer):
        await publish(any_broker, numbers(50))
        await until(lambda: len(inbox.done) == 50)
        assert inbox.done == numbers(50)
        assert topics == [f"t/{number}" for number in numbers(50)]
        await consumer.stop()


async def test_messages_are_parsed_when_they_come_not_when_their_batch_begins(any_broker: Broker) -> None:
    inbox, handled = Inbox(), list[Received]()
    inbox.opened.clear()
    topics: list[str] = []

    def read_one(topic: str, payload: bytes) -> Ignored:
        topics.append(topic)
        return read(topic, payload)

    async def handle(messages: list[Received]) -> None:
        handled.extend(messages)
        await inbox.handle(messages)

    consumer = consumer_of(any_broker, inbox, read=read_one, handle=handle)
    async with running(consumer):
        await publish(any_broker, ["first"])
        await until(lambda: len(inbox.batches) == 1)
        await publish(any_broker, numbers(3))
        await until(lambda: len(topics) == 4)
        assert len(inbox.batches) == 1
        inbox.opened.set()
        await until(lambda: len(inbox.done) == 4)
        assert [received.message for received in handled] == [Ignored(text) for text in ("first", *numbers(3))]
        await consumer.stop()


async def test_handles_all_messages_that_wait_at_most_max_batch_at_once(mosquitto: MosquittoBroker) -> None:
    inbox = Inbox()
    inbox.opened.clear()
    consumer = consumer_of(mosquitto, inbox, max_batch=20)
    async with running(consumer):
        await publish(mosquitto, ["first"])
        await until(lambda: len(inbox.batches) == 1)
        await publish(mosquitto, numbers(35))
        await until(lambda: consumer.waiting == 35)
        inbox.opened.set()
        await until(lambda: len(inbox.done) == 36)
        assert [len(batch) for batch in inbox.batches] == [1, 20, 15]
        await consumer.stop()


async def test_b5_messages_are_unacknowledged_until_handled_so_a_killed_consumer_loses_none(any_broker: Broker) -> None:
    first, second = Inbox(), Inbox()
    first.opened.clear()
    async with running(consumer_of(any_broker, first, max_batch=10)):
        await publish(any_broker, numbers(30))
        await until(lambda: len(first.batches) == 1)
    consumer = consumer_of(any_broker, second)
    async with running(consumer):
        await until(lambda: set(second.done) == set(numbers(30)))
        await consumer.stop()


async def test_a_message_after_an_unhandled_one_is_not_acknowledged_before_it(any_broker: Broker) -> None:
    """PUBACKs are sent in the order in which the messages came (MQTT 5, 4.6), whichever lane is done first."""
    slow, quick = in_lane(0), in_lane(1)
    held, sent = asyncio.Event(), [slow, quick]

    def read(topic: str, payload: bytes) -> Join:
        return Join(DevEui(payload.decode()), str(uuid4()), datetime.now(UTC), None)

    first, second = Inbox(), Inbox()

    async def handle(messages: list[Received]) -> None:
        if any(message.payload.decode() == slow for message in messages):
            await held.wait()
        await first.handle(messages)

    consumer = consumer_of(any_broker, first, read=read, handle=handle)
    async with running(consumer):
        await publish(any_broker, sent)
        await until(lambda: first.done == [quick])
        await consumer.publish("elsewhere", b"")  # the broker reads in order: a PUBACK would be before this
    consumer = consumer_of(any_broker, second, read=read)
    async with running(consumer):
        await until(lambda: sorted(second.done) == sorted(sent))
        await consumer.stop()


async def test_handled_messages_do_not_come_again(any_broker: Broker) -> None:
    first, second = Inbox(), Inbox()
    consumer = consumer_of(any_broker, first)
    async with running(consumer):
        await publish(any_broker, numbers(30))
        await until(lambda: len(first.done) == 30)
        await acknowledged(consumer, first)
        await consumer.stop()
    consumer = consumer_of(any_broker, second)
    async with running(consumer):
        await publish(any_broker, ["last"])
        await until(lambda: "last" in second.done)
        assert [payload for payload in second.done if payload != "barrier"] == ["last"]
        await consumer.stop()


@pytest.mark.parametrize("end", [MosquittoBroker.kill, MosquittoBroker.stop])
async def test_a_broker_that_ends_amid_a_batch_loses_nothing(
    mosquitto: MosquittoBroker, end: Callable[[MosquittoBroker], None]
) -> None:
    """A killed broker loses the messages that were not on disk yet. The consumer still has them."""
    inbox = Inbox()
    inbox.opened.clear()
    consumer = consumer_of(mosquitto, inbox, max_batch=10)
    async with running(consumer):
        await publish(mosquitto, numbers(20))
        await until(lambda: len(inbox.batches) == 1 and len(inbox.batches[0]) + consumer.waiting == 20)
        await asyncio.to_thread(end, mosquitto)
        await until(lambda: not consumer.connected)
        await asyncio.to_thread(mosquitto.start)
        await until(lambda: consumer.connected)
        inbox.opened.set()
        await publish(mosquitto, numbers(20, start=20))
        await until(lambda: set(inbox.done) == set(numbers(40)))
        await consumer.stop()


async def test_a_late_acknowledgement_does_not_hit_a_message_of_the_next_connection(mosquitto: MosquittoBroker) -> None:
    """The batch of the lost connection ends while the new connection has other messages under the same packet ids."""
    inbox = Inbox()
    inbox.opened.clear()
    consumer = consumer_of(mosquitto, inbox, max_batch=5)
    async with running(consumer) as task:
        await publish(mosquitto, numbers(5))
        await until(lambda: len(inbox.batches) == 1)
        await asyncio.to_thread(mosquitto.stop)
        for file in mosquitto._data_dir.glob("*.db"):
            file.unlink()
        await until(lambda: not consumer.connected)
        await asyncio.to_thread(mosquitto.start)
        await until(lambda: consumer.connected)
        await publish(mosquitto, numbers(5, start=5))
        await until(lambda: consumer.waiting == 5)
        handled = asyncio.Event()

        def die(payloads: list[str]) -> None:
            if payloads == numbers(5, start=5):
                handled.set()
                raise TransientError("later", "not now")

        inbox.fail = die
        inbox.opened.set()
        await handled.wait()
        assert inbox.done == numbers(5)
        task.cancel()
    again = Inbox()
    consumer = consumer_of(mosquitto, again)
    async with running(consumer):
        await until(lambda: len(again.done) >= 5)
        assert again.done == numbers(5, start=5)
        await consumer.stop()


async def test_after_a_transient_error_the_handler_receives_the_same_batch_again(any_broker: Broker) -> None:
    inbox = Inbox()

    def fail(payloads: list[str]) -> None:
        if len(inbox.batches) < 3:
            raise TransientError("database_away", "no database", retry_after_s=0.01)

    inbox.fail = fail
    await leave_queued(any_broker, numbers(7))
    consumer = consumer_of(any_broker, inbox)
    with capture_logs() as lines:
        async with running(consumer):
            await until(lambda: set(inbox.done) == set(numbers(7)))
            await consumer.stop()
    assert inbox.batches[0] == inbox.batches[1] == inbox.batches[2]
    assert inbox.rejected == []
    logged = [(line["event"], line["log_level"]) for line in lines if line["event"].startswith("handler_")]
    assert logged == [("handler_retries", "warning"), ("handler_retries", "debug"), ("handler_works_again", "info")]


async def test_a_poison_message_is_rejected_alone(mosquitto: MosquittoBroker) -> None:
    inbox = Inbox()

    def fail(payloads: list[str]) -> None:
        if "13" in payloads:
            raise ValueError("unlucky")

    inbox.fail = fail
    await leave_queued(mosquitto, numbers(20))
    consumer = consumer_of(mosquitto, inbox)
    async with running(consumer):
        await until(lambda: len(inbox.done) + len(inbox.rejected) == 20)
        await acknowledged(consumer, inbox)
        await consumer.stop()
    assert inbox.rejected == ["13"]
    assert inbox.done == [number for number in numbers(20) if number != "13"] + ["barrier"]
    again = Inbox()
    consumer = consumer_of(mosquitto, again)
    async with running(consumer):
        await publish(mosquitto, ["last"])
        await until(lambda: "last" in again.done)
        assert [payload for payload in again.done if payload != "barrier"] == ["last"]
        await consumer.stop()


async def test_a_rejection_that_cannot_be_stored_yet_is_tried_again(mosquitto: MosquittoBroker) -> None:
    inbox = Inbox()
    attempts: list[str] = []

    def fail(payloads: list[str]) -> None:
        raise ValueError("unlucky")

    async def reject(message: Received, error: Exception) -> None:
        attempts.append(str(error))
        if len(attempts) < 3:
            raise TransientError("database_away", "no database", retry_after_s=0.01)
        await inbox.reject(message, error)

    inbox.fail = fail
    consumer = consumer_of(mosquitto, inbox, reject=reject)
    async with running(consumer):
        await publish(mosquitto, ["poison"])
        await until(lambda: inbox.rejected == ["poison"])
        assert attempts == ["unlucky"] * 3
        await consumer.stop()


async def test_a_message_that_cannot_be_stored_is_kept_in_the_log(mosquitto: MosquittoBroker) -> None:
    inbox = Inbox()

    def fail(payloads: list[str]) -> None:
        if "poison" in payloads:
            raise ValueError("unlucky")

    async def reject(message: Received, error: Exception) -> None:
        raise OSError("no room")

    inbox.fail = fail
    consumer = consumer_of(mosquitto, inbox, reject=reject)
    with capture_logs() as lines:
        async with running(consumer):
            await publish(mosquitto, ["poison", "good"])
            await until(lambda: inbox.done == ["good"])
            await consumer.stop()
    (line,) = [line for line in lines if line["event"] == "message_not_kept"]
    assert (line["topic"], base64.b64decode(line["payload"])) == ("t/poison", b"poison")


async def test_consumers_of_a_share_group_receive_each_message_once(any_broker: Broker) -> None:
    one, two = Inbox(), Inbox()
    consumers = [
        consumer_of(any_broker, inbox, client_id=name, share_group="g") for inbox, name in ((one, "one"), (two, "two"))
    ]
    async with running(consumers[0]), running(consumers[1]):
        await publish(any_broker, numbers(100))
        await until(lambda: len(one.done) + len(two.done) >= 100)
        assert sorted(one.done + two.done) == sorted(numbers(100))
        assert one.done
        assert two.done
        for consumer in consumers:
            await consumer.stop()


async def test_stop_finishes_the_batch_under_way_and_leaves_the_rest_to_the_next_start(any_broker: Broker) -> None:
    first, second = Inbox(), Inbox()
    first.opened.clear()
    consumer = consumer_of(any_broker, first, max_batch=5)
    async with running(consumer) as task:
        await publish(any_broker, ["under way"])
        await until(lambda: len(first.batches) == 1)
        await publish(any_broker, numbers(9))
        await until(lambda: consumer.waiting == 9)
        stopping = asyncio.create_task(consumer.stop())
        await asyncio.sleep(0)  # the turn of `stop`
        assert not stopping.done()
        first.opened.set()
        await stopping
        await task
        assert first.done == ["under way"]
    consumer = consumer_of(any_broker, second)
    async with running(consumer):
        await until(lambda: second.done[-9:] == numbers(9))
        # Mosquitto may accept the second connection before it has read the last packets of the first one.
        assert isinstance(any_broker, MosquittoBroker) or len(second.done) == 9
        await consumer.stop()


async def test_stop_gives_up_retrying_without_acknowledging(mosquitto: MosquittoBroker) -> None:
    first, second = Inbox(), Inbox()

    def fail(payloads: list[str]) -> None:
        raise TransientError("database_away", "no database", retry_after_s=30)

    first.fail = fail
    consumer = consumer_of(mosquitto, first)
    async with running(consumer):
        await publish(mosquitto, ["kept"])
        await until(lambda: len(first.batches) == 1)
        await consumer.stop()
    consumer = consumer_of(mosquitto, second)
    async with running(consumer):
        await until(lambda: second.done == ["kept"])
        await consumer.stop()


async def test_waits_for_the_broker_and_logs_an_outage_once(broker: EmbeddedBroker) -> None:
    await asyncio.to_thread(broker.stop)
    inbox = Inbox()
    consumer = consumer_of(broker, inbox)
    with capture_logs() as lines:
        async with running(consumer, connected=False):
            await until(lambda: any(line["event"] == "broker_away" for line in lines))
            assert not consumer.connected
            await asyncio.sleep(0.5)  # several attempts fail meanwhile
            await asyncio.to_thread(broker.start)
            await until(lambda: consumer.connected)
            await publish(broker, ["hello"])
            await until(lambda: inbox.done == ["hello"])
            await consumer.stop()
    assert [line["event"] for line in lines] == ["broker_away", "broker_back"]


async def test_a_port_with_another_protocol_is_reported_in_words() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    other = EmbeddedBroker()
    other.port = server.sockets[0].getsockname()[1]
    consumer = consumer_of(other, Inbox())
    with capture_logs() as lines:
        async with running(consumer, connected=False):
            await until(lambda: bool(lines))
            await consumer.stop()
    assert "before it answered: is it MQTT 5" in lines[0]["error"]
    server.close()


async def test_a_second_process_with_the_same_client_id_is_named_in_the_log(mosquitto: MosquittoBroker) -> None:
    one, two = consumer_of(mosquitto, Inbox()), consumer_of(mosquitto, Inbox())
    with capture_logs() as lines:
        async with running(one), running(two):
            await until(lambda: any("client id 'consumer'" in line.get("hint", "") for line in lines))
            await asyncio.gather(one.stop(), two.stop())


async def test_messages_of_qos_0_are_handled_as_well_and_the_setting_is_named_once(mosquitto: MosquittoBroker) -> None:
    inbox = Inbox()
    consumer = consumer_of(mosquitto, inbox)
    with capture_logs() as lines:
        async with running(consumer):
            await publish(mosquitto, numbers(5), qos=0)
            await until(lambda: inbox.done == numbers(5))
            await consumer.stop()
    assert [line["event"] for line in lines].count("qos0_messages") == 1


async def test_published_messages_arrive(any_broker: Broker) -> None:
    inbox = Inbox()
    consumer = consumer_of(any_broker, inbox)
    async with running(consumer):
        await asyncio.gather(*(consumer.publish(f"t/{number}", number.encode()) for number in numbers(100)))
        await until(lambda: sorted(inbox.done) == sorted(numbers(100)))
        await consumer.stop()


async def test_publishing_without_a_broker_is_transient(broker: EmbeddedBroker) -> None:
    consumer = consumer_of(broker, Inbox())
    with pytest.raises(TransientError, match="not connected"):
        await consumer.publish("t/1", b"")
    async with running(consumer):
        await asyncio.to_thread(broker.stop)
        await until(lambda: not consumer.connected)
        with pytest.raises(TransientError, match="not connected"):
            await consumer.publish("t/1", b"")
        await consumer.stop()


async def test_stop_before_the_start_returns(broker: EmbeddedBroker) -> None:
    consumer = consumer_of(broker, Inbox())
    await consumer.stop()
    await asyncio.wait_for(consumer.run(), 5)
