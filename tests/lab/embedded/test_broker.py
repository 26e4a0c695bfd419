"""Brokers: what they deliver, what survives, what is left behind."""

from __future__ import annotations

import asyncio
import os
import queue
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from baylight.lab.embedded.broker import EmbeddedBroker, MosquittoBroker, find_mosquitto
from tests.support.eventually import until

OWNER = """
import sys, time
from pathlib import Path
from baylight.lab.embedded.broker import EmbeddedBroker, MosquittoBroker, find_mosquitto

brokers = [EmbeddedBroker()] + ([MosquittoBroker(Path(sys.argv[1]))] if find_mosquitto() else [])
for broker in brokers:
    broker.start()
print(*(broker.port for broker in brokers), flush=True)
time.sleep(3600)
"""


class Client:
    """MQTT 5 client with a session that outlives its connection."""

    def __init__(self, port: int, client_id: str) -> None:
        self.messages: queue.Queue[bytes] = queue.Queue()
        self._events: queue.Queue[str] = queue.Queue()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
        self._client.on_message = lambda _c, _u, message: self.messages.put(message.payload)
        self._client.on_connect = lambda *_: self._events.put("connected")
        self._client.on_subscribe = lambda *_: self._events.put("subscribed")
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, clean_start=False, properties=properties)
        self._client.loop_start()
        assert self._events.get(timeout=10) == "connected"

    def subscribe(self, topic: str) -> None:
        self._client.subscribe(topic, qos=1)
        assert self._events.get(timeout=10) == "subscribed"

    def publish(self, topic: str, *payloads: bytes) -> None:
        for payload in payloads:
            self._client.publish(topic, payload, qos=1).wait_for_publish(10)

    def receive(self, count: int) -> list[bytes]:
        return [self.messages.get(timeout=10) for _ in range(count)]

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def numbered(count: int) -> list[bytes]:
    return [str(n).encode() for n in range(count)]


def test_messages_for_an_absent_client_wait_for_it(any_broker: EmbeddedBroker | MosquittoBroker) -> None:
    reader, writer = Client(any_broker.port, "reader"), Client(any_broker.port, "writer")
    reader.subscribe("a/+/b")
    writer.publish("a/1/b", b"here")
    assert reader.receive(1) == [b"here"]
    reader.leave()
    writer.publish("a/2/b", *numbered(50))
    reader = Client(any_broker.port, "reader")
    assert reader.receive(50) == numbered(50)
    for client in (reader, writer):
        client.leave()


def test_a_large_payload_passes(any_broker: EmbeddedBroker | MosquittoBroker) -> None:
    client = Client(any_broker.port, "both")
    client.subscribe("large")
    client.publish("large", b"x" * 200_000)
    assert len(client.receive(1)[0]) == 200_000
    client.leave()


def test_mosquitto_keeps_the_queue_of_an_absent_client_over_a_stop(mosquitto: MosquittoBroker) -> None:
    reader, writer = Client(mosquitto.port, "reader"), Client(mosquitto.port, "writer")
    reader.subscribe("a")
    reader.leave()
    writer.publish("a", *numbered(1500))  # more than mosquitto's default queue of 1000
    writer.leave()
    port = mosquitto.port
    mosquitto.stop()
    mosquitto.stop()
    mosquitto.start()
    assert mosquitto.port == port
    reader = Client(port, "reader")
    assert reader.receive(1500) == numbered(1500)
    reader.leave()


def test_mosquitto_keeps_over_a_kill_what_it_had_saved(mosquitto: MosquittoBroker, tmp_path: Path) -> None:
    reader, writer = Client(mosquitto.port, "reader"), Client(mosquitto.port, "writer")
    reader.subscribe("a")
    reader.leave()
    writer.publish("a", *numbered(5))
    saved = tmp_path / "mosquitto" / "mosquitto.db"
    published = time.time()
    asyncio.run(until(lambda: saved.exists() and saved.stat().st_mtime > published, "mosquitto has saved nothing"))
    mosquitto.kill()
    writer.leave()
    mosquitto.start()
    reader = Client(mosquitto.port, "reader")
    assert reader.receive(5) == numbered(5)
    reader.leave()


def test_the_embedded_broker_forgets_everything_over_a_restart_but_its_port(broker: EmbeddedBroker) -> None:
    port = broker.port
    client = Client(port, "reader")
    client.subscribe("a")
    client.leave()
    broker.stop()
    broker.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    broker.start()
    broker.start()
    assert broker.port == port
    client = Client(port, "reader")
    client.publish("a", b"no subscriber")
    client.subscribe("b")
    client.publish("b", b"received")
    assert client.receive(1) == [b"received"]
    client.leave()


def test_killing_the_owner_ends_the_brokers(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "mosquitto")],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert owner.stdout is not None
    ports = owner.stdout.readline().split()
    assert len(ports) == (2 if find_mosquitto() else 1)
    brokers = psutil.Process(owner.pid).children()
    assert len(brokers) == len(ports)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert psutil.wait_procs(brokers, timeout=10)[1] == []


_FORKS = """
import signal, subprocess, sys, threading
from concurrent import futures
from baylight.lab.embedded.account import ends_with_parent
import grpc

def call(channel):
    while True:
        try:
            channel.unary_unary("/some/call")(b"", timeout=1)
        except grpc.RpcError:
            pass

server = grpc.server(futures.ThreadPoolExecutor(4))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
for _ in range(4):
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    threading.Thread(target=call, args=(channel,), daemon=True).start()
ends = [
    subprocess.run(["true"], preexec_fn=ends_with_parent(signal.SIGKILL)).returncode for _ in range(200)
]
print(sum(end != 0 for end in ends), flush=True)
import os; os._exit(0)
"""


def test_children_start_while_grpc_calls_are_under_way() -> None:
    done = subprocess.run([sys.executable, "-c", _FORKS], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == ["0"], "children that ended before they ran their program"
