"""Loads and stores the shadows of displays. Whoever changes one holds the lock of its row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from uuid import UUID

import asyncpg
import msgspec

from baylight.codecs.all import display_driver, reports
from baylight.codecs.registry import CountingDriver
from baylight.control.vocabulary import SHARED_RULES, STATES, STATUSES, SYNC_STATUSES, TRIGGERS, span
from baylight.domain.actuation import Actuation, LoopPolicy
from baylight.domain.closed_loop import Shadow
from baylight.domain.downlink import ActuationStatus, SyncStatus
from baylight.domain.ids import DevEui
from baylight.domain.state import State
from baylight.store.pool import Connection, array_literal
from baylight.store.query import queries

_ACTUATION_COLUMNS = [
    "id",
    "space_id",
    "trigger_type",
    "trigger_source",
    "previous_state",
    "new_state",
    "display_device_id",
    "display_deveui",
    "display_code",
    "fport",
    "confirmed",
    "status",
    "downlink_error",
    "next_attempt_at",
    "created_at",
    "superseded_by",
]


async def load(
    connection: Connection,
    ids: Iterable[UUID],
    policy: LoopPolicy,
    serves: Mapping[UUID, UUID] | None = None,
    *,
    free_only: bool = False,
    to_send: bool = False,
    pending: bool = True,
) -> dict[UUID, Shadow]:
    """Shadows by display id, their rows locked in id order; unknown ids are left out, and with `free_only` those that
    somebody else holds.

    `serves`: the spaces of displays (by display id) as far as the caller has them locked. `to_send`: nothing new will
    be decided, their spaces are not looked up. Without `pending`, what waits to be sent is not read: such shadows may
    be told of decisions, and of nothing else.
    """
    wanted = list(set(ids))
    if not wanted:
        return {}
    sql = queries("control.displays")
    lock = sql["lock_displays"] + (" SKIP LOCKED" if free_only else "")
    rows_of_displays = await connection.fetch(lock, array_literal(wanted))
    shadows = {row["id"]: _shadow(row, policy) for row in rows_of_displays}
    wanted = list(shadows)
    for row in await connection.fetch(sql["waiting_actuations"], array_literal(wanted), pending):
        shadows[row["display_device_id"]].waiting.append(_actuation(row))
    serves = dict(serves or {})
    if not to_send and (missing := [id for id in wanted if id not in serves]):
        rows = await connection.fetch(sql["space_of_displays"], missing)
        serves |= {row["display_device_id"]: row["space_id"] for row in rows}
    for shadow in shadows.values():
        shadow.space_id = serves.get(shadow.id)
    shared = [row["id"] for row in rows_of_displays if row["shared"]]
    if shared and not to_send:
        # Read after their rows were locked: whoever changes one of these spaces holds that lock until it commits.
        for row in await connection.fetch(sql["spaces_of_shared"], shared):
            shadows[row["display_device_id"]].members[row["id"]] = STATES[row["current_state"]]
    return shadows


async def save(connection: Connection, shadows: Iterable[Shadow]) -> None:
    """Writes what changed: shadows, actuations, steps. One statement a table, whatever the number."""
    changed = list(shadows)
    if not changed:
        return
    sql = queries("control.displays")
    await connection.execute(sql["update_displays"], [_wanted(s) for s in changed])
    if told := [_told(s) for s in changed if s.told]:
        await connection.execute(sql["update_reports"], told)
    await _save_actuations(connection, changed)
    steps = [(s.dev_eui, step) for s in changed for step in s.steps]
    if steps:
        await connection.execute(
            sql["insert_steps"],
            *_columns(
                [
                    (
                        step.at,
                        step.actuation_id,
                        dev_eui,
                        step.kind,
                        step.attempt,
                        step.queue_id,
                        step.downlink_id,
                        step.f_cnt_down,
                        step.gateway_id,
                        step.detail,
                        step.key,
                    )
                    for dev_eui, step in steps
                ]
            ),
        )


async def insert_failed(connection: Connection, failed: Sequence[Actuation]) -> None:
    """Actuations of spaces that have no display at all: rows that tell why nothing was sent."""
    await _insert(connection, [(None, None, a) for a in failed])


async def save_display_states(
    connection: Connection, shadows: Iterable[Shadow], locked: Sequence[UUID], now: datetime
) -> None:
    """Copies what displays are known to show to those of their spaces whose rows the caller has locked."""
    pairs = [(s.id, s.state_shown()) for s in shadows]
    if pairs:
        await connection.execute(queries("control.displays")["update_display_states"], *_columns(pairs), now, locked)


async def _save_actuations(connection: Connection, shadows: list[Shadow]) -> None:
    await _insert(connection, [(s.id, s.dev_eui, a) for s in shadows for a in s.created])
    touched = sorted((a for s in shadows for a in s.touched.values()), key=lambda a: a.id.int)
    if not touched:
        return
    await connection.execute(
        queries("control.displays")["update_actuations"], [_delivery(a) for a in touched], array_literal(a.id for a in touched)
    )


class _Wanted(msgspec.Struct, omit_defaults=True, gc=False):
    """A row for `update_displays`; as JSON, like the next, without what is None."""

    id: UUID
    sync_status: SyncStatus
    resend_after_uplink: bool
    failures: int
    desired_state: State | None = None
    desired_code: str | None = None
    desired_at: datetime | None = None
    commanded_actuation_id: UUID | None = None
    reconcile_at: datetime | None = None


class _Delivery(msgspec.Struct, omit_defaults=True, gc=False):
    """A row for `update_actuations`."""

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
    superseded_by: UUID | None = None


def _wanted(shadow: Shadow) -> _Wanted:
    return _Wanted(
        shadow.id, shadow.sync_status, shadow.resend_after_uplink, shadow.failures, shadow.desired_state,
        shadow.desired_code, shadow.desired_at, shadow.commanded_id, shadow.reconcile_at,
    )  # fmt: skip


def _told(shadow: Shadow) -> dict[str, object]:
    return {
        "id": shadow.id,
        "reported_code": shadow.reported_code,
        "reported_at": shadow.reported_at,
        "last_join_at": shadow.last_join_at,
        "heard_network_at": shadow.heard_at,
        "dev_addr": shadow.dev_addr,
        "last_f_cnt": shadow.last_f_cnt,
    }


def _delivery(a: Actuation) -> _Delivery:
    return _Delivery(
        a.id, a.status, a.retry_count, a.error and a.error[:2000], a.queue_id, a.next_attempt_at, a.expires_at,
        a.sent_at, a.transmitted_at, a.confirmed_at, a.shown_at, a.superseded_by,
    )  # fmt: skip


async def _insert(connection: Connection, rows: list[tuple[UUID | None, DevEui | None, Actuation]]) -> None:
    if rows:
        await connection.copy_records_to_table(
            "actuations",
            columns=_ACTUATION_COLUMNS,
            records=[
                (
                    a.id,
                    a.space_id,
                    a.trigger_type,
                    a.trigger_source,
                    a.previous_state,
                    a.new_state,
                    display_id,
                    dev_eui,
                    a.code,
                    a.f_port,
                    a.confirmed,
                    a.status,
                    a.error,
                    a.next_attempt_at,
                    a.created_at,
                    a.superseded_by,
                )
                for display_id, dev_eui, a in sorted(rows, key=lambda row: row[2].id.int)
            ],
        )


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _shadow(row: asyncpg.Record, policy: LoopPolicy) -> Shadow:
    (
        id, dev_eui, codes, f_port, confirmed, application_id, network_server, usable, desired_state, desired_code,
        desired_at, commanded_id, reported_code, reported_at, sync_status, resend_after_uplink, failures, reconcile_at,
        last_join_at, heard_at, dev_addr, last_f_cnt, _, shared_rule, codec, silent_s, asked, known_to_report,
    ) = row  # fmt: skip
    return Shadow(
        id, DevEui(dev_eui), codec, codes, f_port, policy, confirmed, usable, reports(codec, known_to_report), asked,
        span(silent_s), _same(codec), application_id, network_server, SHARED_RULES[shared_rule], _digits(codec),
        desired_state and STATES[desired_state], desired_code, desired_at, commanded_id, reported_code, reported_at,
        SYNC_STATUSES[sync_status], resend_after_uplink, failures, reconcile_at, last_join_at, heard_at, dev_addr,
        last_f_cnt,
    )  # fmt: skip


@cache
def _digits(codec: str) -> Callable[[int], str] | None:
    """The code for a number of free spaces, if the display counts."""
    driver = display_driver(codec)
    if not isinstance(driver, CountingDriver):
        return None
    count = driver.count
    return lambda number: count(number).hex()


@cache
def _same(codec: str) -> Callable[[str, str], bool]:
    """Whether a person sees the same light for two codes, by the display's driver; without one, only equal codes."""
    driver = display_driver(codec)

    def same(first: str, second: str) -> bool:
        return first == second or (
            driver is not None and driver.reports and driver.shows(bytes.fromhex(first), bytes.fromhex(second))
        )

    return same


def _actuation(row: asyncpg.Record) -> Actuation:
    (
        id, space_id, trigger, source, previous, new, _, code, f_port, confirmed, created_at, status, error, queue_id,
        retry_count, next_attempt_at, expires_at, sent_at, transmitted_at, confirmed_at, shown_at,
    ) = row  # fmt: skip
    return Actuation(
        id, space_id, TRIGGERS[trigger], source, previous and STATES[previous], STATES[new], code, f_port, confirmed,
        created_at, STATUSES[status], error, queue_id, retry_count, next_attempt_at, expires_at, sent_at,
        transmitted_at, confirmed_at, shown_at,
    )  # fmt: skip
