"""Batch of messages: sorted on arrival, and what of it is written whatever the devices are. Ingest drives it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from datetime import datetime, timedelta
from operator import attrgetter

from baylight.control.events import duplicates
from baylight.control.events.gateway_facts import GatewayFacts
from baylight.control.events.strangers import count_strangers
from baylight.control.events.uplinks import Arrival, NewUplink, Waiting
from baylight.domain.display_loop.display import Display
from baylight.domain.events import MAX_DELAY, Ack, DeviceStatus, Ignored, Join, Log, Message, Rejected, TxAck, Uplink
from baylight.domain.ids import DevEui
from baylight.domain.sensor import Sensor
from baylight.store.pool import Connection
from baylight.store.query import Copy, RowsStatement, Statement, plain

MAX_AGE = timedelta(days=400)
"""Longest time that an event's own time may lie in the past, for the partition that its row goes to."""
MAX_AHEAD = timedelta(days=2)
"""Longest time that a clock may be ahead of ours: gateways without GPS run minutes ahead (B19)."""
MAX_PAYLOAD = 4096
MAX_REJECTED = 10_000
"""Rows of rejected messages. Those beyond are counted in the metrics and in the condition `messages_refused` alone."""
"""Bytes of a rejected message that are stored."""
_MICROSECOND = timedelta(microseconds=1)
_made_at = attrgetter("at")

INSERT = Copy("uplinks", NewUplink)
INSERT_TO_DECODE = RowsStatement("control.batch.insert_to_decode", Waiting)
_uplink_row = plain(NewUplink)
INSERT_STRANGER = Statement("control.batch.insert_stranger")
INSERT_REJECTED = Statement("control.batch.insert_rejected")


class Batch:
    """Events of a batch, and what became of its messages.

    `events`: in the order of receipt; uplinks are `Arrival`s. `arrivals`: the uplinks of `events` that are not found to
    be duplicates, in the order of `_in_order`. Each has a `received_at` of its own, so that a replay has this order.
    `counts`: number of messages by (kind, outcome).
    """

    def __init__(
        self, messages: Sequence[Message], now: datetime, *, recheck_all: bool, quick_s: float | None = None
    ) -> None:
        """`recheck_all`: look up every uplink in the table, even if its counter proves that it is new.

        `quick_s`: as in `ports.CodecEngine.run`.
        """
        self.now = now
        self.quick_s = quick_s
        self.recheck_all = recheck_all
        self.counts: Counter[tuple[str, str]] = Counter()
        self.gateway_facts = GatewayFacts()
        self.rejected: list[Rejected] = []
        self.events: list[Arrival | Join | TxAck | Ack | Log | DeviceStatus] = []
        arrivals: dict[tuple[datetime | None, str], Arrival] = {}
        oldest, longest_delay, newest = now - MAX_AGE, now - MAX_DELAY, now + MAX_AHEAD
        for message in messages:
            if isinstance(message, Uplink):
                observed_at, network_at = message.observed_at, message.network_at
                if network_at is not None and not longest_delay < network_at < newest:
                    network_at = None
                if observed_at is None or not oldest < observed_at < newest:
                    observed_at = network_at
                key = (observed_at, message.deduplication_id)
                if key in arrivals:
                    self.counts["uplink", "redelivered"] += 1
                    continue
                at = now if network_at is None or network_at > now else network_at
                timeless = observed_at is None
                arrivals[key] = arrival = Arrival(
                    message, message.dev_eui, observed_at or now, network_at, now, at, timeless=timeless
                )
                self.events.append(arrival)
            elif isinstance(message, Ignored):
                self.counts["ignored", message.reason] += 1
            elif isinstance(message, Rejected):
                self._reject(message)
            else:
                self.counts[type(message).__name__.lower(), "accepted"] += 1
                self.events.append(message)
        self.arrivals = _in_order(list(arrivals.values()))
        for n, arrival in enumerate(self.arrivals):
            arrival.receive(now + n * _MICROSECOND)
        self.dev_euis = sorted({event.dev_eui for event in self.events})

    def _reject(self, message: Rejected) -> None:
        self.counts["rejected", message.reason] += 1
        self.rejected.append(message)

    async def leave_out_duplicates(self, connection: Connection, sensors: dict[DevEui, Sensor]) -> None:
        """Leave out uplinks that are stored. Look up the frames of sensors whose counter may be known."""
        suspects = [a for a in self.arrivals if self.recheck_all or not _surely_new(a, sensors)]
        if suspects:
            await duplicates.mark_stored(connection, suspects)
            await duplicates.mark_known(connection, suspects, sensors, self.now)
            self.drop_marked()

    async def leave_out_display_copies(
        self, connection: Connection, sensors: dict[DevEui, Sensor], displays: dict[DevEui, Display]
    ) -> None:
        """Leave out known frames of displays, and copies of the frames of unknown devices."""
        others = [a for a in self.arrivals if a.dev_eui not in sensors]
        if others:
            await duplicates.mark_known(connection, others, displays, self.now)
            duplicates.mark_copies(others, displays)
            self.drop_marked()

    def drop_marked(self) -> None:
        """Leave out the uplinks that are found to be duplicates."""
        before = len(self.arrivals)
        self.arrivals = [a for a in self.arrivals if not a.duplicate]
        if before > len(self.arrivals):
            self.counts["uplink", "redelivered"] += before - len(self.arrivals)

    async def write_uplinks(self, connection: Connection, registered: Container[DevEui] = ()) -> None:
        """Insert the uplinks of registered devices, and those of unknown devices that are kept; count their joins.

        `registered`: the devices of the batch that are known to be registered.
        """
        known: list[Arrival] = []
        strangers: list[Arrival] = []
        for arrival in self.arrivals:
            self.counts["uplink", arrival.outcome] += 1
            (strangers if arrival.outcome == "unknown_device" else known).append(arrival)
        if known:
            await INSERT.run(connection, [_row(a) for a in known])
            if waiting := [Waiting.of(a) for a in known if a.outcome == "to_decode"]:
                await INSERT_TO_DECODE.run_all(connection, waiting)
        joins = [e for e in self.events if isinstance(e, Join) and e.dev_eui not in registered]
        if strangers or joins:
            kept = await count_strangers(connection, strangers, joins, self.now)
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
                max_rows=MAX_REJECTED,
            )


def _in_order(arrivals: list[Arrival]) -> list[Arrival]:
    """Return uplinks by the network server's clock; those of a device as they came, if its counters contradict that."""
    ordered = sorted(arrivals, key=_made_at)
    newest: dict[str, Uplink] = {}
    contradicted = set()
    for arrival in ordered:
        uplink = arrival.uplink
        before = newest.get(uplink.dev_eui)
        newest[uplink.dev_eui] = uplink
        if before is not None and before.dev_addr == uplink.dev_addr and (before.f_cnt or 0) > (uplink.f_cnt or 0):
            contradicted.add(uplink.dev_eui)
    if not contradicted:
        return ordered
    as_they_came = _by_device(arrivals)
    return [next(as_they_came[a.dev_eui]) if a.dev_eui in contradicted else a for a in ordered]


def _by_device(arrivals: list[Arrival]) -> dict[DevEui, Iterator[Arrival]]:
    found: dict[DevEui, list[Arrival]] = {}
    for arrival in arrivals:
        found.setdefault(arrival.dev_eui, []).append(arrival)
    return {dev_eui: iter(of_device) for dev_eui, of_device in found.items()}


def _surely_new(arrival: Arrival, sensors: dict[DevEui, Sensor]) -> bool:
    sensor = sensors.get(arrival.dev_eui)
    if sensor is None or arrival.timeless:
        return False
    return (sensor.frames_ahead(arrival.uplink) or 0) > 0 and sensor.known_in(arrival.uplink) is None


def _row(arrival: Arrival) -> NewUplink:
    u = arrival.uplink
    return _uplink_row(
        u.dev_eui, u.deduplication_id, arrival.observed_at, arrival.received_at, arrival.network_at, u.f_cnt, u.f_port,
        u.data, arrival.reading, arrival.occupancy, u.rssi_dbm, u.snr_db, u.gateway_id, arrival.outcome, arrival.error,
        u.network_server, arrival.session,
    )  # fmt: skip
