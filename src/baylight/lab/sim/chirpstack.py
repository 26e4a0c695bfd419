"""ChirpStack v4 without radio: real MQTT 5, real gRPC, simulated gateways and devices."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from baylight.lab.sim import events
from baylight.lab.sim.behaviour import Behaviour, Faults, GatewayMode
from baylight.lab.sim.commands import DeviceService, parse_command
from baylight.lab.sim.downlinks import Downlinks
from baylight.lab.sim.events import APPLICATION, GATEWAY, Json
from baylight.lab.sim.link import Link
from baylight.lab.sim.network import Device, Gateway, Item, Model

TENANT = "ChirpStack"
APPLICATION_TAGS = {"site": "simulated"}


@dataclass(frozen=True, slots=True)
class Sent:
    """Uplink that a device sent. `payload` is the message's JSON as it is published."""

    deduplication_id: str
    time: str
    f_cnt: int
    payload: bytes


class FakeChirpStack:
    """Simulated server that publishes events and accepts commands. `seed` makes its random part repeatable.

    `api_key` is a key of the tenant that owns the devices, `admin_key` one for all tenants. `faults` and set_gateway()
    switch faults at run time. `published` counts messages by event, duplicates included. `warnings` are lines that the
    real server writes to its own log only. `accepted` holds the items that were put into queues, newest last.
    """

    def __init__(
        self, broker_host: str, broker_port: int, *, behaviour: Behaviour | None = None, seed: int = 0
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.faults = Faults()
        self.api_key = f"tenant-key-{seed}"
        self.admin_key = f"admin-key-{seed}"
        self.application_id = APPLICATION
        self.devices: dict[str, Device] = {}
        self.gateways: dict[str, Gateway] = {GATEWAY: Gateway(GATEWAY)}
        self.published: Counter[str] = Counter()
        self.warnings: deque[str] = deque(maxlen=1000)
        self.accepted: deque[tuple[str, Item]] = deque(maxlen=10_000)
        self.chance = random.Random(seed)
        self._downlinks = Downlinks(self, self.devices, self.behaviour, self.chance)
        self._service = DeviceService(self)
        self._link = Link(broker_host, broker_port, self._command, qos=self.behaviour.qos)
        self._scheduler: asyncio.Task[None] | None = None
        self._late: dict[int, asyncio.TimerHandle] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._numbers = 0
        self._powered = False
        self._txacked: set[str] = set()
        self._moved = asyncio.Event()

    # Life ------------------------------------------------------------------------------------------------------

    async def start(self, *, power_on: bool = True) -> None:
        """Start. Raises OSError or TimeoutError if the broker cannot be reached."""
        await self._link.start("application/+/device/+/command/down")
        await self._service.start()
        self._scheduler = asyncio.create_task(self._downlinks.run(), name="simulated class C scheduler")
        if power_on:
            self.power_on()

    def power_on(self) -> None:
        """Switch all devices on. A client must have connected before: a broker keeps nothing for an unknown client."""
        self._powered = True
        for device in list(self.devices.values()):
            self._power_on(device)

    async def stop(self) -> None:
        if self._scheduler is not None:
            self._scheduler.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._scheduler
        for timer in [*self._timers.values(), *self._late.values()]:
            timer.cancel()
        await self._service.stop()
        await self._link.stop()

    @property
    def frames(self) -> int:
        """Number of downlink frames handed to gateways so far, repetitions included."""
        return self._downlinks.frames

    @property
    def grpc_target(self) -> str:
        """Address as host:port; known after start()."""
        return f"127.0.0.1:{self._service.port}"

    async def grpc_down(self) -> None:
        """Refuse connections until grpc_up()."""
        await self._service.stop()

    async def grpc_up(self) -> None:
        await self._service.start()

    async def settled(self) -> None:
        """Return when every event made so far is with the broker."""
        await self.until(lambda: not self._late)
        await self._link.drained()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition is true. It is checked after each change of the simulated server."""
        while not condition():
            self._moved.clear()
            await self._moved.wait()

    # Registration ----------------------------------------------------------------------------------------------

    def add_device(
        self,
        dev_eui: str,
        *,
        name: str = "",
        profile: str = "LoRaWAN device",
        class_c: bool = False,
        model: Model | None = None,
        tenant: str = TENANT,
        tags: Mapping[str, str] | None = None,
        gateway_id: str = GATEWAY,
    ) -> Device:
        """Register a device that has joined and sent an uplink before.

        A device of another tenant has an application of its own.
        """
        application_id = APPLICATION if tenant == TENANT else events.stable_uuid(f"application of {tenant}")
        own_tags = dict(tags or {})

        def info(tags: Mapping[str, str]) -> Json:
            return events.device_info(
                dev_eui,
                name=name,
                profile=profile,
                class_c=class_c,
                tenant=tenant,
                application_id=application_id,
                tags=tags,
            )

        all_tags = APPLICATION_TAGS | own_tags
        device = Device(
            dev_eui,
            application_id,
            tenant,
            class_c,
            info=info(all_tags),
            txack_info=info(own_tags if self.behaviour.txack_without_application_tags else all_tags),
            gateway=self.gateways.setdefault(gateway_id, Gateway(gateway_id)),
            model=model,
            dev_addr=f"{0x01000000 + len(self.devices):08x}",
            f_cnt_up=1,
        )
        self.devices[dev_eui] = device
        if self._powered:
            self._power_on(device)
        return device

    def set_gateway(self, mode: GatewayMode, *, gateway_id: str = GATEWAY, dev_eui: str | None = None) -> None:
        """Set the mode of a gateway, or (`dev_eui`) its mode for the downlinks of one device."""
        if dev_eui is None:
            self.gateways[gateway_id].mode = mode
        else:
            self.devices[dev_eui].gateway_mode = mode

    def _power_on(self, device: Device) -> None:
        if device.model is not None:
            device.model.power_on(_Antenna(self, device))

    # What devices do -------------------------------------------------------------------------------------------

    async def uplink(self, dev_eui: str, f_port: int, data: bytes, *, confirmed: bool = False) -> Sent:
        """Publish event `up`; wait while the broker is far behind."""
        sent = self.send_uplink(self.devices[dev_eui], f_port, data, confirmed=confirmed)
        await self.has_room()
        return sent

    async def join(self, dev_eui: str) -> None:
        """Publish event `join`: a new session."""
        self.rejoin(self.devices[dev_eui])
        await self.has_room()

    async def status(
        self, dev_eui: str, *, battery: float | None = 85.8, margin: int = 7, external_power: bool = False
    ) -> None:
        """Publish event `status`. `battery` in %, None if the device does not know."""
        device = self.devices[dev_eui]
        payload = events.status_payload(
            device.info, margin=margin, battery=battery, external_power=external_power, at_ns=time.time_ns()
        )
        self.emit(device, "status", payload)
        await self.has_room()

    async def publish_raw(self, topic: str, payload: bytes) -> None:
        """Publish exactly this payload at once: for floods and for unreadable messages."""
        self._link.publish(topic, payload)
        await self.has_room()

    async def has_room(self) -> None:
        """Wait while the broker is far behind."""
        await self._link.has_room()

    def send_uplink(self, device: Device, f_port: int, data: bytes, *, confirmed: bool = False) -> Sent:
        payload = events.up_payload(
            device.info,
            f_port,
            data,
            f_cnt=device.f_cnt_up,
            dev_addr=device.dev_addr,
            confirmed=confirmed,
            gateway_id=device.gateway.id,
            gateway_ahead_ns=int(device.gateway.ahead_s * 1e9),
        )
        sent = Sent(
            str(payload["deduplicationId"]),
            str(payload["time"]),
            device.f_cnt_up,
            events.encode(payload, emit_fields=self.behaviour.emit_fields),
        )
        device.f_cnt_up += 1
        device.uplinks += 1
        device.uplink_since_join = True
        acked, device.must_ack = device.must_ack, False
        self._publish(device, "up", sent.payload)
        self._downlinks.after_uplink(device, sent.deduplication_id, acked=acked)
        return sent

    def empty_uplink(self, device: Device) -> None:
        """Send the device's answer to a confirmed downlink, unless another uplink has carried the ack already."""
        if device.must_ack:
            self.send_uplink(device, 0, b"")

    def rejoin(self, device: Device) -> None:
        device.session += 1
        device.dev_addr = f"{self.chance.getrandbits(25):08x}"
        device.f_cnt_up = device.f_cnt_down = 0
        device.last_f_cnt, device.must_ack = -1, False
        device.uplink_since_join = False
        if self.behaviour.flush_on_join:
            self._downlinks.flush(device, pending_too=True)
        self.emit(device, "join", events.join_payload(device.info, dev_addr=device.dev_addr, at_ns=time.time_ns()))
        if device.model is not None:
            device.model.joined()

    # Commands --------------------------------------------------------------------------------------------------

    def accept(self, device: Device, item: Item, *, flush: bool = False) -> bool:
        if flush:
            self._downlinks.flush(device, pending_too=False)
        if not self._downlinks.enqueue(device, item):
            return False
        self.accepted.append((device.dev_eui, item))
        self._moved.set()
        return True

    def flush(self, device: Device) -> None:
        self._downlinks.flush(device, pending_too=True)

    def _command(self, topic: str, payload: bytes) -> None:
        """Process a command. The sender of a wrong one has no answer: there is a line in the server's own log."""
        try:
            application_id, dev_eui, item = parse_command(topic, payload)
            device = self.devices.get(dev_eui)
            if device is None or device.application_id != application_id:
                raise ValueError("unknown device, or not of this application")
            if not self.accept(device, item):
                raise ValueError(f"duplicate key {item.id}")
        except (ValueError, TypeError, AttributeError) as error:
            self.warnings.append(f"{topic}: {error}")
            self._moved.set()

    async def txack_published(self, queue_item_id: str) -> None:
        """Return when the txack of that item is with the broker."""
        await self.until(lambda: queue_item_id in self._txacked)
        await self._link.drained()

    # Publishing ------------------------------------------------------------------------------------------------

    def emit(self, device: Device, event: str, payload: Json) -> None:
        then = None
        if event == "txack" and self.faults.answer_after_txack:
            then = functools.partial(self._txacked.add, str(payload["queueItemId"]))
        self._publish(device, event, events.encode(payload, emit_fields=self.behaviour.emit_fields), then)

    def _publish(self, device: Device, event: str, payload: bytes, then: Callable[[], None] | None = None) -> None:
        if self.chance.random() < self.behaviour.loss:
            return
        topic = events.event_topic(device.application_id, device.dev_eui, event)

        def go() -> None:
            self._link.publish(topic, payload)
            self.published[event] += 1
            device.uplinks_published += event == "up"
            if then is not None:
                then()

        for _ in range(1 + (self.chance.random() < self.behaviour.duplicates)):
            if self.behaviour.unordered_events:
                self._call_later(self._late, self.chance.random() * self.behaviour.reorder_s * self.behaviour.speed, go)
            else:
                go()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        self._call_later(self._timers, seconds, call)

    def _call_later(self, timers: dict[int, asyncio.TimerHandle], seconds: float, call: Callable[[], None]) -> None:
        self._numbers += 1
        number = self._numbers

        def due() -> None:
            del timers[number]
            call()
            self._moved.set()

        self._moved.set()
        timers[number] = asyncio.get_running_loop().call_later(seconds / self.behaviour.speed, due)


class _Antenna:
    """Radio of a device, as its model sees it."""

    def __init__(self, server: FakeChirpStack, device: Device) -> None:
        self._server, self._device, self.chance = server, device, server.chance

    def send(self, f_port: int, data: bytes, *, confirmed: bool = False) -> None:
        self._server.send_uplink(self._device, f_port, data, confirmed=confirmed)

    def join(self) -> None:
        self._server.rejoin(self._device)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._server.after(seconds, call)
