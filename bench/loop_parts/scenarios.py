"""Scenarios: what goes wrong at the site while cars come and go."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from baylight.inventory import devices, spaces
from baylight.lab.sim.behaviour import GatewayMode
from baylight.lab.sim.devices import Busylight
from baylight.lab.sim.network import Gateway
from baylight.store.connect import connect
from bench.loop_parts.air import Air
from bench.loop_parts.course import MIN_WATCHED_S
from bench.loop_parts.site import GATEWAYS, Prepare, Site, change_on

STUCK = 300
_DEAD_GATEWAY = "0016c001f153a1ff"
_FOREIGN = ("0000ff6400", "ff00006400", "00ff006400")
"""Colours that an operator sends: green, red and blue."""


@dataclass(frozen=True, slots=True)
class Length:
    """Seconds of a scenario, and of those in which the network server is stopped."""

    scenario_s: float
    stop_s: float

    @property
    def first_s(self) -> tuple[float, float]:
        """Shortest and longest time until a bay changes for the first time, with MIN_WATCHED_S left if possible."""
        return 0.0, max(self.scenario_s / 4, min(self.scenario_s - MIN_WATCHED_S - 0.5, 40.0))


async def _nothing(_dsn: str, _air: Air) -> None:
    pass


async def _no_more(_site: Site, _length: Length) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Scenario:
    """Scenario. `prepare` runs before the program starts, `during` beside the cars."""

    key: str
    meaning: str
    prepare: Prepare = _nothing
    during: Callable[[Site, Length], Awaitable[None]] = _no_more


async def _lose_downlinks(site: Site, _: Length) -> None:
    site.air.lost_downlinks = 0.3


async def _lose_uplinks(site: Site, _: Length) -> None:
    site.air.lost_uplinks = 0.3


async def _lose_acks(site: Site, _: Length) -> None:
    for gateway_id in GATEWAYS:
        site.air.set_gateway(GatewayMode.MUTE, gateway_id=gateway_id)


async def _deaf(site: Site, length: Length) -> None:
    site.air.deaf.add(GATEWAYS[0])
    await asyncio.sleep(length.scenario_s / 2)
    site.air.deaf.clear()


async def _silent(site: Site, length: Length) -> None:
    site.air.set_gateway(GatewayMode.SILENT, gateway_id=GATEWAYS[0])
    await asyncio.sleep(length.scenario_s / 2)
    site.air.set_gateway(GatewayMode.OK, gateway_id=GATEWAYS[0])


async def _add_stuck(dsn: str, air: Air) -> None:
    """Register lamps that cannot be reached, with lower DevEUIs than all others: half of them never sent an uplink.

    The others stand behind a gateway that is dead now.
    """
    air.gateways[_DEAD_GATEWAY] = Gateway(_DEAD_GATEWAY, GatewayMode.SILENT)
    connection = await connect(dsn)
    change = change_on(connection)
    try:
        async with change.transaction():
            for n in range(STUCK):
                dev_eui = f"1010100000{n:06x}"
                device = air.add_device(dev_eui, profile=Busylight.profile, class_c=True, gateway_id=_DEAD_GATEWAY)
                device.uplink_since_join = n % 2 == 0
                await devices.register_display(change, dev_eui, device_type="kuando_busylight")
                await spaces.create_space(change, f"stuck-{n:03d}", display=dev_eui)
    finally:
        await connection.close()


async def _once_received(site: Site, _: Length) -> None:
    """Let the lamps behind the dead gateway send the last uplink that it forwarded."""
    for device in site.air.devices.values():
        if device.gateway.id == _DEAD_GATEWAY and device.uplink_since_join:
            await site.air.uplink(device.dev_eui, 15, Busylight().frame())


async def _stop(site: Site, length: Length) -> None:
    await asyncio.sleep(2)
    await site.air.leave()
    site.judge.away_since = time.monotonic()
    await asyncio.sleep(length.stop_s)
    await site.air.come_back()


async def _operator(site: Site, _: Length) -> None:
    """Let an operator send colours to lamps, one a second. A quarter of them asks for a report."""
    chance = random.Random(1)
    lamps = list(site.courses)
    while True:
        await asyncio.sleep(1)
        report = b"\x01" if chance.random() < 0.25 else b""
        site.air.operator_sends(chance.choice(lamps), bytes.fromhex(chance.choice(_FOREIGN)) + report)


async def _reuse_counters(_: str, air: Air) -> None:
    air.reused_counters = 0.5


SCENARIOS = (
    Scenario("calm", "nothing goes wrong"),
    Scenario("downlinks_lost", "30 % of the downlinks are lost in the air", during=_lose_downlinks),
    Scenario("uplinks_lost", "30 % of the uplinks are lost in the air", during=_lose_uplinks),
    Scenario("acks_lost", "no tx_ack of a gateway arrives", during=_lose_acks),
    Scenario(
        "deaf_gateway", "one of four gateways acknowledges and transmits nothing, for half of the time", during=_deaf
    ),
    Scenario("silent_gateway", "one of four gateways does not answer, for half of the time", during=_silent),
    Scenario("stuck_300", "300 lamps beside it cannot be reached", prepare=_add_stuck, during=_once_received),
    Scenario("stopped", "the network server is stopped, and uplinks of that time are lost", during=_stop),
    Scenario("foreign_downlinks", "an operator sends other colours, one a second", during=_operator),
    Scenario(
        "counter_reuse", "a report and a tx_ack at the same moment: counters are used twice", prepare=_reuse_counters
    ),
)
