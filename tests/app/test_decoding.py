"""Uplinks whose codec does not answer in time: they wait, are decoded later in order, and decide then."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from baylight.app.decoding import Decoding
from baylight.app.timer import Timer
from baylight.control import conditions
from baylight.control.events.ingest import Ingest
from baylight.domain.conditions import ConditionKind
from baylight.domain.events import Uplink
from baylight.domain.policies import Policies
from baylight.domain.state import Policy
from baylight.insight import doctor, why
from baylight.inventory import spaces
from baylight.js_codecs import versions
from baylight.sandbox.pool import Sandbox
from baylight.store.pool import Connection, Pool
from tests.support import factories, uplinks
from tests.support.bay_eye import EXAMPLES, FREE, OCCUPIED, SOURCE, add, add_type, uplink
from tests.support.change import by
from tests.support.clock import T0, Clock
from tests.support.eventually import until

LOOP = b"\xee\x00"
SLOW = Path(__file__).parents[1].joinpath("support", "slow_codec.js").read_text("utf-8")
SLOW_MAPPING = {"field": "occupied", "occupied": [True], "free": [False]}
SLOW_EXAMPLES = [
    {"input": {"bytes": "01", "fPort": 3}, "output": {}, "occupancy": "OCCUPIED"},
    {"input": {"bytes": "00", "fPort": 3}, "output": {}, "occupancy": "FREE"},
]


@dataclass
class Site:
    """A bay whose sensor decodes by a JavaScript codec, and the parts that serve it."""

    db: Connection
    pool: Pool
    clock: Clock
    engine: Sandbox
    ingest: Ingest
    decoding: Decoding
    bay: factories.Bay

    async def send(self, data: bytes, *, after: float = 60) -> str:
        """Let the sensor send a frame; return its outcome."""
        sent = uplink(self.bay.sensor_eui, self.clock.tick(after), data)
        await self.ingest.store_batch([sent])
        return await self.outcome(sent.deduplication_id)

    async def outcome(self, deduplication_id: str) -> str:
        return str(await self.db.fetchval("SELECT outcome FROM uplinks WHERE deduplication_id = $1", deduplication_id))

    async def outcomes(self) -> list[str]:
        rows = await self.db.fetch("SELECT outcome FROM uplinks WHERE dev_eui = $1 ORDER BY received_at", self.eui)
        return [row["outcome"] for row in rows]

    @property
    def eui(self) -> str:
        return self.bay.sensor_eui

    async def state(self) -> str:
        return str(await self.db.fetchval("SELECT current_state FROM spaces WHERE id = $1", self.bay.space_id))

    async def light(self) -> str:
        """Return the state of the newest command for the bay's light."""
        sql = "SELECT new_state FROM actuations WHERE display_device_id = $1 ORDER BY id DESC LIMIT 1"
        newest = await self.db.fetchval(sql, self.bay.display_id)
        desired = await self.db.fetchval("SELECT desired_state FROM display_devices WHERE id = $1", self.bay.display_id)
        assert newest == desired
        return str(newest)

    async def time_passes(self, seconds: float) -> None:
        self.clock.tick(seconds)
        await Timer(self.pool, self.clock, Policies(), 25, 37).spaces()

    async def why(self) -> str:
        return why.render(await why.explain(self.db, self.bay.code, self.clock.now(), Policy()))

    async def rounds(self, number: int = 4) -> None:
        for _ in range(number):
            await self.decoding.round()

    def signal(self, number: int) -> None:
        for pid in self.engine.pids:
            os.kill(pid, number)

    async def suspended(self) -> list[str]:
        found = await conditions.list_open(self.db, kinds=[ConditionKind.CODEC_SUSPENDED])
        return [condition.subject_id for condition in found]


async def _site(db: Connection, pool: Pool, engine: Sandbox) -> Site:
    await add_type(db)
    bay = await factories.add_bay(pool, "A-01", sensor_type="acme_bay_eye")
    clock = Clock(await db.fetchval("SELECT clock_timestamp()"))
    ingest = Ingest(pool, clock, Policies(), engine)
    assert ingest.decoders is not None
    decoding = Decoding(pool, ingest, ingest.decoders, clock)
    return Site(db, pool, clock, engine, ingest, decoding, bay)


@pytest.fixture
async def engine() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(workers=1, probe_s=0)
    yield sandbox
    await sandbox.close()


@pytest.fixture
async def site(db: Connection, pool: Pool, engine: Sandbox) -> Site:
    await add(db)
    await versions.activate_codec(by(db, now=T0), engine, "bay_eye", 1)
    return await _site(db, pool, engine)


@pytest.fixture
async def slow(db: Connection, pool: Pool, engine: Sandbox) -> Site:
    """A bay whose codec needs about 26 ms of CPU time for a call."""
    await add(db, SLOW, SLOW_MAPPING, examples=SLOW_EXAMPLES)
    await versions.activate_codec(by(db, now=T0), engine, "bay_eye", 1)
    return await _site(db, pool, engine)


async def test_a4_a_stopped_worker_loses_no_car(site: Site) -> None:
    assert await site.send(FREE) == "state_changed"
    site.signal(signal.SIGSTOP)
    assert await site.send(OCCUPIED) in ("to_decode", "state_changed")
    await until(site.decoding.round) if await site.state() != "OCCUPIED" else None
    assert await site.state() == "OCCUPIED"
    assert await site.light() == "OCCUPIED"
    assert await site.suspended() == []
    assert await site.send(FREE) == "state_changed"


async def test_a4_a_killed_worker_loses_no_car(site: Site) -> None:
    await site.send(FREE)
    site.signal(signal.SIGKILL)
    await site.send(OCCUPIED)
    await site.rounds(1)
    assert await site.state() == await site.light() == "OCCUPIED"
    assert await site.suspended() == []


async def test_a4_a_backlog_of_an_honest_slow_codec_is_decoded_whole(slow: Site) -> None:
    at = slow.clock.tick(3600)
    events = [uplink(slow.eui, at - timedelta(seconds=200 - n), bytes([n % 2]), 3) for n in range(200)]
    for start in range(0, 200, 50):
        await slow.ingest.store_batch(events[start : start + 50])
    await until(lambda: _nothing_waits(slow), deadline_s=120)
    outcomes = await slow.outcomes()
    assert len(outcomes) == 200
    assert set(outcomes) <= {"state_changed", "unchanged", "stale"}
    assert await slow.db.fetchval("SELECT count(*) FROM uplinks WHERE occupancy IS NOT NULL") == 200
    assert await slow.state() == await slow.light() == "OCCUPIED"


async def _nothing_waits(site: Site) -> bool:
    await site.decoding.round()
    return not await site.db.fetchval("SELECT count(*) FROM uplinks_to_decode")


async def test_a4_built_in_devices_wait_at_most_the_bound_for_codecs_of_their_batch(slow: Site) -> None:
    other = await factories.add_bay(slow.pool, "A-02")
    await slow.send(b"\x00")
    at = slow.clock.tick(600)
    events = [uplink(slow.eui, at - timedelta(seconds=300 - n), bytes([n % 2])) for n in range(300)]
    began = asyncio.get_running_loop().time()
    await slow.ingest.store_batch([*events, uplink(other.sensor_eui, at, uplinks.OCCUPIED, 102)])
    assert asyncio.get_running_loop().time() - began < 4  # 2 s, the call under way, and writing
    assert await slow.db.fetchval("SELECT current_state FROM spaces WHERE id = $1", other.space_id) == "OCCUPIED"
    assert "to_decode" in await slow.outcomes()


async def test_c7_200_looping_codecs_delay_only_their_own_devices(site: Site) -> None:
    other = await factories.add_bay(site.pool, "A-02")
    await site.send(FREE)
    await site.db.execute("""
        WITH codec AS (
            INSERT INTO payload_codecs (name, version, source, examples, active, activated_at, created_by)
            SELECT 'loop_' || n, 1, 'function decodeUplink() { for (;;); }', '[]', true, now(), 'ann'
            FROM generate_series(1, 200) AS n RETURNING name
        ), kind AS (
            INSERT INTO device_types (code, category, manufacturer, model, codec, uplink_interval_s)
            SELECT name, 'sensor', 'Acme', 'Loop', 'js:' || name, 3600 FROM codec RETURNING code
        )
        INSERT INTO sensor_devices (dev_eui, device_type)
        SELECT '70b3d5ff' || lpad(substr(code, 6), 8, '0'), code FROM kind ORDER BY code
    """)
    at = site.clock.tick(600)
    loops = [uplink(f"70b3d5ff{n:08}", at) for n in range(1, 201)]
    mine, built_in = uplink(site.eui, at), uplink(other.sensor_eui, at, uplinks.OCCUPIED, 102)
    await site.ingest.store_batch([*loops, mine, built_in])
    assert await site.outcome(mine.deduplication_id) == await site.outcome(built_in.deduplication_id) == "state_changed"
    assert site.ingest.counts["uplink", "to_decode"] == 200
    assert len(site.engine.slow()) <= 3  # the others did not run
    assert site.engine.suspended() == {}

    for _ in range(4):
        await site.decoding.round()
        assert await site.send(FREE if await site.state() == "OCCUPIED" else OCCUPIED) == "state_changed"
    assert await site.db.fetchval("SELECT count(*) FROM uplinks_to_decode") > 0


async def test_a4_a_space_is_unknown_while_its_newest_uplink_waits_longer_than_30_s(site: Site) -> None:
    await site.send(FREE)
    assert await site.send(LOOP) == "to_decode"
    await site.rounds(1)
    await site.time_passes(29)
    assert await site.state() == "FREE"
    await site.time_passes(1)
    assert await site.state() == await site.light() == "UNKNOWN"
    shown = await site.why()
    assert "waits to be decoded" in shown
    assert "to decode: frame" in shown
    assert "codec_timeout" in shown
    assert await site.send(OCCUPIED) == "to_decode"  # the codec is slow until it answers
    await site.decoding.round()
    await site.decoding.round()
    assert await site.state() == "OCCUPIED"  # newer than what waits: nothing is in doubt
    assert (
        await site.db.fetchval("SELECT to_decode_since FROM sensor_devices WHERE id = $1", site.bay.sensor_id) is None
    )


async def test_a4_a_suspended_codec_is_a_condition_until_another_version_decodes_what_waits(site: Site) -> None:
    await site.send(FREE)
    looping = SOURCE.replace("input.bytes[0] === 0xee", "input.fPort === 3")
    examples = [e if e["type"] == "downlink-encode" else e | {"input": e["input"] | {"fPort": 4}} for e in EXAMPLES]
    await add(site.db, looping, {"field": "taken", "occupied": [True], "free": [False]}, examples=examples)
    await versions.activate_codec(by(site.db, now=site.clock.now()), site.engine, "bay_eye", 2)
    assert await site.send(OCCUPIED) == "to_decode"
    await site.rounds(6)
    assert await site.suspended() == [str(site.bay.sensor_id)]
    await site.time_passes(31)
    assert await site.light() == "UNKNOWN"
    assert "js:bay_eye" in await site.why()
    findings = await doctor.examine(site.db, now=site.clock.now(), policy=Policy())
    assert any(not f.ok and site.eui in f.detail and "codec_suspended" in f.detail for f in findings)
    await add(site.db, SOURCE + "// right again")
    await versions.activate_codec(by(site.db, now=site.clock.tick(1)), site.engine, "bay_eye", 3)
    await site.rounds(12)
    assert await site.state() == await site.light() == "OCCUPIED"
    assert await site.suspended() == []
    assert await site.outcomes() == ["state_changed", "state_changed"]


async def test_a4_a_frame_that_alone_loops_is_not_decodable_in_the_end(site: Site) -> None:
    assert await site.send(LOOP) == "to_decode"
    for _ in range(8):
        await site.send(FREE)
        await site.rounds(2)
    assert (await site.outcomes())[0] == "not_decodable"
    assert await site.suspended() == []


async def test_a4_a_suspension_ends_with_an_answer(site: Site) -> None:
    for _ in range(3):
        await site.send(LOOP)
    await site.rounds(2)
    assert await site.suspended() == [str(site.bay.sensor_id)]
    for _ in range(4):
        await site.send(OCCUPIED)
        await site.rounds(12)
    assert await site.suspended() == []
    assert await site.state() == "OCCUPIED"
    assert await site.outcomes() == ["not_decodable"] * 3 + ["state_changed"] + ["unchanged"] * 3


async def test_a4_what_is_decoded_later_never_turns_back_a_newer_reading(site: Site) -> None:
    await site.send(FREE)
    first = uplink(site.eui, site.clock.tick(60), FREE)
    await _keep_waiting(site, [first])
    await site.send(OCCUPIED)
    await site.rounds(2)
    assert await site.outcome(first.deduplication_id) == "stale"
    assert await site.state() == "OCCUPIED"


async def test_a4_what_waits_is_decoded_oldest_first_after_a_restart(site: Site, pool: Pool) -> None:
    await site.send(FREE)
    waiting = [uplink(site.eui, site.clock.tick(60), data) for data in (OCCUPIED, FREE, OCCUPIED)]
    await _keep_waiting(site, waiting)
    since = await site.db.fetchval("SELECT to_decode_since FROM sensor_devices WHERE id = $1", site.bay.sensor_id)
    assert since is not None
    ingest = Ingest(pool, site.clock, Policies(), site.engine)  # another process
    assert ingest.decoders is not None
    site.decoding = Decoding(pool, ingest, ingest.decoders, site.clock)
    await site.rounds(2)
    rows = await site.db.fetch("SELECT new_state FROM state_changes ORDER BY id")
    assert [row["new_state"] for row in rows] == ["FREE", "OCCUPIED", "FREE", "OCCUPIED"]
    assert await site.db.fetchval("SELECT count(*) FROM uplinks_to_decode") == 0
    assert all(f.ok for f in await doctor.examine(site.db, now=site.clock.now(), policy=Policy())
               if f.check in ("last readings", "states of spaces", "causes"))  # fmt: skip


async def test_a4_two_processes_decode_an_uplink_once(site: Site, pool: Pool) -> None:
    await site.send(FREE)
    await _keep_waiting(site, [uplink(site.eui, site.clock.tick(60), OCCUPIED)])
    ingest = Ingest(pool, site.clock, Policies(), site.engine)
    assert ingest.decoders is not None
    other = Decoding(pool, ingest, ingest.decoders, site.clock)
    decoded = await asyncio.gather(site.decoding.round(), other.round())
    assert sum(decoded) == 1
    assert await site.db.fetchval("SELECT count(*) FROM state_changes WHERE new_state = 'OCCUPIED'") == 1


async def test_a4_a_reading_from_a_sensors_former_place_does_not_count(site: Site) -> None:
    await site.send(FREE, after=0)
    await _keep_waiting(site, [uplink(site.eui, site.clock.tick(0.001), OCCUPIED)])
    await spaces.create_space(by(site.db, now=site.clock.now()), "B-01")
    await spaces.unassign(by(site.db, now=site.clock.now()), "A-01", "sensor")
    await spaces.assign(by(site.db, now=site.clock.tick(60)), "B-01", sensor=site.eui)
    await site.rounds(2)
    assert (await site.outcomes())[-1] == "stale"
    assert await site.db.fetchval("SELECT current_state FROM spaces WHERE code = 'B-01'") == "UNKNOWN"


async def _keep_waiting(site: Site, events: list[Uplink]) -> None:
    """Store uplinks while the only worker is stopped."""
    site.signal(signal.SIGSTOP)
    await site.ingest.store_batch(events)
    assert [await site.outcome(event.deduplication_id) for event in events] == ["to_decode"] * len(events)
