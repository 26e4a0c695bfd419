"""One display in memory, and the steps of its loop."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from baylight.domain.display_loop import decisions, news, sending, uplinks
from baylight.domain.display_loop.actuation import Actuation, LoopPolicy
from baylight.domain.display_loop.display import Display
from baylight.domain.downlink import ActuationStatus, TriggerType
from baylight.domain.events import Join, Uplink
from baylight.domain.ids import DevEui
from baylight.domain.session import Kind
from baylight.domain.state import State

S = ActuationStatus
SPACE = uuid4()
CODES = {"FREE": "0000ff6400", "OCCUPIED": "ff00006400", "RESERVED": "ff00ff6400", "UNKNOWN": "0000000000"}
RED, GREEN, DIM_GREEN = CODES["OCCUPIED"], CODES["FREE"], "000035ff00"
POLICY = LoopPolicy()
TTL, GRACE, REPORT = POLICY.ttl, POLICY.grace, POLICY.report_timeout


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def make(**more: Any) -> Display:
    given: dict[str, Any] = {
        "application_id": None,
        "dev_addr": None,
        "last_f_cnt": None,
        "last_uplink_at": None,
        "first_f_cnt": None,
        "frames_missing": 0,
        "reading_f_cnt": -1,
        "session": 0,
        "session_since": None,
        "former_dev_addr": None,
        "last_join_at": None,
        "last_join_id": None,
        "f_port": 15,
        "policy": POLICY,
    }
    given |= {"id": uuid4(), "dev_eui": DevEui("2020200000000001"), "codec": "kuando_busylight", "codes": CODES}
    return Display(network_server="chirpstack", **given | more)


def want_unread(display: Display, state: State, now: datetime) -> Actuation:
    """Decide as ingest does: without the waiting commands, which are there again when the display is loaded next."""
    unread = [a for a in display.deliveries.waiting if a.status is S.PENDING]
    display.deliveries.waiting = [a for a in display.deliveries.waiting if a.status is not S.PENDING]
    actuation = want(display, state, now)
    display.deliveries.waiting = sorted([*display.deliveries.waiting, *unread], key=lambda a: a.id.int)
    return actuation


def want(display: Display, state: State, now: datetime, trigger: TriggerType = TriggerType.SENSOR_UPLINK) -> Actuation:
    return decisions.desire(
        display, SPACE, state, previous=display.desired_state, trigger=trigger, source=None, now=now
    )


def send(display: Display, now: datetime) -> Actuation:
    """Claim an actuation and let it be accepted. Its queue item is named after it."""
    actuation = sending.claim(display, now)
    assert actuation is not None
    sending.accepted(display, actuation.id, f"q-{actuation.id}", now)
    return actuation


def show(display: Display, state: State, now: datetime) -> Actuation:
    """Let the display show a state: the whole way without trouble."""
    want(display, state, now)
    actuation = send(display, now)
    news.tx_ack(display, f"q-{actuation.id}", now)
    assert actuation.code is not None
    uplinks.reported(display, actuation.code, now + seconds(1), now + seconds(1))
    return actuation


def hand_over(display: Display, now: datetime) -> Actuation:
    """Claim an actuation for a sender that has no answer yet."""
    actuation = sending.claim(display, now)
    assert actuation is not None
    return actuation


def uplink(
    display: Display,
    *,
    f_cnt: int | None,
    dev_addr: str | None,
    at: datetime,
    now: datetime,
    device_class: str | None = None,
) -> None:
    """Let an uplink arrive, as ingest does. `at`: when it was made."""
    event = Uplink(display.dev_eui, str(uuid4()), at, at, dev_addr, f_cnt, 15, b"", device_class=device_class)
    place = display.place(event, at, now)
    display.follow(event, place, at, now)
    if place.is_newest:
        uplinks.received(display, at, now, restarted=place.kind is Kind.RESTART, device_class=device_class)


def join(display: Display, at: datetime, now: datetime, dev_addr: str | None = None) -> None:
    """Let a join arrive, as ingest does. The same `at` is the same join."""
    if display.join(Join(display.dev_eui, f"join-{at.isoformat()}", at, dev_addr), now):
        uplinks.joined(display, min(at, now), now)
