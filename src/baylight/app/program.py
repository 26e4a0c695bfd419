"""Wiring of one process: broker -> ingest -> database -> relay -> network server, the timer, and the HTTP API."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry

from baylight.api.app import create_app
from baylight.api.deps import Deps
from baylight.api.metrics import Counts
from baylight.app.absences import Absences
from baylight.app.backlog import Backlog, backlog
from baylight.app.connections import (
    chirpstack_devices,
    consumers,
    inbound,
    listen,
    network_servers,
)
from baylight.app.decoding import Decoding
from baylight.app.http import Server
from baylight.app.intake import Intake
from baylight.app.policies import policies_of
from baylight.app.service_conditions import READINESS, Key, ServiceConditions
from baylight.app.service_watch import ServiceWatch
from baylight.app.source_watch import SourceWatch, watched
from baylight.app.sources import Sources
from baylight.app.timer import Timer
from baylight.app.tts_connections import only_application
from baylight.app.v2_queue import V2Queue
from baylight.control.downlinks.relay import Relay
from baylight.control.events.ingest import Ingest
from baylight.domain.conditions import Condition, ConditionKind
from baylight.domain.events import Message
from baylight.errors import TransientError
from baylight.inventory import device_types
from baylight.lns.chirpstack.downlinks import ChirpStackGrpc
from baylight.lns.router import Router
from baylight.log import Outage, logger
from baylight.sandbox.pool import Sandbox
from baylight.settings import Settings
from baylight.store import beside, migrate
from baylight.store.connect import AWAY
from baylight.store.listen import ACTUATIONS_CHANNEL, notifications
from baylight.store.pool import Pool, open_pool
from baylight.web import page

log = logger("app")

DRAIN_S = 10
WAIT_S = 1.0
RETRIED_S = 30.0
"""Seconds within which an event that was not stored is tried again. One of a webhook is not, so its failure ends."""


def tune_collector() -> None:
    """Make the garbage collector run rarely.

    It finds no cycles in a batch, whose objects (over 10,000) end together.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then drain. Raises InputError if settings or schema do not fit."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    await Program(settings).run(stopping)


_COMMON_CAUSES = frozenset(
    {
        ConditionKind.NETWORK_SERVER_AWAY,
        ConditionKind.NETWORK_SERVER_KEY_REFUSED,
        ConditionKind.NETWORK_SERVER_NOT_SET,
        ConditionKind.BROKER_AWAY,
        ConditionKind.BROKER_FORBIDS_PUBLISHING,
    }
)
"""Conditions that make the commands of many displays fail. Their end ends the back-offs."""


class Program:
    """One process of Baylight. Any number may share a database and, with `mqtt_share_group`, a broker."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.dsn = settings.dsn()
        self.started = asyncio.Event()
        self.http_port = 0
        self.clock = SystemClock()
        self.policies = policies_of(settings)
        # What is behind the intake is built when the database is open.
        self.intake = Intake(self._store, lambda: self.relay.wake())
        self._not_stored: str | None = None
        self._not_stored_until = 0.0
        self.conditions = ServiceConditions(self.clock)
        self.sources = Sources(self.conditions.of, lambda: self._pool)
        self.consumers = consumers(settings, self.intake, self.sources)
        self.inbound = inbound(settings, self.intake, self.sources)
        self.network_servers = network_servers(settings, self.consumers)
        self.watch = ServiceWatch(
            self.dsn,
            self.network_servers,
            self.conditions,
            self._parts,
            watched(self.consumers, self.sources.refusals),
        )
        self.backlog = Backlog(self.consumers.values(), lambda: self._not_stored is None)
        self.sandbox = Sandbox()
        self.api_pool: Pool
        """Pool for the API alone, since callers that read slowly keep their connections for long."""
        self._pool: Pool
        self.ingest: Ingest
        self.relay: Relay
        self.reconcile: Timer
        self.decoding: Decoding
        self.absences: Absences
        self.v2_queue: V2Queue | None = None
        """Part that only a database needs that is being migrated from V2."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Run until `stopping` is set. `started` is set when the program serves on `http_port`."""
        pool = await self._open_database(stopping)
        if pool is None:
            return
        try:
            tune_collector()
            self._build(pool)
            await self._run_parts(stopping)
        finally:
            for server in self.network_servers.values():
                if isinstance(server, ChirpStackGrpc):
                    await server.close()
            await self.sandbox.close()
            self.api_pool.terminate()  # a caller that still reads has had DRAIN_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(pool.close(), DRAIN_S)
            pool.terminate()

    async def _open_database(self, stopping: asyncio.Event) -> Pool | None:
        outage = Outage(log, "database")
        while not stopping.is_set():
            opened: list[Pool] = []
            try:
                await migrate.check(self.dsn)
                for _ in range(2):
                    opened.append(await open_pool(self.dsn, size=self.settings.database_pool_size))
                async with opened[0].acquire() as connection:
                    await device_types.sync(connection)
                    if await connection.fetchval(beside.DRAINS):
                        self.v2_queue = V2Queue(opened[0])
            except (TransientError, *AWAY) as error:
                for pool in opened:
                    pool.terminate()
                outage.begin(str(error) or type(error).__name__)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), WAIT_S)
            else:
                outage.end()
                pool, self.api_pool = opened
                return pool
        return None

    def _build(self, pool: Pool) -> None:
        self._pool = pool
        self.ingest = Ingest(pool, self.clock, self.policies, self.sandbox)
        assert self.ingest.decoders is not None
        self.decoding = Decoding(pool, self.ingest, self.ingest.decoders, self.clock)
        router = Router(self.network_servers, self.watch.answered)
        self.relay = Relay(pool, router, self.clock, self.policies.loop)
        self.relay.recovery.may_act = self.backlog.is_read
        self.absences = Absences(pool, self.clock, self.conditions.open)
        self.conditions.on_end.append(self._cause_ended)
        if not self.settings.uplinks_kept:
            self.conditions.on_end.append(self.absences.ended)
        months = self.settings.uplink_retention_months, self.settings.actuation_retention_months
        self.reconcile = Timer(pool, self.clock, self.policies, *months, may_act=self.backlog.is_read)

    async def _run_parts(self, stopping: asyncio.Event) -> None:
        registry = CollectorRegistry()
        registry.register(
            Counts(
                self.ingest.counts,
                self.relay.counts,
                lambda: sum(c.waiting for c in self.consumers.values()),
                self.conditions.open,
            )
        )
        api = create_app(
            Deps(
                self.api_pool,
                self.dsn,
                self.clock,
                self.policies,
                registry,
                self.problems,
                conditions=self.conditions.open,
                codec_engine=self.sandbox,
                inbound=self.inbound,
                chirpstack_devices=chirpstack_devices(self.settings),
                tts_application=only_application(self.settings),
            )
        )
        api.include_router(page.router())
        self.conditions.on_change.append(api.state.hub.wake)
        listener = listen(self.settings)
        self.http_port = listener.getsockname()[1]
        server = Server(api)
        parts: dict[str, asyncio.Task[Any]] = {
            **{name: asyncio.create_task(consumer.run()) for name, consumer in self.consumers.items()},
            "relay": asyncio.create_task(self.relay.run()),
            "watch": asyncio.create_task(self.watch.run()),
            "absences": asyncio.create_task(self.absences.run()),
            "reconcile": asyncio.create_task(self.reconcile.run()),
            "sources": asyncio.create_task(self._source_watch().run()),
            "decoding": asyncio.create_task(self.decoding.run()),
            "wake-up": asyncio.create_task(self._wake_relay()),
            "http": asyncio.create_task(server.serve(sockets=[listener])),
        }
        if self.v2_queue is not None:
            parts["v2 queue"] = asyncio.create_task(self.v2_queue.run())
        self.started.set()
        log.info("started", http_port=self.http_port)
        stopped = asyncio.create_task(stopping.wait())
        ended, _ = await asyncio.wait([stopped, *parts.values()], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        log.info("stopping")
        # Accept no new messages; commit, acknowledge and record what is under way; then end the other parts.
        with contextlib.suppress(TimeoutError):
            stops = [consumer.stop() for consumer in self.consumers.values()]
            await asyncio.wait_for(asyncio.gather(*stops), DRAIN_S)
        self.relay.stop()
        api.state.hub.close()
        server.should_exit = True
        await asyncio.wait([parts["relay"], parts["http"]], timeout=DRAIN_S)
        for part in parts.values():
            part.cancel()
        await asyncio.gather(*parts.values(), return_exceptions=True)
        for part in ended - {stopped}:
            part.result()  # raises what ended it
        log.info("stopped")

    def _source_watch(self) -> SourceWatch:
        ways = [f"{consumer.topic} at {consumer.host}:{consumer.port}" for consumer in self.consumers.values()]
        ways += [f"POST /inbound/{name}" for name in self.inbound]
        return SourceWatch(
            self._pool,
            self.clock,
            self.conditions,
            self.sources.refusals,
            brokers=list(self.consumers),
            ways=", ".join(ways) or "no way: none is set up",
        )

    async def _wake_relay(self) -> None:
        """Wake the relay at each notification of an actuation: from the API, the timer, or other processes."""
        async for _ in notifications(self.dsn, ACTUATIONS_CHANNEL):
            self.relay.wake()

    async def _store(self, messages: Sequence[Message]) -> None:
        try:
            await self.ingest.store_batch(messages)
        except TransientError as error:
            self._not_stored = f"events are not stored: {error.message}"
            self._not_stored_until = time.monotonic() + RETRIED_S
            raise
        self._not_stored = None

    def _cause_ended(self, condition: Condition) -> None:
        """End the back-offs that a common cause made."""
        if condition.kind in _COMMON_CAUSES:
            self.relay.cause_is_over()
        self.relay.wake()

    def _parts(self) -> dict[Key, str | None]:
        """Return the reason why each part of this process does not work, or None if it does."""
        not_stored = self._not_stored if time.monotonic() < self._not_stored_until else None
        database = not_stored or self.reconcile.outage.reason or self.watch.database
        return {
            (ConditionKind.DATABASE_AWAY, "database"): database,
            (ConditionKind.SANDBOX_AWAY, "codecs"): self.sandbox.outage.reason,
            **{(ConditionKind.BROKER_AWAY, name): consumer.outage for name, consumer in self.consumers.items()},
            **{(ConditionKind.BACKLOG, name): backlog(consumer.waits_s) for name, consumer in self.consumers.items()},
        }

    def problems(self) -> dict[str, str]:
        """Return by service why this process cannot do its work, in plain words. Empty if it is ready."""
        for (kind, service), reason in self._parts().items():
            self.conditions.set(kind, service, reason)
        return {c.subject_id: c.evidence for c in self.conditions.open() if c.kind in READINESS}
