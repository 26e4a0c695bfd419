"""Joins and activations: new sessions, joins that ChirpStack refuses, and the radio of a device."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Protocol

from baylight.lab.sim import events
from baylight.lab.sim.behaviour import Behaviour
from baylight.lab.sim.downlinks import Downlinks
from baylight.lab.sim.events import Json
from baylight.lab.sim.gateways import Gateways
from baylight.lab.sim.network import Device
from baylight.lab.sim.uplinks import Uplinks

_REFUSALS = {
    "OTAA": "DevNonce has already been used",
    "UPLINK_MIC": "MIC of join-request is invalid, make sure keys are correct",
}


class Host(Protocol):
    """Part of the simulated ChirpStack that sessions need."""

    @property
    def down(self) -> bool: ...

    def emit(self, device: Device, event: str, payload: Json) -> None: ...

    def after(self, seconds: float, call: Callable[[], None]) -> None: ...

    def soon(self, seconds: float, call: Callable[[], None]) -> None: ...


class Sessions:
    def __init__(
        self, host: Host, gateways: Gateways, downlinks: Downlinks, behaviour: Behaviour, chance: random.Random
    ) -> None:
        self._host, self._gateways, self._downlinks = host, gateways, downlinks
        self._behaviour, self.chance = behaviour, chance

    def request(self, device: Device) -> None:
        """Let a device send a join request, and again until it has a session."""
        device.radio_session = None
        device.dev_nonce += 1
        nonce = device.dev_nonce

        def retry() -> None:
            if device.radio_session is None and device.dev_nonce == nonce:
                self.request(device)

        self._host.after(self._behaviour.join_retry_s, retry)
        if not self._host.down and self._gateways.hear(device):
            self._host.soon(self._behaviour.deduplication_s, lambda: self._handle(device))

    def _handle(self, device: Device) -> None:
        if device.deleted or device.disabled:
            return
        deduplication_id = events.new_id()
        if device.join_refusal is not None:
            self._refuse(device, device.join_refusal, deduplication_id)
            return
        info = device.info()  # with the class of before this join
        self._begin(device, f"{self.chance.getrandbits(25):08x}")
        join = events.join_payload(
            info, dev_addr=device.dev_addr, at_ns=time.time_ns(), deduplication_id=deduplication_id
        )
        self._host.emit(device, "join", join)
        session = device.session
        if self._gateways.join_accept_arrives(device):
            self._host.after(self._behaviour.join_accept_s, lambda: self._accepted(device, session))

    def _refuse(self, device: Device, code: str, deduplication_id: str) -> None:
        context = {"deduplication_id": deduplication_id}
        if code == "OTAA":
            context |= {"join_eui": "0000000000000000", "dev_nonce": str(device.dev_nonce)}
        self._downlinks.log(device, code, _REFUSALS[code], context)

    def _accepted(self, device: Device, session: int) -> None:
        if session != device.session:
            return
        _reset_radio(device)
        if device.model is not None:
            device.model.joined()

    def _begin(self, device: Device, dev_addr: str) -> None:
        device.session += 1
        device.dev_addr = dev_addr
        device.activated = True
        device.class_c = device.profile_class_c
        device.expected_f_cnt = device.f_cnt_down = 0
        device.received_by = []
        if self._behaviour.flush_on_join:
            self._downlinks.flush(device, pending_too=True)

    def activate(self, device: Device, *, restarted: bool) -> None:
        """Activate a device by the API, with its own keys (ABP): a new session without an event.

        `restarted`: the device counts from 0, too. Otherwise its counters go on: its uplinks are accepted, and it drops
        downlinks until FCntDown has passed the last one that it accepted.
        """
        self._begin(device, device.dev_addr)
        device.radio_session = device.session
        if restarted:
            _reset_radio(device)


class Antenna:
    """Radio of a device, as its model sees it."""

    def __init__(
        self, device: Device, uplinks: Uplinks, sessions: Sessions, later: Callable[[float, Callable[[], None]], None]
    ) -> None:
        self._device, self._uplinks, self._sessions, self._later = device, uplinks, sessions, later
        self.chance = sessions.chance

    def send(self, f_port: int, data: bytes, *, confirmed: bool = False) -> None:
        self._uplinks.send(self._device, f_port, data, confirmed=confirmed)

    def join(self) -> None:
        self._sessions.request(self._device)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._later(seconds, call)


def _reset_radio(device: Device) -> None:
    device.radio_session = device.session
    device.f_cnt_up, device.last_f_cnt, device.must_ack = 0, -1, False
