"""Devices with both their sides: ChirpStack's (session, queue) and the radio's (frame counters, model)."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from baylight.lab.sim.behaviour import GatewayMode
from baylight.lab.sim.events import Json


class Radio(Protocol):
    """Radio that a device model sends with."""

    @property
    def chance(self) -> random.Random: ...

    def send(self, f_port: int, data: bytes, *, confirmed: bool = False) -> None:
        """Send an uplink."""
        ...

    def join(self) -> None:
        """Start a new session."""
        ...

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call back after this many simulated seconds."""
        ...


class Model(Protocol):
    """Model of a device behind its LoRaWAN stack: it receives only frames that the stack accepted."""

    def power_on(self, radio: Radio) -> None:
        """Start the model. It is called once, when the simulation starts; the device joined long ago."""
        ...

    def joined(self) -> None: ...

    def received(self, f_port: int, data: bytes) -> None: ...


@dataclass(slots=True, eq=False)
class Item:
    """Entry of a device's downlink queue.

    `f_cnt` is None before the first try. `timeout_at` (monotonic): when a pending item is given up.
    """

    id: str
    f_port: int
    data: bytes
    confirmed: bool
    expires_at: datetime | None = None
    is_pending: bool = False
    f_cnt: int | None = None
    timeout_at: float | None = None
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """Frame of one try of an item."""

    item: Item
    downlink_id: int
    f_cnt: int
    session: int
    class_c: bool


@dataclass(slots=True)
class Gateway:
    """Gateway. `ahead_s`: how far its clock runs ahead of ChirpStack's (no GPS)."""

    id: str
    mode: GatewayMode = GatewayMode.OK
    ahead_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ReceivedFrame:
    """Downlink that reached the device's radio. `accepted` False: dropped as a repetition (FCnt <= last)."""

    f_cnt: int
    f_port: int
    data: bytes
    accepted: bool


@dataclass(slots=True, eq=False)
class Device:
    dev_eui: str
    application_id: str
    tenant: str
    class_c: bool
    info: Json
    txack_info: Json
    gateway: Gateway
    model: Model | None
    gateway_mode: GatewayMode | None = None
    """Mode of the gateway for this device only, in place of the gateway's own."""

    # ChirpStack's side
    dev_addr: str = "01000001"
    session: int = 0
    f_cnt_up: int = 0
    f_cnt_down: int = 0
    uplink_since_join: bool = True
    run_after: float = 0.0
    queue: list[Item] = field(default_factory=list)

    # The device's side
    last_f_cnt: int = -1
    must_ack: bool = False
    received: deque[ReceivedFrame] = field(default_factory=lambda: deque(maxlen=1000))

    # Counters
    uplinks: int = 0
    uplinks_published: int = 0

    def receive(self, frame: Frame) -> bool:
        """Receive a frame; return False if the LoRaWAN stack drops it (another session, or a replayed counter)."""
        if frame.session != self.session:
            return False
        accepted = frame.f_cnt > self.last_f_cnt
        self.received.append(ReceivedFrame(frame.f_cnt, frame.item.f_port, frame.item.data, accepted))
        if accepted:
            self.last_f_cnt = frame.f_cnt
            self.must_ack = self.must_ack or frame.item.confirmed
            if self.model is not None:
                self.model.received(frame.item.f_port, frame.item.data)
        return accepted
