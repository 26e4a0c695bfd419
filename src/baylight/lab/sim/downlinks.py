"""Downlink side of ChirpStack: queues, class C scheduler, gateways, txack, ack, and its silent losses."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from baylight.lab.sim import events
from baylight.lab.sim.behaviour import Behaviour, GatewayMode
from baylight.lab.sim.events import Json
from baylight.lab.sim.network import Device, Frame, Item


class Host(Protocol):
    """Part of the simulated ChirpStack that the scheduler needs."""

    def emit(self, device: Device, event: str, payload: Json) -> None: ...

    def after(self, seconds: float, call: Callable[[], None]) -> None: ...

    def empty_uplink(self, device: Device) -> None: ...


class Downlinks:
    def __init__(self, host: Host, devices: Mapping[str, Device], behaviour: Behaviour, chance: random.Random) -> None:
        self._host, self._devices, self._behaviour, self._chance = host, devices, behaviour, chance
        self._queued: dict[str, Device] = {}
        self._ids: set[str] = set()
        self.frames = 0

    # Queue -----------------------------------------------------------------------------------------------------

    def enqueue(self, device: Device, item: Item) -> bool:
        """Add an item; return False if an item with its id (the primary key) is still queued for any device."""
        if item.id in self._ids:
            return False
        self._ids.add(item.id)
        device.queue.append(item)
        self._queued[device.dev_eui] = device
        return True

    def flush(self, device: Device, *, pending_too: bool) -> None:
        """Remove items: FlushQueue also removes pending ones, Enqueue's flush_queue does not.

        A frame in flight loses its item in both cases.
        """
        for item in [i for i in device.queue if pending_too or not i.is_pending]:
            self._remove(device, item)

    def _remove(self, device: Device, item: Item) -> None:
        device.queue.remove(item)
        self._ids.discard(item.id)
        if not device.queue:
            self._queued.pop(device.dev_eui, None)

    # When something is sent --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run the class C scheduler until cancelled: a batch of devices per interval, lowest EUI first."""
        while True:
            await asyncio.sleep(self._behaviour.scheduler_interval_s / self._behaviour.speed)
            now = time.monotonic()
            due = [device for device in self._queued.values() if device.class_c and self._due(device, now)]
            for device in sorted(due, key=lambda d: d.dev_eui)[: self._behaviour.scheduler_batch]:
                self._try(device, class_c=True)

    def _due(self, device: Device, now: float) -> bool:
        head = device.queue[0]
        waits = head.is_pending and (head.timeout_at is None or now < head.timeout_at)
        return now >= device.run_after and not (waits and self._behaviour.one_downlink_at_a_time)

    def after_uplink(self, device: Device, deduplication_id: str, *, acked: bool) -> None:
        """Settle a pending item and open the class A windows, which class C devices have, too."""
        pending = next((i for i in device.queue if i.is_pending), None)
        if pending is not None and (acked or not device.class_c):
            self._acknowledge(device, pending, acked, deduplication_id)
        device.run_after = max(
            device.run_after, time.monotonic() + self._behaviour.class_a_lock_s / self._behaviour.speed
        )
        if device.queue:
            self._try(device, class_c=False)

    def _try(self, device: Device, *, class_c: bool) -> None:
        if class_c and self._behaviour.first_uplink_rule and not device.uplink_since_join:
            return
        item = self._head(device)
        if item is None:
            return
        item.f_cnt = device.f_cnt_down
        item.tries += 1
        self.frames += 1
        device.run_after = time.monotonic() + self._lock() / self._behaviour.speed
        frame = Frame(item, self._chance.getrandbits(32), item.f_cnt, device.session, class_c)
        if not self._behaviour.txack_after_gateway_ok:
            self._tx_ack(device, frame)
        self._host.after(self._behaviour.gateway_s, lambda: self._at_gateway(device, frame))

    def _lock(self) -> float:
        return self._behaviour.class_c_lock_s if self._behaviour.one_downlink_at_a_time else 0.0

    def _head(self, device: Device) -> Item | None:
        """Return the item to send now.

        Drop those before it that expired, are too long or were not acknowledged in time.
        """
        for item in list(device.queue):
            if item.is_pending:
                if item.timeout_at is not None and time.monotonic() >= item.timeout_at:
                    self._acknowledge(device, item, False, "")
                    continue
                if self._behaviour.one_downlink_at_a_time:
                    return None
            elif item.expires_at is not None and item.expires_at <= datetime.now(UTC):
                self._drop(device, item, "EXPIRED", "Device queue-item discarded because it has expired", {})
            elif len(item.data) > self._behaviour.max_payload:
                sizes = {"max_payload_size": str(self._behaviour.max_payload), "item_size": str(len(item.data))}
                text = "Device queue-item discarded because it exceeds the max. payload size"
                self._drop(device, item, "DOWNLINK_PAYLOAD_SIZE", text, sizes)
            else:
                return item
        return None

    # What becomes of it --------------------------------------------------------------------------------------------

    def _at_gateway(self, device: Device, frame: Frame) -> None:
        mode = device.gateway_mode or device.gateway.mode
        if mode in (GatewayMode.OK, GatewayMode.MUTE):
            delay = self._behaviour.airtime_s + (0 if frame.class_c else self._behaviour.rx1_delay_s)
            self._host.after(delay, lambda: self._on_air(device, frame))
        if mode is GatewayMode.OK:
            self._tx_ack(device, frame)
        elif mode is GatewayMode.NACK:
            # The real server does not report which item was refused; see Behaviour.gateway_nack_without_id.
            context = {} if self._behaviour.gateway_nack_without_id else {"queue_item_id": frame.item.id}
            self._log(device, "DOWNLINK_GATEWAY", "TOO_LATE", context)
        elif not self._behaviour.silent_gateway_resends and frame.item in device.queue:
            self._remove(device, frame.item)

    def _tx_ack(self, device: Device, frame: Frame) -> None:
        item = frame.item
        if frame.session != device.session:
            return
        if item not in device.queue:  # flushed in flight: no txack, and the counter stays
            if not self._behaviour.fcnt_reuse_after_flush:
                device.f_cnt_down = max(device.f_cnt_down, frame.f_cnt + 1)
            return
        if item.is_pending:
            return
        device.f_cnt_down = frame.f_cnt + 1
        if item.confirmed:
            item.is_pending = True
            if device.class_c and self._behaviour.ack_timeout_nack:
                wait = max(self._behaviour.class_c_timeout_s, self._lock())
                item.timeout_at = time.monotonic() + wait / self._behaviour.speed
        else:
            self._remove(device, item)
        payload = events.txack_payload(
            device.txack_info,
            downlink_id=frame.downlink_id,
            queue_item_id=item.id,
            f_cnt_down=frame.f_cnt,
            gateway_id=device.gateway.id,
            class_c=frame.class_c,
            at_ns=time.time_ns(),
        )
        self._host.emit(device, "txack", payload)

    def _on_air(self, device: Device, frame: Frame) -> None:
        if device.receive(frame) and frame.item.confirmed and device.class_c:
            self._host.after(self._behaviour.airtime_s, lambda: self._host.empty_uplink(device))

    def _acknowledge(self, device: Device, item: Item, acknowledged: bool, deduplication_id: str) -> None:
        self._remove(device, item)
        payload = events.ack_payload(
            device.info,
            queue_item_id=item.id,
            acknowledged=acknowledged,
            f_cnt_down=item.f_cnt or 0,
            at_ns=time.time_ns(),
            deduplication_id=deduplication_id,
        )
        self._host.emit(device, "ack", payload)

    def _drop(self, device: Device, item: Item, code: str, description: str, context: Mapping[str, str]) -> None:
        self._remove(device, item)
        if self._behaviour.expiry_and_size_logs:
            self._log(device, code, description, {**context, "queue_item_id": item.id})

    def _log(self, device: Device, code: str, description: str, context: Mapping[str, str]) -> None:
        payload = events.log_payload(
            device.info, level="ERROR", code=code, description=description, context=context, at_ns=time.time_ns()
        )
        self._host.emit(device, "log", payload)
