"""Cars that come and go over a simulated ChirpStack: a sensor and a Busylight per bay.

It knows nothing of Baylight. A caller that needs its bays in Baylight registers them from `bays`.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from baylight.lab.sim.chirpstack import FakeChirpStack
from baylight.lab.sim.devices import Busylight, Sensor, Tbms100, Tps110
from baylight.lab.sim.network import Device

MEAN_STAY_S = 300.0
MEAN_GAP_S = 180.0
_SENSORS: tuple[tuple[str, type[Tbms100] | type[Tps110]], ...] = (
    ("browan_tbms100", Tbms100),
    ("bosch_tps110", Tps110),
)


@dataclass(slots=True)
class Change:
    """Arrival or departure of a car.

    `light_s`: seconds until the bay's light changed; None: it has not (yet), or the next car was faster.
    """

    code: str
    occupied: bool
    at: datetime
    began: float
    light_s: float | None = None


@dataclass(slots=True)
class Bay:
    code: str
    floor: int
    sensor_type: str
    sensor_eui: str
    display_eui: str
    sensor: Sensor
    light: Busylight
    devices: tuple[Device, Device]
    waiting: Change | None = field(default=None, repr=False)

    @property
    def occupied(self) -> bool:
        """Return True if a car is on the bay."""
        return self.sensor.occupied


@dataclass(frozen=True, slots=True)
class SentUplinks:
    """Numbers of uplinks.

    `published` includes duplicates but not losses on purpose; `distinct` counts each uplink once.
    """

    published: int
    distinct: int


class CarPark:
    """Car park with its cars. `speed` is that of the cars; heartbeats follow the speed of `fake`.

    `changes` holds every arrival and departure.
    """

    def __init__(
        self, fake: FakeChirpStack, *, floors: int = 2, bays: int = 60, seed: int = 1, speed: float = 1.0
    ) -> None:
        self._fake, self._speed = fake, speed
        self._chance = random.Random(seed)
        self._calm = asyncio.Event()
        self.changes: list[Change] = []
        per_floor = -(-bays // floors)
        places = [(n // per_floor + 1, n % per_floor + 1) for n in range(bays)]
        self.bays = [self._bay(floor, number) for floor, number in places]
        self._by_code = {bay.code: bay for bay in self.bays}

    def _bay(self, floor: int, number: int) -> Bay:
        code = f"{floor}-{number:02d}"
        serial = floor << 16 | number
        sensor_type, model = _SENSORS[number % 2]
        sensor_eui = f"{0x58A0CB0000 if model is Tbms100 else 0x7076FF0000:010x}{serial:06x}"
        display_eui = f"{0x2020200000:010x}{serial:06x}"
        sensor, light = model(), Busylight()
        devices = (
            self._fake.add_device(sensor_eui, name=f"sensor {code}", profile=model.profile, model=sensor),
            self._fake.add_device(
                display_eui, name=f"light {code}", profile=Busylight.profile, class_c=True, model=light
            ),
        )
        bay = Bay(code, floor, sensor_type, sensor_eui, display_eui, sensor, light, devices)
        light.on_change.append(lambda: self._lit(bay))
        return bay

    # What happens ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Let cars come and go until cancelled; quiesce() ends the traffic."""
        start = time.monotonic()
        due = [(start + self._pause(bay), n) for n, bay in enumerate(self.bays)]
        heapq.heapify(due)
        while due and not self._calm.is_set():
            at, n = due[0]
            wait = at - time.monotonic()
            if wait > 0:
                try:
                    async with asyncio.timeout(wait):
                        await self._calm.wait()
                except TimeoutError:
                    pass
                continue
            bay = self.bays[n]
            await self._set(bay, not bay.occupied)
            heapq.heapreplace(due, (at + self._pause(bay), n))
        await asyncio.Event().wait()

    def _pause(self, bay: Bay) -> float:
        return self._chance.expovariate(1 / (MEAN_STAY_S if bay.occupied else MEAN_GAP_S)) / self._speed

    async def quiesce(self) -> None:
        """Stop the cars; return when all events are with the broker."""
        self._calm.set()
        await self._fake.settled()

    async def arrive(self, code: str) -> None:
        await self._set(self._by_code[code], True)

    async def leave(self, code: str) -> None:
        await self._set(self._by_code[code], False)

    async def _set(self, bay: Bay, occupied: bool) -> None:
        if bay.occupied == occupied:
            return
        bay.waiting = Change(bay.code, occupied, datetime.now(UTC), time.monotonic())
        self.changes.append(bay.waiting)
        bay.sensor.set(occupied)
        await self._fake.has_room()

    def _lit(self, bay: Bay) -> None:
        change, bay.waiting = bay.waiting, None
        if change is not None:
            change.light_s = time.monotonic() - change.began

    # What can be asked -----------------------------------------------------------------------------------------------

    def truth(self) -> dict[str, bool]:
        """Return for each bay code whether a car stands there."""
        return {bay.code: bay.occupied for bay in self.bays}

    def bay(self, code: str) -> Bay:
        return self._by_code[code]

    @property
    def sent(self) -> SentUplinks:
        """Return the numbers of uplinks of sensors and lights so far."""
        devices = [device for bay in self.bays for device in bay.devices]
        return SentUplinks(sum(d.uplinks_published for d in devices), sum(d.uplinks for d in devices))

    @property
    def light_times(self) -> list[float]:
        """Return the seconds from each arrival or departure until that bay's light changed."""
        return [change.light_s for change in self.changes if change.light_s is not None]
