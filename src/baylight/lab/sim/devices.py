"""Models of devices: two parking sensors and a status light, with their faults.

They receive frames from the LoRaWAN stack and send through a Radio. Times are simulated seconds.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Protocol

from baylight.domain.lights import Light
from baylight.lab.sim.network import Radio

HEARTBEAT_S = 30 * 60.0


class Sensor(Protocol):
    """Parking sensor. `profile`: name of its device profile in ChirpStack."""

    profile: str
    occupied: bool

    def power_on(self, radio: Radio) -> None: ...

    def joined(self) -> None: ...

    def received(self, f_port: int, data: bytes) -> None: ...

    def set(self, occupied: bool) -> None:
        """Set whether a car is there: one uplink per change, none if nothing changed."""
        ...

    def heartbeat(self) -> None:
        """Send the same reading again, with a new frame counter."""
        ...


@dataclass(slots=True)
class Tbms100:
    """Browan TABS motion sensor TBMS100.

    FPort 102, 8 bytes: bit 0 occupied; battery (low nibble: (25 + n) / 10 V, high nibble: remaining capacity);
    temperature + 32 °C; u16 LE minutes since the last event; u24 LE events. One uplink per change.
    """

    profile = "Browan TBMS100"
    occupied: bool = False
    heartbeat_s: float = HEARTBEAT_S
    battery_v: float = 3.6
    temperature_c: int = 21
    events: int = 0
    minutes: int = 0
    _radio: Radio | None = None

    def power_on(self, radio: Radio) -> None:
        self._radio = radio
        radio.later(radio.chance.uniform(0, self.heartbeat_s), self._beat)

    def joined(self) -> None:
        """Do nothing: state and count survive a join."""

    def received(self, f_port: int, data: bytes) -> None: ...

    def set(self, occupied: bool) -> None:
        if occupied != self.occupied:
            self.occupied = occupied
            self.minutes = 0
            self.events += occupied
            self.heartbeat()

    def heartbeat(self) -> None:
        if self._radio is not None:
            self._radio.send(102, self.frame())

    def frame(self) -> bytes:
        battery = 0xF0 | max(0, min(15, round(self.battery_v * 10) - 25))
        return struct.pack(
            "<BBBHHB",
            self.occupied,
            battery,
            (self.temperature_c + 32) & 0x7F,
            min(self.minutes, 0xFFFF),
            self.events & 0xFFFF,
            self.events >> 16 & 0xFF,
        )

    def _beat(self) -> None:
        self.minutes += int(self.heartbeat_s // 60)
        self.heartbeat()
        if self._radio is not None:
            self._radio.later(self.heartbeat_s, self._beat)


@dataclass(slots=True)
class Tps110:
    """Bosch Parking Lot Sensor TPS110.

    FPort 1 (change) and 2 (heartbeat): one byte, bit 0 occupied. FPort 3 (start): 17 bytes, the last one's bit 0
    occupied.
    """

    profile = "Bosch TPS110"
    occupied: bool = False
    heartbeat_s: float = HEARTBEAT_S
    _radio: Radio | None = None

    def power_on(self, radio: Radio) -> None:
        self._radio = radio
        radio.later(radio.chance.uniform(0, self.heartbeat_s), self._beat)

    def joined(self) -> None:
        self._send(3, bytes(16) + bytes([self.occupied]))

    def received(self, f_port: int, data: bytes) -> None: ...

    def set(self, occupied: bool) -> None:
        if occupied != self.occupied:
            self.occupied = occupied
            self._send(1, bytes([occupied]))

    def heartbeat(self) -> None:
        self._send(2, bytes([self.occupied]))

    def _send(self, f_port: int, data: bytes) -> None:
        if self._radio is not None:
            self._radio.send(f_port, data)

    def _beat(self) -> None:
        self.heartbeat()
        if self._radio is not None:
            self._radio.later(self.heartbeat_s, self._beat)


DIM_GREEN = bytes.fromhex("000035ff00")
_BRICKING = {(0xAA, 2), (0xBB, 2), (0x10, 9), (0x11, 17)}


@dataclass(slots=True)
class Busylight:
    """Kuando Busylight IoT Omega (technical documentation v4.2.2).

    It shows `[red, BLUE, green, on, off]` of FPort 15 (on, off in 1/100 s; off 0: steady). A sixth byte 01 asks for a
    report at once. A report has 24 bytes, little-endian, on FPort 15: i32 RSSI, i32 SNR, u32 downlinks since the join,
    u32 uplinks, the five bytes it shows, software and hardware revision, ADR. After each join the lamp is dim green,
    which looks free; its first uplink then is confirmed.

    `deaf`, `shows_wrong` and `reports_wrong` are faults. `bricked` holds commands that no program should ever send.
    """

    profile = "Kuando Busylight"
    class_c = True
    code: bytes = DIM_GREEN
    """Code that it shows."""
    default: bytes = DIM_GREEN
    keep_alive_s: float = HEARTBEAT_S
    first_report_s: float = 2.0
    """Time from a join to the first uplink."""
    deaf: bool = False
    """Fault: all downlinks are dropped."""
    shows_wrong: bytes | None = None
    """Fault: this code is shown and reported instead of the commanded one."""
    reports_wrong: bytes | None = None
    """Fault: this code is reported instead of the one that is shown."""
    received_count: int = 0
    sent_count: int = 0
    rssi: int = -81
    snr: int = 9
    settings: dict[int, bytes] = field(default_factory=dict)
    """Last two-byte (or 09FF) command by its first byte."""
    bricked: list[bytes] = field(default_factory=list)
    changes: int = 0
    """Number of changes of the light."""
    on_change: list[LightWatcher] = field(default_factory=list)
    _radio: Radio | None = None

    @property
    def light(self) -> Light:
        """Light that a person sees now."""
        red, blue, green, on, off = self.code
        return Light(red, green, blue, on * 10 if off else 0, off * 10)

    def power_on(self, radio: Radio) -> None:
        self._radio = radio
        radio.later(radio.chance.uniform(0, self.keep_alive_s), self._keep_alive)

    def power_cut(self) -> None:
        """Switch the lamp off and on: it shows its default and rejoins."""
        self._show(self.default)
        if self._radio is not None:
            self._radio.join()

    def joined(self) -> None:
        self.received_count = self.sent_count = 0
        self._show(self.default)
        if self._radio is not None:
            self._radio.later(self.first_report_s, lambda: self.report(confirmed=True))

    def report(self, *, confirmed: bool = False) -> None:
        """Send an uplink that reports what the lamp shows."""
        if self._radio is not None:
            self.sent_count += 1
            self._radio.send(15, self.frame(), confirmed=confirmed)

    def frame(self) -> bytes:
        head = struct.pack("<iiII", self.rssi, self.snr, self.received_count, self.sent_count)
        return head + (self.reports_wrong or self.code) + bytes([61, 15, 0])

    def received(self, f_port: int, data: bytes) -> None:
        if self.deaf or f_port != 15 or not data:
            return
        self.received_count += 1
        if (data[0], len(data)) in _BRICKING:
            self.bricked.append(data)
            if data[0] == 0xAA:
                self.default = DIM_GREEN
                self.power_cut()
        elif len(data) in (5, 6):
            self._show(self.shows_wrong or data[:5])
            if data[5:] == b"\x01":
                self.report()
        elif len(data) == 2 or data[:2] == b"\x09\xff":
            self._set(data)

    def _set(self, command: bytes) -> None:
        self.settings[command[0]] = command
        if command[0] == 0x04 and command[1]:
            self.keep_alive_s = command[1] * 60.0
        elif command == b"\x05\x01":
            self.report()
        elif command[:2] == b"\x09\xff" and len(command) == 7:
            self.default = DIM_GREEN if command[2:] == b"\xff" * 5 else command[2:]

    def _show(self, code: bytes) -> None:
        before, self.code = self.light, code
        if self.light != before:
            self.changes += 1
            for watcher in self.on_change:
                watcher()

    def _keep_alive(self) -> None:
        self.report()
        if self._radio is not None:
            self._radio.later(self.keep_alive_s, self._keep_alive)


class LightWatcher(Protocol):
    def __call__(self) -> None: ...
