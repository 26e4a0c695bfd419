"""Downlink side of ChirpStack: queues, the item to send next, tx_acks, acks, and its silent losses."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from baylight.lab.sim import events
from baylight.lab.sim.behaviour import Behaviour
from baylight.lab.sim.events import Json
from baylight.lab.sim.gateways import OK, Gateways
from baylight.lab.sim.network import Device, Frame, Item, Path


class Host(Protocol):
    """Part of the simulated ChirpStack that downlinks need."""

    def emit(self, device: Device, event: str, payload: Json) -> None: ...


class Downlinks:
    """Queues of all devices. `queued`: devices with items, by DevEUI. `frames`: number of tries so far."""

    def __init__(self, host: Host, gateways: Gateways, behaviour: Behaviour, chance: random.Random) -> None:
        self._host, self._gateways, self._behaviour, self._chance = host, gateways, behaviour, chance
        self.queued: dict[str, Device] = {}
        self._ids: set[str] = set()
        self._saved: dict[int, float] = {}
        self.frames = 0

    # Queue -----------------------------------------------------------------------------------------------------

    def enqueue(self, device: Device, item: Item) -> bool:
        """Add an item; return False if an item with its id (the primary key) is still queued for any device."""
        if item.id in self._ids:
            return False
        self._ids.add(item.id)
        device.queue.append(item)
        self.queued[device.dev_eui] = device
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
            self.queued.pop(device.dev_eui, None)

    def head(self, device: Device, max_payload: int, deduplication_id: str) -> Item | None:
        """Return the item to send now.

        Drop those before it that were not acknowledged in time, expired, are too long or have a used counter.
        """
        for item in list(device.queue):
            if item.is_pending:
                if item.timeout_at is None or time.monotonic() >= item.timeout_at:
                    self.acknowledge(device, item, False, deduplication_id)
                elif self._behaviour.one_downlink_at_a_time:
                    return None
            elif item.expires_at is not None and item.expires_at < datetime.now(UTC):
                self._drop(device, item, "EXPIRED", "it has expired", {})
            elif len(item.data) > max_payload:
                sizes = {"max_payload_size": str(max_payload), "item_size": str(len(item.data))}
                self._drop(device, item, "DOWNLINK_PAYLOAD_SIZE", "it exceeds the max. payload size", sizes)
            elif item.encrypted and (item.f_cnt or 0) < device.f_cnt_down:
                counters = {
                    "device_f_cnt_down": str(device.f_cnt_down),
                    "queue_item_f_cnt_down": str(item.f_cnt or 0),
                }
                self._drop(device, item, "F_CNT_DOWN", "the frame-counter is invalid", counters)
            else:
                return item
        return None

    # A try and what becomes of it -----------------------------------------------------------------------------------

    def send(self, device: Device, item: Item | None, path: Path, *, class_c: bool, f_cnt: int) -> None:
        """Send an item, or (None) a frame without a payload of the application."""
        if item is not None:
            item.tries += 1
            if not item.encrypted:
                item.f_cnt = f_cnt
            f_cnt = item.f_cnt or 0
        self.frames += 1
        frame = Frame(item, self._chance.getrandbits(32), f_cnt, device.session, class_c, path)
        self._save(frame)
        if not self._behaviour.txack_after_gateway_ok:
            self.tx_ack(device, frame, OK)
        self._gateways.send(device, frame)

    def _save(self, frame: Frame) -> None:
        """Remember a frame for the time in which its tx_ack counts; forget older ones."""
        now = time.monotonic()
        while self._saved and next(iter(self._saved.values())) <= now:
            del self._saved[next(iter(self._saved))]
        self._saved[frame.downlink_id] = now + self._behaviour.downlink_frame_ttl_s / self._behaviour.speed

    def unanswered(self, device: Device, frame: Frame) -> None:
        """Forget the item of a frame that a silent gateway had, if the behaviour says so."""
        if not self._behaviour.silent_gateway_resends and frame.item in device.queue:
            self._remove(device, frame.item)

    def tx_ack(self, device: Device, frame: Frame, status: str) -> None:
        """Handle a gateway's answer. It is ignored if it is the second one of its frame, or too late."""
        if time.monotonic() >= self._saved.pop(frame.downlink_id, -math.inf) or device.deleted:
            return
        item = frame.item
        if status != OK:
            named = item is not None and not self._behaviour.gateway_nack_without_id
            # The real server does not report which item was refused; see Behaviour.gateway_nack_without_id.
            self.log(device, "DOWNLINK_GATEWAY", status, {"queue_item_id": item.id} if item and named else {})
        elif item is None:
            self._advance(device, device.f_cnt_down + 1)
        elif item not in device.queue:  # flushed in flight, or sent twice: no txack, and the counter stays
            if not self._behaviour.fcnt_reuse_after_flush:
                device.f_cnt_down = max(device.f_cnt_down, frame.f_cnt + 1)
        else:
            if item.confirmed:
                item.is_pending = True
                item.timeout_at = self._timeout(device)
            else:
                self._remove(device, item)
            self._advance(device, frame.f_cnt + 1)
            self._txack_event(device, frame, item)

    def _timeout(self, device: Device) -> float | None:
        if not self._behaviour.ack_timeout_nack:
            return math.inf
        return time.monotonic() + self._behaviour.class_c_timeout_s / self._behaviour.speed if device.class_c else None

    def _advance(self, device: Device, f_cnt_down: int) -> None:
        if device.lost_increments > 0:
            device.lost_increments -= 1
        elif self._chance.random() >= self._behaviour.lost_increments:
            device.f_cnt_down = f_cnt_down

    def _txack_event(self, device: Device, frame: Frame, item: Item) -> None:
        payload = events.txack_payload(
            device.info(application_tags=not self._behaviour.txack_without_application_tags),
            downlink_id=frame.downlink_id,
            queue_item_id=item.id,
            f_cnt_down=frame.f_cnt,
            gateway_id=frame.path.gateway.id,
            class_c=frame.class_c,
            at_ns=time.time_ns(),
        )
        self._host.emit(device, "txack", payload)

    def acknowledge(
        self, device: Device, item: Item, acknowledged: bool, deduplication_id: str, *, at_ns: int | None = None
    ) -> None:
        """Remove a pending item with the event `ack`. `at_ns`: time of the uplink that has the ack, None: now."""
        self._remove(device, item)
        payload = events.ack_payload(
            device.info(),
            queue_item_id=item.id,
            acknowledged=acknowledged,
            f_cnt_down=item.f_cnt or 0,
            at_ns=at_ns or time.time_ns(),
            deduplication_id=deduplication_id,
        )
        self._host.emit(device, "ack", payload)

    def _drop(self, device: Device, item: Item, code: str, why: str, context: Mapping[str, str]) -> None:
        self._remove(device, item)
        if self._behaviour.expiry_and_size_logs:
            self.log(device, code, f"Device queue-item discarded because {why}", {**context, "queue_item_id": item.id})

    def log(
        self,
        device: Device,
        code: str,
        description: str,
        context: Mapping[str, str],
        *,
        level: str = "ERROR",
        at_ns: int | None = None,
    ) -> None:
        """Publish the event `log`. `at_ns`: time of the uplink that it refuses, None: now."""
        payload = events.log_payload(
            device.info(),
            level=level,
            code=code,
            description=description,
            context=context,
            at_ns=at_ns or time.time_ns(),
        )
        self._host.emit(device, "log", payload)
