"""Benchmark of the light: cars, lamps and a faulty radio around the real program. Is a wrong light ever claimed right?

`baylight serve` runs as a process on PostgreSQL and a broker. ChirpStack, four gateways and 200 bays are simulated in
this process, over real MQTT and gRPC. `loop_parts/scenarios.py` lists what goes wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path

import uvloop

from baylight.app.program import tune_collector
from baylight.lab.embedded.postgres import EmbeddedPostgres
from bench import ground
from bench.loop_parts.course import Change, never_shown_share
from bench.loop_parts.machine import Lag
from bench.loop_parts.scenarios import SCENARIOS, Length, Scenario
from bench.loop_parts.site import Databases, Site, site

BAYS = 200
MAX_LAG_S = 0.1
"""Lag of this process (p99) above which its figures do not count."""
QUICK, DEFAULT, FULL = Length(24.0, 20.0), Length(60.0, 40.0), Length(200.0, 120.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Figures of a scenario.

    `hit`: changes with a frame whose counter was used before. `wrong_s`: seconds of wrong lights per change.
    `queued`: largest number of items in the queues of the network server; `queued_beside`: of the stuck lamps.
    `load`: share of a core that this process and Baylight used. `begun`: every lamp was proven at the begin.
    """

    changes: list[Change]
    hit: list[Change]
    wrong_s: float | None
    false_in_sync_s: float
    unmarked_green_s: float
    sends: int
    commands: int
    queued: int
    queued_beside: int
    lag_p99_s: float
    lag_max_s: float
    load: tuple[float, float]
    begun: bool
    examples: dict[str, float]

    @property
    def delay_s(self) -> float | None:
        """Return the median of the seconds from car to light, of changes that did not find the light right."""
        times = [change.at_least_s for change in self.changes if not change.at_once]
        return statistics.median(times) if times else None


async def run(
    scenario: Scenario, databases: Databases, broker: ground.Broker, length: Length, *, bays: int = BAYS, seed: int = 1
) -> Outcome:
    """Run one scenario on a new copy of the database."""
    name = f"{scenario.key}-{time.monotonic_ns()}"
    async with (
        databases.copy() as dsn,
        site(
            dsn, broker, name, bays=bays, seed=seed, behaviour=scenario.behaviour, prepare=scenario.prepare
        ) as running,
    ):
        begun = await running.begin()
        lag = Lag(running.pid)
        accepted = len(running.chirpstack.accepted)
        begin = time.monotonic()
        works: tuple[Coroutine[object, object, None], ...] = (
            lag.run(),
            running.watch(),
            running.cars(length.first_s),
            scenario.during(running, length),
        )
        tasks = [asyncio.create_task(work) for work in works]
        await asyncio.wait(tasks, timeout=length.scenario_s, return_when=asyncio.FIRST_EXCEPTION)
        end, load = time.monotonic(), lag.load()
        for task in tasks:
            if task.done():
                task.result()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return _outcome(running, begin, end, accepted, lag, load, begun)


def _outcome(
    running: Site, begin: float, end: float, accepted: int, lag: Lag, load: tuple[float, float], begun: bool
) -> Outcome:
    changes, hit, wrong_s = [], [], 0.0
    for dev_eui, course in running.courses.items():
        own = list(course.changes(begin, end))
        changes += own
        wrong_s += course.wrong_s(begin, end)
        replays = running.replays[dev_eui]
        hit += [change for change in own if any(change.at <= at < change.at + change.watched_s for at in replays)]
    items = [
        (dev_eui, item) for dev_eui, item in list(running.chirpstack.accepted)[accepted:] if dev_eui in running.courses
    ]
    last: dict[str, bytes] = {}
    commands = 0
    for dev_eui, item in items:
        commands += last.get(dev_eui) != item.data
        last[dev_eui] = item.data
    return Outcome(
        changes,
        hit,
        wrong_s / len(changes) if changes else None,
        running.judge.false_in_sync_s,
        running.judge.unmarked_green_s,
        sum(item.tries for _, item in items),
        commands,
        running.queued,
        running.queued_beside,
        lag.p99_s,
        max(lag.late_s),
        load,
        begun,
        running.judge.examples,
    )


def result(outcomes: dict[str, Outcome]) -> dict[str, object]:
    """Return the machine-readable result. A figure whose scenario did not run is None."""

    def rounded(value: float | None, digits: int = 2) -> float | None:
        return None if value is None else round(value, digits)

    calm, stuck = outcomes.get("calm"), outcomes.get("stuck_300")
    lost, acks, reuse = outcomes.get("downlinks_lost"), outcomes.get("acks_lost"), outcomes.get("counter_reuse")
    ratio = None
    if calm and stuck and calm.delay_s and stuck.delay_s:
        ratio = stuck.delay_s / calm.delay_s
    return {
        "bench": "loop",
        "false_in_sync_s": rounded(sum(outcome.false_in_sync_s for outcome in outcomes.values())),
        "unmarked_green_s": rounded(sum(outcome.unmarked_green_s for outcome in outcomes.values())),
        "never_shown_share_at_30pct_loss": rounded(never_shown_share(lost.changes) if lost else None, 3),
        "wrong_s_per_change": {
            key: {"wrong_s": rounded(outcome.wrong_s), "changes": len(outcome.changes)}
            for key, outcome in outcomes.items()
        },
        "healthy_delay_ratio_300_stuck": rounded(ratio),
        "queued_of_300_stuck": None if stuck is None else float(stuck.queued_beside),
        "sends_per_command_lost_ack": rounded(acks.sends / acks.commands if acks and acks.commands else None),
        "wrong_s_after_counter_reuse": rounded(
            statistics.median(change.wrong_s for change in reuse.hit) if reuse and reuse.hit else None
        ),
    }


BARS: tuple[tuple[str, float, str], ...] = (
    ("false_in_sync_s", 0.0, "seconds in which a wrong light was claimed in sync"),
    ("unmarked_green_s", 0.0, "seconds of a car under green, its uplink lost, without the mark"),
    ("never_shown_share_at_30pct_loss", 0.05, "share of changes never shown, with 30 % of the downlinks lost"),
    ("healthy_delay_ratio_300_stuck", 1.5, "delay of healthy lamps beside 300 stuck ones, divided by the calm one"),
    ("queued_of_300_stuck", 50.0, "largest number of items in the network server's queue for 300 stuck lamps"),
    ("sends_per_command_lost_ack", 4.0, "sends of a command whose tx_ack is lost"),
    ("wrong_s_after_counter_reuse", 5.0, "seconds of a wrong light after a counter that was used twice"),
)
"""Key of the result, its highest value, and its meaning."""


def bars(found: dict[str, object], outcomes: dict[str, Outcome]) -> list[tuple[str, bool]]:
    """Return each bar with whether it is met. A figure without a value misses its bar if its scenario ran."""
    needed = {
        "never_shown_share_at_30pct_loss": {"downlinks_lost"},
        "healthy_delay_ratio_300_stuck": {"calm", "stuck_300"},
        "queued_of_300_stuck": {"stuck_300"},
        "sends_per_command_lost_ack": {"acks_lost"},
        "wrong_s_after_counter_reuse": {"counter_reuse"},
    }
    judged = []
    for key, highest, meaning in BARS:
        if needed.get(key, set()) <= outcomes.keys():
            value = found[key]
            judged.append((f"{meaning}: {value} (bar {highest:g})", isinstance(value, float) and value <= highest))
    slow = [key for key, outcome in outcomes.items() if outcome.lag_p99_s > MAX_LAG_S]
    judged.append((f"lag of the benchmark's own process, p99 at most {MAX_LAG_S * 1000:.0f} ms {slow or ''}", not slow))
    return judged


HEAD = (
    "scenario           changes replays  delay_s  wrong_s  never  false_s  green_s  sends/commands  queued"
    "  lag_ms p99/max  cpu bench/baylight"
)


def row(key: str, outcome: Outcome) -> str:
    p99_ms, max_ms = outcome.lag_p99_s * 1000, outcome.lag_max_s * 1000
    own, baylight = outcome.load
    return (
        f"{key:18} {len(outcome.changes):7} {len(outcome.hit):7} {_shown(outcome.delay_s):>8}"
        f" {_shown(outcome.wrong_s):>8} {_shown(never_shown_share(outcome.changes)):>6}"
        f" {outcome.false_in_sync_s:8.1f} {outcome.unmarked_green_s:8.1f}"
        f" {outcome.sends:7}/{outcome.commands:<6} {outcome.queued:7}"
        f" {p99_ms:7.0f}/{max_ms:<6.0f} {own:8.0%}/{baylight:<6.0%}"
        + ("" if outcome.begun else "  some lamps unproven at the begin")
    )


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


async def measure(length: Length, scenarios: list[Scenario], seed: int) -> dict[str, Outcome]:
    directory = tempfile.mkdtemp(prefix="bl-bench-")
    os.chmod(directory, 0o711)  # the account that PostgreSQL runs under must be able to enter
    postgres = EmbeddedPostgres(Path(directory), durable=True)
    outcomes = {}
    try:
        await postgres.start()
        async with Databases(postgres.dsn).prepared(BAYS) as databases:
            print(HEAD, flush=True)
            with ground.broker() as broker:
                for scenario in scenarios:
                    outcomes[scenario.key] = await run(scenario, databases, broker, length, seed=seed)
                    print(row(scenario.key, outcomes[scenario.key]), flush=True)
        return outcomes
    finally:
        await postgres.stop()
        postgres.delete()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    size = arguments.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="within 6 minutes")
    size.add_argument("--full", action="store_true", help="within 40 minutes: the figures that are quoted")
    arguments.add_argument("--seed", type=int, default=1, help="another course of cars and losses")
    keys = [scenario.key for scenario in SCENARIOS]
    arguments.add_argument("--scenario", choices=keys, action="append", help="only this one; it may be repeated")
    given = arguments.parse_args()
    length = FULL if given.full else QUICK if given.quick else DEFAULT
    scenarios = [scenario for scenario in SCENARIOS if not given.scenario or scenario.key in given.scenario]
    tune_collector()
    began = time.monotonic()
    outcomes = uvloop.run(measure(length, scenarios, given.seed))
    took_s = time.monotonic() - began
    print(f"\nloop, {BAYS} bays, {length.scenario_s:.0f} s a scenario, {took_s:.0f} s in all ({ground.machine()}):")
    found = result(outcomes)
    ground.finish(found, bars(found, outcomes))


if __name__ == "__main__":
    main()
