"""Model of one display with its lamp, its network server and the radio between them, explored exhaustively.

A `World` is a state. `steps` returns all states that can follow it: a decision, a command that is handed over, a
transmission that the lamp or its acknowledgement may miss, an event that arrives in any order, a foreign command, a
join, a refused join, and time up to the next deadline. `explore` visits all states that a budget of such troubles
reaches, and returns the first that breaks an invariant, with the way to it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from baylight.domain.display_loop import decisions, news, sending, uplinks
from baylight.domain.display_loop.actuation import GAVE_UP, PENDING, QUEUED, SENDING, LoopPolicy
from baylight.domain.display_loop.deliveries import Deliveries
from baylight.domain.display_loop.display import Display
from baylight.domain.display_loop.due import due
from baylight.domain.display_loop.troubles import Troubles
from baylight.domain.downlink import SyncStatus, TriggerType
from baylight.domain.state import State
from tests.support.clock import T0
from tests.support.display_loop import DIM_GREEN, RED, SPACE, join, make, seconds, show, uplink

LOCK = seconds(2)
"""Time between two transmissions to the lamp."""
BLUE = "00ff006400"
MAX_SENDS = 5
"""Transmissions of one command that no gateway acknowledges."""


@dataclass(frozen=True)
class Item:
    """Item of the network server's queue. `ours`: False if an operator made it."""

    id: str
    code: str
    expires_at: datetime
    ours: bool = True
    sends: int = 0


@dataclass(frozen=True)
class Event:
    """Event on its way to Baylight: tx_ack, report, join, refused, expired."""

    kind: str
    at: datetime
    queue_id: str = ""
    f_cnt: int = 0
    code: str = ""


@dataclass(frozen=True)
class Budget:
    """Number of troubles of each kind that may still happen."""

    decisions: int = 0
    downlinks_lost: int = 0
    acks_lost: int = 0
    reports_lost: int = 0
    foreign: int = 0
    joins: int = 0
    refused_joins: int = 0
    counters_reused: int = 0

    def spend(self, name: str) -> Budget:
        return replace(self, **{name: getattr(self, name) - 1})


@dataclass(frozen=True)
class World:
    """State of the model. `light`: what the lamp shows; `heard`: counter of the last frame that it accepted."""

    display: Display
    now: datetime
    light: str
    budget: Budget
    queue: tuple[Item, ...] = ()
    events: tuple[Event, ...] = ()
    f_cnt: int = 1
    heard: int = 0
    acked: int = 0
    """Counter of the last frame that was acknowledged."""
    up: int = 10
    free_at: datetime = T0
    waits_for_uplink: bool = False
    dropped: str = ""
    """Queue item whose frame the lamp dropped as a replay, while its tx_ack was positive."""
    way: tuple[str, ...] = field(default=(), compare=False)

    def key(self) -> object:
        d = self.display
        return (
            self.now, self.light, self.budget, self.queue, frozenset(self.events), self.f_cnt, self.heard, self.acked,
            self.free_at,
            self.waits_for_uplink, self.dropped, d.desired_code, d.reported_code, d.reported_at, d.possible,
            d.down_f_cnt, d.down_queue_id, d.drifts, d.drifted_at, d.sync_status, d.resend_after_uplink, d.failures,
            d.reconcile_at, d.last_uplink_at,
            tuple(
                (a.code, a.status, a.queue_id, a.next_attempt_at, a.expires_at, a.transmitted_at)
                for a in d.deliveries.waiting
            ),
        )  # fmt: skip


def begin(budget: Budget, policy: LoopPolicy) -> World:
    """Return a world whose lamp was proven to be red."""
    display = make(policy=policy, silent_after_s=5400)
    uplink(display, f_cnt=9, dev_addr="01", at=T0 - seconds(60), now=T0 - seconds(60))
    show(display, State.OCCUPIED, T0 - seconds(60))
    display.down_f_cnt, display.down_queue_id = 0, "q-first"
    return World(display, T0, RED, budget)


def explore(budget: Budget, policy: LoopPolicy, *, limit: int = 200_000) -> tuple[str, tuple[str, ...]] | None:
    """Return what is wrong and the way to it, or None if no state within the budget breaks an invariant."""
    first = begin(budget, policy)
    todo, seen = [first], {first.key()}
    while todo:
        world = todo.pop()
        if wrong := broken(world):
            return wrong, world.way
        for following in steps(world):
            key = following.key()
            if key not in seen:
                seen.add(key)
                todo.append(following)
        assert len(seen) < limit, f"more than {limit} states"
    return None


def broken(world: World) -> str | None:
    """Return the invariant that a state breaks."""
    display = world.display
    on_the_way = bool(world.events) or any(not item.ours for item in world.queue)
    if display.sync_status is SyncStatus.IN_SYNC and world.light != display.desired_code and not on_the_way:
        return f"in sync, but the lamp shows {world.light}"
    if not display.proven() and _deadline(world) is None and not on_the_way:
        return "not proven, and nothing is due"
    if any(item.sends > MAX_SENDS for item in world.queue):
        return "one command is sent again and again"
    sent = display.deliveries.sent
    if world.dropped and sent is not None and sent.queue_id == world.dropped:
        return "waits for the report of a frame whose counter was used twice"
    return None


def _deadline(world: World) -> datetime | None:
    """Return when Baylight or the network server acts next by itself."""
    display = world.display
    times = [a.next_attempt_at for a in display.deliveries.waiting if a.next_attempt_at is not None]
    if display.reconcile_at is not None:
        times.append(display.reconcile_at)
    if world.queue and not world.waits_for_uplink:
        times.append(max(world.free_at, world.now))
    return min(times, default=None)


def steps(world: World) -> Iterator[World]:
    """Return the states that can follow."""
    yield from _decide(world)
    yield from _hand_over(world)
    yield from _transmit(world)
    for n in range(len(world.events)):
        yield _deliver(world, n)
    yield from _trouble(world)
    yield from _pass_time(world)


def _with(world: World, said: str, act: Callable[[Display], object] | None = None, **changes: object) -> World:
    display = world.display
    if act is not None:
        display = copy.copy(display)
        waiting = [copy.copy(a) for a in display.deliveries.waiting]
        display.deliveries = Deliveries(waiting)
        display.troubles = Troubles(dict(display.troubles.open))
        act(display)
    return replace(world, display=display, way=(*world.way, said), **changes)


def _decide(world: World) -> Iterator[World]:
    if world.budget.decisions:
        free = world.display.desired_code == RED
        state = State.FREE if free else State.OCCUPIED

        def act(display: Display) -> None:
            decisions.desire(
                display, SPACE, state, previous=None, trigger=TriggerType.SENSOR_UPLINK, source=None, now=world.now
            )

        yield _with(world, f"decide {state}", act, budget=world.budget.spend("decisions"))


def _hand_over(world: World) -> Iterator[World]:
    pending = [a for a in world.display.deliveries.of(PENDING) if a.next_attempt_at and a.next_attempt_at <= world.now]
    if pending and not world.display.deliveries.of(SENDING, QUEUED):
        claimed: list[Item] = []

        def act(display: Display) -> None:
            actuation = sending.claim(display, world.now)
            if actuation is not None:
                assert actuation.code is not None
                assert actuation.expires_at is not None
                item = Item(f"q-{len(world.way)}", actuation.code, actuation.expires_at)
                claimed.append(item)
                sending.accepted(display, actuation.id, item.id, world.now)

        following = _with(world, "hand over", act)
        yield replace(following, queue=(*world.queue, *claimed))


def _transmit(world: World) -> Iterator[World]:
    """Let the gateway send the first item of the queue: the lamp and the network server may each miss it."""
    if not world.queue or world.free_at > world.now or world.waits_for_uplink:
        return
    item, rest = world.queue[0], world.queue[1:]
    if item.expires_at <= world.now:
        expired = Event("expired", world.now, item.id)
        yield _with(
            world, "the item expires", queue=rest, events=(*world.events, expired) if item.ours else world.events
        )
        return
    sent = replace(world, free_at=world.now + LOCK, queue=(replace(item, sends=item.sends + 1), *rest))
    for received in (True, False):
        if not received and not world.budget.downlinks_lost:
            continue
        budget = world.budget if received else world.budget.spend("downlinks_lost")
        accepted = received and world.f_cnt > world.heard
        light, heard = (item.code, world.f_cnt) if accepted else (world.light, world.heard)
        base = replace(sent, light=light, heard=heard, budget=budget)
        for reported in (True, False) if accepted else (False,):
            if accepted and not reported and not budget.reports_lost:
                continue
            events, spent = base.events, budget
            if reported:
                events = (*events, Event("report", world.now + seconds(0.5), code=light, f_cnt=base.up + 1))
            elif accepted:
                spent = budget.spend("reports_lost")
            after = replace(base, events=events, budget=spent, up=base.up + reported)
            ack = Event("tx_ack", world.now, item.id, world.f_cnt)
            replayed = received and not accepted and world.f_cnt <= world.acked
            dropped = item.id if replayed else world.dropped
            said = f"send {item.code}{'' if accepted else ', not received'}{', reported' if reported else ''}"
            acked = replace(after, queue=rest, events=(*after.events, ack), dropped=dropped, acked=world.f_cnt)
            yield _with(acked, f"{said}, acknowledged", f_cnt=world.f_cnt + 1)
            if reported and spent.counters_reused:
                reused = replace(acked, budget=spent.spend("counters_reused"))
                yield _with(reused, f"{said}, acknowledged, the counter stands still")
            if spent.acks_lost:
                yield _with(replace(after, budget=spent.spend("acks_lost")), f"{said}, the acknowledgement is lost")


def _deliver(world: World, n: int) -> World:
    event = world.events[n]
    events = (*world.events[:n], *world.events[n + 1 :])
    now = max(world.now, event.at)
    ours = event.queue_id.startswith("q-")

    def act(display: Display) -> None:
        if event.kind == "tx_ack":
            if not news.tx_ack(display, event.queue_id, event.at, f_cnt=event.f_cnt):
                if ours:
                    news.transmitted_late(display, event.code or None, event.queue_id, event.f_cnt, event.at, now)
                else:
                    news.commanded_by_other(display, event.queue_id, event.f_cnt, event.at, now)
        elif event.kind == "report":
            if display.last_uplink_at is None or event.at >= display.last_uplink_at:
                uplink(display, f_cnt=event.f_cnt, dev_addr=None, at=event.at, now=now)
            if display.reported_at is None or event.at >= display.reported_at:
                uplinks.reported(display, event.code, event.at, now)
        elif event.kind == "join":
            join(display, event.at, now)
        elif event.kind == "refused":
            uplinks.refused_uplink(display, "OTAA", event.at, now)
        else:
            news.gave_up(display, event.queue_id, GAVE_UP["EXPIRED"], "EXPIRED", now)

    return _with(world, f"{event.kind} {event.queue_id or event.code} arrives", act, events=events, now=now)


def _trouble(world: World) -> Iterator[World]:
    budget = world.budget
    if budget.foreign:
        item = Item(f"x-{len(world.way)}", BLUE, world.now + timedelta(hours=1), ours=False)
        yield _with(world, "an operator sends", queue=(*world.queue, item), budget=budget.spend("foreign"))
    at = max([world.now, *(event.at for event in world.events)]) + seconds(0.1)
    if budget.joins:
        report = Event("report", at + seconds(2), code=DIM_GREEN, f_cnt=world.up + 1)
        events = (*world.events, Event("join", at), report)
        yield _with(
            world, "the lamp joins", light=DIM_GREEN, queue=(), f_cnt=0, heard=-1, acked=-1, up=world.up + 1,
            events=events, budget=budget.spend("joins"),
        )  # fmt: skip
    if budget.refused_joins:
        yield _with(
            world, "a join is refused", light=DIM_GREEN, events=(*world.events, Event("refused", at)),
            budget=budget.spend("refused_joins"), heard=10**6,
        )  # fmt: skip


def _pass_time(world: World) -> Iterator[World]:
    """Go on to the next deadline, if all events have arrived: they are far faster than deadlines."""
    at = _deadline(world)
    rest_until = T0 + seconds(120)
    if world.events or at is None or at <= world.now or at > rest_until:
        act_now = at is not None and at <= world.now and not world.events
        if not act_now:
            return
        at = world.now
    now = at

    def act(display: Display) -> None:
        due(display, now)
        for actuation in display.deliveries.of(QUEUED):
            if actuation.next_attempt_at is not None and actuation.next_attempt_at <= now:
                if any(item.id == actuation.queue_id for item in world.queue):
                    sending.still_queued(display, actuation.id, "asked", now, disabled=False, without_uplink=False)
                else:
                    sending.not_found_in_queue(display, actuation.id, now)

    yield _with(world, f"time {(now - T0).total_seconds():.1f}", act, now=now)
