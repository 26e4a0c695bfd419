"""Place of frames in a session: rules one by one, and all together against a model of a device and its channel."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baylight.domain.events import Join
from baylight.domain.ids import DevEui
from baylight.domain.session import EARLIER_SESSION, FAR, Kind, Session
from tests.support.clock import T0
from tests.support.uplinks import uplink

EUI = DevEui("58a0cb00000000a1")
ADDRESS, OTHER_ADDRESS = "01020304", "0a0b0c0d"
NEWEST, STALE, REDELIVERY, RESTART = Kind


def make(**more: Any) -> Session:
    given: dict[str, Any] = dict.fromkeys(Session.__struct_fields__)
    given |= {"network_server": "chirpstack", "frames_missing": 0, "reading_f_cnt": EARLIER_SESSION, "session": 0}
    return Session(**given | more)


@dataclass
class Line:
    """Session, and the frames that are stored. Times are in seconds after T0."""

    session: Session = field(default_factory=make)
    stored: dict[tuple[int, int], set[bytes]] = field(default_factory=dict)

    def receive(
        self,
        f_cnt: int,
        at: float,
        *,
        own: float | None = None,
        now: float | None = None,
        data: bytes | None = None,
        dev_addr: str | None = ADDRESS,
    ) -> Kind:
        """Receive a frame as ingest does; `at`: by the network server's clock, `own`: by the gateway's."""
        data = bytes([f_cnt % 256]) if data is None else data
        received = at if now is None else now
        at = min(at, received)
        frame = uplink(EUI, data=data, f_cnt=f_cnt, dev_addr=dev_addr)
        number = self.session.known_in(frame)
        found = None if number is None else self.stored.get((number, f_cnt))
        known = None if found is None else data in found
        made = second(at if own is None else min(own, at))
        place = self.session.place(frame, made, second(received), known=known)
        self.session.follow(frame, place, second(at), second(received))
        if place.kind is not REDELIVERY:
            number = self.session.session if place.in_session else self.session.session - 1
            self.stored.setdefault((number, f_cnt), set()).add(data)
        return place.kind

    @property
    def missing(self) -> int:
        return self.session.frames_missing


def second(number: float) -> datetime:
    return T0 + timedelta(seconds=number)


def test_frames_in_order_are_each_the_newest() -> None:
    line = Line()
    assert [line.receive(f_cnt, 60 * f_cnt) for f_cnt in range(5)] == [NEWEST] * 5
    assert (line.session.last_f_cnt, line.missing) == (4, 0)


def test_a2_a_late_copy_is_a_redelivery_whatever_its_time() -> None:
    for late in (-3600, 0, 1, 60, 3600, 86400):
        line = Line()
        line.receive(80, 0)
        line.receive(81, 2)
        assert line.receive(80, 2 + late) is REDELIVERY
        assert line.receive(81, 2 + late) is REDELIVERY
        assert line.receive(82, 60) is NEWEST
        assert line.missing == 0


@pytest.mark.parametrize("own", [-600, 0, 1.9])
def test_a2_a_lower_counter_with_an_older_own_time_is_stale(own: float) -> None:
    line = Line()
    line.receive(77, -900)
    line.receive(81, 2)
    assert line.missing == 3
    assert line.receive(79, 700, own=own) is STALE
    assert (line.session.last_f_cnt, line.missing) == (81, 2)


@pytest.mark.parametrize(("f_cnt", "after"), [(0, 2), (1, 60), (17, 1.4), (80, 60), (81, 60)])
def test_a2_a_restart_of_the_counter_begins_a_session(f_cnt: int, after: float) -> None:
    line = Line()
    line.receive(80, 0)
    line.receive(81, 1)
    assert line.receive(f_cnt, 1 + after, data=b"new") is RESTART
    assert (line.session.last_f_cnt, line.session.first_f_cnt, line.missing) == (f_cnt, f_cnt, 0)
    assert line.receive(f_cnt + 1, 200, data=b"next") is NEWEST


def test_a2_frames_from_before_a_restart_are_stale() -> None:
    line = Line()
    for f_cnt in (70, 72, 90):
        line.receive(f_cnt, f_cnt)
    assert line.receive(0, 200) is RESTART
    assert line.receive(1, 260) is NEWEST
    assert line.receive(71, 300, own=71) is STALE
    assert line.receive(90, 310, own=90) is STALE
    assert line.receive(90, 310, own=320) is REDELIVERY
    assert line.receive(3, 380) is NEWEST
    assert (line.session.last_f_cnt, line.missing) == (3, 1)


def test_a3_a_higher_counter_is_newer_whatever_the_times() -> None:
    line = Line()
    line.receive(10, 0)
    assert line.receive(11, -1800) is NEWEST  # both clocks are set back
    assert line.receive(12, -1740, own=-90_000) is NEWEST
    assert line.receive(13, -3600, now=-1700) is NEWEST
    assert line.receive(20, 5000, now=-1640) is NEWEST
    assert line.session.last_uplink_at == second(-1640)


@pytest.mark.parametrize("back", [1, 1800, 86_400])
def test_a3_a_restart_after_our_clock_was_set_back_waits_for_no_more_than_one_frame(back: float) -> None:
    line = Line()
    line.receive(300, 0)
    line.receive(301, 60)
    kinds = [line.receive(f_cnt, 60 - back + 60 * f_cnt, now=60.2 - back + 60 * f_cnt) for f_cnt in range(3)]
    assert RESTART in kinds[:2]
    assert line.session.last_f_cnt == 2


def test_i30_what_arrives_close_together_is_ordered_by_the_counter() -> None:
    line = Line()
    line.receive(3, -600)
    assert line.receive(20, 0.004) is NEWEST
    kinds = [line.receive(f, at) for f, at in ((15, 0.001), (7, 0.009), (19, 0.005), (14, 0.006), (17, 0.005), (20, 3))]
    assert kinds == [STALE] * 5 + [REDELIVERY]
    assert (line.session.last_f_cnt, line.missing) == (20, 11)


def test_i30_a_counter_below_the_first_known_one_is_no_restart_when_it_comes_close() -> None:
    line = Line()
    line.receive(20, 0.004)
    assert [line.receive(f, 0.01) for f in (15, 7, 19)] == [STALE] * 3
    assert line.missing == 10  # of 7 to 20 four came
    assert line.receive(8, 3600) is STALE  # it fills a gap
    assert line.receive(2, 7200) is RESTART


def test_b7_a_new_address_begins_a_session_with_the_same_counter_and_data() -> None:
    line = Line()
    line.receive(7, 0)
    assert line.receive(7, 1, dev_addr=OTHER_ADDRESS) is RESTART
    assert line.receive(8, 3, own=0.5, dev_addr=ADDRESS) is STALE  # published late
    assert line.receive(7, 3, dev_addr=ADDRESS) is REDELIVERY
    assert line.receive(8, 60, dev_addr=OTHER_ADDRESS) is NEWEST
    assert line.receive(9, 60.1, dev_addr=ADDRESS) is RESTART  # the device goes on in the session before
    assert line.receive(9, 61, dev_addr=OTHER_ADDRESS) is RESTART


def test_the_reading_of_a_frame_counts_if_only_frames_without_reading_overtook_it() -> None:
    line = Line()
    line.receive(5, 0)
    line.session.reading_f_cnt = 5
    line.receive(7, 120)
    frame = uplink(EUI, f_cnt=6)
    place = line.session.place(frame, second(60), second(130))
    assert place.kind is STALE
    assert line.session.has_newer_reading(frame, place, second(60), second(0))
    line.session.reading_f_cnt = 7
    assert not line.session.has_newer_reading(frame, place, second(60), second(0))


def join(at: float | None, dev_addr: str | None = ADDRESS) -> Join:
    return Join(EUI, str(uuid4()), None if at is None else second(at), dev_addr)


def test_a1_a_join_without_a_time_is_recognised_when_it_is_delivered_again() -> None:
    session = make()
    first, second_join = join(None), join(None, OTHER_ADDRESS)
    assert session.join(first, second(5))
    assert (session.last_join_at, session.dev_addr, session.last_f_cnt) == (second(5), ADDRESS, None)
    assert not session.join(first, second(900))
    assert session.join(second_join, second(1000))
    assert not session.join(first, second(1001))
    assert not session.join(second_join, second(1002))
    assert session.dev_addr == OTHER_ADDRESS


def test_a3_a_join_after_a_clock_was_set_back_is_new() -> None:
    session = make()
    assert session.join(join(0), second(1))
    assert session.join(join(-1800, OTHER_ADDRESS), second(-1799))  # both clocks
    assert session.join(join(-1700, OTHER_ADDRESS), second(-1690))
    assert not session.join(join(-1750, OTHER_ADDRESS), second(-1600))
    assert session.join(join(-9000, "0a0a0a0a"), second(-1500))  # the network server's alone


def test_a_join_that_comes_after_the_first_frames_of_its_session_ends_nothing() -> None:
    line = Line()
    line.receive(0, 10)
    line.receive(1, 11)
    assert line.session.join(join(8), second(12))
    assert (line.session.last_f_cnt, line.session.first_f_cnt) == (1, 0)
    assert line.receive(1, 13) is REDELIVERY


# Against a model ------------------------------------------------------------------------------------------------------

Steps = list[tuple[str, int]]
steps = st.lists(
    st.tuples(st.just("send"), st.integers(0, 6))  # sent; delivered after so many others
    | st.tuples(st.just("lose"), st.just(0))
    | st.tuples(st.just("copy"), st.integers(1, 12))  # a frame that was delivered so many before comes again
    | st.tuples(st.just("our clock"), st.sampled_from([-1800, -7200, 600]))
    | st.tuples(st.just("network clock"), st.sampled_from([-1800, -10_000, 1800, 0]))
    | st.tuples(st.just("restart of ours"), st.just(0))
    | st.tuples(st.just("join"), st.just(0)),
    max_size=50,
)
own_times = st.sampled_from(["right", "absent", "ahead"])


@given(steps, st.lists(own_times, min_size=3, max_size=3), st.integers(0, 1000))
@settings(max_examples=400, deadline=None)
def test_the_newest_frame_is_the_newest_delivered_one_whatever_clocks_and_channel_do(
    steps: Steps, owns: list[str], first: int
) -> None:
    """Compare with the device's own order. A frame is late only after a later one of its session was delivered."""
    line = Line()
    f_cnt, session, ours, network, world = first, 0, 0.0, 0.0, 0.0
    waiting: list[tuple[int, int, int, float]] = []  # turns to wait, session, counter, sent at
    delivered: list[tuple[int, int]] = []

    def deliver(of_session: int, counter: int, own: str, sent: float) -> None:
        own_at = {"right": sent, "absent": None, "ahead": world + ours + 130}[own]
        data = f"{of_session} {counter}".encode()
        line.receive(
            counter,
            world + ours + network,
            own=own_at,
            now=world + ours,
            data=data,
            dev_addr=f"{of_session:08x}",
        )
        delivered.append((of_session, counter))

    for turn, (what, number) in enumerate([*steps, *[("lose", 0)] * 7]):
        world += 60
        if what in ("send", "lose"):
            f_cnt += 1
            if what == "send":
                opens = not any(s == session for s, _ in delivered) and not any(w[1] == session for w in waiting)
                waiting.append((0 if opens else number, session, f_cnt, world))
        elif what == "copy" and len(delivered) >= number:
            of_session, counter = delivered[-number]
            if of_session == session:
                deliver(of_session, counter, "absent", world)
                delivered.pop()
        elif what == "our clock":
            ours += number
        elif what == "network clock":
            network = number
        elif what == "restart of ours":
            line.session = Session(*(getattr(line.session, name) for name in Session.__struct_fields__))
        elif what == "join":
            session, f_cnt, waiting = session + 1, -1, []
            event = Join(EUI, str(uuid4()), second(world + ours), f"{session:08x}")
            assert line.session.join(event, second(world + ours))
        due = [w for w in waiting if w[0] <= 0]
        waiting = [(w[0] - 1, *w[1:]) for w in waiting if w[0] > 0]
        for _, of_session, counter, sent in due:
            deliver(of_session, counter, owns[turn % 3], sent)
    of_newest = [counter for of_session, counter in delivered if of_session == session]
    assert line.session.last_f_cnt == max(of_newest, default=None)
    distinct = set(of_newest)
    assert line.missing == (max(distinct) - min(distinct) + 1 - len(distinct) if distinct else 0)


@given(st.permutations(range(20)), st.lists(st.floats(0, 0.01), min_size=20, max_size=20), st.integers(0, 5000))
@settings(max_examples=200, deadline=None)
def test_i30_a_backlog_in_any_order_leaves_the_newest_counter(order: list[int], times: list[float], first: int) -> None:
    line = Line()
    kinds = [line.receive(first + f, at, now=1) for f, at in zip(order, times, strict=True)]
    assert RESTART not in kinds
    assert (line.session.last_f_cnt, line.missing) == (first + 19, 0)


@given(st.integers(1, 200), st.lists(st.integers(1, 3), min_size=1, max_size=20))
def test_a2_a_device_that_begins_again_is_followed(before: int, gaps: list[int]) -> None:
    line = Line()
    for f_cnt in range(before):
        line.receive(f_cnt, 60 * f_cnt, data=b"a%d" % f_cnt)
    f_cnt, at = 0, 60 * before
    for gap in gaps:
        assert line.receive(f_cnt, at, data=b"b%d" % f_cnt) in (NEWEST, RESTART)
        f_cnt, at = f_cnt + gap, at + 60
    assert line.missing == sum(gaps[:-1]) - len(gaps[:-1])
    assert FAR > 20
