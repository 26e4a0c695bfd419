"""Count what Mosquitto loses when it is killed: acknowledged messages that no consumer receives.

    python -m bench.broker_kills [--kills N] [--seed N] [--share-group] [--default-autosave]

One client publishes numbered messages with QoS 1, a consumer with a persistent session receives them and stands still
for half of the time, and the broker is killed (SIGKILL) at random moments. A message counts as lost if the broker had
acknowledged it to the publisher, and the consumer never received it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path

from baylight.domain.events import Ignored
from baylight.errors import TransientError
from baylight.lab.embedded.broker import MosquittoBroker
from baylight.lns.mqtt.consumer import MqttConsumer
from baylight.lns.mqtt.lanes import Received
from baylight.log import configure

SETTLE_S = 3.0
"""Seconds without a new message after which all have come."""
NO_LOSS = "autosave_interval 1\nautosave_on_changes true\n"
"""Settings with which Mosquitto writes its store after each change."""
DEFAULT = "autosave_interval 1800\n"
"""Mosquitto's own settings: it writes its store each 30 minutes."""


class Receiver:
    """Handler that keeps the numbers, and stands still while `open` is not set."""

    def __init__(self) -> None:
        self.received: set[str] = set()
        self.open = asyncio.Event()
        self.open.set()

    async def handle(self, messages: list[Received]) -> None:
        await self.open.wait()
        self.received.update(message.payload.decode() for message in messages)

    async def reject(self, message: Received, error: Exception) -> None:
        raise error


def consumer(
    broker: MosquittoBroker, receiver: Receiver, client_id: str, topic: str, group: str | None
) -> MqttConsumer:
    return MqttConsumer(
        host=broker.host,
        port=broker.port,
        client_id=client_id,
        topic=topic,
        read=lambda topic, payload: Ignored("number"),
        handle=receiver.handle,
        reject=receiver.reject,
        session_expiry_s=3600,
        share_group=group,
    )


async def until_connected(*consumers: MqttConsumer) -> None:
    while not all(one.connected for one in consumers):  # noqa: ASYNC110 - a consumer announces no connection
        await asyncio.sleep(0.01)


async def measure(kills: int, seed: int, settings: str, group: str | None) -> tuple[int, int]:
    """Return the numbers of acknowledged and of lost messages."""
    chance, receiver, accepted = random.Random(seed), Receiver(), set[str]()
    with tempfile.TemporaryDirectory() as directory:
        broker = MosquittoBroker(Path(directory), more=settings)
        await asyncio.to_thread(broker.start)
        sender = consumer(broker, Receiver(), "sender", "none", None)
        reader = consumer(broker, receiver, "reader", "t/+", group)
        running = [asyncio.create_task(one.run()) for one in (sender, reader)]
        await until_connected(sender, reader)

        async def send() -> None:
            number = 0
            while True:
                number += 1
                try:
                    await sender.publish(f"t/{number}", str(number).encode())
                    accepted.add(str(number))
                except TransientError:
                    await until_connected(sender)

        sending = asyncio.create_task(send())
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(0.2, 2))
            if chance.random() < 0.5:
                receiver.open.clear()
            await asyncio.sleep(chance.uniform(0, 1))
            await asyncio.to_thread(broker.kill)
            receiver.open.set()
            await asyncio.to_thread(broker.start)
            await until_connected(sender, reader)
        sending.cancel()
        count, since = -1, time.monotonic()
        while time.monotonic() - since < SETTLE_S:
            if len(receiver.received) != count:
                count, since = len(receiver.received), time.monotonic()
            await asyncio.sleep(0.05)
        await asyncio.gather(sender.stop(), reader.stop())
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.to_thread(broker.stop)
    return len(accepted), len(accepted - receiver.received)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--share-group", action="store_true", help="receive by a shared subscription")
    parser.add_argument("--default-autosave", action="store_true", help="with Mosquitto's own settings")
    given = parser.parse_args()
    configure(level="error")
    settings = DEFAULT if given.default_autosave else NO_LOSS
    group = "bench" if given.share_group else None
    accepted, lost = asyncio.run(measure(given.kills, given.seed, settings, group))
    print(f"broker_kills: {given.kills} kills, seed {given.seed}: {lost} of {accepted} acknowledged messages lost")


if __name__ == "__main__":
    main()
