"""One display in memory, and the steps of its loop."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from baylight.domain.display_loop.actuation import Actuation, LoopPolicy
from baylight.domain.display_loop.display import Display
from baylight.domain.downlink import ActuationStatus, TriggerType
from baylight.domain.ids import DevEui
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
    unread = [a for a in display.waiting if a.status is S.PENDING]
    display.waiting = [a for a in display.waiting if a.status is not S.PENDING]
    actuation = want(display, state, now)
    display.waiting = sorted([*display.waiting, *unread], key=lambda a: a.id.int)
    return actuation


def want(display: Display, state: State, now: datetime, trigger: TriggerType = TriggerType.SENSOR_UPLINK) -> Actuation:
    return display.desire(SPACE, state, previous=display.desired_state, trigger=trigger, source=None, now=now)


def send(display: Display, now: datetime) -> Actuation:
    """Claim an actuation and let it be accepted. Its queue item is named after it."""
    actuation = display.claim(now)
    assert actuation is not None
    display.accepted(actuation.id, f"q-{actuation.id}", now)
    return actuation


def show(display: Display, state: State, now: datetime) -> Actuation:
    """Let the display show a state: the whole way without trouble."""
    want(display, state, now)
    actuation = send(display, now)
    display.tx_ack(f"q-{actuation.id}", now)
    assert actuation.code is not None
    display.reported(actuation.code, now + seconds(1), now + seconds(1))
    return actuation


def hand_over(display: Display, now: datetime) -> Actuation:
    """Claim an actuation for a sender that has no answer yet."""
    actuation = display.claim(now)
    assert actuation is not None
    return actuation
