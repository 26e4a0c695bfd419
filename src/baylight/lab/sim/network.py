"""Devices with both their sides: ChirpStack's (session, queue) and the radio's (frame counters, model)."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from baylight.lab.sim import events
from baylight.lab.sim.behaviour import GatewayState
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


class CodecError(Exception):
    """Error of a codec of ChirpStack; its text is the description of the log UPLINK_CODEC."""


Codec = Callable[[int, bytes], Json]
"""Codec of a device profile: FPort and bytes to `object`. Raises CodecError."""


class History(StrEnum):
    """History of a device that is added."""

    USED = "used"
    """Device that joined long ago and has sent an uplink."""
    ACTIVATED = "activated"
    """Device with a session (activated by the API, or joined) that has sent no uplink since."""
    REGISTERED = "registered"
    """Device that has never joined. Its class is A until then."""


@dataclass(slots=True, eq=False)
class Item:
    """Entry of a device's downlink queue.

    `f_cnt` is None before the first try, except for an encrypted item, whose counter its sender chose. `timeout_at`
    (monotonic): when a pending item of a class C device is given up.
    """

    id: str
    f_port: int
    data: bytes
    confirmed: bool
    expires_at: datetime | None = None
    encrypted: bool = False
    is_pending: bool = False
    f_cnt: int | None = None
    timeout_at: float | None = None
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """Frame of one try. `item` None: MAC commands or an ack of the network server only."""

    item: Item | None
    downlink_id: int
    f_cnt: int
    session: int
    class_c: bool
    path: Path


@dataclass(slots=True, eq=False)
class Gateway:
    """Gateway of all tenants.

    `ahead_s`: how far its clock runs ahead of ChirpStack's; None: it has no clock, so its receptions have no gwTime.
    `receives` False: no uplink reaches ChirpStack through it. `held`: what waits in a stalled one.
    """

    id: str
    state: GatewayState = field(default_factory=GatewayState)
    ahead_s: float | None = None
    receives: bool = True
    held: list[Callable[[], None]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Path:
    """Path between a device and one gateway. Losses are shares of the frames; None: those of Behaviour."""

    gateway: Gateway
    rssi: int = -60
    snr: float = 9.0
    uplink_loss: float | None = None
    downlink_loss: float | None = None


@dataclass(frozen=True, slots=True)
class ReceivedFrame:
    """Downlink that reached the device's radio. `accepted` False: dropped as a repetition (FCnt <= last)."""

    f_cnt: int
    f_port: int
    data: bytes
    accepted: bool


@dataclass(frozen=True, slots=True)
class Application:
    id: str
    name: str
    tenant: str
    tags: Mapping[str, str]


@dataclass(slots=True, eq=False)
class Device:
    dev_eui: str
    name: str
    profile: str
    profile_class_c: bool
    application: Application
    tags: Mapping[str, str]
    paths: list[Path]
    model: Model | None
    gateway_state: GatewayState | None = None
    """State of each gateway for the downlinks of this device only, in place of the gateway's own."""
    codec: Codec | None = None

    # ChirpStack's side
    class_c: bool = False
    """Class C is enabled: since the last join or activation with a profile of class C."""
    activated: bool = True
    disabled: bool = False
    deleted: bool = False
    skip_f_cnt_check: bool = False
    dev_addr: str = "01000001"
    session: int = 0
    expected_f_cnt: int = 0
    """Counter of the next uplink that is expected."""
    f_cnt_down: int = 0
    received_by: list[Path] = field(default_factory=list)
    """Paths of the last uplink of the session; downlinks go by one of them."""
    last_seen_at: datetime | None = None
    run_after: float = 0.0
    queue: list[Item] = field(default_factory=list)
    join_refusal: str | None = None
    """Code of the log that ChirpStack writes instead of a join: OTAA or UPLINK_MIC. None: it accepts the join."""
    lost_increments: int = 0
    """Number of the next tx_acks whose increment of FCntDown is lost."""
    dev_nonce: int = 0

    # The device's side
    radio_session: int | None = 0
    """Session whose keys the device has; None: it has not joined."""
    f_cnt_up: int = 0
    last_f_cnt: int = -1
    must_ack: bool = False
    received: deque[ReceivedFrame] = field(default_factory=lambda: deque(maxlen=1000))

    # Counters
    uplinks: int = 0
    uplinks_published: int = 0

    @property
    def application_id(self) -> str:
        return self.application.id

    @property
    def tenant(self) -> str:
        """Name of the tenant. A new one takes the whole application of this device to another tenant."""
        return self.application.tenant

    @tenant.setter
    def tenant(self, name: str) -> None:
        self.application = replace(self.application, tenant=name)

    @property
    def gateway(self) -> Gateway:
        """Return the gateway of the first path."""
        return self.paths[0].gateway

    @property
    def has_uplink(self) -> bool:
        """Return True if an uplink has come since the last join or activation."""
        return self.expected_f_cnt > 0 and bool(self.received_by)

    def info(self, *, application_tags: bool = True) -> Json:
        """Return `deviceInfo` as it is now."""
        return events.device_info(
            self.dev_eui,
            name=self.name,
            profile=self.profile,
            class_c=self.class_c,
            tenant=self.tenant,
            application_id=self.application_id,
            application_name=self.application.name,
            tags={**self.application.tags, **self.tags} if application_tags else self.tags,
        )

    def restart_counter(self) -> None:
        """Let the device count its uplinks from 0 again in the same session (an ABP device after a power cut)."""
        self.f_cnt_up = 0

    def receive(self, frame: Frame) -> bool:
        """Receive a frame; return False if the LoRaWAN stack drops it (another session, or a replayed counter)."""
        if frame.session != self.radio_session:
            return False
        accepted = frame.f_cnt > self.last_f_cnt
        if accepted:
            self.last_f_cnt = frame.f_cnt
        if frame.item is None:
            return accepted
        self.received.append(ReceivedFrame(frame.f_cnt, frame.item.f_port, frame.item.data, accepted))
        if accepted:
            self.must_ack = self.must_ack or frame.item.confirmed
            if self.model is not None:
                self.model.received(frame.item.f_port, frame.item.data)
        return accepted
