"""The benchmark of the light counts what it must: a small run, and its arithmetic by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bench import loop
from bench.loop_parts.claims import BOUND_S, DELIVERY_S, Claim, Judge, Sample
from bench.loop_parts.course import CODES, Course, light_of, never_shown_share
from bench.loop_parts.scenarios import Length, Scenario
from bench.loop_parts.site import Databases, Site

from baylight.lab.embedded.broker import EmbeddedBroker
from tests.support.servers import Server

FREE, OCCUPIED, UNKNOWN = CODES["FREE"], CODES["OCCUPIED"], CODES["UNKNOWN"]
GREEN, RED, BLUE = light_of(FREE), light_of(OCCUPIED), light_of(UNKNOWN)
LAMP = "2020200000000001"
KEYS = {
    "bench", "false_in_sync_s", "unmarked_green_s", "never_shown_share_at_30pct_loss", "wrong_s_per_change",
    "healthy_delay_ratio_300_stuck", "queued_of_300_stuck", "sends_per_command_lost_ack", "wrong_s_after_counter_reuse",
}  # fmt: skip


async def _change_lights_unseen(site: Site, length: Length) -> None:
    """Show another light at each lamp, of which neither ChirpStack nor Baylight can know."""
    await asyncio.sleep(length.scenario_s * 0.7)
    for bay in site.park.bays:
        bay.light.received(15, bytes.fromhex(UNKNOWN))


@pytest.mark.slow
async def test_a_wrong_light_that_is_claimed_in_sync_is_counted(server: Server, broker: EmbeddedBroker) -> None:
    scenario = Scenario("unseen", "lamps change by themselves", during=_change_lights_unseen)
    new = Databases(server.dsn_of, server.admin, await server.template())
    async with new.prepared(bays=8) as databases:
        outcome = await loop.run(scenario, databases, broker, Length(8.0, 0.0), bays=8)
    found = loop.result({"unseen": outcome})
    assert found.keys() == KEYS
    assert outcome.begun
    assert len(outcome.changes) == 8
    assert outcome.false_in_sync_s > 1.0
    assert found["false_in_sync_s"] == pytest.approx(outcome.false_in_sync_s, abs=0.01)
    assert sum(change.wrong_s for change in outcome.changes) > 0.0


def test_a_change_is_wrong_until_its_light_and_again_after_it() -> None:
    course = Course(
        cars=[(0.0, False), (10.0, True), (40.0, False)],
        lights=[(0.0, GREEN), (12.0, RED), (20.0, BLUE), (23.0, RED), (41.0, GREEN)],
    )
    first, second = course.changes(5.0, 50.0)
    assert (first.watched_s, first.light_s, first.wrong_s) == (30.0, 2.0, 5.0)
    assert (second.watched_s, second.light_s, second.wrong_s) == (10.0, 1.0, 1.0)
    assert course.wrong_s(5.0, 50.0) == 6.0


def test_a_light_that_is_never_shown_counts_if_it_was_watched_long_enough() -> None:
    shown = Course([(0.0, False), (1.0, True), (31.0, False)], [(0.0, GREEN), (2.0, RED), (32.0, GREEN)])
    never = Course([(0.0, False), (1.0, True), (31.0, False)], [(0.0, GREEN)])
    changes = [*shown.changes(0.5, 40.0), *never.changes(0.5, 40.0)]
    assert [change.light_s for change in changes] == [1.0, 1.0, None, 0.0]
    assert never_shown_share(changes) == 0.5
    assert never_shown_share(changes[3:]) is None


def _judge(course: Course, claims: list[Claim], **more: Any) -> Judge:
    """Return what is judged of samples at 100.0, 101.0, 102.0, …, each of which takes 0.1 s."""
    judge = Judge({LAMP: course}, **more)
    for n, claim in enumerate(claims):
        judge.add(Sample(100.0 + n, 100.1 + n, {LAMP: claim}))
    return judge


def _claim(desired: str, *, in_sync: bool = True, sensor: str = "OCCUPIED", marked: bool = False) -> Claim:
    return Claim(in_sync, desired, sensor, marked)


@pytest.mark.parametrize(
    ("lights", "claims", "seconds"),
    [
        pytest.param([(0.0, RED)], [_claim(OCCUPIED)] * 3, 0.0, id="right"),
        pytest.param([(0.0, GREEN)], [_claim(OCCUPIED)] * 3, 1.8, id="wrong"),
        pytest.param([(0.0, GREEN)], [_claim(OCCUPIED, in_sync=False)] * 3, 0.0, id="wrong and not claimed"),
        pytest.param([(0.0, GREEN)], [_claim(OCCUPIED)], 0.0, id="one sample"),
        pytest.param([(0.0, GREEN)], [_claim(FREE), _claim(OCCUPIED), _claim(OCCUPIED)], 0.9, id="desired changed"),
        pytest.param([(0.0, RED), (100.05, GREEN)], [_claim(OCCUPIED)] * 2, 0.0, id="light changed during a read"),
        pytest.param([(0.0, light_of("000035ff00"))], [_claim(FREE)] * 2, 0.0, id="dim green looks like green"),
    ],
)
def test_only_a_claim_that_is_certainly_false_counts(
    lights: list[tuple[float, Any]], claims: list[Claim], seconds: float
) -> None:
    judge = _judge(Course([(0.0, True)], lights), claims)
    assert judge.false_in_sync_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("light", "claim", "away_since", "seconds"),
    [
        pytest.param(GREEN, _claim(FREE, sensor="FREE"), 50.0, 1.8, id="unmarked"),
        pytest.param(GREEN, _claim(FREE, sensor="FREE", marked=True), 50.0, 0.0, id="marked"),
        pytest.param(GREEN, _claim(FREE, sensor="FREE"), 100.5 - BOUND_S, 0.9, id="within the bound at first"),
        pytest.param(GREEN, _claim(FREE, sensor="FREE"), None, 0.0, id="no uplink lost that Baylight could miss"),
        pytest.param(GREEN, _claim(OCCUPIED), 50.0, 0.0, id="the uplink arrived, the light is late"),
        pytest.param(BLUE, _claim(UNKNOWN, sensor="FREE"), 50.0, 0.0, id="shown as unknown"),
    ],
)
def test_a_car_under_green_counts_beyond_the_bound_without_the_mark(
    light: Any, claim: Claim, away_since: float | None, seconds: float
) -> None:
    course = Course([(0.0, False), (99.0 - DELIVERY_S, True)], [(0.0, light)])
    judge = _judge(course, [claim] * 3, away_since=away_since)
    assert judge.unmarked_green_s == pytest.approx(seconds)
