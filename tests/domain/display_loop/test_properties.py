"""The closed loop of one display in any order of events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import astuple

from baylight.domain.display_loop import decisions, news, sending, uplinks
from baylight.domain.display_loop.actuation import GAVE_UP, Actuation, Step
from baylight.domain.display_loop.display import Display
from baylight.domain.display_loop.due import due, retry_now
from baylight.domain.downlink import OUTSTANDING, TRANSITIONS, SyncStatus
from baylight.domain.state import State
from tests.support.clock import T0
from tests.support.display_loop import CODES, DIM_GREEN, S, join, make, seconds, uplink, want, want_unread

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
        for actuation in [*self.display.deliveries.created, *self.display.deliveries.touched.values()]:
            self.all[actuation.id] = actuation
            self.stored[actuation.id] = astuple(actuation)
        assert {a.id: astuple(a) for a in self.all.values()} == self.stored, "changed without being touched"
        for key, status in before.items():
            assert TRANSITIONS[status] or self.all[key].status is status, "left an end"
        self.display.deliveries.created.clear()
        self.display.deliveries.touched.clear()
        self.display.deliveries.steps.clear()

    def picture(self) -> object:
        s = self.display
        return (
            s.desired_state, s.desired_code, s.desired_at, s.commanded_id, s.reported_code, s.reported_at, s.possible,
            s.down_f_cnt, s.down_queue_id, s.drifts, s.sync_status, s.resend_after_uplink, s.failures, s.reconcile_at,
            s.last_join_at, s.last_uplink_at, s.dev_addr, s.last_f_cnt, dict(s.troubles.open),
            [astuple(a) for a in s.deliveries.waiting],
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
        decisions.release(self.display, self.now)
        self.keep()

    @rule(usable=st.booleans())
    def enable(self, usable: bool) -> None:
        self.display.usable = usable
        self.due()

    @rule()
    def claim(self) -> None:
        claimed = sending.claim(self.display, self.now)
        if claimed is not None:
            assert claimed.code == self.display.desired_code, "an older decision is sent after a newer one"
        assert [a.status for a in self.display.deliveries.waiting].count(S.PENDING) <= 1
        self.keep()

    @precondition(lambda self: self.all)
    @rule(data=st.data(), how=st.sampled_from(["accepted", "refused", "refused for good", "refused until an uplink"]))
    def answer(self, data: st.DataObject, how: str) -> None:
        """Mostly to the one being sent, sometimes far too late."""
        handed_over = [a.id for a in self.display.deliveries.of(S.SENDING)]
        actuation_id = data.draw(st.sampled_from(handed_over or list(self.all)))
        if how == "accepted":
            queue_id = self.queue.setdefault(actuation_id, f"q-{len(self.queue)}")
            self.twice(lambda: sending.accepted(self.display, actuation_id, queue_id, self.now))
        else:
            permanent, until_uplink = how != "refused", how == "refused until an uplink"
            self.twice(
                lambda: sending.refused(
                    self.display, actuation_id, "no", self.now, permanent=permanent, until_uplink=until_uplink
                )
            )

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), kind=st.sampled_from(["tx_ack", "ack", "nack", "EXPIRED", "DOWNLINK_PAYLOAD_SIZE"]))
    def network_tells(self, data: st.DataObject, kind: str) -> None:
        queue_id = data.draw(st.sampled_from(list(self.queue.values())))
        at = self.now - seconds(data.draw(st.sampled_from([0, 0, 1, 30])))
        step = Step(kind, at, None, queue_id=queue_id)
        if kind == "tx_ack":
            self.twice(lambda: news.tx_ack(self.display, queue_id, at, step))
        elif kind in ("ack", "nack"):
            self.twice(lambda: news.ack(self.display, queue_id, kind == "ack", at, step))
        else:
            self.twice(lambda: news.gave_up(self.display, queue_id, GAVE_UP[kind], kind, at, step))

    @rule(number=st.integers(0, 2), f_cnt=st.integers(0, 5), late=st.booleans())
    def another_commands_it(self, number: int, f_cnt: int, late: bool) -> None:
        if late:
            self.twice(lambda: news.transmitted_late(self.display, DIM_GREEN, "old", f_cnt, self.now, self.now))
        else:
            self.twice(lambda: news.commanded_by_other(self.display, f"x-{number}", f_cnt, self.now, self.now))

    @rule(what=st.sampled_from(["refused uplink", "gateway refused", "cause over"]))
    def trouble(self, what: str) -> None:
        if what == "refused uplink":
            self.twice(lambda: uplinks.refused_uplink(self.display, "OTAA", self.now, self.now))
        elif what == "gateway refused":
            step = Step("log", self.now, None, "DOWNLINK_GATEWAY: TX_POWER")
            self.twice(lambda: news.gateway_refused(self.display, step, "TX_POWER"))
        else:
            retry_now(self.display, self.now)
            self.keep()

    @precondition(lambda self: self.display.deliveries.of(S.QUEUED))
    @rule(found=st.sampled_from(["nothing", "the command", "a command that waits", "no queue"]))
    def ask_the_queue(self, found: str) -> None:
        (queued,) = self.display.deliveries.of(S.QUEUED)
        if found == "nothing":
            self.twice(lambda: sending.not_found_in_queue(self.display, queued.id, self.now))
        elif found == "no queue":
            self.twice(lambda: sending.expired_unseen(self.display, queued.id, self.now))
        else:
            without_uplink = found == "a command that waits"
            sending.still_queued(
                self.display, queued.id, found, self.now, disabled=False, without_uplink=without_uplink
            )
            self.keep()

    @rule(ago=st.sampled_from([0, 0, 5, 100]))
    def join(self, ago: int) -> None:
        at = self.now - seconds(ago)
        self.twice(lambda: join(self.display, at, self.now))

    @rule(rejoined=st.booleans(), code=st.none() | SHOWN_CODES)
    def uplink(self, rejoined: bool, code: str | None) -> None:
        self.f_cnt = 0 if rejoined else self.f_cnt + 1
        uplink(self.display, f_cnt=self.f_cnt, dev_addr=None, at=self.now, now=self.now)
        if code is not None and self.display.reports:
            uplinks.reported(self.display, code, self.now, self.now)
        self.keep()

    @rule()
    def due(self) -> None:
        due(self.display, self.now)
        self.keep()
        assert self.display.reconcile_at is None or self.display.reconcile_at > self.now, "its time does not move on"

    @invariant()
    def one_command_at_a_time(self) -> None:
        statuses = [a.status for a in self.display.deliveries.waiting]
        assert sum(status in OUTSTANDING for status in statuses) <= 1
        assert sum(status in (S.TRANSMITTED, S.ACKNOWLEDGED) for status in statuses) <= 1
        assert {a.id for a in self.display.deliveries.waiting} == {
            a.id for a in self.all.values() if TRANSITIONS[a.status]
        }

    @invariant()
    def in_sync_only_if_it_shows_what_it_must(self) -> None:
        display = self.display
        if display.sync_status is SyncStatus.IN_SYNC:
            if display.reports:
                assert display.reported_code == display.desired_code
                assert display.proven()
            else:
                sent = [a for a in display.deliveries.waiting if a.status in (S.TRANSMITTED, S.ACKNOWLEDGED)]
                assert sent
                assert sent[-1].code == display.desired_code

    @invariant()
    def nothing_is_forgotten(self) -> None:
        display = self.display
        for actuation in display.deliveries.of(S.QUEUED, S.SENDING):
            assert actuation.next_attempt_at is not None, "a command without a deadline"
        if display.desired_code is None or display.problem() or display.resend_after_uplink or display.proven():
            return
        on_its_way = display.deliveries.of(S.PENDING, S.SENDING, S.QUEUED)
        assert on_its_way or display.reconcile_at is not None, "not proven, and nothing is due"

    def teardown(self) -> None:
        """Outages end, and the display does what it is sent."""
        if not hasattr(self, "display") or self.display.desired_state is None:
            return
        display = self.display
        display.usable = True
        if display.desired_code is None:
            want(display, State.FREE, self.now)
        due(display, self.now)
        for _ in range(10):
            for actuation in list(display.deliveries.waiting):
                if actuation.status is S.SENDING:
                    sending.accepted(display, actuation.id, f"q-{actuation.id}", self.now, recovered=True)
                if actuation.status is S.QUEUED:
                    assert actuation.queue_id is not None
                    news.tx_ack(display, actuation.queue_id, self.now)
                    if display.confirmed:
                        news.ack(display, actuation.queue_id, True, self.now)
                    if display.reports:
                        assert actuation.code is not None
                        uplinks.reported(display, actuation.code, self.now, self.now)
            self.now += seconds(1200)
            self.f_cnt += 1
            uplink(display, f_cnt=self.f_cnt, dev_addr=None, at=self.now, now=self.now)
            due(display, self.now)
            sending.claim(display, self.now)
            self.keep()
        assert display.sync_status is SyncStatus.IN_SYNC
        assert not any(a.status in (S.PENDING, *OUTSTANDING) for a in display.deliveries.waiting)


Loop.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLoop = Loop.TestCase
