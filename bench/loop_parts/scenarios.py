"""Scenarios: what goes wrong at the site while cars come and go."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace

from baylight.inventory import devices, spaces
from baylight.lab.sim.behaviour import Behaviour, GatewayMode
from baylight.lab.sim.chirpstack import FakeChirpStack
from baylight.lab.sim.devices import Busylight
from baylight.lab.sim.network import History
from baylight.store.connect import connect
from bench.loop_parts.course import MIN_WATCHED_S
from bench.loop_parts.site import BEHAVIOUR, GATEWAYS, Prepare, Site, change_on

_STUCK = tuple(f"1010100000{n:06x}" for n in range(300))
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
        return 0.0, max(self.scenario_s / 8, min(self.scenario_s - MIN_WATCHED_S - 0.5, 40.0))


During = Callable[[Site, Length], Coroutine[object, object, None]]


async def _nothing(_dsn: str, _chirpstack: FakeChirpStack) -> None:
    pass


async def _no_more(_site: Site, _length: Length) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Scenario:
    """Scenario. `behaviour`: that of ChirpStack. `prepare` runs before the program starts, `during` beside the cars."""

    key: str
    meaning: str
    behaviour: Behaviour = BEHAVIOUR
    prepare: Prepare = _nothing
    during: During = _no_more


async def _lose_downlinks(site: Site, _: Length) -> None:
    for bay in site.park.bays:
        bay.devices[1].paths[0].downlink_loss = 0.3


async def _lose_uplinks(site: Site, _: Length) -> None:
    for bay in site.park.bays:
        for device in bay.devices:
            device.paths[0].uplink_loss = 0.3


async def _lose_acks(site: Site, _: Length) -> None:
    for gateway_id in GATEWAYS:
        site.chirpstack.set_gateway(GatewayMode.MUTE, gateway_id=gateway_id)


def _one_gateway(mode: GatewayMode) -> During:
    async def during(site: Site, length: Length) -> None:
        site.chirpstack.set_gateway(mode, gateway_id=GATEWAYS[0])
        await asyncio.sleep(length.scenario_s / 2)
        site.chirpstack.set_gateway(GatewayMode.OK, gateway_id=GATEWAYS[0])

    return during


async def _add_stuck(dsn: str, chirpstack: FakeChirpStack) -> None:
    """Register lamps that cannot be reached, with lower DevEUIs than all others: half of them never sent an uplink.

    The others stand behind a gateway that is dead after one uplink of each.
    """
    chirpstack.set_gateway(GatewayMode.SILENT, gateway_id=_DEAD_GATEWAY)
    connection = await connect(dsn)
    change = change_on(connection)
    try:
        async with change.transaction():
            for n, dev_eui in enumerate(_STUCK):
                history = History.USED if n % 2 else History.ACTIVATED
                chirpstack.add_device(
                    dev_eui, profile=Busylight.profile, class_c=True, gateway_id=_DEAD_GATEWAY, history=history
                )
                await devices.register_display(change, dev_eui, device_type="kuando_busylight")
                await spaces.create_space(change, f"stuck-{n:03d}", display=dev_eui)
    finally:
        await connection.close()


async def _last_uplinks(site: Site, _: Length) -> None:
    for dev_eui in _STUCK[1::2]:
        await site.chirpstack.uplink(dev_eui, 15, Busylight().frame())
    await site.chirpstack.settled()
    site.chirpstack.gateways[_DEAD_GATEWAY].receives = False


async def _stop(site: Site, length: Length) -> None:
    await asyncio.sleep(2)
    await site.chirpstack.server_down()
    site.judge.away_since = time.monotonic()
    await asyncio.sleep(length.stop_s)
    await site.chirpstack.server_up()


async def _operator(site: Site, _: Length) -> None:
    """Let an operator send colours to lamps, one a second. A quarter of them asks for a report."""
    chance = random.Random(1)
    lamps = list(site.courses)
    while True:
        await asyncio.sleep(1)
        report = b"\x01" if chance.random() < 0.25 else b""
        site.chirpstack.operator_enqueue(chance.choice(lamps), bytes.fromhex(chance.choice(_FOREIGN)) + report)


_WRITES_LATE = replace(BEHAVIOUR, session_write_s=0.2)
"""ChirpStack that writes a session later than the real one (up to 0.02 s), so that this process's lag does not decide
which tx_acks meet."""


async def _meet(_: str, chirpstack: FakeChirpStack) -> None:
    """Let each tx_ack come while ChirpStack handles the report that the same downlink asked for."""
    report_s = _WRITES_LATE.airtime_s + _WRITES_LATE.deduplication_s
    for gateway_id in GATEWAYS:
        late_s = report_s + _WRITES_LATE.session_write_s / 2
        chirpstack.set_gateway(GatewayMode.LATE, gateway_id=gateway_id, late_s=late_s)


SCENARIOS = (
    Scenario("calm", "nothing goes wrong"),
    Scenario("downlinks_lost", "30 % of the downlinks are lost in the air", during=_lose_downlinks),
    Scenario("uplinks_lost", "30 % of the uplinks are lost in the air", during=_lose_uplinks),
    Scenario("acks_lost", "no tx_ack arrives", during=_lose_acks),
    Scenario(
        "deaf_gateway",
        "one of four gateways acknowledges and reaches no lamp, for half of the time",
        during=_one_gateway(GatewayMode.DEAF),
    ),
    Scenario(
        "silent_gateway",
        "one of four gateways does not answer, for half of the time",
        during=_one_gateway(GatewayMode.SILENT),
    ),
    Scenario("stuck_300", "300 lamps beside it cannot be reached", prepare=_add_stuck, during=_last_uplinks),
    Scenario("stopped", "the network server is stopped, and uplinks of that time are lost", during=_stop),
    Scenario("foreign_downlinks", "an operator sends other colours, one a second", during=_operator),
    Scenario(
        "counter_reuse",
        "a report and a tx_ack at the same moment: downlink counters are used twice",
        behaviour=_WRITES_LATE,
        prepare=_meet,
    ),
)
