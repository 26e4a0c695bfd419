"""The Things Stack v3 without radio: MQTT 3.1.1 (QoS 0) of one application, with simulated devices behind it."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import gmqtt
from gmqtt.mqtt.constants import MQTTv311

from baylight.lab.sim.network import Model

Json = dict[str, Any]
GATEWAY = {"gateway_id": "north", "eui": "0016C001F1500001"}
_CONNECT_S = 15.0


@dataclass(slots=True, eq=False)
class TtsDevice:
    """Device of the application.

    `queue` holds downlinks for a class A device; a class C device receives them at once.
    """

    dev_eui: str
    device_id: str
    class_c: bool
    model: Model | None
    dev_addr: str
    f_cnt_up: int = 0
    f_cnt_down: int = 0
    queue: list[Json] = field(default_factory=list)
    received: deque[bytes] = field(default_factory=lambda: deque(maxlen=1000))


class FakeTheThingsStack:
    """Simulated server of one application.

    `webhook` receives each message's JSON, too. `refuses`: name of the error that downlinks fail with, None: they are
    sent. `away`: its HTTP API accepts nothing. `published`: topics and messages, newest last.
    """

    def __init__(self, broker_host: str, broker_port: int, *, application: str = "garage", tenant: str = "ttn") -> None:
        self.application, self.user = application, f"{application}@{tenant}"
        self.devices: dict[str, TtsDevice] = {}
        self.webhook: Callable[[bytes], None] | None = None
        self.refuses: str | None = None
        self.away = False
        self.published: deque[tuple[str, Json]] = deque(maxlen=10_000)
        self.chance = random.Random(0)
        self._broker = (broker_host, broker_port)
        self._subscribed = asyncio.Event()
        self._client = gmqtt.Client(f"tts-{random.getrandbits(48):012x}")
        self._client.on_connect = lambda *_: self._client.subscribe(f"v3/{self.user}/devices/+/down/+")
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._command
        self._timers: set[asyncio.TimerHandle] = set()

    async def start(self) -> None:
        """Start. Raises OSError or TimeoutError if the broker cannot be reached."""
        async with asyncio.timeout(_CONNECT_S):
            await self._client.connect(*self._broker, keepalive=30, version=MQTTv311)
            await self._subscribed.wait()
        for device in self.devices.values():
            if device.model is not None:
                device.model.power_on(_Antenna(self, device))

    async def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        await self._client.disconnect()

    def add_device(
        self, dev_eui: str, device_id: str | None = None, *, class_c: bool = False, model: Model | None = None
    ) -> TtsDevice:
        """Add a device, before `start`. The default of `device_id` is the one that the console suggests."""
        number = len(self.devices)
        device = TtsDevice(dev_eui, device_id or f"eui-{dev_eui}", class_c, model, f"260B{number:04X}")
        self.devices[device.device_id] = device
        return device

    def send_uplink(self, device: TtsDevice, f_port: int, data: bytes, *, confirmed: bool = False) -> bytes:
        """Publish an uplink; return the message's JSON as MQTT and the webhook deliver it."""
        device.f_cnt_up += 1
        at = _now()
        rx = {"gateway_ids": GATEWAY, "time": at, "rssi": -61, "channel_rssi": -61, "snr": 9.5, "received_at": at}
        body = {
            "session_key_id": base64.b64encode(device.dev_addr.encode()).decode(),
            "f_port": f_port,
            "f_cnt": device.f_cnt_up,
            "frm_payload": base64.b64encode(data).decode(),
            "confirmed": confirmed,
            "rx_metadata": [rx],
            "settings": {"data_rate": {"lora": {"bandwidth": 125000, "spreading_factor": 7}}, "frequency": "868300000"},
            "received_at": at,
        }
        message = self._publish(device, "up", "uplink_message", {name: value for name, value in body.items() if value})
        if not device.class_c:
            self._transmit(device)
        return message

    def join(self, device: TtsDevice) -> None:
        """Start a new session."""
        device.dev_addr = f"260B{self.chance.randrange(2**16):04X}"
        device.f_cnt_up = device.f_cnt_down = 0
        self._publish(device, "join", "join_accept", {"session_key_id": device.dev_addr, "received_at": _now()})
        if device.model is not None:
            device.model.joined()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        timer = asyncio.get_running_loop().call_later(seconds, call)
        self._timers.add(timer)

    def _command(self, _client: object, topic: str, payload: bytes, *_: object) -> int:
        levels = topic.split("/")
        device_id, command = levels[-3], levels[-1]
        if device_id in self.devices and command in ("push", "replace"):
            self.enqueue(device_id, command, json.loads(payload)["downlinks"])
        return 0

    def enqueue(self, device_id: str, operation: str, downlinks: list[Json]) -> None:
        """Add downlinks to a device's queue. `operation`: push, or replace the queue."""
        device = self.devices[device_id]
        device.queue = (device.queue if operation == "push" else []) + downlinks
        for downlink in downlinks:
            self._publish(device, "down/queued", "downlink_queued", downlink)
        if device.class_c:
            self._transmit(device)

    def _transmit(self, device: TtsDevice) -> None:
        waiting, device.queue = device.queue, []
        for downlink in waiting:
            if self.refuses is not None:
                error = {"namespace": "pkg/networkserver", "name": self.refuses, "message_format": "refused"}
                self._publish(device, "down/failed", "downlink_failed", {"downlink": downlink, "error": error})
                continue
            device.f_cnt_down += 1
            sent = {**downlink, "f_cnt": device.f_cnt_down}
            self._publish(device, "down/sent", "downlink_sent", sent)
            data = base64.b64decode(downlink["frm_payload"])
            device.received.append(data)
            if downlink.get("confirmed"):
                self._publish(device, "down/ack", "downlink_ack", sent)
            if device.model is not None:
                device.model.received(downlink["f_port"], data)

    def _publish(self, device: TtsDevice, topic: str, kind: str, body: Json) -> bytes:
        message = {
            "end_device_ids": {
                "device_id": device.device_id,
                "application_ids": {"application_id": self.application},
                "dev_eui": device.dev_eui.upper(),
                "dev_addr": device.dev_addr,
            },
            "correlation_ids": [f"as:{topic}:{self.chance.getrandbits(64):016x}"],
            "received_at": _now(),
            kind: body,
        }
        self.published.append((topic, message))
        payload = json.dumps(message).encode()
        self._client.publish(f"v3/{self.user}/devices/{device.device_id}/{topic}", payload, qos=0)
        if self.webhook is not None:
            self.webhook(payload)
        return payload


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class _Antenna:
    """Radio of a device, as its model sees it."""

    def __init__(self, server: FakeTheThingsStack, device: TtsDevice) -> None:
        self._server, self._device, self.chance = server, device, server.chance

    def send(self, f_port: int, data: bytes, *, confirmed: bool = False) -> None:
        self._server.send_uplink(self._device, f_port, data, confirmed=confirmed)

    def join(self) -> None:
        self._server.join(self._device)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._server.after(seconds, call)
