"""Models of devices against the makers' byte tables and Baylight's codecs."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from baylight.codecs.devices.bosch_tps110 import BoschTps110
from baylight.codecs.devices.browan_tbms100 import BrowanTbms100
from baylight.codecs.devices.kuando_busylight import KuandoBusylight
from baylight.domain.state import Occupancy
from baylight.lab.sim.devices import DIM_GREEN, Busylight, Tbms100, Tps110

RED = bytes.fromhex("ff0000ff00")


class Air:
    """Radio that records frames and timers."""

    def __init__(self) -> None:
        self.chance = random.Random(0)
        self.sent: list[tuple[int, bytes, bool]] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.joins = 0
        self.device: Busylight | None = None

    def send(self, f_port: int, data: bytes, *, confirmed: bool = False) -> None:
        self.sent.append((f_port, data, confirmed))

    def join(self) -> None:
        self.joins += 1
        if self.device is not None:
            self.device.joined()

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.timers.append((seconds, call))

    def pass_time(self) -> None:
        """Run all timers that are set now."""
        due, self.timers = self.timers, []
        for _, call in due:
            call()


@pytest.fixture
def air() -> Air:
    return Air()


@pytest.fixture
def light(air: Air) -> Busylight:
    light = air.device = Busylight()
    light.power_on(air)
    return light


def test_tbms100_frame_is_the_captured_one() -> None:
    sensor = Tbms100(occupied=True, events=1064, temperature_c=26)
    assert sensor.frame() == bytes.fromhex("01fb3a0000280400")


def test_tbms100_sends_once_per_change_and_at_heartbeats(air: Air) -> None:
    sensor = Tbms100()
    sensor.power_on(air)
    sensor.set(True)
    sensor.set(True)
    air.pass_time()
    readings = [BrowanTbms100().decode(f_port, data) for f_port, data, _ in air.sent]
    assert [r.occupancy for r in readings] == [Occupancy.OCCUPIED, Occupancy.OCCUPIED]
    assert air.sent[1][1][3:5] == bytes([30, 0])  # minutes since the event


def test_tps110_change_heartbeat_and_start(air: Air) -> None:
    sensor = Tps110()
    sensor.power_on(air)
    sensor.set(True)
    sensor.heartbeat()
    sensor.joined()
    assert [(f_port, len(data)) for f_port, data, _ in air.sent] == [(1, 1), (2, 1), (3, 17)]
    assert {BoschTps110().decode(f_port, data).occupancy for f_port, data, _ in air.sent} == {Occupancy.OCCUPIED}


def test_busylight_frame_is_the_documented_one() -> None:
    light = Busylight(code=bytes.fromhex("000064ff00"), rssi=-78, snr=37, received_count=148, sent_count=24)
    assert light.frame()[:21] == bytes.fromhex("b2ffffff250000009400000018000000000064ff00")
    assert len(light.frame()) == 24


def test_busylight_shows_red_blue_green(light: Busylight) -> None:
    light.received(15, bytes.fromhex("ff00326400"))
    assert (light.light.rgb, light.light.off_ms) == ("#ff3200", 0)
    light.received(15, bytes.fromhex("00ff006464"))
    assert (light.light.rgb, light.light.on_ms, light.light.off_ms) == ("#0000ff", 1000, 1000)


def test_busylight_reports_when_asked(light: Busylight, air: Air) -> None:
    light.received(15, RED)
    assert air.sent == []
    light.received(15, RED + b"\1")
    [(f_port, data, confirmed)] = air.sent
    assert (KuandoBusylight().decode_report(f_port, data).code, confirmed) == (RED, False)
    assert data[8:12] == bytes([2, 0, 0, 0])


def test_b2_busylight_is_dim_green_after_a_power_cut_and_reports_it_confirmed(light: Busylight, air: Air) -> None:
    light.received(15, RED)
    air.timers.clear()
    light.power_cut()
    assert (air.joins, light.code, light.light.rgb, light.received_count) == (1, DIM_GREEN, "#003500", 0)
    air.pass_time()
    [(f_port, data, confirmed)] = air.sent
    assert (KuandoBusylight().decode_report(f_port, data).code, confirmed) == (DIM_GREEN, True)


def test_busylight_keeps_alive(light: Busylight, air: Air) -> None:
    light.received(15, b"\x04\x05")
    air.pass_time()
    assert len(air.sent) == 1
    assert [seconds for seconds, _ in air.timers] == [300.0]


@pytest.mark.parametrize("command", ["aa00", "bb00", "10" + "00" * 8, "11" + "00" * 16])
def test_b18_busylight_remembers_what_could_have_bricked_it(light: Busylight, command: str) -> None:
    light.received(15, bytes.fromhex(command))
    assert light.bricked == [bytes.fromhex(command)]
    assert light.code == DIM_GREEN


def test_busylights_default_light_can_be_set(light: Busylight) -> None:
    light.received(15, b"\x09\xff" + RED)
    light.power_cut()
    assert light.code == RED


def test_a_deaf_busylight_drops_downlinks(light: Busylight, air: Air) -> None:
    light.deaf = True
    light.received(15, RED + b"\1")
    assert (light.code, light.received_count, air.sent) == (DIM_GREEN, 0, [])


def test_a_lying_busylight(light: Busylight, air: Air) -> None:
    light.reports_wrong = DIM_GREEN
    light.received(15, RED + b"\1")
    light.reports_wrong, light.shows_wrong = None, DIM_GREEN
    assert light.code == RED
    light.received(15, RED + b"\1")
    assert light.code == DIM_GREEN
    assert [KuandoBusylight().decode_report(f_port, data).code for f_port, data, _ in air.sent] == [DIM_GREEN] * 2
