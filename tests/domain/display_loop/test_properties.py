"""The closed loop of one display in any order of events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import astuple

from baylight.domain.display_loop.actuation import GAVE_UP, Actuation, Step
from baylight.domain.display_loop.display import Display
from baylight.domain.downlink import OUTSTANDING, TRANSITIONS, SyncStatus
from baylight.domain.state import State
from tests.support.clock import T0
from tests.support.display_loop import CODES, DIM_GREEN, S, make, seconds, want, want_unread

STATES = st.sampled_from([State.FREE, State.OCCUPIED, State.RESERVED, State.MAINTENANCE, State.UNKNOWN])
SHOWN_CODES = st.sampled_from([*CODES.values(), DIM_GREEN])


class Loop(RuleBasedStateMachine):
    """Life of a display: decisions, answers, events and time in any order, stored and loaded after each."""

    @initialize(reports=st.booleans(), confirmed=st.booleans())
    def begin(self, reports: bool, confirmed: bool) -> None:
        self.now = T0
        self.display = make(reports=reports, confirmed=confirmed)
        self.all: dict[UUID, Actuation] = {}
        self.stored: dict[UUID, tuple[object, ...]] = {}
        self.queue: dict[UUID, str] = {}
        self.f_cnt = 1

    def keep(self) -> None:
        """Act as the store: insert new actuations, update touched ones."""
        before = {key: row[11] for key, row in self.stored.items()}
        for actuation in [*self.display.created, *self.display.touched.values()]:
            self.all[actuation.id] = actuation
            self.stored[actuation.id] = astuple(actuation)
        assert {a.id: astuple(a) for a in self.all.values()} == self.stored, "changed without being touched"
        for key, status in before.items():
            assert TRANSITIONS[status] or self.all[key].status is status, "left an end"
        self.display.created.clear()
        self.display.touched.clear()
        self.display.steps.clear()

    def picture(self) -> object:
        s = self.display
        return (
            s.desired_state, s.desired_code, s.desired_at, s.commanded_id, s.reported_code, s.reported_at,
            s.sync_status, s.resend_after_uplink, s.failures, s.reconcile_at, s.last_join_at, s.last_uplink_at,
            s.dev_addr, s.last_f_cnt, [astuple(a) for a in s.waiting],
        )  # fmt: skip

    def twice(self, event: Callable[[], object]) -> None:
        """Apply a network event twice: the second time changes nothing."""
        event()
        self.keep()
        once = self.picture()
        event()
        assert self.picture() == once
        self.keep()

    @rule(gone=st.integers(0, 90) | st.integers(0, 20_000))
    def time_passes(self, gone: int) -> None:
        self.now += seconds(gone)

    @rule(state=STATES, decide=st.sampled_from([want, want_unread]), behind=st.sampled_from([0, 0, 2]))
    def desire(self, state: State, decide: Callable[[Display, State, datetime], Actuation], behind: int) -> None:
        decide(self.display, state, self.now - seconds(behind))
        self.keep()

    @rule()
    def release(self) -> None:
        self.display.release(self.now)
        self.keep()

    @rule(usable=st.booleans())
    def enable(self, usable: bool) -> None:
        self.display.usable = usable
        self.due()

    @rule()
    def claim(self) -> None:
        claimed = self.display.claim(self.now)
        if claimed is not None:
            assert claimed.code == self.display.desired_code, "an older decision is sent after a newer one"
        assert [a.status for a in self.display.waiting].count(S.PENDING) <= 1
        self.keep()

    @precondition(lambda self: self.all)
    @rule(data=st.data(), how=st.sampled_from(["accepted", "refused", "refused for good", "refused until an uplink"]))
    def answer(self, data: st.DataObject, how: str) -> None:
        """Mostly to the one being sent, sometimes far too late."""
        sending = [a.id for a in self.display.waiting if a.status is S.SENDING]
        actuation_id = data.draw(st.sampled_from(sending or list(self.all)))
        if how == "accepted":
            queue_id = self.queue.setdefault(actuation_id, f"q-{len(self.queue)}")
            self.twice(lambda: self.display.accepted(actuation_id, queue_id, self.now))
        else:
            permanent, until_uplink = how != "refused", how == "refused until an uplink"
            self.twice(
                lambda: self.display.refused(
                    actuation_id, "no", self.now, permanent=permanent, until_uplink=until_uplink
                )
            )

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), kind=st.sampled_from(["tx_ack", "ack", "nack", "EXPIRED", "DOWNLINK_PAYLOAD_SIZE"]))
    def network_tells(self, data: st.DataObject, kind: str) -> None:
        queue_id = data.draw(st.sampled_from(list(self.queue.values())))
        at = self.now - seconds(data.draw(st.sampled_from([0, 0, 1, 30])))
        step = Step(kind, at, None, queue_id=queue_id)
        if kind == "tx_ack":
            self.twice(lambda: self.display.tx_ack(queue_id, at, step))
        elif kind in ("ack", "nack"):
            self.twice(lambda: self.display.ack(queue_id, kind == "ack", at, step))
        else:
            self.twice(lambda: self.display.gave_up(queue_id, GAVE_UP[kind], kind, at, step))

    @rule(ago=st.sampled_from([0, 0, 5, 100]))
    def join(self, ago: int) -> None:
        at = self.now - seconds(ago)
        self.twice(lambda: self.display.joined(at, self.now))

    @rule(rejoined=st.booleans(), code=st.none() | SHOWN_CODES)
    def uplink(self, rejoined: bool, code: str | None) -> None:
        self.f_cnt = 0 if rejoined else self.f_cnt + 1
        self.display.received(f_cnt=self.f_cnt, dev_addr=None, at=self.now, now=self.now)
        if code is not None and self.display.reports:
            self.display.reported(code, self.now, self.now)
        self.keep()

    @rule()
    def due(self) -> None:
        self.display.due(self.now)
        self.keep()
        assert self.display.reconcile_at is None or self.display.reconcile_at > self.now, "its time does not move on"

    @invariant()
    def one_command_at_a_time(self) -> None:
        statuses = [a.status for a in self.display.waiting]
        assert sum(status in OUTSTANDING for status in statuses) <= 1
        assert sum(status in (S.TRANSMITTED, S.ACKNOWLEDGED) for status in statuses) <= 1
        assert {a.id for a in self.display.waiting} == {a.id for a in self.all.values() if TRANSITIONS[a.status]}

    @invariant()
    def in_sync_only_if_it_shows_what_it_must(self) -> None:
        display = self.display
        if display.sync_status is SyncStatus.IN_SYNC:
            if display.reports:
                assert display.reported_code == display.desired_code
            else:
                sent = [a for a in display.waiting if a.status in (S.TRANSMITTED, S.ACKNOWLEDGED)]
                assert sent
                assert sent[-1].code == display.desired_code

    @invariant()
    def nothing_is_forgotten(self) -> None:
        display = self.display
        if any(a.status is S.QUEUED for a in display.waiting):
            assert display.reconcile_at is not None, "a queued downlink without a deadline"
        if display.sync_status is SyncStatus.DRIFTED and not display.resend_after_uplink:
            assert display.reconcile_at is not None, "a drift without a next try"

    def teardown(self) -> None:
        """Outages end, and the display does what it is sent."""
        if not hasattr(self, "display") or self.display.desired_state is None:
            return
        display = self.display
        display.usable = True
        if display.desired_code is None:
            want(display, State.FREE, self.now)
        display.due(self.now)
        for _ in range(10):
            for actuation in list(display.waiting):
                if actuation.status is S.SENDING:
                    display.accepted(actuation.id, f"q-{actuation.id}", self.now, recovered=True)
                if actuation.status is S.QUEUED:
                    assert actuation.queue_id is not None
                    display.tx_ack(actuation.queue_id, self.now)
                    if display.reports:
                        assert actuation.code is not None
                        display.reported(actuation.code, self.now, self.now)
            self.now += seconds(1200)
            self.f_cnt += 1
            display.received(f_cnt=self.f_cnt, dev_addr=None, at=self.now, now=self.now)
            display.due(self.now)
            display.claim(self.now)
            self.keep()
        assert display.sync_status is SyncStatus.IN_SYNC
        assert not any(a.status in (S.PENDING, *OUTSTANDING) for a in display.waiting)


Loop.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLoop = Loop.TestCase
