"""Recorded scenarios, played to the simulated ChirpStack."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from baylight.lab.sim.behaviour import GatewayMode
from baylight.lab.sim.events import APPLICATION, Json
from baylight.lab.sim.network import Application, CodecError, Device, History
from tests.support.chirpstack_site import Site

SENSOR, LAMP, OTAA = (f"010203040506070{n}" for n in (1, 2, 3))
NEAR, FAR = "0016c001ff10a235", "0016c001ff10a236"
OCCUPIED = bytes.fromhex("015f000000")
REPORT = bytes(24)
JS_ERROR = "JS error: Error: boom\n    at decodeUplink (main:4:134)\n    at <anonymous> (main:7:37)\n"
SPEED = 5.0
BEHAVIOUR = {"speed": SPEED, "class_c_lock_s": 2.0, "class_c_timeout_s": 5.0, "reorder_s": 0.001}


def decode(f_port: int, data: bytes) -> Json:
    """Decode as the recorded sensor's codec does."""
    if len(data) == 3:
        raise CodecError("decodeUplink returned errors: three bytes")
    if len(data) == 4:
        raise CodecError(JS_ERROR)
    return {
        "battery": float(data[1]) if data else None,
        "occupied": bool(data and data[0]),
        "variable": None,
        "port": float(f_port),
    }


class Recorded:
    """Site with the recorded devices: a sensor and a lamp with sessions, and a lamp that joins."""

    def __init__(self, site: Site) -> None:
        self.site, self.fake = site, site.fake
        self.fake.applications[APPLICATION] = Application(APPLICATION, "Recording", "ChirpStack", {"site": "north"})
        add = self.fake.add_device
        self.sensor = add(
            SENSOR, name="bay 1 sensor", profile="Recorded sensor", codec=decode, gateway_ids=(NEAR, FAR),
            tags={"kind": "sensor", "space": "B-1"},
        )  # fmt: skip
        self.lamp = add(
            LAMP, name="bay 1 lamp", profile="Recorded lamp", class_c=True, gateway_id=NEAR, tags={"kind": "lamp"}
        )
        self.otaa = add(
            OTAA, name="otaa lamp", profile="Recorded OTAA", class_c=True, gateway_id=NEAR, history=History.REGISTERED
        )
        self.fake.gateways[FAR].receives = False
        self.sensor.dev_addr, self.lamp.dev_addr = "03000001", "03000002"

    def at(self, device: Device, *, up: int = 0, down: int = 0) -> None:
        """Set the counters of a device as they were when the scenario began."""
        device.expected_f_cnt = device.f_cnt_up = up
        device.f_cnt_down, device.last_f_cnt = down, down - 1

    def gateway(self, mode: GatewayMode) -> None:
        self.fake.set_gateway(mode, gateway_id=NEAR)

    async def sends(self, data: bytes, f_port: int = 2, **how: bool) -> None:
        await self.fake.uplink(SENSOR, f_port, data, **how)


Scenario = Callable[[Recorded], Awaitable[None]]


def uplink_of(data: bytes, counter: int, f_port: int = 2, **how: bool) -> Scenario:
    async def play(it: Recorded) -> None:
        it.at(it.sensor, up=counter)
        await it.sends(data, f_port, **how)

    return play


def clock_of(counter: int, ahead: timedelta) -> Scenario:
    async def play(it: Recorded) -> None:
        it.sensor.gateway.ahead_s = ahead.total_seconds()
        await uplink_of(OCCUPIED, counter)(it)

    return play


async def class_a_with_next_uplink(it: Recorded) -> None:
    it.at(it.sensor, up=22, down=1)
    await it.site.enqueue(dev_eui=SENSOR)
    await it.sends(OCCUPIED)
    await it.site.see("txack", SENSOR)
    await it.sends(OCCUPIED)


async def gateway_ok(it: Recorded) -> None:
    it.at(it.lamp, up=2, down=3)
    await it.site.enqueue(dev_eui=LAMP)


async def confirmed_with_ack(it: Recorded) -> None:
    it.at(it.lamp, up=1, down=1)
    await it.site.enqueue(dev_eui=LAMP, confirmed=True)


async def confirmed_without_ack(it: Recorded) -> None:
    it.at(it.lamp, up=2, down=2)
    it.lamp.paths[0].downlink_loss = 1.0
    await it.site.enqueue(dev_eui=LAMP, confirmed=True)


async def expired(it: Recorded) -> None:
    it.gateway(GatewayMode.SILENT)
    await it.site.enqueue(dev_eui=LAMP, expires_at=datetime.now(UTC) + timedelta(seconds=1.5 / SPEED))


async def first_uplink_then_txack(it: Recorded) -> None:
    it.lamp.expected_f_cnt, it.lamp.f_cnt_up, it.lamp.received_by = 0, 0, []
    await it.site.enqueue(dev_eui=LAMP)
    await it.fake.uplink(LAMP, 15, REPORT)


async def gateway_back(it: Recorded) -> None:
    it.at(it.lamp, up=2, down=4)
    it.gateway(GatewayMode.SILENT)
    for _ in range(2):
        await it.site.enqueue(dev_eui=LAMP)
    await it.site.tries(2)
    it.gateway(GatewayMode.OK)


async def gateway_too_late(it: Recorded) -> None:
    it.gateway(GatewayMode.NACK)
    await it.site.enqueue(dev_eui=LAMP)
    await it.site.see("log", LAMP, count=4)
    it.gateway(GatewayMode.SILENT)


async def too_large(it: Recorded) -> None:
    await it.site.enqueue(bytes(200), dev_eui=LAMP)


async def enabled_again(it: Recorded) -> None:
    it.at(it.lamp, up=2, down=6)
    it.fake.set_disabled(LAMP)
    await it.site.enqueue(dev_eui=LAMP)
    it.fake.set_disabled(LAMP, False)


async def first_join(it: Recorded) -> None:
    await it.fake.join(OTAA)


async def up_after_join(it: Recorded) -> None:
    await it.fake.join(OTAA)
    await it.fake.uplink(OTAA, 15, REPORT)


async def join_flushes_queue(it: Recorded) -> None:
    await it.fake.join(OTAA)
    await it.site.enqueue(dev_eui=OTAA)
    it.site.events.clear()
    await it.fake.join(OTAA)


async def counter_reset(it: Recorded) -> None:
    it.sensor.expected_f_cnt = 19
    it.sensor.restart_counter()
    await it.sends(OCCUPIED)


async def late_copy(it: Recorded) -> None:
    await uplink_of(OCCUPIED, 7)(it)
    await it.site.see("up", SENSOR)
    await it.sends(OCCUPIED, again=True)


async def two_gateways(it: Recorded) -> None:
    it.fake.gateways[FAR].receives = True
    await uplink_of(bytes.fromhex("005f010203"), 1)(it)


SCENARIOS: dict[str, Scenario] = {
    "classa-with-next-uplink": class_a_with_next_uplink,
    "classc-after-gateway-ok": gateway_ok,
    "classc-confirmed-ack": confirmed_with_ack,
    "classc-confirmed-no-ack": confirmed_without_ack,
    "classc-expired": expired,
    "classc-first-uplink-then-txack": first_uplink_then_txack,
    "classc-gateway-back": gateway_back,
    "classc-gateway-too-late": gateway_too_late,
    "classc-too-large": too_large,
    "enabled-again": enabled_again,
    "join": first_join,
    "join-flushes-queue": join_flushes_queue,
    "up-after-join": up_after_join,
    "up-codec-errors": uplink_of(bytes([1, 2, 3]), 2),
    "up-codec-throws": uplink_of(bytes([1, 2, 3, 4]), 3),
    "up-codec-warning": uplink_of(OCCUPIED[:2], 0),
    "up-confirmed": uplink_of(OCCUPIED, 6, confirmed=True),
    "up-counter-reset": counter_reset,
    "up-empty-payload": uplink_of(b"", 4),
    "up-gateway-time-1h-behind": clock_of(20, timedelta(hours=-1)),
    "up-gateway-time-20y-ahead": clock_of(21, timedelta(days=20 * 365)),
    "up-late-copy-other-gateway": late_copy,
    "up-no-port": uplink_of(b"", 5, 0),
    "up-two-gateways": two_gateways,
}
