"""ChirpStack v4 without radio: real MQTT 5, real gRPC, simulated gateways and devices."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from baylight.lab.sim import events
from baylight.lab.sim.api import Api, Key
from baylight.lab.sim.behaviour import Behaviour, Faults, GatewayMode, GatewayState
from baylight.lab.sim.commands import parse_command
from baylight.lab.sim.downlinks import Downlinks
from baylight.lab.sim.events import APPLICATION, GATEWAY, Json
from baylight.lab.sim.gateways import Gateways
from baylight.lab.sim.link import Link
from baylight.lab.sim.network import Application, Codec, Device, Frame, Gateway, History, Item, Model, Path
from baylight.lab.sim.scheduler import Scheduler
from baylight.lab.sim.sessions import Antenna, Sessions
from baylight.lab.sim.uplinks import Sent, Status, Uplinks

TENANT = "ChirpStack"
FOREIGN_TENANT = "Somebody else"
APPLICATION_TAGS = {"site": "simulated"}


class FakeChirpStack:
    """Simulated server that publishes events and accepts commands. `seed` makes its random part repeatable.

    `keys` holds API keys by their text: `api_key` is one of the tenant that owns the devices, `admin_key` one for all
    tenants. `faults` and set_gateway() switch faults at run time. `published` counts messages by event, duplicates
    included. `warnings` are lines that the real server writes to its own log only. `accepted` holds the items that
    applications put into queues, newest last. `down`: the server is stopped.
    """

    def __init__(
        self, broker_host: str, broker_port: int, *, behaviour: Behaviour | None = None, seed: int = 0
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.faults = Faults()
        self.api_key, self.admin_key = f"tenant-key-{seed}", f"admin-key-{seed}"
        self.read_only_key, self.foreign_key = f"read-only-key-{seed}", f"foreign-key-{seed}"
        self.deleted_key = f"deleted-key-{seed}"
        self.keys = {
            self.api_key: Key(TENANT),
            self.admin_key: Key(None),
            self.read_only_key: Key(TENANT, read_only=True),
            self.foreign_key: Key(FOREIGN_TENANT),
            self.deleted_key: Key(TENANT, deleted=True),
        }
        self.application_id = APPLICATION
        self.applications = {APPLICATION: Application(APPLICATION, "Car park", TENANT, APPLICATION_TAGS)}
        self.devices: dict[str, Device] = {}
        self.published: Counter[str] = Counter()
        self.warnings: deque[str] = deque(maxlen=1000)
        self.accepted: deque[tuple[str, Item]] = deque(maxlen=10_000)
        self.chance = random.Random(seed)
        self.down = False
        self._gateways = Gateways(self, self.behaviour, self.chance)
        self._downlinks = Downlinks(self, self._gateways, self.behaviour, self.chance)
        self._class_c = Scheduler(self._downlinks, self._gateways, self.behaviour, self.chance)
        self._uplinks = Uplinks(self, self._gateways, self._downlinks, self._class_c, self.behaviour, self.chance)
        self._sessions = Sessions(self, self._gateways, self._downlinks, self.behaviour, self.chance)
        self._api = Api(self)
        self._link = Link(broker_host, broker_port, self._command, qos=self.behaviour.qos)
        self._scheduler: asyncio.Task[None] | None = None
        self._making: dict[int, asyncio.TimerHandle] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._late_acks: list[Callable[[], None]] = []
        self._numbers = 0
        self._powered = False
        self._txacked: set[str] = set()
        self._moved = asyncio.Event()

    # Life ------------------------------------------------------------------------------------------------------

    async def start(self, *, power_on: bool = True) -> None:
        """Start. Raises OSError or TimeoutError if the broker cannot be reached."""
        await self._link.start("application/+/device/+/command/down")
        await self._api.start()
        self._scheduler = asyncio.create_task(self._class_c.run(), name="simulated class C scheduler")
        if power_on:
            self.power_on()

    def power_on(self) -> None:
        """Switch all devices on. A client must have connected before: a broker keeps nothing for an unknown client."""
        self._powered = True
        for device in list(self.devices.values()):
            self._power_on(device)

    async def stop(self) -> None:
        await self._stop_scheduler()
        for timer in [*self._timers.values(), *self._making.values()]:
            timer.cancel()
        await self._api.stop()
        await self._link.stop()

    async def _stop_scheduler(self) -> None:
        if self._scheduler is not None:
            self._scheduler.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._scheduler

    async def server_down(self) -> None:
        """Stop ChirpStack only: sessions and queues stay, events that are being made are lost."""
        self.down = True
        await self._stop_scheduler()
        await self._api.stop()
        for timer in self._making.values():
            timer.cancel()
        self._making.clear()
        await self._link.stop(drop=True)

    async def server_up(self) -> None:
        """Start ChirpStack again. Gateways deliver what they kept (Behaviour.gateway_qos)."""
        await self._link.start("application/+/device/+/command/down")
        await self._api.start()
        self.down = False
        self._scheduler = asyncio.create_task(self._class_c.run(), name="simulated class C scheduler")
        acks, self._late_acks = self._late_acks, []
        for handle in acks:
            handle()
        self._uplinks.deliver_backlog()

    @property
    def frames(self) -> int:
        """Number of downlink frames handed to gateways so far, repetitions included."""
        return self._downlinks.frames

    @property
    def gateways(self) -> Mapping[str, Gateway]:
        return self._gateways.by_id

    @property
    def grpc_target(self) -> str:
        """Address as host:port; known after start()."""
        return f"127.0.0.1:{self._api.port}"

    async def grpc_down(self) -> None:
        """Refuse connections until grpc_up()."""
        await self._api.stop()

    async def grpc_up(self) -> None:
        await self._api.start()

    async def settled(self) -> None:
        """Return when every event of what was sent until now is with the broker."""
        await self.until(lambda: not self._making)
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
        gateway_ids: tuple[str, ...] = (),
        history: History = History.USED,
        codec: Codec | None = None,
    ) -> Device:
        """Register a device; by default one that has joined and sent an uplink before.

        `class_c` is that of its profile. `gateway_ids`: the gateways that hear it, the nearest first. A device of
        another tenant has an application of its own.
        """
        paths = [
            Path(self._gateways.get(id), rssi=-60 - 10 * n, snr=9.0 - n)
            for n, id in enumerate(gateway_ids or (gateway_id,))
        ]
        device = Device(
            dev_eui,
            name,
            profile,
            class_c,
            self._application(tenant),
            tags=dict(tags or {}),
            paths=paths,
            model=model,
            codec=codec,
            class_c=class_c and history is not History.REGISTERED,
            activated=history is not History.REGISTERED,
            dev_addr=f"{0x01000000 + len(self.devices):08x}",
        )
        if history is History.USED:
            device.expected_f_cnt = device.f_cnt_up = 1
            device.received_by, device.last_seen_at = paths[:1], datetime.now(UTC)
        elif history is History.REGISTERED:
            device.radio_session = None
        self.devices[dev_eui] = device
        if self._powered:
            self._power_on(device)
        return device

    def _application(self, tenant: str, id: str | None = None) -> Application:
        """Return an application of a tenant; make it if it is new."""
        first = APPLICATION if tenant == TENANT else events.stable_uuid(f"application of {tenant}")
        id = id or first
        new = Application(id, "Car park" if id == first else f"Application {id[:4]}", tenant, APPLICATION_TAGS)
        return self.applications.setdefault(id, new)

    def set_disabled(self, dev_eui: str, disabled: bool = True) -> None:
        """Disable or enable a device in ChirpStack: its frames are dropped, its queue waits, without an event."""
        self.devices[dev_eui].disabled = disabled

    def delete_device(self, dev_eui: str) -> None:
        """Delete a device in ChirpStack, with its queue. The device itself goes on sending."""
        device = self.devices.pop(dev_eui)
        self._downlinks.flush(device, pending_too=True)
        device.deleted = True

    def move_device(self, dev_eui: str, *, tenant: str = TENANT, application_id: str | None = None) -> None:
        """Move a device to another application, which may be another tenant's; topics of its events change."""
        self.devices[dev_eui].application = self._application(tenant, application_id)

    def set_gateway(
        self,
        mode: GatewayMode,
        *,
        gateway_id: str = GATEWAY,
        dev_eui: str | None = None,
        reason: str = "TOO_LATE",
        late_s: float = 0.0,
    ) -> None:
        """Set the mode of a gateway, or (`dev_eui`) of all gateways for the downlinks of one device.

        `reason`: what a refusing gateway says. `late_s`: simulated seconds by which mode LATE answers late.
        """
        state = GatewayState(mode, reason, late_s)
        if dev_eui is None:
            self._gateways.set_state(self._gateways.get(gateway_id), state)
            return
        device = self.devices[dev_eui]
        device.gateway_state = state
        for path in device.paths:
            if path.gateway.state.mode is not GatewayMode.STALLED:
                self._gateways.release(path.gateway)

    def _power_on(self, device: Device) -> None:
        if device.model is not None:
            device.model.power_on(Antenna(device, self._uplinks, self._sessions, self.after))

    # What devices do -------------------------------------------------------------------------------------------

    async def uplink(
        self, dev_eui: str, f_port: int, data: bytes, *, confirmed: bool = False, again: bool = False
    ) -> Sent:
        """Let a device send; wait while the broker is far behind. `again`: the frame counter of the frame before."""
        sent = self._uplinks.send(self.devices[dev_eui], f_port, data, confirmed=confirmed, again=again)
        await self.has_room()
        return sent

    async def join(self, dev_eui: str) -> None:
        """Let a device join; return when it has the new session."""
        self.request_join(dev_eui)
        await self.until(lambda: self.devices[dev_eui].radio_session is not None)
        await self.has_room()

    def request_join(self, dev_eui: str) -> None:
        self._sessions.request(self.devices[dev_eui])

    def activate(self, dev_eui: str, *, restarted: bool = True) -> None:
        """Activate a device by the API; see Sessions.activate."""
        self._sessions.activate(self.devices[dev_eui], restarted=restarted)
        self._moved.set()

    async def status(
        self, dev_eui: str, *, battery: float | None = 85.8, margin: int = 7, external_power: bool = False
    ) -> None:
        """Let a device answer DevStatusReq: events `up` (FPort 0) and `status`. `battery` in %, None: not known."""
        status = Status(margin, battery, external_power)
        self._uplinks.send(self.devices[dev_eui], 0, b"", status=status)
        await self.has_room()

    async def publish_raw(self, topic: str, payload: bytes) -> None:
        """Publish exactly this payload at once: for floods and for unreadable messages."""
        self._link.publish(topic, payload)
        await self.has_room()

    async def has_room(self) -> None:
        """Wait while the broker is far behind."""
        await self._link.has_room()

    def landed(self, device: Device, frame: Frame) -> None:
        """Let a class C device answer a confirmed downlink, unless another uplink carries the ack before."""
        if frame.item is not None and frame.item.confirmed and device.profile_class_c:
            self.after(self.behaviour.airtime_s, lambda: self._ack(device))

    def _ack(self, device: Device) -> None:
        if device.must_ack:
            self._uplinks.send(device, 0, b"")

    # Commands --------------------------------------------------------------------------------------------------

    def accept(self, device: Device, item: Item, *, flush: bool = False) -> bool:
        if flush:
            self._downlinks.flush(device, pending_too=False)
        if not self._downlinks.enqueue(device, item):
            return False
        self.accepted.append((device.dev_eui, item))
        self._moved.set()
        return True

    def operator_enqueue(self, dev_eui: str, data: bytes, f_port: int = 15, *, confirmed: bool = False) -> str:
        """Enqueue an item as somebody in ChirpStack's page or another controller does; return its id."""
        item = Item(events.new_id(), f_port, data, confirmed)
        self._downlinks.enqueue(self.devices[dev_eui], item)
        self._moved.set()
        return item.id

    def flush(self, device: Device) -> None:
        self._downlinks.flush(device, pending_too=True)

    def tx_ack(self, device: Device, frame: Frame, status: str) -> None:
        if not self.down:
            self._downlinks.tx_ack(device, frame, status)
        elif self.behaviour.gateway_qos:
            self._late_acks.append(functools.partial(self._downlinks.tx_ack, device, frame, status))

    def unanswered(self, device: Device, frame: Frame) -> None:
        self._downlinks.unanswered(device, frame)

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
        if self.down or self.chance.random() < self.behaviour.loss:
            return
        topic = events.event_topic(device.application_id, device.dev_eui, event)
        encoded = events.encode(payload, emit_fields=self.behaviour.emit_fields)
        for _ in range(1 + (self.chance.random() < self.behaviour.duplicates)):
            go = functools.partial(self._publish, device, event, topic, encoded, str(payload.get("queueItemId")))
            if self.behaviour.unordered_events:
                self._call_later(
                    self._making, self.chance.random() * self.behaviour.reorder_s * self.behaviour.speed, go
                )
            else:
                go()

    def _publish(self, device: Device, event: str, topic: str, payload: bytes, queue_item_id: str) -> None:
        self._link.publish(topic, payload)
        self.published[event] += 1
        device.uplinks_published += event == "up"
        if event == "txack" and self.faults.answer_after_txack:
            self._txacked.add(queue_item_id)

    def soon(self, seconds: float, call: Callable[[], None]) -> None:
        self._call_later(self._making, seconds, call)

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
