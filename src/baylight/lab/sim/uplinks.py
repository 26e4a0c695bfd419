"""Uplink side of ChirpStack: reception, deduplication, refusal by counter, codec, and the backlog after a stop."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from baylight.lab.sim import events
from baylight.lab.sim.behaviour import Behaviour, GatewayMode
from baylight.lab.sim.downlinks import Downlinks
from baylight.lab.sim.events import Json
from baylight.lab.sim.gateways import Gateways
from baylight.lab.sim.network import CodecError, Device, Path
from baylight.lab.sim.scheduler import Scheduler

_PARALLEL_NS = 5_000_000
"""Time in which ChirpStack receives a backlog."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Uplink that a device sent. It has no event if it was lost or refused."""

    deduplication_id: str
    f_cnt: int


@dataclass(frozen=True, slots=True)
class Status:
    """Answer to DevStatusReq. `battery` in %, None if the device does not know."""

    margin: int
    battery: float | None
    external_power: bool


@dataclass(frozen=True, slots=True)
class Uplink:
    """Frame of a device. `at_ns`: time of sending, which is the clock of gateways that have one."""

    deduplication_id: str
    session: int
    f_cnt: int
    f_port: int
    data: bytes
    confirmed: bool
    ack: bool
    status: Status | None
    at_ns: int


class Host(Protocol):
    """Part of the simulated ChirpStack that uplinks need."""

    @property
    def down(self) -> bool: ...

    def emit(self, device: Device, event: str, payload: Json) -> None: ...

    def after(self, seconds: float, call: Callable[[], None]) -> None: ...

    def soon(self, seconds: float, call: Callable[[], None]) -> None:
        """Call back after simulated seconds in which an event is being made."""
        ...


class Uplinks:
    """Uplinks of all devices. `backlog` holds what gateways keep while ChirpStack is stopped."""

    def __init__(
        self,
        host: Host,
        gateways: Gateways,
        downlinks: Downlinks,
        scheduler: Scheduler,
        behaviour: Behaviour,
        chance: random.Random,
    ) -> None:
        self._host, self._gateways, self._downlinks, self._scheduler = host, gateways, downlinks, scheduler
        self._behaviour, self._chance = behaviour, chance
        self.backlog: list[tuple[Device, Uplink, list[Path]]] = []

    # The device and the air ------------------------------------------------------------------------------------------

    def send(
        self,
        device: Device,
        f_port: int,
        data: bytes,
        *,
        confirmed: bool = False,
        again: bool = False,
        status: Status | None = None,
    ) -> Sent:
        """Let a device send a frame. `again`: with the counter of the frame before (a late copy).

        A device that has not joined sends nothing.
        """
        if device.radio_session is None:
            return Sent(events.new_id(), device.f_cnt_up)
        device.f_cnt_up -= again
        f_cnt = device.f_cnt_up
        device.f_cnt_up += 1
        device.uplinks += not again
        ack, device.must_ack = device.must_ack, False
        frame = Uplink(
            events.new_id(), device.radio_session, f_cnt, f_port, data, confirmed, ack, status, time.time_ns()
        )
        paths = self._gateways.hear(device)
        for path in paths:
            if path.gateway.state.mode is GatewayMode.STALLED:
                path.gateway.held.append(partial(self._arrived, device, frame, [path]))
        at_once = [path for path in paths if path.gateway.state.mode is not GatewayMode.STALLED]
        if at_once:
            self._arrived(device, frame, at_once)
        return Sent(frame.deduplication_id, f_cnt)

    def _arrived(self, device: Device, frame: Uplink, paths: list[Path]) -> None:
        if self._host.down:
            if self._behaviour.gateway_qos:
                self.backlog.append((device, frame, paths))
            return
        now = time.time_ns()
        self._host.soon(self._behaviour.deduplication_s, lambda: self._handle(device, frame, paths, now))

    # ChirpStack ------------------------------------------------------------------------------------------------------

    def deliver_backlog(self) -> None:
        """Handle all frames of the backlog in parallel: in any order, with overtaking between reading and writing."""
        backlog, self.backlog = self.backlog, []
        self._chance.shuffle(backlog)
        now = time.time_ns()
        for device, frame, paths in backlog:
            ns = now + self._chance.randrange(_PARALLEL_NS)
            delay = self._behaviour.deduplication_s + self._chance.random() * 2 * self._behaviour.parallel_s
            self._host.soon(delay, partial(self._handle, device, frame, paths, ns, parallel=True))

    def _handle(self, device: Device, frame: Uplink, paths: list[Path], ns: int, *, parallel: bool = False) -> None:
        """Check the counter. In parallel with others, the session is written some time after it was read."""
        if device.deleted or device.disabled or frame.session != device.session or not device.activated:
            return
        if frame.f_cnt < device.expected_f_cnt and not device.skip_f_cnt_check:
            self._refuse(device, frame, paths)
            return
        now = time.monotonic()
        device.expected_f_cnt = frame.f_cnt + 1
        device.run_after = max(device.run_after, now + self._behaviour.class_a_lock_s / self._behaviour.speed)
        f_cnt_down = device.f_cnt_down
        if parallel:
            delay = self._chance.random() * self._behaviour.parallel_s
            self._host.soon(delay, lambda: self._finish(device, frame, paths, ns, f_cnt_down))
        else:
            self._finish(device, frame, paths, ns, f_cnt_down)

    def _finish(self, device: Device, frame: Uplink, paths: list[Path], ns: int, f_cnt_down: int) -> None:
        device.received_by, device.last_seen_at = paths, datetime.now(UTC)
        self._up_event(device, frame, paths, ns)
        device.expected_f_cnt = frame.f_cnt + 1  # below the newest frame's, if this one was overtaken
        pending = next((item for item in device.queue if item.is_pending), None)
        if pending is not None and frame.ack:
            at_ns = self._time(frame, paths)
            self._downlinks.acknowledge(device, pending, True, frame.deduplication_id, at_ns=at_ns)
        if self._behaviour.session_write_s:
            self._host.after(self._behaviour.session_write_s, lambda: self._write_session(device, frame, f_cnt_down))
        self._host.after(self._behaviour.downlink_data_delay_s, lambda: self._respond(device, frame, paths, f_cnt_down))

    def _write_session(self, device: Device, frame: Uplink, f_cnt_down: int) -> None:
        if frame.session == device.session:
            device.f_cnt_down = f_cnt_down

    def _respond(self, device: Device, frame: Uplink, paths: list[Path], f_cnt_down: int) -> None:
        if self._host.down or device.deleted or frame.session != device.session:
            return
        read = f_cnt_down if self._behaviour.session_write_s else device.f_cnt_down
        sent = self._scheduler.respond(device, paths, frame.deduplication_id, must_ack=frame.confirmed, f_cnt=read)
        if sent and self._behaviour.session_write_s:
            device.f_cnt_down = read

    # Events ----------------------------------------------------------------------------------------------------

    def _refuse(self, device: Device, frame: Uplink, paths: list[Path]) -> None:
        context = {"deduplication_id": frame.deduplication_id, "f_cnt_up": str(frame.f_cnt)}
        if frame.f_cnt == device.expected_f_cnt - 1:
            code = "UPLINK_F_CNT_RETRANSMISSION"
            text = "Uplink was flagged as re-transmission / frame-counter did not increment"
        else:
            code, text = "UPLINK_F_CNT_RESET", "Frame-counter reset or rollover detected"
        self._downlinks.log(device, code, text, context, level="WARNING", at_ns=self._time(frame, paths))

    def _up_event(self, device: Device, frame: Uplink, paths: list[Path], ns: int) -> None:
        decoded: Json | None = None
        if device.codec is not None:
            try:
                decoded = device.codec(frame.f_port, frame.data)
            except CodecError as error:
                context = {"deduplication_id": frame.deduplication_id}
                self._downlinks.log(device, "UPLINK_CODEC", str(error), context)
        payload = events.up_payload(
            device.info(),
            frame.f_port,
            frame.data,
            f_cnt=frame.f_cnt,
            dev_addr=device.dev_addr,
            confirmed=frame.confirmed,
            at_ns=self._time(frame, paths),
            receptions=[self._reception(path, ns, _clock(path, frame)) for path in paths],
            decoded=decoded,
            deduplication_id=frame.deduplication_id,
        )
        self._host.emit(device, "up", payload)
        if frame.status is not None:
            self._status_event(device, frame, frame.status)

    def _time(self, frame: Uplink, paths: list[Path]) -> int:
        """Return the time of an event: a gateway's if it is near ChirpStack's, else ChirpStack's."""
        now = time.time_ns()
        drift = self._behaviour.rx_timestamp_max_drift_s * 1e9
        clocks = [clock for path in paths if (clock := _clock(path, frame)) is not None]
        return next((clock for clock in clocks if abs(clock - now) < drift), now)

    def _reception(self, path: Path, ns: int, clock: int | None) -> Json:
        return events.reception(
            path.gateway.id,
            ns=ns + self._chance.randrange(200_000),
            gateway_ns=clock,
            uplink_id=self._chance.getrandbits(32),
            rssi=path.rssi,
            snr=path.snr,
            channel=self._chance.choice((0, 0, 1, 2)),
        )

    def _status_event(self, device: Device, frame: Uplink, status: Status) -> None:
        payload = events.status_payload(
            device.info(),
            margin=status.margin,
            battery=status.battery,
            external_power=status.external_power,
            at_ns=time.time_ns(),
            deduplication_id=frame.deduplication_id,
        )
        self._host.emit(device, "status", payload)


def _clock(path: Path, frame: Uplink) -> int | None:
    """Return the time of a frame by its gateway's clock, None if that has none."""
    ahead_s = path.gateway.ahead_s
    return None if ahead_s is None else frame.at_ns + int(ahead_s * 1e9)
