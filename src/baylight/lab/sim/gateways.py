"""Gateways and the air: the choice of a gateway for a downlink, its modes, and losses in both directions."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from baylight.lab.sim.behaviour import Behaviour, GatewayMode, GatewayState
from baylight.lab.sim.network import Device, Frame, Gateway, Path

OK = "OK"
_PREFER_MARGIN_DB = 10.0
_REQUIRED_SNR_DB = -7.5
"""SNR that SF7 needs."""
_TRANSMITTING = (GatewayMode.OK, GatewayMode.LATE, GatewayMode.MUTE)


class Host(Protocol):
    """Part of the simulated ChirpStack that gateways need."""

    def after(self, seconds: float, call: Callable[[], None]) -> None: ...

    def tx_ack(self, device: Device, frame: Frame, status: str) -> None: ...

    def unanswered(self, device: Device, frame: Frame) -> None: ...

    def landed(self, device: Device, frame: Frame) -> None:
        """React to a frame that the device has received and accepted."""
        ...


class Gateways:
    """All gateways, by id."""

    def __init__(self, host: Host, behaviour: Behaviour, chance: random.Random) -> None:
        self._host, self._behaviour, self._chance = host, behaviour, chance
        self.by_id: dict[str, Gateway] = {}

    def get(self, gateway_id: str) -> Gateway:
        """Return a gateway; make it if it is new."""
        return self.by_id.setdefault(gateway_id, Gateway(gateway_id))

    def set_state(self, gateway: Gateway, state: GatewayState) -> None:
        """Change a gateway's state. What a stalled gateway holds is handled as the new state says."""
        gateway.state = state
        if state.mode is not GatewayMode.STALLED:
            self.release(gateway)

    def release(self, gateway: Gateway) -> None:
        held, gateway.held = gateway.held, []
        for call in held:
            call()

    # Uplinks -----------------------------------------------------------------------------------------------------

    def hear(self, device: Device) -> list[Path]:
        """Return the paths by which an uplink sent now arrives, in any order."""
        found = [
            path
            for path in device.paths
            if path.gateway.receives and not self._lost(path.uplink_loss, self._behaviour.uplink_loss)
        ]
        self._chance.shuffle(found)
        return found

    def _lost(self, of_path: float | None, of_all: float) -> bool:
        return self._chance.random() < (of_all if of_path is None else of_path)

    # Downlinks ---------------------------------------------------------------------------------------------------

    def choose(self, paths: list[Path]) -> Path:
        """Return a random path with a good margin, or the best one (downlink/helpers.rs)."""
        good = [path for path in paths if path.snr - _REQUIRED_SNR_DB >= _PREFER_MARGIN_DB]
        return self._chance.choice(good) if good else max(paths, key=lambda path: (path.snr, path.rssi))

    def send(self, device: Device, frame: Frame) -> None:
        """Hand a frame to its gateway."""
        self._host.after(self._behaviour.gateway_s, lambda: self._arrived(device, frame))

    def _arrived(self, device: Device, frame: Frame) -> None:
        state = device.gateway_state or frame.path.gateway.state
        match state.mode:
            case GatewayMode.STALLED:
                frame.path.gateway.held.append(lambda: self._arrived(device, frame))
            case GatewayMode.NACK:
                self._host.tx_ack(device, frame, state.reason)
            case GatewayMode.OK:
                self._transmit(device, frame)
                self._host.tx_ack(device, frame, OK)
            case GatewayMode.DEAF:
                self._host.tx_ack(device, frame, OK)
            case GatewayMode.LATE:
                self._transmit(device, frame)
                self._host.after(state.late_s, lambda: self._host.tx_ack(device, frame, OK))
            case GatewayMode.MUTE:
                self._transmit(device, frame)
            case GatewayMode.SILENT:
                self._host.unanswered(device, frame)

    def join_accept_arrives(self, device: Device) -> bool:
        """Return True if the device receives a join-accept that is sent now.

        A state for one device only does not concern it: repeated joins come too close together at high speed.
        """
        path = self.choose(device.paths)
        return path.gateway.state.mode in _TRANSMITTING and not self._lost(
            path.downlink_loss, self._behaviour.downlink_loss
        )

    def _transmit(self, device: Device, frame: Frame) -> None:
        if not self._lost(frame.path.downlink_loss, self._behaviour.downlink_loss):
            delay = self._behaviour.airtime_s + (0 if frame.class_c else self._behaviour.rx1_delay_s)
            self._host.after(delay, lambda: self._land(device, frame))

    def _land(self, device: Device, frame: Frame) -> None:
        if device.receive(frame):
            self._host.landed(device, frame)
