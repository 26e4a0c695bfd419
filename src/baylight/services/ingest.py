"""The way of an event into the database: one batch, one transaction, acknowledged by the caller after the commit."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from uuid import UUID

import asyncpg

from baylight.codecs.ts013 import PREFIX
from baylight.domain.actuation import LoopPolicy
from baylight.domain.closed_loop import Shadow
from baylight.domain.downlink import TriggerType
from baylight.domain.events import DeviceStatus, Event, Ignored, Join, Rejected, Uplink
from baylight.domain.state import Policy, SensorView
from baylight.errors import TransientError
from baylight.log import logger
from baylight.ports import Clock, CodecEngine
from baylight.services import decisions, orphans
from baylight.services import shadows as shadow_store
from baylight.services.codecs import Decoders
from baylight.services.hearing import Arrival, DisplaySeen, Sensor, hear_display, hear_sensor
from baylight.store.pool import RETRY, Connection, Pool
from baylight.store.queries import queries

log = logger("ingest")

Message = Event | Ignored | Rejected

OLDEST, NEWEST = timedelta(days=400), timedelta(days=2)
"""How far an event's own time may lie in the past and in the future; gateways without GPS run minutes ahead (B19)."""
REMEMBERED = timedelta(days=20)
SAME_FRAME = timedelta(minutes=1)
"""How far apart two network servers may say that they heard the same frame: clocks, and a device that repeats it."""
KEPT_PAYLOAD = 4096
HALVED_FROM = 100
DECODE_TRIES = 5
GATEWAY_EVERY = timedelta(minutes=1)


class Ingest:
    """Takes batches of messages. Safe to call from several tasks and processes at once: rows are locked in one order.

    `counts`: what became of messages since the start, by (kind, outcome), both of bounded vocabularies.
    """

    def __init__(
        self, pool: Pool, clock: Clock, policy: Policy, loop_policy: LoopPolicy, engine: CodecEngine | None = None
    ) -> None:
        """`engine`: without one, JavaScript codecs are unknown codecs."""
        self._pool = pool
        self._decoders = Decoders(pool, engine) if engine else None
        self._scripted: dict[str, str | None] = {}
        self._clock = clock
        self._policy = policy
        self._loop_policy = loop_policy
        self._months: set[tuple[int, int]] = set()
        self._gateways: dict[str, datetime] = {}
        self.counts: Counter[tuple[str, str]] = Counter()

    async def take(self, messages: Sequence[Message]) -> None:
        """Stores a batch; what it says is decided and to be sent when this returns. Idempotent: a message that was
        taken before changes nothing. Raises TransientError if the database cannot do it now: nothing was stored."""
        now = self._clock.now()
        lanes = _lanes(messages)
        stamps = accumulate((len(lane) for lane in lanes), initial=0)
        batches = [_Batch(lane, now, first) for lane, first in zip(lanes, stamps, strict=False)]
        done = await asyncio.gather(*(self._take_lane(batch) for batch in batches), return_exceptions=True)
        for failure in done:
            if isinstance(failure, BaseException):
                raise failure

    async def _take_lane(self, batch: _Batch) -> None:
        try:
            await self._ensure_partitions(batch)
            await self._store_decoded(batch)
        except RETRY as error:
            raise TransientError("batch_not_stored", f"the batch could not be stored: {error}") from error
        except asyncpg.UniqueViolationError as error:
            if not str(error.table_name).startswith("uplinks"):
                raise
            # A copy of an uplink that another process stored at the same moment: the next try finds it.
            raise TransientError("uplink_stored_meanwhile", str(error), retry_after_s=0.01) from error
        self.counts.update(batch.counts)
        log.debug("batch", outcomes={f"{kind}.{outcome}": n for (kind, outcome), n in batch.counts.items()})
        await self._see_gateways(batch)

    async def _store_decoded(self, batch: _Batch) -> None:
        """JavaScript codecs run before the transaction, for the sensors that are known to need one. Where the
        transaction finds that a sensor's codec is another than was thought, it has to begin anew."""
        for _ in range(DECODE_TRIES):
            await self._decode(batch)
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    return await self._store(connection, batch)
            except _OtherCodecError as error:
                self._scripted.update(error.codecs)
        raise TransientError("batch_not_stored", "the codecs of sensors change again and again")

    async def _decode(self, batch: _Batch) -> None:
        todo = []
        for arrival in batch.arrivals:
            codec = self._scripted.get(arrival.uplink.dev_eui)
            if codec != arrival.decoded_by:
                arrival.decoded, arrival.decoded_by = None, codec
                if codec:
                    todo.append(arrival)
        if todo and self._decoders:
            uplinks = [(a.decoded_by or "", a.uplink.f_port, a.uplink.data, a.received_at) for a in todo]
            for arrival, result in zip(todo, await self._decoders.decode(uplinks), strict=True):
                arrival.decoded = result

    async def _store(self, connection: Connection, batch: _Batch) -> None:
        policy = self._policy
        await batch.load_devices(connection)
        if self._decoders:
            batch.check_codecs()
        await batch.leave_out_known(connection)
        await batch.leave_out_copies(connection)
        spaces = await batch.load_spaces(connection)
        await decisions.load_inputs(connection, spaces, batch.now, batch.views())
        serving: dict[UUID, list[decisions.Space]] = {}
        for space in spaces:
            if space.sensor_id:
                serving.setdefault(space.sensor_id, []).append(space)

        for arrival in batch.arrivals:
            if sensor := batch.sensors.get(arrival.uplink.dev_eui):
                served = serving.get(sensor.id, [])
                if hear_sensor(sensor, arrival, assigned=bool(served)):
                    _decide(served, sensor, arrival, policy)

        shadows = await batch.load_shadows(connection, spaces, self._loop_policy)
        heard = _hear_displays(batch, shadows)
        failed = decisions.actuate(spaces, shadows)

        await batch.write_uplinks(connection)
        await batch.write_devices(connection)
        await decisions.save(connection, spaces, batch.now)
        await shadow_store.insert_failed(connection, failed)
        await shadow_store.save(connection, shadows.values())
        await shadow_store.save_display_states(connection, heard, [s.id for s in spaces], batch.now)
        await batch.write_rejected(connection)

    async def _ensure_partitions(self, batch: _Batch) -> None:
        months = {(a.observed_at.year, a.observed_at.month): a.observed_at for a in batch.arrivals}
        for month in months.keys() - self._months:
            await self._pool.execute(queries("ingest")["ensure_partition"], "uplinks", months[month])
            if batch.now - months[month] < REMEMBERED:  # an older one may be dropped by retention
                self._months.add(month)

    async def _see_gateways(self, batch: _Batch) -> None:
        """Outside the batch's transaction: rows that every batch would wait for, and that nothing depends on."""
        seen = {a.uplink.gateway_id for a in batch.arrivals if a.uplink.gateway_id}
        due = [g for g in seen if g not in self._gateways or batch.now - self._gateways[g] >= GATEWAY_EVERY]
        if due:
            try:
                await self._pool.execute(queries("ingest")["see_gateways"], sorted(due), batch.now)
            except RETRY as error:
                log.debug("gateways not noted", error=str(error))
                return
            self._gateways.update(dict.fromkeys(due, batch.now))


def _lanes(messages: Sequence[Message]) -> list[Sequence[Message]]:
    """Large batches are halved by device: one half computes while the database works on the other. What one device
    says stays in order."""
    if len(messages) < HALVED_FROM:
        return [messages]
    lanes: tuple[list[Message], list[Message]] = ([], [])
    for message in messages:
        lanes[0 if isinstance(message, Ignored | Rejected) else hash(message.dev_eui) & 1].append(message)
    return [lane for lane in lanes if lane]


def _decide(spaces: Iterable[decisions.Space], sensor: Sensor, arrival: Arrival, policy: Policy) -> None:
    view = sensor.view()
    source = str(arrival.uplink.deduplication_id)
    for space in spaces:
        space.inputs = space.inputs.with_sensor(view)
        if space.evaluate(policy, arrival.received_at, TriggerType.SENSOR_UPLINK, source, arrival.observed_at):
            arrival.outcome = "state_changed"


def _hear_displays(batch: _Batch, shadows: dict[UUID, Shadow]) -> list[Shadow]:
    """Tells the displays' shadows what came; returns those that events named."""
    heard: dict[UUID, Shadow] = {}
    arrivals = {id(a.uplink): a for a in batch.arrivals}
    for event in batch.events:
        display = batch.displays.get(event.dev_eui)
        if display is None or (event.dev_eui in batch.sensors and isinstance(event, Uplink)):
            continue
        arrival = arrivals.get(id(event))
        if isinstance(event, Uplink) and arrival is None:
            continue
        shadow = shadows[display.id]
        hear_display(shadow, display, event, arrival, batch.now)
        heard[display.id] = shadow
    return list(heard.values())


class _OtherCodecError(Exception):
    """`codecs`: sensors' EUIs -> the JavaScript codecs that must decode their uplinks, None: a built-in one does."""

    def __init__(self, codecs: dict[str, str | None]) -> None:
        super().__init__(codecs)
        self.codecs = codecs


class _Batch:
    """A batch on its way: what came, which devices it speaks of, what became of it."""

    def __init__(self, messages: Sequence[Message], now: datetime, first: int) -> None:
        self.now = now
        self.counts: Counter[tuple[str, str]] = Counter()
        self.rejected: list[Rejected] = []
        self.events: list[Event] = []
        uplinks: dict[tuple[datetime, UUID], Uplink] = {}
        for message in messages:
            if isinstance(message, Ignored):
                self.counts["ignored", message.reason] += 1
            elif isinstance(message, Rejected):
                self._reject(message)
            elif isinstance(message, Uplink):
                observed_at = self._plausible(message)
                if observed_at is None:
                    continue
                key = (observed_at, message.deduplication_id)
                if key in uplinks:
                    self.counts["uplink", "redelivered"] += 1
                else:
                    uplinks[key] = message
                    self.events.append(message)
            else:
                self.counts[type(message).__name__.lower(), "taken"] += 1
                self.events.append(message)
        # In the order of the network server's clock; each gets a time of ours, so that they replay in this order.
        ordered = sorted(uplinks.items(), key=lambda item: min(item[1].network_at or now, now))
        self.arrivals = [
            Arrival(uplink, key[0], now + timedelta(microseconds=n)) for n, (key, uplink) in enumerate(ordered, first)
        ]
        self.sensors: dict[str, Sensor] = {}
        self.displays: dict[str, DisplaySeen] = {}

    def _reject(self, message: Rejected) -> None:
        self.counts["rejected", message.reason] += 1
        self.rejected.append(message)

    def _plausible(self, uplink: Uplink) -> datetime | None:
        """The uplink's key time: its own, or the network server's where its own is absurd."""
        for at in (uplink.observed_at, uplink.network_at):
            if at is not None and self.now - OLDEST < at < self.now + NEWEST:
                return at
        text = f"{uplink.dev_eui} {uplink.deduplication_id} f_port {uplink.f_port}: {uplink.data.hex()}"
        detail = f"the event's time {uplink.observed_at.isoformat()} cannot be true"
        self._reject(Rejected("", text.encode(), "time_out_of_range", detail))
        return None

    async def load_devices(self, connection: Connection) -> None:
        euis = sorted({event.dev_eui for event in self.events})
        if euis:
            sql = queries("ingest")
            self.sensors = {r["dev_eui"]: Sensor.of(r) for r in await connection.fetch(sql["lock_sensors"], euis)}
            if others := [eui for eui in euis if eui not in self.sensors]:
                found = await connection.fetch(sql["find_displays"], others)
                self.displays = {r["dev_eui"]: DisplaySeen.of(r) for r in found}
        for event in self.events:
            sensor = self.sensors.get(event.dev_eui)
            if sensor is not None and isinstance(event, Join | DeviceStatus):
                sensor.note(event)

    def check_codecs(self) -> None:
        """Raises _OtherCodecError unless the uplinks of sensors with a JavaScript codec, and no others, went by it."""
        others: dict[str, str | None] = {}
        for arrival in self.arrivals:
            if sensor := self.sensors.get(arrival.uplink.dev_eui):
                codec = sensor.codec if sensor.codec.startswith(PREFIX) else None
                if codec != arrival.decoded_by:
                    others[arrival.uplink.dev_eui] = codec
        if others:
            raise _OtherCodecError(others)

    async def leave_out_known(self, connection: Connection) -> None:
        if not self.arrivals:
            return
        times = [a.observed_at for a in self.arrivals]
        ids = [a.uplink.deduplication_id for a in self.arrivals]
        found = await connection.fetch(queries("ingest")["known_uplinks"], times, ids, min(times), max(times))
        if found:
            known = {(r["observed_at"], r["deduplication_id"]) for r in found}
            self.counts["uplink", "redelivered"] += len(known)
            self.arrivals = [a for a in self.arrivals if (a.observed_at, a.uplink.deduplication_id) not in known]

    async def leave_out_copies(self, connection: Connection) -> None:
        """A frame that two network servers heard counts once: same device, session, counter and data, at the same
        time. The table is asked only of frames whose counter did not go on, which are few."""
        frames: dict[object, Arrival] = {}
        asked: list[Arrival] = []
        copies: set[int] = set()
        for arrival in self.arrivals:
            u = arrival.uplink
            first = frames.setdefault((u.dev_eui, u.dev_addr, u.f_cnt, u.f_port, u.data), arrival)
            device = self.sensors.get(u.dev_eui) or self.displays.get(u.dev_eui)
            if first.uplink.network_server != u.network_server and arrival.at - first.at <= SAME_FRAME:
                copies.add(id(arrival))
            elif device is not None and device.went_beyond(u):
                asked.append(arrival)
        if asked:
            frame = [(a.uplink.dev_eui, a.uplink.f_cnt, a.uplink.f_port, a.uplink.data) for a in asked]
            times = [a.at for a in asked]
            found = await connection.fetch(
                queries("ingest")["known_copies"],
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

    async def load_spaces(self, connection: Connection) -> list[decisions.Space]:
        rows = await connection.fetch(
            queries("decisions")["lock_spaces_of_devices"],
            [s.id for s in self.sensors.values()],
            [d.id for d in self.displays.values()],
        )
        return [decisions.to_space(row) for row in rows]

    def views(self) -> dict[UUID, SensorView]:
        return {s.id: s.view() for s in self.sensors.values()}

    async def load_shadows(
        self, connection: Connection, spaces: list[decisions.Space], policy: LoopPolicy
    ) -> dict[UUID, Shadow]:
        serves = {s.display_id: s.id for s in reversed(spaces) if s.display_id}
        ids = {s.display_id for s in spaces if s.display_id and s.changes} | {d.id for d in self.displays.values()}
        return await shadow_store.load(connection, ids, policy, serves)

    async def write_uplinks(self, connection: Connection) -> None:
        known = [a for a in self.arrivals if a.outcome != "unknown_device"]
        for arrival in self.arrivals:
            self.counts["uplink", arrival.outcome] += 1
        if known:
            await connection.copy_records_to_table("uplinks", columns=Arrival.COLUMNS, records=[a.row() for a in known])
        if len(known) < len(self.arrivals):
            strangers = [a for a in self.arrivals if a.outcome == "unknown_device"]
            kept = [a.row() for a in await orphans.hear(connection, strangers, self.now)]
            await connection.executemany(queries("ingest")["insert_strangers"], kept)

    async def write_devices(self, connection: Connection) -> None:
        sql = queries("ingest")
        sensors = [s.row() for s in self.sensors.values() if s.seen_at is not None]
        if sensors:
            await connection.execute(sql["update_sensors"], sensors)
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
                queries("ingest")["keep_rejected"],
                digest,
                topic[:1000],
                kept,
                len(message.payload),
                message.reason,
                detail,
                self.now,
            )
