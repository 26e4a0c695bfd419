"""Spaces whose newest reading may be missing: from events to the light's command, `why`, doctor and the live row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from baylight.app.timer import Timer
from baylight.control.events.ingest import Ingest
from baylight.control.sensors import mark_sensors
from baylight.domain.events import Join, Log
from baylight.domain.policies import Policies
from baylight.domain.state import Policy
from baylight.domain.unproven import Unproven, UnprovenReason
from baylight.insight import conditions, doctor, live, why
from baylight.inventory import device_settings, devices, spaces
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.change import by
from tests.support.clock import T0, Clock
from tests.support.factories import Bay
from tests.support.uplinks import FREE, OCCUPIED, uplink

R = UnprovenReason
BOUND, DEADLINE = timedelta(minutes=75), timedelta(hours=3)
"""Of browan_tbms100."""
NO_READING = b""


class Site:
    """Bay with its events, and what all ways of asking say about it."""

    def __init__(self, pool: Pool, clock: Clock, bay: Bay) -> None:
        self.pool, self.clock, self.bay = pool, clock, bay
        self.ingest = Ingest(pool, clock, Policies())
        self.timer = Timer(pool, clock, Policies(), 24, 24)

    async def report(self, data: bytes = FREE, *, f_cnt: int, after: float = 60, **more: Any) -> datetime:
        """Let the sensor send a frame that arrives at once; return the time."""
        at = self.clock.tick(after)
        await self.ingest.store_batch([uplink(self.bay.sensor_eui, at, data, f_cnt=f_cnt, **more)])
        return at

    def line(self, code: str, text: str = "", at: datetime | None = None, **context: str) -> Log:
        """Return a log line of the network server about the sensor."""
        context["deduplication_id"] = str(uuid4())
        return Log(self.bay.sensor_eui, "WARNING", code, text, None, at or self.clock.now(), context)

    async def refuse(self, f_cnt: int, *, after: float = 60) -> datetime:
        """Let the network server refuse a frame for its counter; return the time."""
        at = self.clock.tick(after)
        text = "Frame-counter reset or rollover detected"
        await self.ingest.store_batch([self.line("UPLINK_F_CNT_RESET", text, f_cnt_up=str(f_cnt))])
        return at

    async def shown(self) -> tuple[str, str | None]:
        """Return the state that the light must show, and the reason of the mark; the same for all who ask."""
        async with self.pool.acquire() as connection:
            explained = await why.explain(connection, self.bay.code, self.clock.now(), Policy())
            snapshot = await live.read_snapshot(connection)
            summary = await live.get_summary(connection)
        space, [tile] = explained.space, snapshot.spaces
        assert explained.decided == space.state
        assert tile.unproven == space.unproven
        reason = space.unproven.reason if space.unproven else None
        assert summary.unproven == {word: int(word == reason) for word in R}
        assert (reason is None) == ("unproven since" not in why.render(explained))
        desired = await self.pool.fetchval("SELECT desired_state FROM display_devices")
        assert desired == (space.state if desired is not None else None)
        return space.state, reason

    async def mark(self) -> Unproven | None:
        async with self.pool.acquire() as connection:
            return (await why.explain(connection, self.bay.code, self.clock.now(), Policy())).space.unproven

    async def wrong(self) -> dict[str, str]:
        """Return the evidence of each condition by its kind, the same for all who ask."""
        async with self.pool.acquire() as connection:
            found = await conditions.list_conditions(connection, subject="sensor")
            explained = await why.explain(connection, self.bay.code, self.clock.now(), Policy())
            summary = await live.get_summary(connection)
            findings = await doctor.examine(connection, now=self.clock.now(), policy=Policy())
        assert explained.conditions == found
        assert {kind for kind, amount in summary.conditions.items() if amount} == {c.kind for c in found}
        [finding] = [f for f in findings if f.check == "conditions of sensors"]
        assert finding.ok == (not found)
        text = why.render(explained)
        for c in found:
            assert (c.name, c.spaces) == (self.bay.sensor_eui, [self.bay.code])
            assert c.evidence in text
            assert c.remedy in text
            assert f"{c.name} {c.kind} since {c.since:%Y-%m-%d %H:%M:%S} UTC: {c.evidence}" in finding.detail
        return {c.kind: c.evidence for c in found}

    async def since(self, kind: str) -> datetime:
        async with self.pool.acquire() as connection:
            [found] = await conditions.list_conditions(connection, kind=kind)
        return found.since


@pytest.fixture
async def site(pool: Pool) -> Site:
    site = Site(pool, Clock(), await factories.add_bay(pool, "A-01"))
    await site.report(FREE, f_cnt=100, after=0)
    assert await site.shown() == ("FREE", None)
    return site


async def test_i2_a_counter_that_fell_marks_the_space_which_is_unknown_after_the_bound(site: Site) -> None:
    first = await site.refuse(0)
    assert await site.shown() == ("FREE", "refused")
    for f_cnt in range(1, 6):
        await site.refuse(f_cnt)
    assert await site.mark() == Unproven(R.REFUSED, first, first + BOUND)
    evidence = (await site.wrong())["sensor_refused"]
    assert "UPLINK_F_CNT_RESET: Frame-counter reset or rollover detected (counter 5; newest accepted: 100)" in evidence
    assert "reset the frame counter of the device in ChirpStack" in evidence
    assert await site.since("sensor_refused") == first
    site.clock.at = first + BOUND
    await site.timer.spaces()
    assert await site.shown() == ("UNKNOWN", "refused")
    change = await site.pool.fetchrow("SELECT * FROM state_changes ORDER BY id DESC LIMIT 1")
    assert (change["new_state"], change["reason"], change["source"]) == ("UNKNOWN", "sensor_unproven", "sensor_silent")
    site.clock.at = T0 + DEADLINE + timedelta(minutes=1)
    await site.timer.spaces()
    assert await site.shown() == ("UNKNOWN", "refused")
    assert set(await site.wrong()) == {"sensor_refused"}, "a sensor that sends is not silent"


async def test_i2_an_accepted_report_ends_mark_and_condition(site: Site) -> None:
    await site.refuse(0)
    await site.report(OCCUPIED, f_cnt=0, dev_addr="01020399")
    assert await site.shown() == ("OCCUPIED", None)
    assert await site.wrong() == {}


async def test_i2_an_accepted_uplink_without_reading_ends_the_condition_and_keeps_the_mark(site: Site) -> None:
    first = await site.refuse(0)
    await site.report(NO_READING, f_cnt=0, dev_addr="01020399", f_port=0)
    assert await site.shown() == ("FREE", "frames_missing")
    assert await site.mark() == Unproven(R.FRAMES_MISSING, first, first + BOUND)
    assert await site.wrong() == {}


@pytest.mark.parametrize(
    ("code", "text", "remedy"),
    [
        ("UPLINK_MIC", "MIC of join-request is invalid, make sure keys are correct", "correct the keys"),
        ("OTAA", "DevNonce has already been used", "flush the OTAA device nonces"),
        ("OTAA", "Unknown join-server", "correct the join"),
    ],
)
async def test_i2_a_refused_join_marks_the_space(site: Site, code: str, text: str, remedy: str) -> None:
    site.clock.tick(60)
    await site.ingest.store_batch([site.line(code, text)])
    assert await site.shown() == ("FREE", "refused")
    evidence = (await site.wrong())["sensor_refused"]
    assert f"{code}: {text}" in evidence
    assert remedy in evidence


@pytest.mark.parametrize("code", ["UPLINK_F_CNT_RETRANSMISSION", "UPLINK_CODEC", "DOWNLINK_GATEWAY", "EXPIRED"])
async def test_i2_log_lines_that_refuse_nothing_mark_nothing(site: Site, code: str) -> None:
    for _ in range(3):
        site.clock.tick(60)
        await site.ingest.store_batch([site.line(code, "wrong port", f_cnt_up="100")])
    assert await site.shown() == ("FREE", None)
    assert await site.wrong() == {}


async def test_i2_an_error_of_the_network_servers_codec_is_shown_at_the_device(site: Site) -> None:
    site.clock.tick(60)
    await site.ingest.store_batch([site.line("UPLINK_CODEC", "decodeUplink returned errors: wrong port")])
    async with site.pool.acquire() as connection:
        sensor = await devices.get_sensor(connection, site.bay.sensor_eui)
    assert sensor.network_log == "UPLINK_CODEC: decodeUplink returned errors: wrong port"
    assert sensor.network_log_at == site.clock.now()


async def test_i2_a_refusal_is_judged_by_its_time_and_not_by_its_place_in_the_batch(site: Site) -> None:
    """An accepted uplink that is newer than the refusal proves the state, an older one does not."""
    bay = site.bay
    early = site.line("OTAA", "DevNonce has already been used", at=site.clock.tick(10))
    accepted = uplink(bay.sensor_eui, site.clock.tick(10), OCCUPIED, f_cnt=101)
    await site.ingest.store_batch([accepted, early])
    assert await site.shown() == ("OCCUPIED", None)
    accepted = uplink(bay.sensor_eui, site.clock.tick(10), FREE, f_cnt=102)
    late = site.line("OTAA", "DevNonce has already been used", at=site.clock.tick(10))
    await site.ingest.store_batch([late, accepted])
    assert await site.shown() == ("FREE", "refused")
    await site.ingest.store_batch([accepted, early])
    assert await site.shown() == ("FREE", "refused")


async def test_i2_an_accepted_uplink_that_comes_after_a_newer_refusal_proves_nothing(site: Site) -> None:
    accepted = uplink(site.bay.sensor_eui, site.clock.tick(10), OCCUPIED, f_cnt=101)
    site.clock.tick(1)
    await site.ingest.store_batch([site.line("OTAA", "DevNonce has already been used")])
    await site.ingest.store_batch([accepted])
    assert await site.shown() == ("OCCUPIED", "refused")
    assert set(await site.wrong()) == {"sensor_refused"}


async def test_i2_a_sensor_that_never_reported_shows_why(pool: Pool) -> None:
    site = Site(pool, Clock(), await factories.add_bay(pool, "A-02"))
    await site.ingest.store_batch([site.line("OTAA", "DevNonce has already been used")])
    assert await site.shown() == ("UNKNOWN", "refused")
    assert set(await site.wrong()) == {"sensor_refused"}


async def test_i30_overtaken_frames_of_a_backlog_mark_nothing(site: Site) -> None:
    """Recorded: 20 frames at once, 15 refused, the rest out of order."""
    accepted = [uplink(site.bay.sensor_eui, site.clock.now(), OCCUPIED, f_cnt=n) for n in (107, 119, 114, 117, 120)]
    refused = [n for n in range(101, 120) if n not in (107, 114, 117, 119)]
    lines = [
        site.line("UPLINK_F_CNT_RESET", at=site.clock.now() + timedelta(milliseconds=5 * n), f_cnt_up=str(f_cnt))
        for n, f_cnt in enumerate(refused)
    ]
    site.clock.tick(1)
    await site.ingest.store_batch([*lines[:4], accepted[0], *lines[4:9], accepted[4], *lines[9:]])
    assert await site.shown() == ("OCCUPIED", None)
    await site.ingest.store_batch(lines)
    await site.refuse(115, after=120)
    assert await site.shown() == ("OCCUPIED", None)
    assert "sensor_refused" not in await site.wrong()


async def test_i2_a_small_fall_that_rises_again_marks_the_space(site: Site) -> None:
    first = await site.refuse(95)
    assert await site.shown() == ("FREE", None)
    await site.refuse(96)
    assert await site.mark() == Unproven(R.REFUSED, first, first + BOUND)
    assert await site.since("sensor_refused") == first


async def test_i2_a_suspicion_is_over_with_the_next_accepted_uplink(site: Site) -> None:
    await site.refuse(95)
    await site.report(FREE, f_cnt=101)
    await site.refuse(96)
    assert await site.shown() == ("FREE", None)


async def test_i18_a_gap_before_a_frame_without_reading_marks_the_space(site: Site) -> None:
    at = await site.report(NO_READING, f_cnt=104, f_port=0)
    assert await site.mark() == Unproven(R.FRAMES_MISSING, at, at + BOUND)
    assert await site.wrong() == {"sensor_frames_missing": "3 frames are missing before the frame 104"}
    await site.report(NO_READING, f_cnt=105, f_port=0)
    assert await site.shown() == ("FREE", "frames_missing")
    await site.report(FREE, f_cnt=106)
    assert await site.shown() == ("FREE", None)


async def test_i18_a_gap_before_a_reading_is_a_condition_and_no_mark(site: Site) -> None:
    begun = await site.report(OCCUPIED, f_cnt=111)
    assert await site.shown() == ("OCCUPIED", None)
    assert await site.wrong() == {"sensor_frames_missing": "10 frames are missing before the frame 111"}
    await site.report(OCCUPIED, f_cnt=113)
    assert await site.since("sensor_frames_missing") == begun
    for f_cnt in range(114, 123):
        await site.report(OCCUPIED, f_cnt=f_cnt)
    assert set(await site.wrong()) == {"sensor_frames_missing"}
    await site.report(OCCUPIED, f_cnt=123)
    assert await site.wrong() == {}
    async with site.pool.acquire() as connection:
        assert (await devices.get_sensor(connection, site.bay.sensor_eui)).frames_missing == 11


async def test_i18_a_frame_that_cannot_be_decoded_behind_a_gap_marks_the_space(site: Site) -> None:
    await site.report(b"\x01", f_cnt=105)
    assert await site.shown() == ("FREE", "frames_missing")


async def test_i18_a_join_marks_the_space_until_the_next_report(site: Site) -> None:
    """The counters of the new session do not show which frames of the old one were lost."""
    at = site.clock.tick(60)
    await site.ingest.store_batch([Join(site.bay.sensor_eui, str(uuid4()), at, "01020399")])
    assert await site.mark() == Unproven(R.FRAMES_MISSING, at, at + BOUND)
    await site.report(OCCUPIED, f_cnt=0, dev_addr="01020399")
    assert await site.shown() == ("OCCUPIED", None)


async def test_i18_a_counter_that_restarts_with_a_frame_without_reading_marks_the_space(site: Site) -> None:
    at = await site.report(NO_READING, f_cnt=0, f_port=0, after=3600)
    assert await site.mark() == Unproven(R.FRAMES_MISSING, at, at + BOUND)
    assert await site.wrong() == {}


async def test_i18_a_sensor_whose_every_second_frame_is_lost_writes_its_condition_once(site: Site) -> None:
    await site.report(FREE, f_cnt=102)
    written = "SELECT xmin::text FROM conditions"
    first = await site.pool.fetchval(written)
    for n in range(5):
        await site.report(FREE, f_cnt=104 + 2 * n)
        assert await site.shown() == ("FREE", None)
    assert await site.pool.fetchval(written) == first
    assert set(await site.wrong()) == {"sensor_frames_missing"}


async def test_i18_an_overdue_report_marks_the_space_until_it_is_silent(site: Site) -> None:
    site.clock.at = T0 + BOUND
    await site.timer.spaces()
    assert await site.mark() == Unproven(R.FRAMES_MISSING, T0 + BOUND, T0 + DEADLINE)
    assert await site.shown() == ("FREE", "frames_missing")
    site.clock.at = T0 + DEADLINE
    await site.timer.spaces()
    assert await site.shown() == ("UNKNOWN", None)
    assert await site.wrong() == {"sensor_silent": "last report of the occupancy: FREE at 2026-03-02 08:00:00"}
    assert await site.since("sensor_silent") == T0 + DEADLINE
    site.clock.tick(3600)
    await site.timer.spaces()
    assert await site.since("sensor_silent") == T0 + DEADLINE
    await site.report(FREE, f_cnt=101)
    assert await site.shown() == ("FREE", None)
    assert await site.wrong() == {}


async def test_i18_a_report_that_came_meanwhile_ends_an_overdue_mark_though_it_repeats(site: Site) -> None:
    site.clock.at = T0 + BOUND
    await site.timer.spaces()
    await site.report(FREE, f_cnt=101)
    assert await site.shown() == ("FREE", None)
    for f_cnt in range(102, 105):
        await site.report(FREE, f_cnt=f_cnt, after=3600)
        await site.timer.spaces()
        assert await site.shown() == ("FREE", None)


@pytest.mark.parametrize("reason", [R.SESSION_LOST, R.NETWORK_SERVER_AWAY])
async def test_b9_all_spaces_are_marked_until_their_sensors_report(site: Site, reason: UnprovenReason) -> None:
    others = [await factories.add_bay(site.pool, f"B-{n}") for n in range(3)]
    at = site.clock.tick(60)
    await site.ingest.store_batch([uplink(other.sensor_eui, at, OCCUPIED) for other in others[:2]])
    at = site.clock.tick(60)
    async with site.pool.acquire() as connection:
        assert await mark_sensors(connection, reason, at) == 3
        assert await mark_sensors(connection, R.NETWORK_SERVER_AWAY, site.clock.tick(1)) == 0
    await site.timer.spaces()
    marks = await site.pool.fetch("SELECT unproven_reason, unproven_since, unproven_until FROM spaces ORDER BY code")
    assert [tuple(row) for row in marks] == [(reason, at, at + BOUND)] * 3 + [(None, None, None)]
    await site.report(OCCUPIED, f_cnt=101)
    site.clock.at = at + BOUND
    await site.timer.spaces()
    states = await site.pool.fetch("SELECT current_state, unproven_reason FROM spaces ORDER BY code")
    assert [tuple(row) for row in states] == [
        ("OCCUPIED", None), ("UNKNOWN", reason), ("UNKNOWN", reason), ("UNKNOWN", None),
    ]  # fmt: skip
    lights = await site.pool.fetch(
        "SELECT d.desired_state FROM spaces AS s JOIN display_devices AS d ON d.id = s.display_device_id ORDER BY code"
    )
    assert [row["desired_state"] for row in lights[:3]] == ["OCCUPIED", "UNKNOWN", "UNKNOWN"]


async def test_b9_some_sensors_are_marked_by_their_dev_eui_or_network_server(site: Site) -> None:
    eui = site.bay.sensor_eui
    async with site.pool.acquire() as connection:
        marked = [
            await mark_sensors(connection, R.SESSION_LOST, site.clock.now(), []),
            await mark_sensors(connection, R.SESSION_LOST, site.clock.now(), ["58a0cb0000000000"]),
            await mark_sensors(connection, R.SESSION_LOST, site.clock.now(), network_server="tts"),
            await mark_sensors(connection, R.SESSION_LOST, site.clock.now(), [eui], network_server="chirpstack"),
        ]
    assert marked == [0, 0, 0, 1]


async def test_i2_a_refusal_replaces_a_weaker_reason_and_keeps_its_since(site: Site) -> None:
    at = site.clock.tick(60)
    async with site.pool.acquire() as connection:
        await mark_sensors(connection, R.SESSION_LOST, at)
    await site.refuse(0)
    assert await site.mark() == Unproven(R.REFUSED, at, at + BOUND)


async def test_uplinks_that_cannot_be_decoded_are_a_condition_from_the_third_in_a_row(site: Site) -> None:
    for n in range(2):
        await site.report(b"\x01", f_cnt=101 + n)
    assert await site.wrong() == {}
    third = await site.report(b"\x01", f_cnt=103)
    await site.report(b"\x01", f_cnt=104)
    assert (await site.wrong())["sensor_undecodable"].startswith("3 uplinks in a row: bad_length: ")
    assert await site.since("sensor_undecodable") == third
    await site.report(FREE, f_cnt=105)
    assert await site.wrong() == {}


async def _disable(site: Site) -> None:
    async with site.pool.acquire() as connection:
        change = by(connection, now=site.clock.now())
        await device_settings.set_enabled(change, "sensor", site.bay.sensor_eui, False)


async def _retire(site: Site) -> None:
    async with site.pool.acquire() as connection:
        change = by(connection, now=site.clock.now())
        await spaces.unassign(change, site.bay.code, "sensor")
        await device_settings.set_lifecycle(change, "sensor", site.bay.sensor_eui, "decommissioned")


@pytest.mark.parametrize(("leave", "left"), [(_disable, {"sensor_refused"}), (_retire, set())])
async def test_what_a_sensor_said_elsewhere_marks_nothing(
    site: Site, leave: Callable[..., Any], left: set[str]
) -> None:
    site.clock.at = T0 + DEADLINE
    await site.timer.spaces()
    await site.refuse(0)
    assert set(await site.wrong()) == {"sensor_silent", "sensor_refused"}
    await leave(site)
    assert (await site.shown())[1] is None
    async with site.pool.acquire() as connection:
        assert {c.kind for c in await conditions.list_conditions(connection)} == left
