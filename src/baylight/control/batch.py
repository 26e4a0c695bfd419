"""One batch of messages: what it holds, what the database knows of it, and how it is written. Ingest runs it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from uuid import UUID

from baylight.codecs.ts013 import PREFIX
from baylight.control import displays as shadow_store
from baylight.control import spaces as decisions
from baylight.control.strangers import note_strangers
from baylight.control.uplinks import Arrival, DisplaySeen, Sensor, hear_sensor
from baylight.domain.actuation import LoopPolicy
from baylight.domain.closed_loop import Shadow
from baylight.domain.events import DeviceStatus, Event, Ignored, Join, Message, Rejected, Uplink
from baylight.domain.state import SensorView
from baylight.store.pool import Connection, array_literal, update_all
from baylight.store.query import queries

Told = tuple[Arrival, Sensor, SensorView]
"""An uplink, its sensor, and what is known of that after it."""

OLDEST, NEWEST = timedelta(days=400), timedelta(days=2)
"""How far an event's own time may lie in the past and in the future; gateways without GPS run minutes ahead (B19)."""
SAME_FRAME = timedelta(minutes=1)
"""How far apart two network servers may say that they heard the same frame: clocks, and a device that repeats it."""
KEPT_PAYLOAD = 4096
_MICROSECOND = timedelta(microseconds=1)
_NOTED = (Join, DeviceStatus)
_made_at = attrgetter("at")


class OtherCodecError(Exception):
    """`codecs`: sensors' EUIs -> the JavaScript codecs that must decode their uplinks, None: a built-in one does."""

    def __init__(self, codecs: dict[str, str | None]) -> None:
        super().__init__(codecs)
        self.codecs = codecs


class Batch:
    """A batch on its way: what came, which devices it speaks of, what became of it."""

    def __init__(self, messages: Sequence[Message], now: datetime, *, doubt: bool) -> None:
        """`doubt`: no frame is surely new."""
        self.now = now
        self.doubt = doubt
        self.counts: Counter[tuple[str, str]] = Counter()
        self.rejected: list[Rejected] = []
        self.events: list[Event] = []
        uplinks: dict[tuple[datetime, str], Uplink] = {}
        oldest, newest = now - OLDEST, now + NEWEST
        for message in messages:
            if isinstance(message, Uplink):
                observed_at = message.observed_at
                if not oldest < observed_at < newest:
                    # Its own time is absurd: the network server's, if that is not.
                    if message.network_at is None or not oldest < message.network_at < newest:
                        self._reject(_absurd(message))
                        continue
                    observed_at = message.network_at
                key = (observed_at, message.deduplication_id)
                if key in uplinks:
                    self.counts["uplink", "redelivered"] += 1
                else:
                    uplinks[key] = message
                    self.events.append(message)
            elif isinstance(message, Ignored):
                self.counts["ignored", message.reason] += 1
            elif isinstance(message, Rejected):
                self._reject(message)
            else:
                self.counts[type(message).__name__.lower(), "taken"] += 1
                self.events.append(message)
        # In the order of the network server's clock; each gets a time of ours, so that they replay in this order.
        arrivals = [Arrival(uplink, observed_at, now) for (observed_at, _), uplink in uplinks.items()]
        self.arrivals = sorted(arrivals, key=_made_at)
        for n, arrival in enumerate(self.arrivals):
            arrival.received_at = now + n * _MICROSECOND
        self.sensors: dict[str, Sensor] = {}
        self.displays: dict[str, DisplaySeen] = {}

    def _reject(self, message: Rejected) -> None:
        self.counts["rejected", message.reason] += 1
        self.rejected.append(message)

    async def load_devices(self, connection: Connection) -> None:
        euis = sorted({event.dev_eui for event in self.events})
        if euis:
            sql = queries("control.ingest")
            rows = await connection.fetch(sql["lock_sensors"], array_literal(euis))
            self.sensors = {row["dev_eui"]: Sensor.of(row) for row in rows}
            if others := [eui for eui in euis if eui not in self.sensors]:
                found = await connection.fetch(sql["find_displays"], others)
                self.displays = {r["dev_eui"]: DisplaySeen.of(r) for r in found}
        for event in self.events:
            if isinstance(event, _NOTED) and (sensor := self.sensors.get(event.dev_eui)):
                sensor.note(event)

    def check_codecs(self) -> None:
        """Raises OtherCodecError unless the uplinks of devices with a JavaScript codec, and no others, went by it."""
        others: dict[str, str | None] = {}
        for arrival in self.arrivals:
            eui = arrival.uplink.dev_eui
            if device := self.sensors.get(eui) or self.displays.get(eui):
                codec = device.codec if device.codec.startswith(PREFIX) else None
                if codec != arrival.decoded_by:
                    others[eui] = codec
        if others:
            raise OtherCodecError(others)

    async def leave_out_known(self, connection: Connection) -> None:
        """The table is asked of frames whose counter did not go on, which are few: the sensor's row is locked, and
        was written with each of its uplinks."""
        asked = [a for a in self.arrivals if self.doubt or not self._surely_new(a.uplink)]
        if not asked:
            return
        times = [a.observed_at for a in asked]
        ids = [a.uplink.deduplication_id for a in asked]
        found = await connection.fetch(queries("control.ingest")["known_uplinks"], times, ids, min(times), max(times))
        if found:
            known = {(r["observed_at"], str(r["deduplication_id"])) for r in found}
            self.counts["uplink", "redelivered"] += len(known)
            self.arrivals = [a for a in self.arrivals if (a.observed_at, a.uplink.deduplication_id) not in known]

    def _surely_new(self, uplink: Uplink) -> bool:
        sensor = self.sensors.get(uplink.dev_eui)
        return sensor is not None and (sensor.frames_ahead(uplink) or 0) > 0

    async def leave_out_copies(self, connection: Connection) -> None:
        """A frame that two network servers heard counts once: same device, session, counter and data, at the same
        time. As above, the table is asked of few."""
        frames: dict[object, Arrival] = {}
        asked: list[Arrival] = []
        copies: set[int] = set()
        several = len({arrival.uplink.network_server for arrival in self.arrivals}) > 1
        for arrival in self.arrivals:
            u = arrival.uplink
            first = arrival
            if several:
                first = frames.setdefault((u.dev_eui, u.dev_addr, u.f_cnt, u.f_port, u.data), arrival)
            device = self.sensors.get(u.dev_eui) or self.displays.get(u.dev_eui)
            if first.uplink.network_server != u.network_server and arrival.at - first.at <= SAME_FRAME:
                copies.add(id(arrival))
            elif device is not None and (ahead := device.frames_ahead(u)) is not None and ahead <= 0:
                asked.append(arrival)
        if asked:
            frame = [(a.uplink.dev_eui, a.uplink.f_cnt, a.uplink.f_port, a.uplink.data) for a in asked]
            times = [a.at for a in asked]
            found = await connection.fetch(
                queries("control.ingest")["known_copies"],
                *(list(c) for c in zip(*frame, strict=True)),
                [a.uplink.network_server for a in asked],
                times,
                SAME_FRAME,
                min(times) - NEWEST,
            )
            copies |= {id(asked[row["place"] - 1]) for row in found}
        if copies:
            self.counts["uplink", "redelivered"] += len(copies)
            self.arrivals = [a for a in self.arrivals if id(a) not in copies]

    def hear_sensors(self) -> list[Told]:
        """Decodes all uplinks of sensors; returns those that their spaces must hear of."""
        told = []
        for arrival in self.arrivals:
            sensor = self.sensors.get(arrival.uplink.dev_eui)
            if sensor is not None and hear_sensor(sensor, arrival):
                told.append((arrival, sensor, sensor.view()))
        return told

    async def label_unassigned(self, connection: Connection) -> None:
        """Readings that changed nothing, of sensors that serve no space."""
        unchanged = [(a, self.sensors[a.uplink.dev_eui].id) for a in self.arrivals if a.outcome == "unchanged"]
        if unchanged:
            rows = await connection.fetch(
                queries("control.ingest")["serving_sensors"], array_literal({id for _, id in unchanged})
            )
            serving = {row["sensor_device_id"] for row in rows}
            for arrival, sensor_id in unchanged:
                if sensor_id not in serving:
                    arrival.outcome = "unassigned"

    async def load_spaces(self, connection: Connection, sensors: Iterable[UUID]) -> list[decisions.Space]:
        """The spaces of these sensors, and of the displays that were heard."""
        asked, displays = list(sensors), [d.id for d in self.displays.values()]
        if not (asked or displays):
            return []
        sql = queries("control.spaces")["lock_spaces_of_devices"]
        rows = await connection.fetch(sql, array_literal(asked), array_literal(displays))
        return [decisions.to_space(row) for row in rows]

    async def load_shadows(
        self, connection: Connection, spaces: list[decisions.Space], policy: LoopPolicy
    ) -> dict[UUID, Shadow]:
        """The shadows of displays that were heard, and of those that spaces which changed state have. If no display was
        heard, each gets a new decision, and nothing else: what waits to be sent is not read for that."""
        serves = {s.display_id: s.id for s in reversed(spaces) if s.display_id}
        ids = {s.display_id for s in spaces if s.display_id and s.changes} | {d.id for d in self.displays.values()}
        return await shadow_store.load(connection, ids, policy, serves, pending=bool(self.displays))

    async def write_uplinks(self, connection: Connection) -> None:
        known = [a for a in self.arrivals if a.outcome != "unknown_device"]
        for arrival in self.arrivals:
            self.counts["uplink", arrival.outcome] += 1
        if known:
            await connection.copy_records_to_table("uplinks", columns=Arrival.COLUMNS, records=[a.row() for a in known])
        if len(known) < len(self.arrivals):
            strangers = [a for a in self.arrivals if a.outcome == "unknown_device"]
            kept = [a.row() for a in await note_strangers(connection, strangers, self.now)]
            await connection.executemany(queries("control.ingest")["insert_strangers"], kept)

    async def write_devices(self, connection: Connection) -> None:
        sql = queries("control.ingest")
        sensors = [s.row() for s in self.sensors.values() if s.seen_at is not None]
        if sensors:
            await update_all(connection, sql["update_sensors"], sensors, self.now)
        facts = [s.facts() for s in self.sensors.values() if s.facts_changed]
        if facts:
            await connection.execute(sql["update_sensor_facts"], facts)
        displays = [d.row() for d in self.displays.values()]
        if displays:
            await connection.execute(sql["update_heard_displays"], displays)

    async def write_rejected(self, connection: Connection) -> None:
        for message in self.rejected:
            digest = hashlib.sha256(message.topic.encode(errors="replace") + b"\0" + message.payload).digest()
            topic = message.topic.encode(errors="replace").decode(errors="replace").replace("\0", "\ufffd")
            detail = message.detail.replace("\0", "\ufffd")[:2000]
            kept = message.payload[:KEPT_PAYLOAD]
            await connection.execute(
                queries("control.ingest")["keep_rejected"],
                digest,
                topic[:1000],
                kept,
                len(message.payload),
                message.reason,
                detail,
                self.now,
            )


def _absurd(uplink: Uplink) -> Rejected:
    text = f"{uplink.dev_eui} {uplink.deduplication_id} f_port {uplink.f_port}: {uplink.data.hex()}"
    detail = f"the event's time {uplink.observed_at.isoformat()} cannot be true"
    return Rejected("", text.encode(), "time_out_of_range", detail)
