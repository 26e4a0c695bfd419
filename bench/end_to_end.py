"""Time from MQTT publish (QoS 1) to commit and acknowledgement; publisher, broker and database share the cores."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid

from gmqtt import Client

from baylight.app.program import SystemClock
from baylight.control.events.ingest import Ingest
from baylight.domain.policies import Policies
from baylight.lns.chirpstack.events import parse
from baylight.lns.mqtt.consumer import MqttConsumer
from baylight.lns.mqtt.lanes import Received
from baylight.store.pool import open_pool
from bench import ground, proposal

TOPIC = "application/+/device/+/event/+"


async def ours(dsn: str, broker: ground.Broker, sent: ground.Uplinks, seed: int, spaces: int) -> float:
    """Return seconds from the first publish to the last commit."""
    pool = await open_pool(dsn)
    ingest = Ingest(pool, SystemClock(), Policies())
    done = asyncio.Event()
    stored = 0

    async def handle(messages: list[Received]) -> None:
        nonlocal stored
        await ingest.store_batch([received.message for received in messages])
        stored += len(messages)
        if stored >= len(sent.messages):
            done.set()

    async def reject(message: Received, error: Exception) -> None:
        raise error

    consumer = MqttConsumer(
        host=broker.host,
        port=broker.port,
        client_id=f"bench-{uuid.uuid4().hex}",
        topic=TOPIC,
        read=parse,
        handle=handle,
        reject=reject,
        session_expiry_s=60,
    )
    running = asyncio.create_task(consumer.run())
    while not consumer.connected:  # noqa: ASYNC110 (it has no event to wait for)
        await asyncio.sleep(0.05)
    process, began = await _publisher(broker, len(sent.messages), spaces, seed)
    await done.wait()
    took = time.time() - began
    await process.wait()
    await consumer.stop()
    await running
    await pool.close()
    return took


async def proposed(dsn: str, broker: ground.Broker, sent: ground.Uplinks, seed: int, spaces: int) -> float:
    """Return the same seconds for the proposal's code behind a subscriber, proposal.TASKS uplinks at a time."""
    pool = await proposal.open_pool(dsn)
    done = asyncio.Event()
    lanes: list[asyncio.Queue[bytes]] = [asyncio.Queue() for _ in range(proposal.TASKS)]
    stored = 0

    async def work(lane: asyncio.Queue[bytes]) -> None:
        nonlocal stored
        while True:
            await proposal.take_uplink(pool, await lane.get())
            stored += 1
            if stored >= len(sent.messages):
                done.set()

    def receive(_: Client, topic: str, payload: bytes, *__: object) -> int:
        lanes[hash(topic) % len(lanes)].put_nowait(payload)
        return 0

    client = Client(f"bench-{uuid.uuid4().hex}")
    client.on_message = receive
    subscribed = asyncio.Event()
    client.on_subscribe = lambda *_: subscribed.set()
    await client.connect(broker.host, broker.port)
    client.subscribe(TOPIC, qos=1)
    await subscribed.wait()
    workers = [asyncio.create_task(work(lane)) for lane in lanes]
    process, began = await _publisher(broker, len(sent.messages), spaces, seed)
    await done.wait()
    took = time.time() - began
    await process.wait()
    for worker in workers:
        worker.cancel()
    await client.disconnect()
    await pool.close()
    return took


async def _publisher(
    broker: ground.Broker, count: int, spaces: int, seed: int
) -> tuple[asyncio.subprocess.Process, float]:
    numbers = [str(n) for n in (broker.port, count, spaces, seed)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.publisher", broker.host, *numbers, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    return process, float(await process.stdout.readline())
