"""Installing, removing, swapping, undoing, each possibly recorded late, against a history that a child could keep."""

from __future__ import annotations

import asyncio
import itertools
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from baylight.control.events.ingest import Ingest
from baylight.domain.policies import Policies
from baylight.errors import InputError
from baylight.insight.as_of import list_uplinks_of_space
from baylight.inventory import assignments, swaps
from baylight.store.pool import Pool, open_pool
from tests.support import factories
from tests.support.change import by
from tests.support.clock import T0, Clock
from tests.support.servers import Server
from tests.support.uplinks import FREE, OCCUPIED, uplink

_counters = itertools.count(1)
MINUTE = timedelta(minutes=1)
SPACES, SENSORS = st.integers(0, 1), st.integers(0, 3)
AGO = st.one_of(st.just(0), st.integers(0, 90))
CAREFUL = st.sampled_from([True, True, True, False])
"""True: the recorded time is one at which the change was possible."""

Timeline = list[tuple[int, int | None]]
"""Changes of one space: from which minute, which sensor."""


class History(RuleBasedStateMachine):
    """The model: for each space the changes of its sensor; for each sensor what it reported when."""

    examples = itertools.count()
    runner: asyncio.Runner
    pool: Pool

    def __init__(self) -> None:
        super().__init__()
        # No two examples at the same instant: their dice are the same, and so would be the ids that are made of both.
        self.began = T0 + next(self.examples) * timedelta(seconds=7, milliseconds=1)
        self.minute = 100
        self.spaces: list[Timeline] = [[], []]
        self.reports: list[tuple[int, int, str]] = []
        self.undoable: list[tuple[UUID, int, int, Timeline, int, int, int]] = []
        self.clock = Clock(self.at(self.minute))
        self.ingest = Ingest(self.pool, self.clock, Policies())
        self.sensors: list[Any] = [self.run(factories.add_sensor(self.pool)) for _ in range(4)]
        self.codes = [f"{self.sensors[0]['dev_eui'][-6:]}-{n}" for n in range(2)]
        for code in self.codes:
            self.run(factories.add_space(self.pool, code, created_at=T0))

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def at(self, minute: int) -> datetime:
        return self.began + minute * MINUTE

    def eui(self, sensor: int) -> str:
        return str(self.sensors[sensor]["dev_eui"])

    def served_by(self, space: int, minute: int) -> int | None:
        past = [sensor for since, sensor in self.spaces[space] if since <= minute]
        return past[-1] if past else None

    def busy_since(self, sensor: int, minute: int, *, but: int | None = None) -> bool:
        """Whether it served a space at any time from a minute on."""
        return any(
            self.served_by(space, m) == sensor
            for space in (0, 1)
            if space != but
            for m in range(minute, self.minute + 1)
        )

    def last_change(self, space: int) -> int:
        return self.spaces[space][-1][0] if self.spaces[space] else -1

    def moment(self, space: int, ago: int, careful: bool, *sensors: int) -> int:
        minute = self.minute - ago
        if careful:
            minute = max(minute, self.last_change(space))
            while minute < self.minute and any(self.busy_since(sensor, minute) for sensor in sensors):
                minute += 1
        return minute

    def change(self, space: int, minute: int, sensor: int | None) -> None:
        before = [c for c in self.spaces[space] if c[0] < minute]
        # Removed at the very moment of its coming, a sensor was never there: nothing is left of both.
        gone = sensor is None and (not before or before[-1][1] is None)
        self.spaces[space] = before if gone else [*before, (minute, sensor)]

    def attempt(self, work: Any, *, allowed: bool) -> Any:
        self.minute += 1
        self.clock.at = self.at(self.minute)
        if not allowed:
            with pytest.raises(InputError):
                self.run(work(self.at(self.minute)))
            return None
        return self.run(work(self.at(self.minute)))

    async def call(self, service: Any, *words: Any, now: datetime, **more: Any) -> Any:
        async with self.pool.acquire() as connection:
            return await service(by(connection, now=now), *words, **more)

    @initialize()
    def both_spaces_have_a_sensor(self) -> None:
        self.install(0, 0, 0, True)
        self.install(1, 1, 50, True)

    @rule(space=SPACES, sensor=SENSORS, ago=AGO, careful=CAREFUL)
    def install(self, space: int, sensor: int, ago: int, careful: bool) -> None:
        minute = self.moment(space, ago, careful, sensor)
        allowed = (
            self.served_by(space, self.minute) is None
            and self.last_change(space) <= minute
            and not self.busy_since(sensor, minute, but=None)
        )
        at = self.at(minute)
        self.attempt(
            lambda now: self.call(assignments.install, self.codes[space], self.eui(sensor), at=at, now=now),
            allowed=allowed,
        )
        if allowed:
            self.change(space, minute, sensor)

    @rule(space=SPACES, ago=AGO, careful=CAREFUL)
    def remove(self, space: int, ago: int, careful: bool) -> None:
        minute = self.moment(space, ago, careful)
        allowed = self.served_by(space, self.minute) is not None and self.last_change(space) <= minute
        at = self.at(minute)
        self.attempt(
            lambda now: self.call(assignments.remove, self.codes[space], "sensor", at=at, now=now), allowed=allowed
        )
        if allowed:
            self.change(space, minute, None)

    @rule(space=SPACES, new=SENSORS, ago=AGO, careful=CAREFUL)
    def swap(self, space: int, new: int, ago: int, careful: bool) -> None:
        old = self.served_by(space, self.minute)
        if old is None:
            return
        minute = self.moment(space, ago, careful, new)
        allowed = old != new and self.last_change(space) <= minute and not self.busy_since(new, minute)
        at = self.at(minute)
        done = self.attempt(
            lambda now: self.call(swaps.swap, self.eui(old), self.eui(new), at=at, now=now), allowed=allowed
        )
        if allowed:
            self.undoable.append((done.id, space, minute, list(self.spaces[space]), old, new, self.minute))
            self.change(space, minute, new)

    @precondition(lambda self: self.undoable)
    @rule(later=st.sampled_from([0, 0, 0, 23 * 60, 25 * 60]))
    def undo(self, later: int) -> None:
        swap_id, space, minute, before, old, new, recorded = self.undoable.pop()
        self.minute += later
        allowed = (
            self.minute + 1 - recorded <= 24 * 60
            and self.spaces[space][-1:] == [(minute, new)]
            and not self.busy_since(old, minute, but=space)
        )
        self.attempt(lambda now: self.call(swaps.undo_swap, swap_id, now=now), allowed=allowed)
        if allowed:
            self.spaces[space] = before

    @rule(sensor=SENSORS, word=st.sampled_from(["FREE", "OCCUPIED"]))
    def report(self, sensor: int, word: str) -> None:
        self.minute += 1
        self.clock.at = self.at(self.minute)
        data = FREE if word == "FREE" else OCCUPIED
        self.run(
            self.ingest.store_batch(
                [uplink(self.sensors[sensor]["dev_eui"], self.clock.at, data, f_cnt=next(_counters))]
            )
        )
        self.reports.append((self.minute, sensor, word))

    @invariant()
    def every_moment_reads_as_it_was(self) -> None:
        edges = {0, self.minute, *(c[0] for line in self.spaces for c in line), *(m for m, _, _ in self.reports[-5:])}
        self.run(self._compare_moments({e + d for e in edges for d in (-1, 0, 1) if e + d <= self.minute}))

    async def _compare_moments(self, minutes: set[int]) -> None:
        async with self.pool.acquire() as connection:
            for minute in minutes:
                rows = await assignments.list_assignments_as_of(connection, self.at(minute))
                mine = {row.space: row.dev_eui for row in rows if row.space in self.codes}
                model = {c: self.served_by(n, minute) for n, c in enumerate(self.codes)}
                assert mine == {code: self.eui(sensor) for code, sensor in model.items() if sensor is not None}

    @invariant()
    def each_uplink_belongs_to_the_space_that_its_sensor_served(self) -> None:
        self.run(self._compare_uplinks())

    async def _compare_uplinks(self) -> None:
        async with self.pool.acquire() as connection:
            for space, code in enumerate(self.codes):
                rows = await list_uplinks_of_space(connection, code, limit=1000)
                got = [(row.received_at, row.dev_eui, row.occupancy) for row in reversed(rows)]
                reported = [(self.at(m), self.eui(s), w) for m, s, w in self.reports if self.served_by(space, m) == s]
                assert got == reported

    @invariant()
    def the_present_is_what_the_sensor_said_since_it_came(self) -> None:
        self.run(self._compare_present())

    async def _compare_present(self) -> None:
        for space, code in enumerate(self.codes):
            row = await self.pool.fetchrow(
                "SELECT s.current_state, n.dev_eui, n.occupancy FROM spaces AS s "
                "LEFT JOIN sensor_devices AS n ON n.id = s.sensor_device_id WHERE s.code = $1",
                code,
            )
            assert row is not None
            sensor = self.served_by(space, self.minute)
            if sensor is None:
                assert (row["dev_eui"], row["current_state"]) == (None, "UNKNOWN")
                continue
            since = self.last_change(space)
            words = [w for m, s, w in self.reports if s == sensor and m >= since]
            assert (row["dev_eui"], row["occupancy"]) == (self.eui(sensor), words[-1] if words else None)
            assert row["current_state"] in ({words[-1], "UNKNOWN"} if words else {"UNKNOWN"})


@pytest.mark.slow
def test_any_order_of_changes_recorded_late_and_undone_reads_as_a_simple_history(server: Server) -> None:
    with asyncio.Runner() as runner:
        name = runner.run(server.create())
        try:
            History.runner, History.pool = runner, runner.run(open_pool(server.dsn_of(name), size=2))
            run_state_machine_as_test(
                History,
                settings=settings(
                    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
                ),
            )
            runner.run(History.pool.close())
        finally:
            runner.run(server.drop(name))
