"""Simulated car park, with the smallest possible application behind it."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Any

import pytest

from baylight.codecs.devices.bosch_tps110 import BoschTps110
from baylight.codecs.devices.browan_tbms100 import BrowanTbms100
from baylight.domain.state import Occupancy
from baylight.lab.sim.behaviour import Behaviour
from baylight.lab.sim.car_park import Bay, CarPark
from baylight.lab.sim.chirpstack import FakeChirpStack
from tests.support.chirpstack_site import Site

RED, GREEN = bytes.fromhex("ff0000ff00"), bytes.fromhex("0000ffff00")
DECODERS = {"browan_tbms100": BrowanTbms100(), "bosch_tps110": BoschTps110()}


class Town:
    def __init__(self, site: Site, park: CarPark) -> None:
        self.site, self.park = site, park


@pytest.fixture
async def town(broker: Any) -> AsyncIterator[Town]:
    """Make twelve bays on two floors; radio and cars run fast."""
    fake = FakeChirpStack(broker.host, broker.port, behaviour=Behaviour(speed=50.0, unordered_events=False))
    park = CarPark(fake, floors=2, bays=12, speed=2000.0)
    site = Site(broker.port, fake)
    await site.start()
    yield Town(site, park)
    await site.stop()


def occupancy(bay: Bay, up: dict[str, Any]) -> Occupancy | None:
    return DECODERS[bay.sensor_type].decode(up["fPort"], b64decode(up["data"])).occupancy


def test_bays_are_spread_over_floors_and_sensor_types() -> None:
    park = CarPark(FakeChirpStack("127.0.0.1", 1), floors=3, bays=7)
    assert [bay.code for bay in park.bays] == ["1-01", "1-02", "1-03", "2-01", "2-02", "2-03", "3-01"]
    assert {bay.sensor_type for bay in park.bays} == {"browan_tbms100", "bosch_tps110"}
    assert len({eui for bay in park.bays for eui in (bay.sensor_eui, bay.display_eui)}) == 14
    assert set(park.truth().values()) == {False}


async def test_the_same_seed_gives_the_same_cars(broker: Any) -> None:
    async def first_changes() -> list[tuple[str, bool]]:
        fake = FakeChirpStack(broker.host, broker.port)
        park = CarPark(fake, bays=6, seed=7, speed=100_000.0)
        await fake.start()
        cars = asyncio.create_task(park.run())
        await asyncio.wait_for(fake.until(lambda: len(park.changes) >= 20), 10)
        await park.quiesce()
        cars.cancel()
        await fake.stop()
        return [(change.code, change.occupied) for change in park.changes[:20]]

    assert await first_changes() == await first_changes()


async def test_after_quiescence_the_last_readings_are_the_truth(town: Town) -> None:
    site, park = town.site, town.park
    cars = asyncio.create_task(park.run())
    await asyncio.wait_for(site.fake.until(lambda: len(park.changes) >= 60), 20)
    await park.quiesce()
    changes = len(park.changes)
    await site.quiet()
    seen = {bay.code: [occupancy(bay, up) for up in site.seen("up", bay.sensor_eui)] for bay in park.bays}
    assert {code: said[-1] is Occupancy.OCCUPIED for code, said in seen.items() if said} == {
        code: occupied for code, occupied in park.truth().items() if seen[code]
    }
    assert sum(len(said) for said in seen.values()) >= changes == len(park.changes)
    assert (
        park.sent.published
        == park.sent.distinct
        == sum(len(site.seen("up", eui)) for bay in park.bays for eui in (bay.sensor_eui, bay.display_eui))
    )
    cars.cancel()


async def test_car_to_light_time_is_measured_at_the_light(town: Town) -> None:
    site, park = town.site, town.park
    bay = park.bay("1-02")
    await park.arrive("1-02")
    await park.arrive("1-02")
    up = await site.see("up", bay.sensor_eui)
    assert occupancy(bay, up) is Occupancy.OCCUPIED
    assert park.light_times == []
    site.command(RED, dev_eui=bay.display_eui)
    await asyncio.wait_for(site.fake.until(lambda: bay.light.code == RED), 10)
    [change] = park.changes
    assert park.light_times == [change.light_s]
    assert change.light_s is not None
    assert 0 < change.light_s < 10
    site.command(RED, dev_eui=bay.display_eui)
    await site.see("txack", bay.display_eui, count=2)
    assert len(park.light_times) == 1
    await park.leave("1-02")
    assert park.truth()["1-02"] is False
    site.command(GREEN, dev_eui=bay.display_eui)
    await asyncio.wait_for(site.fake.until(lambda: bay.light.code == GREEN), 10)
    assert len(park.light_times) == 2


async def test_b2_a_power_cut_makes_a_join_and_a_confirmed_report(town: Town) -> None:
    site, bay = town.site, town.park.bay("1-01")
    site.command(RED, dev_eui=bay.display_eui)
    await asyncio.wait_for(site.fake.until(lambda: bay.light.code == RED), 10)
    bay.light.power_cut()
    await site.see("join", bay.display_eui)
    up = await site.see("up", bay.display_eui, confirmed=True)
    assert (up["fCnt"], up["devAddr"]) == (0, bay.devices[1].dev_addr)
    assert up["deviceInfo"]["deviceClassEnabled"] == "CLASS_C"
