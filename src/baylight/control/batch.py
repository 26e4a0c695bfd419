"""Batch of messages: sorted on arrival, and what of it is written whatever the devices are. Ingest drives it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from operator import attrgetter

from baylight.control import duplicates
from baylight.control.duplicates import MAX_AHEAD
from baylight.control.sensors import Sensor
from baylight.control.strangers import count_strangers
from baylight.control.uplinks import Arrival, NewUplink
from baylight.domain.display_loop.display import Display
from baylight.domain.events import Ack, DeviceStatus, Ignored, Join, Log, Message, Rejected, TxAck, Uplink
from baylight.domain.ids import DevEui
from baylight.store.pool import Connection
from baylight.store.query import Copy, Statement, plain

MAX_AGE = timedelta(days=400)
"""Longest time that `observed_at` may lie in the past."""
MAX_PAYLOAD = 4096
"""Bytes of a rejected message that are stored."""
_MICROSECOND = timedelta(microseconds=1)
_made_at = attrgetter("at")

INSERT = Copy("uplinks", NewUplink)
_uplink_row = plain(NewUplink)
INSERT_STRANGER = Statement("control.batch.insert_stranger")
INSERT_REJECTED = Statement("control.batch.insert_rejected")


class Batch:
    """Events of a batch, and what became of its messages.

    `events`: in the order of receipt; uplinks are `Arrival`s. `arrivals`: the uplinks of `events` that are not found to
    be duplicates, in the order of the network server's clock. Each has a `received_at` of its own, so that a replay has
    this order. `counts`: number of messages by (kind, outcome).
    """

    def __init__(self, messages: Sequence[Message], now: datetime, *, recheck_all: bool) -> None:
        """`recheck_all`: look up every uplink in the table, even if its counter proves that it is new."""
        self.now = now
        self.recheck_all = recheck_all
        self.counts: Counter[tuple[str, str]] = Counter()
        self.rejected: list[Rejected] = []
        self.events: list[Arrival | Join | TxAck | Ack | Log | DeviceStatus] = []
        arrivals: dict[tuple[datetime, str], Arrival] = {}
        oldest, newest = now - MAX_AGE, now + MAX_AHEAD
        for message in messages:
            if isinstance(message, Uplink):
                observed_at, network_at = message.observed_at, message.network_at
                if not oldest < observed_at < newest:
                    if network_at is None or not oldest < network_at < newest:
                        self._reject(_bad_time(message))
                        continue
                    observed_at = network_at
                key = (observed_at, message.deduplication_id)
                if key in arrivals:
                    self.counts["uplink", "redelivered"] += 1
                    continue
                at = now if network_at is None or network_at > now else network_at
                arrivals[key] = arrival = Arrival(message, message.dev_eui, observed_at, now, at)
                self.events.append(arrival)
            elif isinstance(message, Ignored):
                self.counts["ignored", message.reason] += 1
            elif isinstance(message, Rejected):
                self._reject(message)
            else:
                self.counts[type(message).__name__.lower(), "accepted"] += 1
                self.events.append(message)
        self.arrivals = sorted(arrivals.values(), key=_made_at)
        for n, arrival in enumerate(self.arrivals):
            arrival.received_at = received_at = now + n * _MICROSECOND
            network_at = arrival.uplink.network_at
            arrival.at = received_at if network_at is None or network_at > received_at else network_at
        self.dev_euis = sorted({event.dev_eui for event in self.events})

    def _reject(self, message: Rejected) -> None:
        self.counts["rejected", message.reason] += 1
        self.rejected.append(message)

    async def leave_out_duplicates(self, connection: Connection, sensors: dict[DevEui, Sensor]) -> None:
        """Leave out uplinks that are stored, and copies of sensors' frames from a second network server."""
        suspects = [a for a in self.arrivals if self.recheck_all or not _surely_new(a, sensors)]
        await duplicates.mark_stored(connection, suspects)
        several = self._several
        candidates = self.arrivals if several else suspects
        of_sensors = [a for a in candidates if a.dev_eui in sensors]
        await duplicates.mark_copies(connection, of_sensors, sensors, several=several)
        self._drop_marked(suspected=bool(suspects) or several)

    async def leave_out_display_copies(
        self, connection: Connection, sensors: dict[DevEui, Sensor], displays: dict[DevEui, Display]
    ) -> None:
        """Leave out copies of the frames of displays and of unknown devices from a second network server."""
        others = [a for a in self.arrivals if a.dev_eui not in sensors]
        if others:
            await duplicates.mark_copies(connection, others, displays, several=self._several)
            self._drop_marked(suspected=True)

    @property
    def _several(self) -> bool:
        return len({arrival.uplink.network_server for arrival in self.arrivals}) > 1

    def _drop_marked(self, *, suspected: bool) -> None:
        if suspected:
            before = len(self.arrivals)
            self.arrivals = [a for a in self.arrivals if not a.duplicate]
            if before > len(self.arrivals):
                self.counts["uplink", "redelivered"] += before - len(self.arrivals)

    async def write_uplinks(self, connection: Connection) -> None:
        """Insert the uplinks of registered devices, and those of unknown devices that are kept."""
        known: list[Arrival] = []
        strangers: list[Arrival] = []
        for arrival in self.arrivals:
            self.counts["uplink", arrival.outcome] += 1
            (strangers if arrival.outcome == "unknown_device" else known).append(arrival)
        if known:
            await INSERT.run(connection, [_row(a) for a in known])
        if strangers:
            kept = await count_strangers(connection, strangers, self.now)
            await INSERT_STRANGER.run_many(connection, [_row(a) for a in kept])

    async def write_rejected(self, connection: Connection) -> None:
        """Store the messages that could not be read."""
        for message in self.rejected:
            await INSERT_REJECTED.run(
                connection,
                digest=hashlib.sha256(message.topic.encode(errors="replace") + b"\0" + message.payload).digest(),
                topic=message.topic.encode(errors="replace").decode(errors="replace").replace("\0", "\ufffd")[:1000],
                payload=message.payload[:MAX_PAYLOAD],
                payload_bytes=len(message.payload),
                reason=message.reason,
                detail=message.detail.replace("\0", "\ufffd")[:2000],
                now=self.now,
            )


def _surely_new(arrival: Arrival, sensors: dict[DevEui, Sensor]) -> bool:
    sensor = sensors.get(arrival.dev_eui)
    return sensor is not None and (sensor.frames_ahead(arrival.uplink) or 0) > 0


def _row(arrival: Arrival) -> NewUplink:
    u = arrival.uplink
    return _uplink_row(
        u.dev_eui, u.deduplication_id, arrival.observed_at, arrival.received_at, u.network_at, u.f_cnt, u.f_port,
        u.data, arrival.reading, arrival.occupancy, u.rssi_dbm, u.snr_db, u.gateway_id, arrival.outcome, arrival.error,
        u.network_server,
    )  # fmt: skip


def _bad_time(uplink: Uplink) -> Rejected:
    text = f"{uplink.dev_eui} {uplink.deduplication_id} f_port {uplink.f_port}: {uplink.data.hex()}"
    detail = f"the time of the event, {uplink.observed_at.isoformat()}, is out of range"
    return Rejected("", text.encode(), "time_out_of_range", detail)
