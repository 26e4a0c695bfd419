"""Hands actuations to the network server: claimed in the database, sent outside of any transaction, outcome committed.

Nothing leaves the queue before its outcome is known: a sender that dies leaves its claim behind, and whoever comes
next asks the network server what became of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from baylight.codecs.all import display_driver
from baylight.control import displays
from baylight.domain.actuation import Actuation, LoopPolicy
from baylight.domain.closed_loop import Shadow
from baylight.domain.downlink import Downlink, QueueItem, TriggerType
from baylight.domain.ids import DevEui
from baylight.errors import BaylightError, NoUplinkYetError, TransientError
from baylight.log import Outage, logger
from baylight.ports import Clock, NetworkServer
from baylight.store.connect import RETRY
from baylight.store.pool import Connection, Pool
from baylight.store.query import queries

log = logger("relay")

CLAIM = 32
"""Most actuations of one claim."""
LANES = 4
"""Claims under way at once: a slow answer for one device holds up no other."""
IDLE_S = 1.0
"""How long a relay without a notification waits before it looks itself."""
_OF_ALL = ("bad_api_key", "not_chirpstack")
"""Refusals that are not of one device: nothing can be sent until a person has mended the settings."""


@dataclass(frozen=True, slots=True)
class _Claimed:
    display_id: UUID
    actuation: Actuation
    downlink: Downlink | BaylightError


@dataclass(slots=True)
class Relay:
    """Any number may run at once, in any number of processes: a display is held by one of them at a time.

    `counts`: outcomes of the calls to the network server since the start (accepted, transient, permanent).
    """

    pool: Pool
    network_server: NetworkServer
    clock: Clock
    policy: LoopPolicy
    counts: Counter[str] = field(default_factory=Counter)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    outage: Outage = field(default_factory=lambda: Outage(log, "network_server"))
    _database: Outage = field(default_factory=lambda: Outage(log, "database"))
    _stopping: bool = False

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def stop(self) -> None:
        """Lets `run` end once what is being handed over is recorded."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Sends until stopped. What is being handed over when it is cancelled keeps its claim and is recovered."""
        recovery = asyncio.create_task(self._recovery())
        under_way: set[asyncio.Task[None]] = set()
        try:
            while not self._stopping:
                if len(under_way) == LANES:
                    _, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    continue
                self._wake.clear()
                claimed = await self._claim_or_wait()
                if claimed:
                    task = asyncio.create_task(self._send_guarded(claimed))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                elif not self._stopping:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), IDLE_S)
            await asyncio.gather(*under_way)
        finally:
            recovery.cancel()

    async def _claim_or_wait(self) -> list[_Claimed]:
        try:
            claimed = await self._claim()
        except RETRY as error:
            self._database.begin(str(error) or type(error).__name__)
            await asyncio.sleep(IDLE_S)
            return []
        except Exception as error:
            # Told each time, and never the end of the loop: all other displays hang on it.
            log.error("claim_failed", error=repr(error), exc_info=True)
            await asyncio.sleep(IDLE_S)
            return []
        self._database.end()
        return claimed

    async def _send_guarded(self, claimed: list[_Claimed]) -> None:
        try:
            await self._send(claimed)
        except Exception as error:
            # What was claimed is recovered when the lease ends.
            log.error("outcomes_not_recorded", claimed=len(claimed), error=repr(error), exc_info=True)

    async def _recovery(self) -> None:
        while True:
            try:
                await self.recover()
            except RETRY as error:
                log.debug("recovery_waits", error=str(error))
            except Exception as error:
                log.error("recovery_failed", error=repr(error), exc_info=True)
            await asyncio.sleep(self.policy.lease.total_seconds() / 6)

    async def send_due(self) -> int:
        """One claim and its outcome; returns how many actuations were handed over."""
        claimed = await self._claim()
        await self._send(claimed)
        return len(claimed)

    async def _send(self, claimed: list[_Claimed]) -> None:
        outcomes = await asyncio.gather(*(self._hand_over(c) for c in claimed))
        await self._record(list(zip(claimed, outcomes, strict=True)))

    async def recover(self) -> int:
        """Finds out what became of actuations whose sender never told; returns how many."""
        now = self.clock.now()
        async with self.pool.acquire() as connection:
            lost = await connection.fetch(queries("control.displays")["lost_senders"], now, CLAIM)
        for row in lost:
            await self._recover_one(row["display_device_id"], DevEui(row["display_deveui"]), row["id"])
        return len(lost)

    async def _claim(self) -> list[_Claimed]:
        sql = queries("control.displays")
        now = self.clock.now()
        async with self.pool.acquire() as connection, connection.transaction():
            due = [row["id"] for row in await connection.fetch(sql["displays_to_send"], now, CLAIM)]
            shadows = await displays.load(connection, due, self.policy, free_only=True, to_send=True)
            claimed = []
            for shadow in shadows.values():
                if actuation := shadow.take(now):
                    claimed.append(_Claimed(shadow.id, actuation, _downlink(shadow, actuation)))
            await displays.save(connection, [s for s in shadows.values() if s.touched])
        return claimed

    async def _hand_over(self, claimed: _Claimed) -> str | BaylightError:
        if isinstance(claimed.downlink, BaylightError):
            return claimed.downlink
        try:
            return await self.network_server.enqueue(claimed.downlink)
        except TransientError as error:
            return await self._in_queue(claimed.downlink) or error
        except BaylightError as error:
            return error
        except Exception as error:
            log.error("enqueue_failed", dev_eui=claimed.downlink.dev_eui, error=repr(error), exc_info=True)
            return TransientError("client_failed", f"the network server's client failed: {error!r}")

    async def _in_queue(self, downlink: Downlink) -> str | None:
        """The queue item of a try whose answer was lost, if the network server tells that it has it."""
        with contextlib.suppress(BaylightError):
            return _of_expiry(await self.network_server.queue(downlink.dev_eui), downlink.expires_at)
        return None

    async def _record(self, outcomes: list[tuple[_Claimed, str | BaylightError]]) -> None:
        """Writes what the network server answered, again and again until the database has it: the claim's lease
        ends only later, and whoever recovers it asks the network server first."""
        while True:
            try:
                async with self.pool.acquire() as connection, connection.transaction():
                    await self._write_outcomes(connection, outcomes)
                break
            except RETRY as error:
                self._database.begin(str(error) or type(error).__name__)
                await asyncio.sleep(IDLE_S)
        for _, outcome in outcomes:
            self._count(outcome)

    async def _write_outcomes(
        self, connection: Connection, outcomes: list[tuple[_Claimed, str | BaylightError]]
    ) -> None:
        now = self.clock.now()
        shadows = await displays.load(connection, [c.display_id for c, _ in outcomes], self.policy, to_send=True)
        accepted: dict[str, tuple[Shadow, UUID]] = {}
        for claimed, outcome in outcomes:
            shadow = shadows[claimed.display_id]
            if isinstance(outcome, TransientError) and isinstance(claimed.downlink, Downlink):
                expires_at = claimed.downlink.expires_at
                outcome = await self._unmatched(connection, claimed.downlink.dev_eui, expires_at) or outcome
            if isinstance(outcome, str):
                shadow.accepted(claimed.actuation.id, outcome, now)
                accepted[outcome] = (shadow, claimed.actuation.id)
            else:
                shadow.refused(
                    claimed.actuation.id,
                    outcome.message,
                    now,
                    permanent=not isinstance(outcome, TransientError),
                    until_heard=isinstance(outcome, NoUplinkYetError),
                )
        await _match_early(connection, accepted)
        await displays.save(connection, shadows.values())

    async def _unmatched(self, connection: Connection, dev_eui: DevEui, expires_at: datetime) -> str | None:
        """The queue item of a try that was sent before its answer was known: its tx_ack tells it."""
        since = expires_at - self.policy.ttl
        found: str | None = await connection.fetchval(
            queries("control.displays")["unmatched_of_display"], dev_eui, since
        )
        return found

    async def _recover_one(self, display_id: UUID, dev_eui: DevEui, actuation_id: UUID) -> None:
        try:
            queue = await self.network_server.queue(dev_eui)
        except BaylightError as error:
            log.info("queue_not_reported", dev_eui=dev_eui, error=error.message)
            return
        now = self.clock.now()
        async with self.pool.acquire() as connection, connection.transaction():
            shadow = (await displays.load(connection, [display_id], self.policy))[display_id]
            actuation = next((a for a in shadow.waiting if a.id == actuation_id), None)
            if actuation is None or actuation.expires_at is None or not _lease_over(actuation, now):
                return
            found = _of_expiry(queue, actuation.expires_at)
            found = found or await self._unmatched(connection, dev_eui, actuation.expires_at)
            if found:
                shadow.accepted(actuation_id, found, now, recovered=True)
                await _match_early(connection, {found: (shadow, actuation_id)})
            else:
                shadow.refused(actuation_id, "its sender ended before the outcome was known", now, permanent=False)
            await displays.save(connection, [shadow])

    def _count(self, outcome: str | BaylightError) -> None:
        if isinstance(outcome, str):
            self.counts["accepted"] += 1
            self.outage.end()
        elif isinstance(outcome, TransientError):
            self.counts["transient"] += 1
            self.outage.begin(outcome.message)
        else:
            self.counts["permanent"] += 1
            if outcome.code in _OF_ALL:
                self.outage.begin(outcome.message)
                return
            log.warning("downlink_refused", code=outcome.code, error=outcome.message, **outcome.facts)


def _of_expiry(queue: list[QueueItem] | None, expires_at: datetime) -> str | None:
    """The queue item that has this unique expiry."""
    return next((item.id for item in queue or [] if item.expires_at == expires_at), None)


def _lease_over(actuation: Actuation, now: datetime) -> bool:
    return actuation.status == "sending" and actuation.next_attempt_at is not None and actuation.next_attempt_at <= now


def _downlink(shadow: Shadow, actuation: Actuation) -> Downlink | BaylightError:
    """The command's bytes, by the display's driver; an error if the stored code is not one that it may send."""
    driver = display_driver(shadow.codec)
    assert actuation.code is not None
    assert actuation.f_port is not None
    assert actuation.expires_at is not None
    code = bytes.fromhex(actuation.code)
    by_hand = actuation.trigger_type is TriggerType.DEVICE_COMMAND  # permitted and audited: no light, sent as it is
    try:
        data = driver.command(code, ask_report=shadow.asked and driver.reports) if driver and not by_hand else code
    except BaylightError as error:
        return error
    return Downlink(
        id=actuation.id,
        dev_eui=shadow.dev_eui,
        f_port=actuation.f_port,
        data=data,
        confirmed=actuation.confirmed,
        expires_at=actuation.expires_at,
        application_id=shadow.application_id,
        network_server=shadow.network_server,
    )


async def _match_early(connection: Connection, accepted: dict[str, tuple[Shadow, UUID]]) -> None:
    """Applies network events that came before the network server's answer was stored."""
    if not accepted:
        return
    sql = queries("control.displays")
    found = await connection.fetch(sql["unmatched_steps"], list(accepted))
    if not found:
        return
    for row in found:
        shadow, _ = accepted[row["downlink_queue_id"]]
        shadow.replay(row["kind"], row["downlink_queue_id"], row["detail"], row["at"])
    queue_ids = [row["downlink_queue_id"] for row in found]
    await connection.execute(sql["match_steps"], queue_ids, [accepted[q][1] for q in queue_ids])
