"""Load and save displays of the closed loop. A caller that changes a display holds the lock of its row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import NamedTuple
from uuid import UUID

import msgspec

from baylight.codecs.all import display_driver, reports
from baylight.codecs.registry import CountingDriver
from baylight.control import conditions
from baylight.domain.display_loop.actuation import Actuation, LoopPolicy, Step
from baylight.domain.display_loop.display import Display
from baylight.domain.downlink import ActuationStatus, SyncStatus, TriggerType
from baylight.domain.ids import DevEui
from baylight.domain.state import State
from baylight.log import logger
from baylight.store.pool import Connection, array_literal
from baylight.store.query import Copy, Query, RowsStatement, Statement, plain

log = logger("displays")

MAX_DETAIL = 2000
"""Characters of an error that are stored."""


class _SpaceServed(NamedTuple):
    display_id: UUID
    space_id: UUID


class _SpaceOfShared(NamedTuple):
    display_id: UUID
    space_id: UUID
    state: State


class _OwnQueueItem(NamedTuple):
    queue_id: str
    trigger_type: TriggerType
    code: str | None


class _Update(msgspec.Struct, omit_defaults=True, gc=False):
    """Row for `UPDATE`."""

    id: UUID
    sync_status: SyncStatus
    resend_after_uplink: bool
    failures: int
    drifts: int
    desired_state: State | None = None
    desired_code: str | None = None
    desired_at: datetime | None = None
    commanded_actuation_id: UUID | None = None
    reconcile_at: datetime | None = None
    possible_code: str | None = None
    possible_until: datetime | None = None
    others_until: datetime | None = None
    down_f_cnt: int | None = None
    down_queue_id: str | None = None
    answer_s: float | None = None
    tx_ack_s: float | None = None
    drifted_at: datetime | None = None
    unknown_until: datetime | None = None


class _Facts(msgspec.Struct, omit_defaults=True, gc=False):
    """Row for `UPDATE_FACTS`. None from `seen_at` on: unchanged."""

    id: UUID
    network_server: str
    frames_missing: int
    reading_f_cnt: int
    session: int
    application_id: str | None = None
    dev_addr: str | None = None
    former_dev_addr: str | None = None
    last_f_cnt: int | None = None
    first_f_cnt: int | None = None
    session_since: datetime | None = None
    reported_code: str | None = None
    reported_at: datetime | None = None
    last_join_at: datetime | None = None
    last_join_id: str | None = None
    last_uplink_at: datetime | None = None
    seen_at: datetime | None = None
    rssi_dbm: int | None = None
    snr_db: float | None = None
    gateway_id: str | None = None
    battery_pct: float | None = None
    firmware: str | None = None


class _Delivery(msgspec.Struct, omit_defaults=True, gc=False):
    """Row for `UPDATE_ACTUATIONS`."""

    id: UUID
    status: ActuationStatus
    retry_count: int
    error: str | None = None
    queue_id: str | None = None
    next_attempt_at: datetime | None = None
    expires_at: datetime | None = None
    sent_at: datetime | None = None
    transmitted_at: datetime | None = None
    confirmed_at: datetime | None = None
    shown_at: datetime | None = None
    claimed_at: datetime | None = None
    superseded_by: UUID | None = None


class _NewStep(msgspec.Struct, omit_defaults=True, gc=False):
    """Row for `INSERT_STEPS`."""

    at: datetime
    dev_eui: str
    kind: str
    actuation_id: UUID | None = None
    attempt: int | None = None
    queue_id: str | None = None
    downlink_id: int | None = None
    f_cnt_down: int | None = None
    gateway_id: str | None = None
    detail: str | None = None
    event_key: str | None = None


class _NewActuation(NamedTuple):
    """Row of `actuations`."""

    id: UUID
    space_id: UUID
    trigger_type: TriggerType
    trigger_source: str | None
    previous_state: State | None
    new_state: State
    display_device_id: UUID | None
    display_deveui: str | None
    display_code: str | None
    fport: int | None
    confirmed: bool
    status: ActuationStatus
    downlink_error: str | None
    next_attempt_at: datetime | None
    created_at: datetime
    superseded_by: UUID | None


LOCK = Query("control.displays.lock", Display)
LOCK_DUE = Query("control.displays.lock_due", UUID)
UNFINISHED_ACTUATIONS = Query("control.displays.unfinished_actuations", Actuation)
SPACES_SERVED = Query("control.displays.spaces_served", _SpaceServed)
SPACES_OF_SHARED = Query("control.displays.spaces_of_shared", _SpaceOfShared)
UPDATE = RowsStatement("control.displays.update", _Update)
UPDATE_FACTS = RowsStatement("control.displays.update_facts", _Facts)
UPDATE_ACTUATIONS = RowsStatement("control.displays.update_actuations", _Delivery)
UPDATE_DISPLAY_STATES = Statement("control.displays.update_display_states")
OWN_QUEUE_ITEMS = Query("control.displays.own_queue_items", _OwnQueueItem)
MARK_UNPROVEN = Statement("control.displays.mark_unproven")
LOCK_FAILING = Query("control.displays.lock_failing", UUID)
INSERT_STEPS = RowsStatement("control.displays.insert_steps", _NewStep)
INSERT_ACTUATIONS = Copy("actuations", _NewActuation)
_actuation_row = plain(_NewActuation)


async def load(
    connection: Connection,
    ids: Collection[UUID],
    policy: LoopPolicy,
    *,
    dev_euis: Collection[DevEui] | None = None,
    serves: Mapping[UUID, UUID] | None = None,
    to_send: bool = False,
) -> dict[UUID, Display]:
    """Lock displays in id order; return them by id. Unknown ids are left out.

    `dev_euis`: events of ingest name these devices; those of other kinds are left out. If no display is named, pending
    actuations are not read, and the displays may receive decisions and nothing else (ADR 14).
    `serves`: the spaces of displays (by display id) that the caller has locked. `to_send`: no decision follows, so the
    spaces of the displays are not read.
    """
    if not (ids or dev_euis):
        return {}
    found = await LOCK.all(connection, ids=array_literal(ids), dev_euis=array_literal(dev_euis or ()))
    displays = {display.id: display for display in found}
    pending = dev_euis is None or any(display.dev_eui in dev_euis for display in found)
    actuations = await UNFINISHED_ACTUATIONS.all(connection, display_ids=array_literal(displays), pending=pending)
    for actuation in actuations:
        assert actuation.display_id is not None
        displays[actuation.display_id].deliveries.waiting.append(actuation)
    if troubled := {str(display.id): display for display in found if display.troubled}:
        for condition in await conditions.list_open(connection, subject_ids=list(troubled)):
            troubled[condition.subject_id].troubles.open[condition.kind] = condition
    serves = dict(serves or {})
    if not to_send and (missing := [id for id in displays if id not in serves]):
        serves |= {row.display_id: row.space_id for row in await SPACES_SERVED.all(connection, display_ids=missing)}
    for display in found:
        _complete(display, policy)
        display.space_id = serves.get(display.id)
    shared = [display.id for display in found if display.shared]
    if shared and not to_send:
        # Read after the displays were locked: a writer that changes one of these spaces holds that lock until COMMIT.
        for row in await SPACES_OF_SHARED.all(connection, display_ids=shared):
            displays[row.display_id].space_states[row.space_id] = row.state
    return displays


async def mark_all_unproven(connection: Connection, since: datetime, network_server: str) -> int:
    """Trust no report of a display in sync that was made before now; return how many displays there were. Idempotent.

    The news of a restart or of a foreign command since then may be lost. The displays are commanded again one by one,
    a second apart behind each gateway, unless they report before.
    """
    return await MARK_UNPROVEN.run(connection, since=since, network_server=network_server)


async def own_lights(
    connection: Connection, queue_ids: Iterable[str], displays: Collection[Display]
) -> dict[str, str | None]:
    """Return the lights of our actuations by queue item, for those that no unfinished actuation of `displays` has.

    The light is None for bytes that an operator sent. A queue item that is not ours is left out.
    """
    unfinished = {a.queue_id for display in displays for a in display.deliveries.waiting}
    unknown = [queue_id for queue_id in queue_ids if queue_id not in unfinished]
    if not unknown:
        return {}
    own = await OWN_QUEUE_ITEMS.all(connection, queue_ids=unknown)
    return {o.queue_id: None if o.trigger_type is TriggerType.DEVICE_COMMAND else o.code for o in own}


def _complete(display: Display, policy: LoopPolicy) -> None:
    """Set the policy, and what the driver knows."""
    display.policy = policy
    display.reports = reports(display.codec, display.reports)
    display.same = _same(display.codec)
    display.digits = _digits(display.codec)


async def save(connection: Connection, displays: Iterable[Display]) -> None:
    """Write what changed: displays, actuations, steps.

    The number of statements does not depend on the number of rows.
    """
    changed = list(displays)
    if not changed:
        return
    await UPDATE.run(connection, rows=[_update(d) for d in changed])
    if facts := [_facts(d) for d in changed if d.facts_changed]:
        await UPDATE_FACTS.run(connection, rows=facts)
    await _insert(connection, [(d.dev_eui, a) for d in changed for a in d.deliveries.created])
    if touched := sorted((a for d in changed for a in d.deliveries.touched.values()), key=lambda a: a.id.int):
        ids = array_literal(a.id for a in touched)
        await UPDATE_ACTUATIONS.run(connection, rows=[_delivery(a) for a in touched], ids=ids)
    if steps := [_new_step(d, step) for d in changed for step in d.deliveries.steps]:
        await INSERT_STEPS.run(connection, rows=steps)
    await _save_conditions(connection, changed)


async def _save_conditions(connection: Connection, changed: Collection[Display]) -> None:
    await conditions.begin(connection, [c for d in changed for c in d.troubles.begun.values()])
    if any(d.troubles.ended for d in changed):
        ended = [(kind, str(d.id)) for d in changed for kind in d.troubles.ended]
        await conditions.end(connection, ended, max(at for d in changed for at in d.troubles.ended.values()))
    for d in changed:
        for kind in d.troubles.new:
            log.warning("condition_began", kind=kind, dev_eui=d.dev_eui, evidence=d.troubles.open[kind].evidence)
        for kind in d.troubles.ended:
            log.info("condition_ended", kind=kind, dev_eui=d.dev_eui)


async def insert_failed(connection: Connection, failed: Sequence[Actuation]) -> None:
    """Insert actuations of spaces without display: rows that record why nothing was sent."""
    await _insert(connection, [(None, a) for a in failed])


async def save_display_states(
    connection: Connection, displays: Sequence[Display], space_ids: Sequence[UUID], now: datetime
) -> None:
    """Write what displays are known to show to those of their spaces that the caller has locked (`space_ids`)."""
    if displays:
        await UPDATE_DISPLAY_STATES.run(
            connection,
            display_ids=[d.id for d in displays],
            states=[d.state_shown() for d in displays],
            space_ids=space_ids,
            now=now,
        )


async def _insert(connection: Connection, rows: list[tuple[DevEui | None, Actuation]]) -> None:
    if rows:
        rows.sort(key=lambda row: row[1].id.int)
        await INSERT_ACTUATIONS.run(connection, [_new_actuation(dev_eui, a) for dev_eui, a in rows])


def _new_actuation(dev_eui: DevEui | None, a: Actuation) -> _NewActuation:
    return _actuation_row(
        a.id, a.space_id, a.trigger_type, a.trigger_source, a.previous_state, a.new_state, a.display_id, dev_eui,
        a.code, a.f_port, a.confirmed, a.status, a.error, a.next_attempt_at, a.created_at, a.superseded_by,
    )  # fmt: skip


def _update(d: Display) -> _Update:
    return _Update(
        d.id, d.sync_status, d.resend_after_uplink, d.failures, d.drifts, d.desired_state, d.desired_code,
        d.desired_at, d.commanded_id, d.reconcile_at, d.possible_code, d.possible_until, d.others_until, d.down_f_cnt,
        d.down_queue_id, d.answer_s, d.tx_ack_s, d.drifted_at, d.unknown_until,
    )  # fmt: skip


def _facts(d: Display) -> _Facts:
    return _Facts(
        d.id, d.network_server, d.frames_missing, d.reading_f_cnt, d.session, d.application_id, d.dev_addr,
        d.former_dev_addr, d.last_f_cnt, d.first_f_cnt, d.session_since, d.reported_code, d.reported_at,
        d.last_join_at, d.last_join_id, d.last_uplink_at, d.seen_at, d.rssi_dbm, d.snr_db,
        d.gateway_id, d.battery_pct, d.firmware,
    )  # fmt: skip


def _delivery(a: Actuation) -> _Delivery:
    return _Delivery(
        a.id, a.status, a.retry_count, a.error and a.error[:MAX_DETAIL], a.queue_id, a.next_attempt_at, a.expires_at,
        a.sent_at, a.transmitted_at, a.confirmed_at, a.shown_at, a.claimed_at, a.superseded_by,
    )  # fmt: skip


def _new_step(d: Display, s: Step) -> _NewStep:
    return _NewStep(
        s.at, d.dev_eui, s.kind, s.actuation_id, s.attempt, s.queue_id, s.downlink_id, s.f_cnt_down, s.gateway_id,
        s.detail, s.key,
    )  # fmt: skip


@cache
def _digits(codec: str) -> Callable[[int], str] | None:
    """Return the function that makes the code for a number of free spaces; None if the display cannot count."""
    driver = display_driver(codec)
    if not isinstance(driver, CountingDriver):
        return None
    count = driver.count
    return lambda number: count(number).hex()


@cache
def _same(codec: str) -> Callable[[str, str], bool]:
    """Return the function that compares two codes: True if a person sees the same light.

    The display's driver decides; without a driver, only equal codes are the same.
    """
    driver = display_driver(codec)

    def same(first: str, second: str) -> bool:
        return first == second or (
            driver is not None and driver.reports and driver.shows(bytes.fromhex(first), bytes.fromhex(second))
        )

    return same
