"""Time from an uplink to its downlink at the network server: `baylight serve` as a process of its own, 50 uplinks/s.

    python -m bench.latency [--quick | --full]

Open loop: uplinks are published on a fixed schedule, independent of the answers. The floor is what no program can
leave out, on the same servers in the same run: one MQTT hop, two commits, one enqueue call.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import asyncpg
import grpc.aio
import uvloop
from gmqtt import Client

from baylight.app.program import SystemClock, tune_collector
from baylight.domain.downlink import Downlink
from baylight.domain.ids import DevEui, uuid7
from baylight.lab.sim.devices import Busylight
from baylight.lab.sim.events import (
    APPLICATION,
    GATEWAY,
    device_info,
    encode,
    event_topic,
    txack_payload,
    up_event,
)
from baylight.lns.chirpstack.downlinks import ChirpStackGrpc
from baylight.protocol import chirpstack_pb2 as pb
from bench import ground

RATE = 50
SPACES = 10_000
_READY_S = 30
TX_ACK_S, REPORT_S = 0.1, 0.5
"""Seconds from the enqueue call to the tx_ack of the gateway, and to the report of the lamp."""


class NetworkServer:
    """Network server that records when downlinks come. Each is sent, and its lamp reports what it shows.

    `publish`: publishes an event. Without it, downlinks have no effect.
    """

    def __init__(self) -> None:
        self.received: dict[str, float] = {}
        self.publish: Callable[[str, bytes], object] | None = None
        self.target = ""
        self._f_cnt: Counter[str] = Counter()
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        self._server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(
            self._enqueue,
            request_deserializer=pb.EnqueueDeviceQueueItemRequest.FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )
        service = grpc.method_handlers_generic_handler("api.DeviceService", {"Enqueue": handler})
        self._server.add_generic_rpc_handlers((service,))
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    async def _enqueue(self, request: Any, _: Any) -> Any:
        item = request.queue_item
        self.received.setdefault(item.dev_eui, time.perf_counter())
        item_id = str(uuid7(SystemClock().now()))
        if self.publish is not None:
            loop, self._f_cnt[item.dev_eui] = asyncio.get_running_loop(), self._f_cnt[item.dev_eui] + 1
            loop.call_later(TX_ACK_S, self._tx_ack, item.dev_eui, item_id)
            loop.call_later(REPORT_S, self._report, item.dev_eui, item.data)
        return pb.EnqueueDeviceQueueItemResponse(id=item_id)

    def _tx_ack(self, dev_eui: str, item_id: str) -> None:
        f_cnt = self._f_cnt[dev_eui]
        event = txack_payload(
            device_info(dev_eui), downlink_id=f_cnt, queue_item_id=item_id, f_cnt_down=f_cnt, gateway_id=GATEWAY,
            class_c=True, at_ns=time.time_ns(),
        )  # fmt: skip
        self._publish(dev_eui, "txack", encode(event))

    def _report(self, dev_eui: str, data: bytes) -> None:
        frame = Busylight(code=data[:5]).frame()
        self._publish(dev_eui, "up", up_event(dev_eui, 15, frame, f_cnt=self._f_cnt[dev_eui]))

    def _publish(self, dev_eui: str, event: str, payload: bytes) -> None:
        if self.publish is not None:
            self.publish(event_topic(APPLICATION, dev_eui, event), payload)


async def publisher(broker: ground.Broker, name: str) -> Client:
    client = Client(name)
    await client.connect(broker.host, broker.port)
    return client


async def measure(dsn: str, broker: ground.Broker, server: NetworkServer, count: int) -> list[float]:
    """Return seconds from publishing to the enqueue call, for `count` uplinks that each change another space."""
    client = await publisher(broker, "bench-publisher")
    environment = os.environ | {
        "BAYLIGHT_DATABASE_URL": dsn,
        "BAYLIGHT_MQTT_HOST": broker.host,
        "BAYLIGHT_MQTT_PORT": str(broker.port),
        "BAYLIGHT_CHIRPSTACK_API": server.target,
        "BAYLIGHT_CHIRPSTACK_API_KEY": "bench",
        "BAYLIGHT_HTTP_PORT": "0",
        "BAYLIGHT_LOG_LEVEL": "warning",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "baylight", "serve", env=environment)
    try:
        server.publish = lambda topic, payload: client.publish(topic, payload, qos=1)
        await _warm_up(client, server)
        sent: dict[str, float] = {}
        begin = time.perf_counter() + 0.1
        for n in range(count):
            await asyncio.sleep(max(0.0, begin + n / RATE - time.perf_counter()))
            eui, topic, payload = ground.arrival(n + 2)
            sent[eui] = time.perf_counter()
            client.publish(topic, payload, qos=1)
        for _ in range(200):
            if all(display(eui) in server.received for eui in sent):
                break
            await asyncio.sleep(0.05)
        return [server.received[display(eui)] - at for eui, at in sent.items()]
    finally:
        server.publish = None
        process.terminate()
        await process.wait()
        await client.disconnect()


async def _warm_up(client: Client, server: NetworkServer) -> None:
    """Publish the first arrival until the program, which is still starting, sends its downlink."""
    eui, topic, payload = ground.arrival(1)
    ends_at = time.perf_counter() + _READY_S
    while display(eui) not in server.received:
        if time.perf_counter() > ends_at:
            raise TimeoutError("baylight serve did not come up")
        client.publish(topic, payload, qos=1)
        await asyncio.sleep(0.2)
    server.received.clear()


async def floor(dsn: str, broker: ground.Broker, server: NetworkServer, count: int) -> list[float]:
    client, subscriber = await publisher(broker, "bench-floor"), Client("bench-subscriber")
    arrivals: asyncio.Queue[float] = asyncio.Queue()
    subscriber.on_message = lambda *_: arrivals.put_nowait(time.perf_counter()) or 0
    await subscriber.connect(broker.host, broker.port)
    subscriber.subscribe("bench/floor", qos=1)
    await asyncio.sleep(0.3)
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE bench_floor (n integer PRIMARY KEY)")
    chirpstack = ChirpStackGrpc(server.target, "bench")
    times = []
    for n in range(count):
        began = time.perf_counter()
        client.publish("bench/floor", b"x" * 770, qos=1)
        await arrivals.get()
        for m in (0, 1):
            await connection.execute("INSERT INTO bench_floor VALUES ($1)", 2 * n + m)
        now = SystemClock().now()
        await chirpstack.enqueue(Downlink(uuid7(now), DevEui("20" * 8), 15, b"12345", False, now))
        times.append(time.perf_counter() - began)
        await asyncio.sleep(max(0.0, began + 1 / RATE - time.perf_counter()))
    await chirpstack.close()
    await connection.close()
    await client.disconnect()
    await subscriber.disconnect()
    return times


def display(sensor: str) -> str:
    return "202020" + sensor[6:]


async def run(count: int) -> tuple[list[float], list[float]]:
    server = NetworkServer()
    await server.start()
    try:
        with ground.broker() as broker:
            async with ground.server(SPACES) as database, database.copy() as dsn:
                bottom = await floor(dsn, broker, server, min(count, 1500))
                return await measure(dsn, broker, server, count), bottom
    finally:
        await server.stop()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="within a minute")
    arguments.add_argument("--full", action="store_true", help="the figures that are quoted")
    given = arguments.parse_args()
    tune_collector()  # its pauses of 60 ms in this process would count as the program's
    times, bottom = uvloop.run(run(6000 if given.full else 500 if given.quick else 1500))
    p50, p99 = (statistics.quantiles(times, n=100)[n] * 1000 for n in (49, 98))
    floor_ms = statistics.median(bottom) * 1000
    floor_p99 = statistics.quantiles(bottom, n=100)[98] * 1000
    print(f"\nlatency, publish to enqueue, {RATE} uplinks/s, {len(times)} of them ({ground.machine()}):")
    print(f"  p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {max(times) * 1000:.1f} ms")
    print(f"  floor (one MQTT hop, two commits, one enqueue): median {floor_ms:.1f} ms, p99 {floor_p99:.1f} ms")
    ground.finish(
        {
            "bench": "latency",
            "p50_ms": round(p50, 2),
            "p99_ms": round(p99, 2),
            "floor_ms": round(floor_ms, 2),
            "floor_p99_ms": round(floor_p99, 2),
            "p99_over_floor": round(p99 / floor_p99, 2),
        },
        [(f"p99 is {p99 / floor_p99:.1f} times that of the floor (bar 4x)", p99 <= 4 * floor_p99)],
    )


if __name__ == "__main__":
    main()
