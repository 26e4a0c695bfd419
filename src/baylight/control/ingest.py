"""The way of an event into the database: one batch, one transaction, acknowledged by the caller after the commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from baylight.control import displays
from baylight.control import spaces as decisions
from baylight.control.batch import Batch, OtherCodecError, Told
from baylight.control.scripted import Decoders
from baylight.control.uplinks import hear_display
from baylight.domain.closed_loop import Shadow
from baylight.domain.downlink import TriggerType
from baylight.domain.events import Message, Uplink
from baylight.domain.policies import Policies
from baylight.errors import TransientError
from baylight.log import logger
from baylight.ports import Clock, CodecEngine
from baylight.store.connect import RETRY
from baylight.store.pool import Connection, Pool
from baylight.store.query import queries

log = logger("ingest")

REMEMBERED = timedelta(days=20)
DECODE_TRIES = 5
GATEWAY_EVERY = timedelta(minutes=1)


class Ingest:
    """Takes batches of messages. Safe to call from several tasks and processes at once: rows are locked in one order.

    `counts`: what became of messages since the start, by (kind, outcome), both of bounded vocabularies.
    """

    def __init__(self, pool: Pool, clock: Clock, policies: Policies, engine: CodecEngine | None = None) -> None:
        """`engine`: without one, JavaScript codecs are unknown codecs."""
        self._pool = pool
        self._decoders = Decoders(pool, engine) if engine else None
        self._scripted: dict[str, str | None] = {}
        self._clock = clock
        self._policies = policies
        self._months: set[tuple[int, int]] = set()
        self._gateways: dict[str, datetime] = {}
        self.counts: Counter[tuple[str, str]] = Counter()

    async def take(self, messages: Sequence[Message]) -> None:
        """Stores a batch; what it says is decided and to be sent when this returns. Idempotent: a message that was
        taken before changes nothing. Raises TransientError if the database cannot do it now: nothing was stored."""
        now = self._clock.now()
        for doubt in (False, True):
            batch = Batch(messages, now, doubt=doubt)
            try:
                await self._ensure_partitions(batch)
                await self._store_decoded(batch)
                break
            except RETRY as error:
                raise TransientError("batch_not_stored", f"the batch could not be stored: {error}") from error
            except asyncpg.UniqueViolationError as error:
                if not str(error.table_name).startswith("uplinks"):
                    raise
                if doubt:
                    # A copy that another process stored at the same moment: the next try finds it.
                    raise TransientError("uplink_stored_meanwhile", str(error), retry_after_s=0.01) from error
        self.counts.update(batch.counts)
        log.debug("batch", outcomes={f"{kind}.{outcome}": n for (kind, outcome), n in batch.counts.items()})
        await self._see_gateways(batch)

    async def _store_decoded(self, batch: Batch) -> None:
        """JavaScript codecs run before the transaction, for the devices that are known to need one. Where the
        transaction finds that a device's codec is another than was thought, it has to begin anew."""
        for _ in range(DECODE_TRIES):
            await self._decode(batch)
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    return await self._store(connection, batch)
            except OtherCodecError as error:
                self._scripted.update(error.codecs)
        raise TransientError("batch_not_stored", "the codecs of devices change again and again")

    async def _decode(self, batch: Batch) -> None:
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

    async def _store(self, connection: Connection, batch: Batch) -> None:
        await batch.load_devices(connection)
        if self._decoders:
            batch.check_codecs()
        await batch.leave_out_known(connection)
        await batch.leave_out_copies(connection)
        told = batch.hear_sensors()
        spaces = await batch.load_spaces(connection, {sensor.id for _, sensor, _ in told})
        await self._decide(connection, spaces, told, batch.now)
        shadows = await batch.load_shadows(connection, spaces, self._policies.loop)
        heard = _hear_displays(batch, shadows)
        failed = decisions.actuate(spaces, shadows)

        await batch.label_unassigned(connection)
        await batch.write_uplinks(connection)
        await batch.write_devices(connection)
        await decisions.save(connection, spaces, batch.now)
        await displays.insert_failed(connection, failed)
        await displays.save(connection, shadows.values())
        await displays.save_display_states(connection, heard, [s.id for s in spaces], batch.now)
        await batch.write_rejected(connection)

    async def _decide(
        self, connection: Connection, spaces: Sequence[decisions.Space], told: Sequence[Told], now: datetime
    ) -> None:
        """Decides the spaces of sensors that had something to tell, uplink by uplink."""
        views = {sensor.id: view for _, sensor, view in told}
        serving: dict[UUID, list[decisions.Space]] = {}
        for space in spaces:
            if space.sensor_id and space.sensor_id in views:
                serving.setdefault(space.sensor_id, []).append(space)
        await decisions.load_inputs(connection, [s for served in serving.values() for s in served], now, views)
        for arrival, sensor, view in told:
            source = arrival.uplink.deduplication_id
            for space in serving.get(sensor.id, ()):
                space.inputs = space.inputs.with_sensor(view)
                cause = TriggerType.SENSOR_UPLINK
                if space.evaluate(self._policies.decision, arrival.received_at, cause, source, arrival.observed_at):
                    arrival.outcome = "state_changed"

    async def _ensure_partitions(self, batch: Batch) -> None:
        months = {(a.observed_at.year, a.observed_at.month): a.observed_at for a in batch.arrivals}
        for month in months.keys() - self._months:
            await self._pool.execute(queries("control.ingest")["ensure_partition"], "uplinks", months[month])
            if batch.now - months[month] < REMEMBERED:  # an older one may be dropped by retention
                self._months.add(month)

    async def _see_gateways(self, batch: Batch) -> None:
        """Outside the batch's transaction: rows that every batch would wait for, and that nothing depends on."""
        seen = {a.uplink.gateway_id for a in batch.arrivals if a.uplink.gateway_id}
        due = [g for g in seen if g not in self._gateways or batch.now - self._gateways[g] >= GATEWAY_EVERY]
        if due:
            try:
                await self._pool.execute(queries("control.ingest")["see_gateways"], sorted(due), batch.now)
            except RETRY as error:
                log.debug("gateways_not_noted", error=str(error))
                return
            self._gateways.update(dict.fromkeys(due, batch.now))


def _hear_displays(batch: Batch, shadows: dict[UUID, Shadow]) -> list[Shadow]:
    """Tells the displays' shadows what came; returns those that events named."""
    if not batch.displays:
        return []
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
