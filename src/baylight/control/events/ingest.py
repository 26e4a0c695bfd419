"""Store events: one batch is one transaction. The caller acknowledges the batch after the commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from baylight.codecs.ts013.calls import PREFIX
from baylight.control import displays, sensors, spaces
from baylight.control.events import later
from baylight.control.events.batch import Batch
from baylight.control.events.display_events import receive_event
from baylight.control.events.gateway_facts import GatewayWriter, facts_of, proven_by
from baylight.control.events.later import Due, LaterBatch
from baylight.control.events.scripted import Decoders
from baylight.control.events.uplinks import Arrival, receive_reading
from baylight.control.spaces import Space
from baylight.domain.display_loop.display import Display
from baylight.domain.downlink import TriggerType
from baylight.domain.events import Log, Message, TxAck, device_of
from baylight.domain.ids import DevEui
from baylight.domain.policies import Policies
from baylight.domain.sensor import Sensor
from baylight.domain.state import SensorView
from baylight.errors import DeviceDataError, DevicesHeldError, TransientError
from baylight.log import logger
from baylight.ports import Clock, CodecEngine
from baylight.store.connect import RETRY
from baylight.store.pool import Connection, Pool
from baylight.store.query import Statement

log = logger("ingest")

RECENT_WINDOW = timedelta(days=20)
"""The partition of a month is looked for once in a process, if an uplink is no older: retention may drop older ones."""
MAX_TRIES = 6
"""Transactions for one batch, if the codecs of its devices change meanwhile."""

DECODE_WITHIN_S = 2.0
"""Seconds in which the JavaScript codecs of a batch may run. What they have not decoded then is stored as `to_decode`.

With the call under way, a batch waits at most half a second more.
"""
QUICK_S = 0.1
"""CPU seconds of a batch that codecs may use until they are known as slow. What slow codecs decode waits apart."""
MAX_FAULTS_PER_UPLINK = 2
"""Calls for one uplink that use too much CPU time, or end their worker, until the uplink is not decodable."""
_FAULTS = {"codec_timeout", "codec_crashed"}

ENSURE_PARTITION = Statement("control.ingest.ensure_partition")

SensorUpdate = tuple[Arrival, Sensor, SensorView]
"""An uplink, its sensor, and the sensor's state after the uplink."""


class _OtherCodecError(Exception):
    """`codecs`: DevEUIs -> the JavaScript codecs that must decode their uplinks; None: a built-in codec must."""

    def __init__(self, codecs: dict[str, str | None]) -> None:
        super().__init__(codecs)
        self.codecs = codecs


class Ingest:
    """Store batches of messages. Safe to call from several tasks and processes: rows are locked in one order.

    `counts`: number of messages since the start, by (kind, outcome), both of bounded vocabularies.
    """

    def __init__(self, pool: Pool, clock: Clock, policies: Policies, engine: CodecEngine | None = None) -> None:
        """`engine`: without one, JavaScript codecs are unknown codecs."""
        self._pool = pool
        self.decoders = Decoders(pool, engine) if engine else None
        self._scripted: dict[str, str | None] = {}
        self._clock = clock
        self._policies = policies
        self._months: set[tuple[int, int]] = set()
        self._gateways = GatewayWriter(pool)
        self.counts: Counter[tuple[str, str]] = Counter()

    async def store_batch(self, messages: Sequence[Message]) -> None:
        """Store a batch, decide its spaces, and make the actuations. Idempotent: a stored message changes nothing.

        Raises TransientError if the database cannot do it now: nothing was stored. Raises DevicesHeldError if another
        program holds rows, as a V2 application may while it is migrated: the messages of all other devices are stored.
        """
        try:
            await self._store_batch(messages)
        except TransientError as error:
            if not isinstance(error.__cause__, asyncpg.LockNotAvailableError):
                raise
            held = await self._store_unheld(messages)
            if held:
                raise DevicesHeldError(held) from error

    async def _store_unheld(self, messages: Sequence[Message]) -> frozenset[DevEui | None]:
        """Store a batch that met a lock in halves; return the devices whose rows another program holds."""
        devices = list(dict.fromkeys(device_of(message) for message in messages))
        if len(devices) == 1:
            return frozenset(devices)
        held: frozenset[DevEui | None] = frozenset()
        middle = len(devices) // 2
        for half in (set(devices[:middle]), set(devices[middle:])):
            part = [message for message in messages if device_of(message) in half]
            try:
                await self._store_batch(part)
            except TransientError as error:
                if not isinstance(error.__cause__, asyncpg.LockNotAvailableError):
                    raise
                held |= await self._store_unheld(part)
        return held

    async def _store_batch(self, messages: Sequence[Message]) -> None:
        now = self._clock.now()
        batch = await self._store_retried(
            lambda recheck_all: Batch(messages, now, recheck_all=recheck_all, quick_s=QUICK_S)
        )
        self.counts.update(batch.counts)
        log.debug("batch", outcomes={f"{kind}.{outcome}": n for (kind, outcome), n in batch.counts.items()})
        await self._gateways.write(batch.gateway_facts, now)

    async def decode_later(self, due: Sequence[Due], *, quick_s: float | None = None) -> int:
        """Decode stored uplinks that wait for their codec, and decide. Return how many were decoded. Idempotent.

        `quick_s`: as in `ports.CodecEngine.run`. Raises TransientError as `store_batch`.
        """
        self._scripted.update({d.dev_eui: d.codec if d.codec.startswith(PREFIX) else None for d in due})
        now = self._clock.now()
        batch = await self._store_retried(lambda _: LaterBatch(due, now, quick_s=quick_s))
        self.counts.update(batch.counts)
        return batch.counts.total()

    async def _store_retried(self, begin: Callable[[bool], Batch]) -> Batch:
        """Store a batch in a transaction. `begin` makes it; True: each uplink must be looked up in the table.

        Begin again if a device has another codec than was known, or if an uplink that seemed new is stored already.
        """
        recheck_all = False
        for _ in range(MAX_TRIES):
            batch = begin(recheck_all)
            try:
                await self._ensure_partitions(batch)
                await self._decode(batch)
                async with self._pool.acquire() as connection, connection.transaction():
                    await self._store(connection, batch)
                return batch
            except _OtherCodecError as error:
                self._scripted.update(error.codecs)
            except RETRY as error:
                raise TransientError("batch_not_stored", f"the batch could not be stored: {error}") from error
            except asyncpg.UniqueViolationError as error:
                if not str(error.table_name).startswith("uplinks"):
                    raise
                if recheck_all:
                    # Another process stored a copy at the same moment: the next try finds it.
                    raise TransientError("uplink_stored_meanwhile", str(error), retry_after_s=0.01) from error
                recheck_all = True
        raise TransientError("batch_not_stored", "the codecs of devices change again and again")

    async def _decode(self, batch: Batch) -> None:
        """Run JavaScript codecs, before the transaction, for the devices that are known to need one."""
        if not self.decoders or not self._scripted:
            return
        todo = []
        for arrival in batch.arrivals:
            arrival.decoded_by = self._scripted.get(arrival.dev_eui)
            if arrival.decoded_by:
                todo.append(arrival)
        if todo:
            uplinks = [(a.decoded_by or "", a.uplink.f_port, a.uplink.data, a.received_at) for a in todo]
            results = await self.decoders.decode(uplinks, batch.now, within_s=DECODE_WITHIN_S, quick_s=batch.quick_s)
            for arrival, result in zip(todo, results, strict=True):
                arrival.decoded = result
                if isinstance(result, DeviceDataError) and result.code in _FAULTS:
                    arrival.decoded = _wait_or_fail(arrival, result, self.decoders)
            if isinstance(batch, LaterBatch):
                batch.keep_order()

    async def _store(self, connection: Connection, batch: Batch) -> None:
        """Store a batch. Locks in the order of the whole program: sensors, spaces, displays, actuations, each by id."""
        known = await sensors.lock(connection, batch.dev_euis) if batch.dev_euis else {}
        self._check_codecs(batch, known)
        await later.load_waits(connection, known.values())
        await batch.leave_out_duplicates(connection, known)
        updates = _receive_readings(batch, known)
        others = {eui for eui in batch.dev_euis if eui not in known}
        remarked = [sensor for sensor in known.values() if sensor.remarked]
        news = {sensor.id for _, sensor, _ in updates}.union(sensor.id for sensor in remarked)
        affected = await spaces.lock_of_devices(connection, news, others)
        await self._decide(connection, affected, updates, remarked, batch.now)

        changed = {s.display_id for s in affected if s.display_id and s.changes}
        serves = {s.display_id: s.id for s in reversed(affected) if s.display_id}
        loaded = await displays.load(connection, changed, self._policies.loop, dev_euis=others, serves=serves)
        named = {d.dev_eui: d for d in loaded.values() if d.dev_eui in others}
        self._check_codecs(batch, named)
        await batch.leave_out_display_copies(connection, known, named)
        batch.gateway_facts = facts_of(batch.events, named, batch.now)
        acked = [e.queue_item_id for e in batch.events if isinstance(e, TxAck) and e.dev_eui in named] if named else []
        own = await displays.own_lights(connection, acked, named.values())
        received = _receive_events(batch, named, own)
        batch.gateway_facts.proven = proven_by(received)
        batch.drop_marked()
        failed = spaces.request_changes(affected, loaded)

        await _label_unassigned(connection, batch, known)
        await batch.write_uplinks(connection, {*known, *named})
        await sensors.save(connection, known.values(), batch.now)
        await spaces.save(connection, affected, batch.now)
        await displays.insert_failed(connection, failed)
        await displays.save(connection, loaded.values())
        await displays.save_display_states(connection, received, [s.id for s in affected], batch.now)
        await batch.write_rejected(connection)

    def _check_codecs(self, batch: Batch, devices: Mapping[DevEui, Sensor | Display]) -> None:
        """Raise _OtherCodecError unless exactly the uplinks of devices with a JavaScript codec were decoded by it."""
        if not self.decoders or not devices:
            return
        others: dict[str, str | None] = {}
        for arrival in batch.arrivals:
            if device := devices.get(arrival.dev_eui):
                codec = device.codec if device.codec.startswith(PREFIX) else None
                if codec != arrival.decoded_by:
                    others[arrival.dev_eui] = codec
        if others:
            raise _OtherCodecError(others)

    async def _decide(
        self,
        connection: Connection,
        affected: Sequence[Space],
        updates: Sequence[SensorUpdate],
        remarked: Sequence[Sensor],
        now: datetime,
    ) -> None:
        """Decide the spaces of sensors that have news, uplink by uplink; then those of sensors with another mark."""
        views = {sensor.id: view for _, sensor, view in updates}
        views |= {sensor.id: sensor.view() for sensor in remarked}
        serving: dict[UUID, list[Space]] = {}
        for space in affected:
            if space.sensor_id and space.sensor_id in views:
                serving.setdefault(space.sensor_id, []).append(space)
        await spaces.load_inputs(connection, [s for served in serving.values() for s in served], now, views)
        for arrival, sensor, view in updates:
            source = arrival.uplink.deduplication_id
            for space in serving.get(sensor.id, ()):
                space.inputs = space.inputs.with_sensor(view)
                cause = TriggerType.SENSOR_UPLINK
                at = arrival.again_at or arrival.received_at
                changed = space.evaluate(self._policies.decision, at, cause, source, arrival.observed_at)
                if changed and arrival.outcome == "unchanged":
                    arrival.outcome = "state_changed"
        for sensor in remarked:
            for space in serving.get(sensor.id, ()):
                space.inputs = space.inputs.with_sensor(views[sensor.id])
                space.evaluate(self._policies.decision, now, None, None)

    async def _ensure_partitions(self, batch: Batch) -> None:
        months = {(a.observed_at.year, a.observed_at.month): a.observed_at for a in batch.arrivals}
        for month in months.keys() - self._months:
            async with self._pool.acquire() as connection:
                await ENSURE_PARTITION.run(connection, at=months[month])
            if batch.now - months[month] < RECENT_WINDOW:
                self._months.add(month)


def _wait_or_fail(arrival: Arrival, fault: DeviceDataError, decoders: Decoders) -> DeviceDataError | TransientError:
    """Return the fault if it is the frame's, or TransientError if it may be the codec's.

    A frame that fails while other frames of the codec succeed is not decodable. If none succeeds, the codec is
    suspended, and the frames wait for another version.
    """
    arrival.tries += 1
    if arrival.tries >= MAX_FAULTS_PER_UPLINK and decoders.answered_since(
        arrival.decoded_by or "", arrival.received_at
    ):
        return fault
    return TransientError(fault.code, fault.message)


def _receive_readings(batch: Batch, known: Mapping[DevEui, Sensor]) -> list[SensorUpdate]:
    """Apply events to sensors; return the uplinks after which spaces must be decided again."""
    others = []
    if len(batch.events) > len(batch.arrivals):
        others = [event for event in batch.events if not isinstance(event, Arrival)]
    for event in others:
        if not isinstance(event, Log) and (sensor := known.get(event.dev_eui)):
            sensor.note(event, batch.now)
    updates = []
    for arrival in batch.arrivals:
        sensor = known.get(arrival.dev_eui)
        if sensor is not None and receive_reading(sensor, arrival):
            updates.append((arrival, sensor, sensor.view()))
    for sensor in known.values():
        sensor.settle()
    batch.drop_marked()
    for event in others:
        # After the uplinks: a refusal counts only if it is newer than the newest accepted uplink.
        if isinstance(event, Log) and (sensor := known.get(event.dev_eui)):
            sensor.note(event, batch.now)
    return updates


def _receive_events(batch: Batch, named: Mapping[DevEui, Display], own: Mapping[str, str | None]) -> list[Display]:
    """Apply events to the displays that they name; return those displays. `own`: see `receive_event`."""
    received: dict[DevEui, Display] = {}
    for event in batch.events if named else ():
        display = named.get(event.dev_eui)
        if display is not None and not (isinstance(event, Arrival) and event.duplicate):
            receive_event(display, event, batch.now, own)
            received[display.dev_eui] = display
    return list(received.values())


async def _label_unassigned(connection: Connection, batch: Batch, known: Mapping[DevEui, Sensor]) -> None:
    """Label readings that changed nothing because their sensors serve no space."""
    unchanged = [(a, known[a.dev_eui].id) for a in batch.arrivals if a.outcome == "unchanged"]
    if unchanged:
        serving = await sensors.serving(connection, {sensor_id for _, sensor_id in unchanged})
        for arrival, sensor_id in unchanged:
            if sensor_id not in serving:
                arrival.outcome = "unassigned"
