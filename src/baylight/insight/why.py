"""Explain why a light is as it is: the chain from the uplink, reservation or override to what the display shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from uuid import UUID

from baylight.codecs.all import display_driver
from baylight.control import spaces as decisions
from baylight.domain.state import Policy, Reason, decide
from baylight.domain.unproven import MEANINGS
from baylight.errors import escape
from baylight.insight import conditions, history
from baylight.insight.conditions import ConditionSeen
from baylight.insight.history import Actuation, StateChange, UplinkRow
from baylight.inventory import devices, spaces
from baylight.inventory.display_codes import describe_code
from baylight.inventory.spaces import Space
from baylight.store.pool import Connection
from baylight.store.query import Query

MAX_ACTUATIONS = 3
MAX_ON_THE_WAY = timedelta(minutes=1)
"""Time from the network server to Baylight that is not worth a word."""
MAX_WAITING = 3
SPACES = Query("insight.why.spaces", decisions.Space)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that applies now. The first rule decides."""

    reason: str
    state: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class StateCause:
    """The reservation or override that decides the state."""

    kind: str
    id: UUID
    state: str | None
    from_at: datetime
    until_at: datetime | None
    actor: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Closed:
    """Switch that closes a space. `place` is `space` or `location`. `since`, `actor` None: not recorded."""

    place: str
    name: str
    since: datetime | None
    actor: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """An actuation with its steps. `colour`: what the display had to show."""

    actuation: Actuation
    colour: str | None


@dataclass(frozen=True, slots=True)
class LightSeen:
    """A light with its colour in words. `state` None: the code belongs to no state."""

    state: str | None
    code: str | None
    rgb: str | None
    colour: str | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Loop:
    """The closed loop of a display: what it must show, what was sent, what it reports."""

    dev_eui: str
    sync_status: str
    failures: int
    last_seen_at: datetime | None
    desired: LightSeen
    commanded: LightSeen | None
    reported: LightSeen | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Explanation of the state of a space, and of what its light shows.

    `decided`: the state by the rules at `at`; it differs from the state of `space` only while a change is due.
    `uplink`: the newest one with an occupancy; if there is none, the newest of all. `changed_by`: the uplink that
    caused `change`. `waiting`: the newest uplinks of the sensor that wait for their codec, newest first, at most
    MAX_WAITING. `conditions`: what is wrong with the devices of the space. `closed`: what closes it, the nearest first.
    """

    at: datetime
    space: Space
    decided: str
    rules: list[Rule]
    cause: StateCause | None
    uplink: UplinkRow | None
    change: StateChange | None
    changed_by: UplinkRow | None
    actuations: list[Delivery]
    display: Loop | None
    waiting: list[UplinkRow]
    conditions: list[ConditionSeen]
    closed: list[Closed]


@dataclass(frozen=True, slots=True)
class Commanded:
    """The command that the network server received last for a display."""

    state: str
    code: str | None
    at: datetime | None


CAUSE = Query("insight.why.cause", StateCause)
CLOSED = Query("insight.why.closed", Closed)
NEWEST_UPLINK = Query("insight.why.uplink", UplinkRow)
WAITING = Query("insight.why.waiting", UplinkRow)
CAUSE_UPLINK = Query("insight.why.cause_uplink", UplinkRow)
CODEC = Query("insight.why.codec", str)
COMMANDED = Query("insight.why.commanded", Commanded)


async def explain(connection: Connection, code: str, now: datetime, policy: Policy) -> Explanation:
    """Explain a space at one consistent moment. Raises NotFoundError `unknown_space`."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        space = await spaces.get_space(connection, code)
        [evaluated] = await evaluated_spaces(connection, now, code=code)
        decision = decide(evaluated.inputs, policy, now)
        cause = await CAUSE.first(connection, id=decision.cause) if decision.cause else None
        changes = await history.list_state_changes(connection, space=code, limit=1)
        return Explanation(
            at=now,
            space=space,
            decided=decision.state,
            rules=[Rule(rule.reason, rule.state, rule.detail) for rule in decision.considered],
            cause=cause,
            uplink=await _evidence(connection, space),
            change=changes[0] if changes else None,
            changed_by=await _changed_by(connection, changes[0]) if changes else None,
            actuations=await _deliveries(connection, code),
            display=await _loop(connection, space),
            waiting=await WAITING.all(connection, dev_eui=space.sensor_dev_eui, limit=MAX_WAITING),
            conditions=await conditions.of_devices(
                connection, [id_ for id_ in (evaluated.sensor_id, evaluated.display_id) if id_]
            ),
            closed=await CLOSED.all(connection, code=code),
        )


async def evaluated_spaces(
    connection: Connection, now: datetime, *, code: str | None = None, after: str | None = None, limit: int = 1
) -> list[decisions.Space]:
    """Return live spaces by code with their inputs, not locked: one, or a page after a code."""
    found = await SPACES.all(connection, code=code, after=after, limit=limit)
    await decisions.load_inputs(connection, found, now)
    return found


async def _evidence(connection: Connection, space: Space) -> UplinkRow | None:
    if space.sensor_dev_eui is None:
        return None
    found = None
    if space.sensor_state is not None:
        found = await NEWEST_UPLINK.first(connection, dev_eui=space.sensor_dev_eui, with_occupancy=True)
    return found or await NEWEST_UPLINK.first(connection, dev_eui=space.sensor_dev_eui, with_occupancy=False)


async def _changed_by(connection: Connection, change: StateChange) -> UplinkRow | None:
    if change.uplink_observed_at is None:
        return None
    return await CAUSE_UPLINK.first(
        connection, observed_at=change.uplink_observed_at, trigger_source=change.trigger_source
    )


async def _deliveries(connection: Connection, code: str) -> list[Delivery]:
    deliveries = []
    for newest in await history.list_actuations(connection, space=code, limit=MAX_ACTUATIONS):
        actuation = await history.get_actuation(connection, newest.id)
        codec = await CODEC.first(connection, actuation_id=newest.id)
        colour = describe_code(codec, actuation.display_code).colour if codec and actuation.display_code else None
        deliveries.append(Delivery(actuation, colour))
    return deliveries


async def _loop(connection: Connection, space: Space) -> Loop | None:
    if space.display_dev_eui is None:
        return None
    display = await devices.get_display(connection, space.display_dev_eui)
    sent = await COMMANDED.first(connection, dev_eui=display.dev_eui)

    def seen(state: str | None, code: str | None, at: datetime | None) -> LightSeen:
        light = describe_code(display.codec, code) if code else None
        return LightSeen(state, code, light.rgb if light else None, light.colour if light else None, at)

    return Loop(
        dev_eui=display.dev_eui,
        sync_status=display.sync_status,
        failures=display.failures,
        last_seen_at=display.last_seen_at,
        desired=seen(display.desired_state, display.desired_code, display.desired_at),
        commanded=seen(sent.state, sent.code, sent.at) if sent else None,
        reported=seen(_state_reported(display), display.reported_code, display.reported_at)
        if display.reported_code
        else None,
    )


def _state_reported(display: devices.Display) -> str | None:
    """Return the state whose light the display last reported, whether or not that still holds."""
    driver, code = display_driver(display.codec), display.reported_code
    if code is None:
        return None
    reported, states = bytes.fromhex(code), {**display.display_codes}
    if display.desired_state and display.desired_code:  # first: two states may look alike
        states = {display.desired_state: display.desired_code, **states}
    for state, own in states.items():
        if own == code or (driver is not None and driver.reports and driver.shows(bytes.fromhex(own), reported)):
            return state
    return None


def render(explanation: Explanation, zone: tzinfo = UTC) -> str:
    """Return an explanation as plain text for a terminal, with the times in a time zone."""
    e = replace(explanation, at=explanation.at.astimezone(zone))
    space = e.space
    where = f" ({space.location})" if space.location else ""
    since = _at(space.state_at, e.at)
    lines = [f"{space.code}{where} is {space.state} since {since}", "", "Rules that apply, the first wins:"]
    for place, rule in enumerate(e.rules):
        lines.append(f"  {'=>' if place == 0 else '  '} {rule.state or '-':<12} {rule.reason}: {rule.detail}")
    if e.decided != space.state:
        lines.append(f"  By the rules it is now {e.decided}: the change is due within seconds.")
    if e.rules[0].reason == Reason.RESERVED_AND_TAKEN:
        lines.append("  A car is on a reserved space.")
    for shut in e.closed:
        set_ = (
            f" since {_at(shut.since, e.at)} by {shut.actor}"
            if shut.since
            else "; who closed it and when is not recorded"
        )
        lines.append(f"  the {shut.place} {shut.name} is in maintenance{set_}")
    if mark := space.unproven:
        lines += [
            f"  unproven since {_at(mark.since, e.at)}: {MEANINGS[mark.reason]}.",
            f"  The sensor's next report ends this. Without one the state is UNKNOWN from {_at(mark.until, e.at)}.",
        ]
    if e.cause:
        until = _at(e.cause.until_at, e.at) if e.cause.until_at else "someone ends it"
        by = f" by {e.cause.actor}" if e.cause.actor else ""
        note = f": {e.cause.reason}" if e.cause.reason else ""
        lines += ["", f"{e.cause.kind} {e.cause.id}{by}, from {_at(e.cause.from_at, e.at)} until {until}{note}"]
    for c in e.conditions:
        lines += ["", f"{c.kind} ({c.subject} {c.name}) since {_at(c.since, e.at)}: {c.meaning}"]
        lines += [f"  evidence: {c.evidence}", f"  remedy: {c.remedy}"]
    lines += ["", *_render_sensor(e), *_render_waiting(e)]
    if e.change:
        source = f" {e.change.trigger_source}" if e.change.trigger_source else ""
        lines += [
            "",
            f"Last change: {e.change.previous_state} -> {e.change.new_state} at {_at(e.change.at, e.at)},"
            f" by {e.change.trigger_type}{source}",
        ]
        if e.changed_by:
            lines.append(f"  frame {e.changed_by.f_cnt}, FPort {e.changed_by.f_port}, data {e.changed_by.data}")
    lines += ["", *_render_display(e)]
    for delivery in e.actuations:
        lines += ["", *_render_delivery(delivery, e.at)]
    return "\n".join(map(escape, lines))


def _render_sensor(e: Explanation) -> list[str]:
    if e.space.sensor_dev_eui is None:
        return ["Sensor: none"]
    if e.uplink is None:
        return [f"Sensor {e.space.sensor_dev_eui}: no uplink yet"]
    u = e.uplink
    report = f"reports {u.occupancy}" if u.occupancy else f"does not report the occupancy ({u.outcome})"
    lines = [
        f"Sensor {u.dev_eui} {report}, {_sent(u, e.at)}",
        f"  frame {u.f_cnt}, FPort {u.f_port}, data {u.data or '(none)'}",
    ]
    if u.reading:
        lines.append("  " + ", ".join(f"{name} {value}" for name, value in u.reading.items()))
    if u.error:
        lines.append(f"  not usable: {u.error}")
    if u.gateway_id:
        lines.append(f"  gateway {u.gateway_id}, {u.rssi_dbm} dBm, SNR {u.snr_db} dB")
    return lines


def _sent(u: UplinkRow, now: datetime) -> str:
    """Return when an uplink was made by the clock of the rules: it may have arrived a second ago, made hours ago."""
    delay = u.received_at - (u.network_at or u.received_at)
    if delay < MAX_ON_THE_WAY or u.network_at is None:
        return f"received {_at(u.received_at, now)}"
    later = timedelta(seconds=round(delay.total_seconds()))
    return f"sent {_at(u.network_at, now)} by the network server's clock, and received {later} later"


def _render_waiting(e: Explanation) -> list[str]:
    return [
        f"  to decode: frame {u.f_cnt}, FPort {u.f_port}, data {u.data}, received {_at(u.received_at, e.at)}: {u.error}"
        for u in e.waiting
    ]


def _render_display(e: Explanation) -> list[str]:
    if e.display is None:
        return ["Display: none"]
    d = e.display
    lines = [f"Display {d.dev_eui}: {d.sync_status}" + (f", failures in a row: {d.failures}" if d.failures else "")]
    for lane, light, nothing in (
        ("must show", d.desired, "nothing"),
        ("sent", d.commanded, "nothing"),
        ("reported", d.reported, "nothing yet"),
    ):
        lines.append(f"  {lane:<10} {_render_light(light, e.at) or nothing}")
    return lines


def _render_light(light: LightSeen | None, now: datetime) -> str | None:
    if light is None or (light.state is None and light.code is None):
        return None
    code = f"{light.colour} ({light.code})" if light.code else "no code for this state"
    when = f", {_at(light.at, now)}" if light.at else ""
    return f"{light.state or 'none of its states'}: {code}{when}"


def _render_delivery(delivery: Delivery, now: datetime) -> list[str]:
    actuation = delivery.actuation
    colour = f" = {delivery.colour}" if delivery.colour else ""
    decided = f"decided {_at(actuation.created_at, now)} by {actuation.trigger_type}"
    lines = [f"Actuation {actuation.id}: {actuation.new_state}{colour}, {actuation.status}; {decided}"]
    for step in actuation.steps:
        attempt = f"attempt {step.attempt}" if step.attempt else None
        gateway = f"gateway {step.gateway_id}" if step.gateway_id else None
        more = ", ".join(fact for fact in (attempt, gateway, step.detail) if fact)
        after = (step.at - actuation.created_at).total_seconds()
        lines.append(f"  {after:+9.3f} s  {step.kind}" + (f": {more}" if more else ""))
    if actuation.downlink_error:
        lines.append(f"  {actuation.downlink_error}")
    return lines


def _at(at: datetime, now: datetime) -> str:
    """Return an instant and its distance from now, such as `2026-11-24 09:00:00 UTC (12 min ago)`, in now's zone."""
    shown = f"{at.astimezone(now.tzinfo):%Y-%m-%d %H:%M:%S %Z}"
    seconds = (now - at).total_seconds()
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if abs(seconds) >= length:
            amount = f"{abs(seconds) / length:.0f} {unit}"
            return f"{shown} ({amount} ago)" if seconds > 0 else f"{shown} (in {amount})"
    return f"{shown} (now)"
