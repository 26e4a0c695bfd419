"""Hand actuations to the network server: claim them in the database, send them outside of any transaction, record the
outcome.

An actuation stays claimed until its outcome is recorded. If a sender ends before that, `recovery` asks the network
server what became of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from baylight.codecs.all import display_driver
from baylight.control import displays
from baylight.control.downlinks.early_events import apply_early, find_item, find_unmatched
from baylight.control.downlinks.hold import Hold
from baylight.control.downlinks.recovery import CLAIM_LIMIT, Recovery
from baylight.domain.display_loop import sending
from baylight.domain.display_loop.actuation import Actuation, LoopPolicy
from baylight.domain.display_loop.display import Display
from baylight.domain.display_loop.due import retry_now
from baylight.domain.downlink import Downlink, TriggerType
from baylight.domain.ids import DevEui
from baylight.errors import BaylightError, NoUplinkYetError, TransientError
from baylight.log import Outage, logger
from baylight.ports import Clock, NetworkServer
from baylight.store.connect import RETRY
from baylight.store.pool import Connection, Pool
from baylight.store.query import Query

log = logger("relay")

MAX_CLAIMS = 4
"""Claims in progress at once, so that a slow answer for one device delays no other."""
MAX_RETRIED = 1000
"""Displays whose back-offs end at once."""
IDLE_S = 1.0
"""Seconds that a relay waits for a notification before it looks for due actuations."""
_CONFIGURATION_ERRORS = ("bad_api_key", "not_chirpstack", "network_server_not_set", "broker_forbids_publishing")
"""Errors of the settings, not of a device. They are a condition of the network server, which is logged once."""


class _ToSend(NamedTuple):
    display_id: UUID
    gateway_id: str | None


LOCK_TO_SEND = Query("control.relay.lock_to_send", _ToSend)


@dataclass(frozen=True, slots=True)
class _Claimed:
    display_id: UUID
    gateway_id: str | None
    actuation: Actuation
    downlink: Downlink | BaylightError
    without_uplink: bool
    """No uplink of the display has come yet."""


@dataclass(slots=True)
class Relay:
    """Sender of actuations. Any number may run, in any number of processes: one at a time holds a display.

    `counts`: outcomes of the calls to the network server since the start (accepted, transient, permanent).
    """

    pool: Pool
    network_server: NetworkServer
    clock: Clock
    policy: LoopPolicy
    counts: Counter[str] = field(default_factory=Counter)
    recovery: Recovery = field(init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    outage: Outage = field(default_factory=lambda: Outage(None, "network_server"))
    _database: Outage = field(default_factory=lambda: Outage(log, "database"))
    _hold: Hold = field(default_factory=Hold)
    _cause_over: bool = False
    _stopping: bool = False

    def __post_init__(self) -> None:
        self.recovery = Recovery(self.pool, self.network_server, self.clock, self.policy, self.wake)

    def wake(self) -> None:
        """Look for due actuations now."""
        self._wake.set()

    def cause_is_over(self) -> None:
        """Try again now for all displays: a common cause of their failures is over."""
        self._cause_over = True
        self._wake.set()

    def stop(self) -> None:
        """End `run` when the outcomes of the claims in progress are recorded."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Send until stopped. If cancelled, the claims in progress stay and are recovered later."""
        recovery = asyncio.create_task(self.recovery.run())
        in_progress: set[asyncio.Task[None]] = set()
        try:
            while not self._stopping:
                if len(in_progress) == MAX_CLAIMS:
                    _, in_progress = await asyncio.wait(in_progress, return_when=asyncio.FIRST_COMPLETED)
                    continue
                self._wake.clear()
                claimed = await self._claim_or_wait()
                if claimed:
                    task = asyncio.create_task(self._send_guarded(claimed))
                    in_progress.add(task)
                    task.add_done_callback(in_progress.discard)
                elif not self._stopping:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), IDLE_S)
            await asyncio.gather(*in_progress)
        finally:
            recovery.cancel()

    async def _claim_or_wait(self) -> list[_Claimed]:
        try:
            if self._cause_over:
                self._cause_over = False
                await self.end_backoffs()
            claimed = await self._claim()
        except RETRY as error:
            self._database.begin(str(error) or type(error).__name__)
            await asyncio.sleep(IDLE_S)
            return []
        except Exception as error:
            # An error must not end the loop: all other displays depend on it.
            log.error("claim_failed", error=repr(error), exc_info=True)
            await asyncio.sleep(IDLE_S)
            return []
        self._database.end()
        return claimed

    async def _send_guarded(self, claimed: list[_Claimed]) -> None:
        try:
            await self._send(claimed)
        except Exception as error:
            # The claims are recovered when their leases end.
            log.error("outcomes_not_recorded", claimed=len(claimed), error=repr(error), exc_info=True)

    async def end_backoffs(self, gateway_id: str | None = None) -> None:
        """Try again now for all displays whose tries failed, or for those behind a gateway: a common cause is over."""
        async with self.pool.acquire() as connection, connection.transaction():
            now = self.clock.now()
            failing = await displays.LOCK_FAILING.all(connection, now=now, gateway_id=gateway_id, limit=MAX_RETRIED)
            loaded = await displays.load(connection, failing, self.policy)
            for display in loaded.values():
                retry_now(display, now)
            await displays.save(connection, loaded.values())
        if failing:
            self.wake()

    async def send_due(self) -> int:
        """Claim and send once; return how many actuations were handed over."""
        claimed = await self._claim()
        await self._send(claimed)
        return len(claimed)

    async def _send(self, claimed: list[_Claimed]) -> None:
        outcomes = await asyncio.gather(*(self._hand_over(c) for c in claimed))
        await self._record(list(zip(claimed, outcomes, strict=True)))

    async def _claim(self) -> list[_Claimed]:
        now = self.clock.now()
        async with self.pool.acquire() as connection, connection.transaction():
            freed = await self._hold.refresh(connection, now)
            held, short = self._hold.held, self._hold.short_of_airtime
            due = await LOCK_TO_SEND.all(connection, now=now, limit=CLAIM_LIMIT, held=held, short=short)
            gateways = {row.display_id: row.gateway_id for row in due}  # several actuations of a display may wait
            loaded = await displays.load(connection, self._hold.free(gateways), self.policy, to_send=True)
            claimed = []
            for display in loaded.values():
                if actuation := sending.claim(display, now):
                    gateway_id, without_uplink = gateways[display.id], display.last_uplink_at is None
                    downlink = _downlink(display, actuation)
                    claimed.append(_Claimed(display.id, gateway_id, actuation, downlink, without_uplink))
                    self._hold.sent(gateway_id, now)
            await displays.save(connection, [d for d in loaded.values() if d.deliveries.touched])
        for gateway_id in freed:
            await self.end_backoffs(gateway_id)
        return claimed

    async def _hand_over(self, claimed: _Claimed) -> str | BaylightError:
        if isinstance(claimed.downlink, BaylightError):
            return claimed.downlink
        try:
            if claimed.without_uplink:
                await self._require_uplink(claimed.downlink.dev_eui)
            return await self.network_server.enqueue(claimed.downlink)
        except TransientError as error:
            return await self._in_queue(claimed.downlink) or error
        except BaylightError as error:
            return error
        except Exception as error:
            log.error("enqueue_failed", dev_eui=claimed.downlink.dev_eui, error=repr(error), exc_info=True)
            return TransientError("client_failed", f"the network server's client failed: {error!r}")

    async def _require_uplink(self, dev_eui: DevEui) -> None:
        """Raise NoUplinkYetError if the network server has received no uplink of the device, or cannot say.

        It sends nothing to such a device, and its queue would keep the command for ever.
        """
        facts = await self.network_server.device(dev_eui)
        if facts is None or facts.last_seen_at is None:
            raise NoUplinkYetError("no_uplink_yet", "the network server has received no uplink of it", dev_eui=dev_eui)

    async def _in_queue(self, downlink: Downlink) -> str | None:
        """Return the queue item of a try whose answer was lost, if the network server has it."""
        with contextlib.suppress(BaylightError):
            return find_item(await self.network_server.queue(downlink.dev_eui), downlink.expires_at)
        return None

    async def _record(self, outcomes: list[tuple[_Claimed, str | BaylightError]]) -> None:
        """Write what the network server answered; repeat until the database has it.

        Meanwhile the lease may end. This is safe: recovery asks the network server first.
        """
        while True:
            try:
                async with self.pool.acquire() as connection, connection.transaction():
                    await self._write_outcomes(connection, outcomes)
                break
            except RETRY as error:
                self._database.begin(str(error) or type(error).__name__)
                await asyncio.sleep(IDLE_S)
        for claimed, outcome in outcomes:
            if not isinstance(outcome, str):
                self._hold.not_accepted(claimed.gateway_id)
            self._count(outcome)

    async def _write_outcomes(
        self, connection: Connection, outcomes: list[tuple[_Claimed, str | BaylightError]]
    ) -> None:
        now = self.clock.now()
        loaded = await displays.load(connection, [c.display_id for c, _ in outcomes], self.policy, to_send=True)
        accepted: dict[str, tuple[Display, UUID]] = {}
        for claimed, outcome in outcomes:
            display = loaded[claimed.display_id]
            if isinstance(outcome, TransientError) and isinstance(claimed.downlink, Downlink):
                since = claimed.actuation.claimed_at or claimed.actuation.created_at
                outcome = await find_unmatched(connection, claimed.downlink.dev_eui, since) or outcome
            if isinstance(outcome, str):
                sending.accepted(display, claimed.actuation.id, outcome, now)
                accepted[outcome] = (display, claimed.actuation.id)
            else:
                sending.refused(
                    display,
                    claimed.actuation.id,
                    outcome.message,
                    now,
                    permanent=not isinstance(outcome, TransientError),
                    until_uplink=isinstance(outcome, NoUplinkYetError),
                )
        await apply_early(connection, accepted)
        await displays.save(connection, loaded.values())

    def _count(self, outcome: str | BaylightError) -> None:
        if isinstance(outcome, str):
            self.counts["accepted"] += 1
            self.outage.end()
        elif isinstance(outcome, TransientError):
            self.counts["transient"] += 1
            self.outage.begin(outcome.message)
        else:
            self.counts["permanent"] += 1
            if outcome.code in _CONFIGURATION_ERRORS:
                self.outage.begin(outcome.message)
                return
            log.warning("downlink_refused", code=outcome.code, error=outcome.message, **outcome.facts)


def _downlink(display: Display, actuation: Actuation) -> Downlink | BaylightError:
    """Return the command in the bytes of the display's driver; an error if the driver refuses the stored code."""
    driver = display_driver(display.codec)
    assert actuation.code is not None
    assert actuation.f_port is not None
    assert actuation.expires_at is not None
    code = bytes.fromhex(actuation.code)
    by_hand = actuation.trigger_type is TriggerType.DEVICE_COMMAND  # permitted and audited: sent unchanged
    try:
        data = (
            driver.command(code, ask_report=display.asks_report and driver.reports) if driver and not by_hand else code
        )
    except BaylightError as error:
        return error
    return Downlink(
        id=actuation.id,
        dev_eui=display.dev_eui,
        f_port=actuation.f_port,
        data=data,
        confirmed=actuation.confirmed,
        expires_at=actuation.expires_at,
        application_id=display.application_id,
        network_server=display.network_server,
        reported=display.last_uplink_at is not None,
    )
