"""Faults of air, gateways and network server that the scenarios switch on."""

from __future__ import annotations

from baylight.lab.sim.behaviour import Behaviour
from baylight.lab.sim.chirpstack import FakeChirpStack, Sent
from baylight.lab.sim.downlinks import Downlinks
from baylight.lab.sim.events import new_id
from baylight.lab.sim.network import Device, Frame, Item


class Air(FakeChirpStack):
    """Simulated ChirpStack with losses on top. The shares are between 0 and 1."""

    def __init__(self, host: str, port: int, *, behaviour: Behaviour, seed: int) -> None:
        super().__init__(host, port, behaviour=behaviour, seed=seed)
        self.lost_uplinks = self.lost_downlinks = self.reused_counters = 0.0
        self.deaf: set[str] = set()
        self.away = False
        self._downlinks = _Lossy(self, self.devices, self.behaviour, self.chance)

    async def leave(self) -> None:
        """Stop: what devices send is lost."""
        self.away = True
        await self.grpc_down()

    async def come_back(self) -> None:
        self.away = False
        await self.grpc_up()

    def operator_sends(self, dev_eui: str, data: bytes) -> None:
        """Put a command of another controller into the queue of a device."""
        self.accept(self.devices[dev_eui], Item(new_id(), 15, data, False))

    def send_uplink(self, device: Device, f_port: int, data: bytes, *, confirmed: bool = False) -> Sent:
        if self.away or self.chance.random() < self.lost_uplinks:
            device.f_cnt_up += 1
            return Sent("", "", device.f_cnt_up - 1, b"")
        return super().send_uplink(device, f_port, data, confirmed=confirmed)


class _Lossy(Downlinks):
    _host: Air

    def _try(self, device: Device, *, class_c: bool) -> None:
        if not self._host.away:
            super()._try(device, class_c=class_c)

    def _at_gateway(self, device: Device, frame: Frame) -> None:
        if not self._host.away:
            super()._at_gateway(device, frame)

    def _on_air(self, device: Device, frame: Frame) -> None:
        if device.gateway.id in self._host.deaf or self._chance.random() < self._host.lost_downlinks:
            return
        super()._on_air(device, frame)
        if self._chance.random() < self._host.reused_counters:
            device.f_cnt_down = frame.f_cnt
