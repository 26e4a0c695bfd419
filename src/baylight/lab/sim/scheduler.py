"""Schedule of downlinks: the class C scheduler, and the window after an uplink, which each class has."""

from __future__ import annotations

import asyncio
import random
import time

from baylight.lab.sim.behaviour import Behaviour
from baylight.lab.sim.downlinks import Downlinks
from baylight.lab.sim.gateways import Gateways
from baylight.lab.sim.network import Device, Item, Path


class Scheduler:
    def __init__(self, downlinks: Downlinks, gateways: Gateways, behaviour: Behaviour, chance: random.Random) -> None:
        self._downlinks, self._gateways, self._behaviour, self._chance = downlinks, gateways, behaviour, chance

    async def run(self) -> None:
        """Run the class C scheduler until cancelled: one tick per interval."""
        while True:
            await asyncio.sleep(self._behaviour.scheduler_interval_s / self._behaviour.speed)
            self.tick(time.monotonic())

    def tick(self, now: float) -> None:
        """Select a batch of devices, lowest DevEUI first, lock each, and try those that may be sent to.

        A device that waits for its first uplink takes its place in the batch and is locked for `scheduler_lock_s` only
        (storage/device.rs get_with_class_b_c_queue_items; downlink/data.rs selects the gateway before it locks). So
        100 devices a tick with a lock of two ticks stop all devices behind the 200th that cannot be reached.
        """
        due = [device for device in self._downlinks.queued.values() if self._due(device, now)]
        for device in sorted(due, key=lambda d: d.dev_eui)[: self._behaviour.scheduler_batch]:
            self._lock(device, now, self._behaviour.scheduler_lock_s)
            if device.activated and (device.has_uplink or not self._behaviour.first_uplink_rule):
                self._lock(device, now, self._behaviour.class_c_lock_s)
                self._try(device)

    def _due(self, device: Device, now: float) -> bool:
        return (
            device.class_c and not device.disabled and device.run_after <= now and any(map(self._waits, device.queue))
        )

    @staticmethod
    def _waits(item: Item) -> bool:
        return not item.is_pending or item.timeout_at is None or time.monotonic() >= item.timeout_at

    def _lock(self, device: Device, now: float, seconds: float) -> None:
        device.run_after = now + (seconds / self._behaviour.speed if self._behaviour.one_downlink_at_a_time else 0.0)

    def _try(self, device: Device) -> None:
        item = self._downlinks.head(device, self._behaviour.max_payload, "")
        if item is not None:
            path = self._gateways.choose(device.received_by or device.paths)
            self._downlinks.send(device, item, path, class_c=True, f_cnt=device.f_cnt_down)

    def respond(self, device: Device, paths: list[Path], deduplication_id: str, *, must_ack: bool, f_cnt: int) -> bool:
        """Use the window after an uplink; return True if a frame was sent.

        `must_ack`: the uplink was confirmed. MAC commands may need the whole frame; the item then stays.
        """
        item = self._downlinks.head(device, self._behaviour.max_payload_rx1, deduplication_id)
        by_mac = self._chance.random() < self._behaviour.mac_downlinks
        if item is None and not must_ack and not by_mac:
            return False
        path = self._gateways.choose(paths)
        self._downlinks.send(device, None if by_mac else item, path, class_c=False, f_cnt=f_cnt)
        return True
