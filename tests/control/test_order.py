"""Order of what devices send: wrong clocks, late and repeated frames, counters that restart. On a real database."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from baylight.app.timer import Timer
from baylight.control.events.ingest import Ingest
from baylight.domain.events import Ack, DeviceStatus, Event, Ignored, Join, Log, TxAck, Uplink
from baylight.domain.policies import Policies
from baylight.lab.sim.events import device_info, join_payload, up_payload
from baylight.lns.chirpstack.events import parse_http
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.clock import T0, Clock
from tests.support.factories import Bay
from tests.support.uplinks import FREE, GREEN_REPORT, OCCUPIED, uplink

ABSENT = object()
TIMES = [ABSENT, None, "", "NaN", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1980-01-21T23:17:20.234+00:00",
         "2011-01-01T00:00:00Z", "2099-12-31T23:59:59Z", "2106-02-07T06:28:15Z", "2026-03-02T08:00:00", 17]  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def bay(pool: Pool) -> Bay:
    return await factories.add_bay(pool, "A-01")


async def receive(pool: Pool, clock: Clock, *events: Event | Uplink) -> None:
    """Store events as a process does that has just been started."""
    await Ingest(pool, clock, Policies()).store_batch(events)


async def state(pool: Pool, bay: Bay) -> str:
    return str(await pool.fetchval("SELECT current_state FROM spaces WHERE id = $1", bay.space_id))


async def outcomes(pool: Pool) -> list[str]:
    return [r["outcome"] for r in await pool.fetch("SELECT outcome FROM uplinks ORDER BY received_at")]


async def sensor(pool: Pool) -> dict[str, Any]:
    row = await pool.fetchrow("SELECT * FROM sensor_devices")
    assert row is not None
    return dict(row)


def event(kind: str, payload: dict[str, Any], time: object) -> Event:
    """Parse a message of ChirpStack whose own time is replaced."""
    payload = {**payload, "time": time}
    if time is ABSENT:
        del payload["time"]
    found = parse_http(kind, json.dumps(payload).encode())
    assert not isinstance(found, Ignored)
    return found


def nanoseconds(at: datetime) -> int:
    return int(at.timestamp()) * 10**9


# A1: unusable clocks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("network_time", [True, False])
async def test_a1_a_reading_counts_whatever_its_own_clock_says(
    pool: Pool, clock: Clock, bay: Bay, time: object, network_time: bool
) -> None:
    await receive(pool, clock, uplink(bay.sensor_eui, clock.now(), FREE, f_cnt=1, dev_addr="010da236"))
    at = clock.tick(30)
    payload = up_payload(
        device_info(bay.sensor_eui), 102, OCCUPIED, f_cnt=2, dev_addr="010da236", at_ns=nanoseconds(at)
    )
    if not network_time:
        payload["rxInfo"][0]["nsTime"] = None if time is ABSENT else time
    came = event("up", payload, time)
    clock.tick(5)
    await receive(pool, clock, came, came)
    clock.tick(3600)
    await receive(pool, clock, came)
    assert await state(pool, bay) == "OCCUPIED"
    assert await outcomes(pool) == ["state_changed", "state_changed"]
    assert await pool.fetchval("SELECT count(*) FROM rejected_messages") == 0
    read_at = (await sensor(pool))["occupancy_at"]
    assert read_at == (at if network_time else at + timedelta(seconds=5))


async def test_a1_frames_of_any_device_without_a_usable_time_are_stored_once(
    pool: Pool, clock: Clock, bay: Bay
) -> None:
    frames = [
        replace(uplink(eui, data=data, f_port=port, f_cnt=9), observed_at=None, network_at=None)
        for eui, data, port in (
            (bay.sensor_eui, OCCUPIED, 102), (bay.display_eui, GREEN_REPORT, 15), (factories.new_eui(), b"\1", 1)
        )
    ]  # fmt: skip
    # A stored frame of another address has the same counter: only the id tells that a delivery is repeated.
    await receive(pool, clock, *frames)
    for _ in range(2):
        clock.tick(timedelta(days=2))
        await receive(pool, clock, *frames, uplink(bay.sensor_eui, clock.now(), f_cnt=1, dev_addr="0b0b0b0b"))
    assert await pool.fetchval("SELECT count(DISTINCT dev_eui) FROM uplinks") == 3
    assert await pool.fetchval("SELECT count(*) FROM uplinks WHERE f_cnt = 9") == 3
    assert await pool.fetchval("SELECT count(*) FROM uplinks_default") == 0


@pytest.mark.parametrize("time", TIMES)
async def test_a1_a_join_ends_in_sync_whatever_its_clock_says(pool: Pool, clock: Clock, bay: Bay, time: object) -> None:
    await receive(pool, clock, uplink(bay.display_eui, clock.now(), GREEN_REPORT, f_port=15, f_cnt=3))
    trusted = "SELECT coalesce(reported_at > unknown_until, true) FROM display_devices"
    assert await pool.fetchval(trusted)
    at = clock.tick(60)
    joined = event(
        "join",
        join_payload(
            device_info(bay.display_eui), dev_addr="01aacec1", at_ns=nanoseconds(at), deduplication_id=str(uuid4())
        ),
        time,
    )
    of_sensor = replace_eui(joined, bay)
    await receive(pool, clock, joined, of_sensor)
    assert not await pool.fetchval(trusted)
    assert (await sensor(pool))["last_join_at"] == at
    await receive(
        pool, clock, uplink(bay.display_eui, clock.tick(9), GREEN_REPORT, f_port=15, f_cnt=0, dev_addr="01aacec1")
    )
    clock.tick(60)
    await receive(pool, clock, joined, of_sensor)
    assert await pool.fetchval(trusted)
    assert await pool.fetchval("SELECT count(*) FROM actuation_events WHERE kind = 'join'") == 1
    assert (await sensor(pool))["last_join_at"] == at


def replace_eui(joined: Event, bay: Bay) -> Join:
    assert isinstance(joined, Join)
    return Join(bay.sensor_eui, str(uuid4()), joined.observed_at, joined.dev_addr)


async def test_a1_other_events_without_a_time_keep_their_content(pool: Pool, clock: Clock, bay: Bay) -> None:
    await receive(pool, clock, uplink(bay.sensor_eui, clock.now()))
    actuation = await pool.fetchval("SELECT id FROM actuations")
    await pool.execute(
        """UPDATE actuations SET status = 'sending', downlink_queue_id = 'q', sent_at = $1, downlink_sent = true,
           expires_at = $2""", clock.now(), clock.now() + timedelta(minutes=1),
    )  # fmt: skip
    await pool.execute("UPDATE actuations SET status = 'queued'")
    eui, at = bay.display_eui, clock.tick(2)
    events: Sequence[Event] = [
        Log(eui, "ERROR", "DOWNLINK_GATEWAY", "TOO_LATE", None, None),
        Log(eui, "ERROR", "DOWNLINK_GATEWAY", "TX_POWER", None, None),
        TxAck(eui, "q", 1, 1, None, None), Ack(eui, "q", True, 1, None),
        DeviceStatus(eui, str(uuid4()), None, 7.0, False, 1),
    ]  # fmt: skip
    await receive(pool, clock, *events)
    clock.tick(5)
    await receive(pool, clock, *events)
    row = await pool.fetchrow("SELECT status, transmitted_at, confirmed_at FROM actuations WHERE id = $1", actuation)
    assert row is not None
    assert tuple(row) == ("acknowledged", at, at)
    steps = [r["kind"] for r in await pool.fetch("SELECT kind FROM actuation_events ORDER BY id")]
    assert sorted(steps) == ["ack", "log", "log", "tx_ack"]
    assert await pool.fetchval("SELECT battery_pct FROM display_devices") == 7.0


# A2: late and repeated frames, and restarts ---------------------------------------------------------------------------


@pytest.mark.parametrize("late", [0.5, 90, 3600, 86_400])
async def test_a2_a_late_copy_through_another_gateway_changes_nothing(
    pool: Pool, clock: Clock, bay: Bay, late: float
) -> None:
    free = uplink(bay.sensor_eui, clock.now(), FREE, f_cnt=80)
    await receive(pool, clock, free)
    await receive(pool, clock, uplink(bay.sensor_eui, clock.tick(2), OCCUPIED, f_cnt=81))
    at = clock.tick(late)
    copy = replace(
        free, deduplication_id=str(uuid4()), observed_at=at, network_at=at, gateway_id="00000000000000b2", rssi_dbm=-20
    )
    await receive(pool, clock, copy)
    assert await state(pool, bay) == "OCCUPIED"
    assert await outcomes(pool) == ["state_changed", "state_changed"]
    assert ((await sensor(pool))["gateway_id"], (await sensor(pool))["rssi_dbm"]) == ("0016c001ff10a235", -100)


@pytest.mark.parametrize("network_at", ["now", "own"])
async def test_a2_a_frame_that_a_gateway_kept_is_stale(pool: Pool, clock: Clock, bay: Bay, network_at: str) -> None:
    await receive(pool, clock, uplink(bay.sensor_eui, clock.now(), FREE, f_cnt=77))
    await receive(pool, clock, uplink(bay.sensor_eui, clock.tick(600), OCCUPIED, f_cnt=81))
    kept_at = clock.now() - timedelta(seconds=300)
    now = clock.tick(60)
    kept = uplink(bay.sensor_eui, kept_at, FREE, f_cnt=79, network_at=now if network_at == "now" else kept_at)
    await receive(pool, clock, kept)
    assert await state(pool, bay) == "OCCUPIED"
    assert await outcomes(pool) == ["state_changed", "state_changed", "stale"]
    found = await sensor(pool)
    assert (found["last_f_cnt"], found["frames_missing"]) == (81, 2)


@pytest.mark.parametrize("after", [1, 60, 7200])
@pytest.mark.parametrize("more", [{"f_cnt": 0}, {"f_cnt": 1}, {"f_cnt": 81}, {"f_cnt": 5, "dev_addr": "0a0b0c0d"}])
async def test_a2_a_reset_of_the_counter_is_accepted(
    pool: Pool, clock: Clock, bay: Bay, after: float, more: dict[str, Any]
) -> None:
    for f_cnt, data in ((78, FREE), (80, OCCUPIED), (81, FREE)):
        await receive(pool, clock, uplink(bay.sensor_eui, clock.tick(60), data, f_cnt=f_cnt))
    assert (await sensor(pool))["frames_missing"] == 1
    await receive(pool, clock, uplink(bay.sensor_eui, clock.tick(after), OCCUPIED, **more))
    assert await state(pool, bay) == "OCCUPIED"
    found = await sensor(pool)
    assert (found["last_f_cnt"], found["frames_missing"]) == (more["f_cnt"], 0)
    await receive(pool, clock, uplink(bay.sensor_eui, clock.tick(60), FREE, **more | {"f_cnt": more["f_cnt"] + 1}))
    assert await state(pool, bay) == "FREE"


# A3: clocks that are set back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ours", [True, False])
async def test_a3_readings_and_joins_count_after_a_clock_was_set_back(
    pool: Pool, clock: Clock, bay: Bay, ours: bool
) -> None:
    back = timedelta(minutes=30)
    for eui in (bay.sensor_eui, bay.display_eui):
        await receive(pool, clock, Join(eui, str(uuid4()), clock.now(), "01020304"))
    await receive(pool, clock, uplink(bay.sensor_eui, clock.tick(5), FREE, f_cnt=10))
    clock.tick(-back if ours else 0)
    for f_cnt, data in ((11, OCCUPIED), (12, FREE), (13, OCCUPIED)):
        now = clock.tick(10)
        await receive(pool, clock, uplink(bay.sensor_eui, now if ours else now - back, data, f_cnt=f_cnt))
    assert await outcomes(pool) in (["state_changed"] * 4, ["state_changed"] * 3 + ["state_changed"])
    assert await state(pool, bay) == "OCCUPIED"
    now = clock.tick(10)
    for eui in (bay.sensor_eui, bay.display_eui):
        await receive(pool, clock, Join(eui, str(uuid4()), now if ours else now - back, "0a0b0c0d"))
    joined_at = now if ours else now - back
    assert (await sensor(pool))["last_join_at"] == joined_at
    assert await pool.fetchval("SELECT last_join_at FROM display_devices") == joined_at
    assert await pool.fetchval("SELECT count(*) FROM actuation_events WHERE kind = 'join'") == 2


async def test_a3_a_time_in_the_future_is_clipped_to_now(pool: Pool, clock: Clock, bay: Bay) -> None:
    ahead = clock.now() + timedelta(hours=20)
    await receive(pool, clock, uplink(bay.sensor_eui, ahead, FREE, f_cnt=1))
    assert (await sensor(pool))["occupancy_at"] == clock.now()
    await receive(pool, clock, uplink(bay.sensor_eui, clock.tick(1), OCCUPIED, f_cnt=2))
    assert await state(pool, bay) == "OCCUPIED"


async def test_a3_times_that_are_stored_in_the_future_block_nothing(pool: Pool, clock: Clock, bay: Bay) -> None:
    await receive(pool, clock, uplink(bay.sensor_eui, clock.now(), FREE, f_cnt=1))
    await pool.execute("UPDATE sensor_devices SET occupancy_at = $1, heard_network_at = $1", T0 + timedelta(days=1))
    await receive(pool, clock, uplink(bay.sensor_eui, clock.tick(60), OCCUPIED, f_cnt=2))
    assert await state(pool, bay) == "OCCUPIED"
    assert (await sensor(pool))["occupancy_at"] == clock.now()


# I30, B6, gaps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [True, False])
async def test_i30_the_newest_counter_of_a_backlog_is_the_newest_reading(
    pool: Pool, clock: Clock, bay: Bay, together: bool
) -> None:
    await receive(pool, clock, uplink(bay.sensor_eui, clock.now(), FREE, f_cnt=2))
    now = clock.tick(600)
    frames = [
        uplink(bay.sensor_eui, now - timedelta(milliseconds=ms), OCCUPIED if f_cnt == 20 else FREE, f_cnt=f_cnt)
        for f_cnt, ms in ((20, 9), (15, 7), (7, 8), (19, 1), (14, 2), (17, 3))
    ]
    for batch in [frames] if together else [[frame] for frame in frames]:
        await receive(pool, clock, *batch)
        clock.tick(0 if together else 0.3)
    assert await state(pool, bay) == "OCCUPIED"
    assert await pool.fetchval("SELECT count(*) FROM uplinks") == 7
    found = await sensor(pool)
    assert (found["last_f_cnt"], found["frames_missing"]) == (20, 12)


async def test_b6_the_row_shows_the_newest_frame_and_not_the_last_arrival(pool: Pool, clock: Clock, bay: Bay) -> None:
    newest_at = clock.tick(60)
    await receive(
        pool, clock, uplink(bay.sensor_eui, newest_at, FREE, f_cnt=5, rssi_dbm=-60, gateway_id="00000000000000a1")
    )
    late = uplink(bay.sensor_eui, T0, OCCUPIED, f_cnt=4, rssi_dbm=-120, gateway_id="00000000000000b2", snr_db=-9)
    clock.tick(600)
    await receive(pool, clock, late)
    found = await sensor(pool)
    assert (found["rssi_dbm"], found["gateway_id"], found["snr_db"]) == (-60, "00000000000000a1", 5.5)
    assert (found["last_seen_at"], found["heard_network_at"], found["last_f_cnt"]) == (newest_at, newest_at, 5)


async def test_i18_missing_frames_are_counted_and_a_late_one_reduces_them(pool: Pool, clock: Clock, bay: Bay) -> None:
    missing = []
    for f_cnt, at in ((4, 0), (5, 60), (9, 120), (7, 90), (7, 90), (12, 200)):
        if at >= 100 or f_cnt < 6:
            clock.at = T0 + timedelta(seconds=at)
        await receive(pool, clock, uplink(bay.sensor_eui, T0 + timedelta(seconds=at), f_cnt=f_cnt))
        missing.append((await sensor(pool))["frames_missing"])
    assert missing == [0, 0, 3, 2, 2, 4]
    await receive(pool, clock, Join(bay.sensor_eui, str(uuid4()), clock.tick(60), "0c0c0c0c"))
    assert (await sensor(pool))["frames_missing"] == 0


async def test_a_late_reading_is_written_although_a_frame_without_reading_is_newer(
    pool: Pool, clock: Clock, bay: Bay
) -> None:
    await receive(pool, clock, uplink(bay.sensor_eui, clock.now(), FREE, f_cnt=1))
    await receive(pool, clock, uplink(bay.sensor_eui, clock.tick(60), b"", f_port=0, f_cnt=3))
    await receive(pool, clock, uplink(bay.sensor_eui, clock.now() - timedelta(seconds=30), OCCUPIED, f_cnt=2))
    found = await sensor(pool)
    assert (found["occupancy"], found["occupancy_at"], found["reading_f_cnt"]) == (
        "OCCUPIED",
        T0 + timedelta(seconds=30),
        2,
    )
    await Timer(pool, clock, Policies(), 24, 24).spaces()
    assert await state(pool, bay) == "OCCUPIED"


# All together ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
async def test_the_state_is_that_of_the_newest_delivered_frame_and_every_content_is_stored(
    pool: Pool, clock: Clock, seed: int
) -> None:
    """Twelve bays. The channel loses, repeats and reorders; clocks are wrong; sessions change; processes restart."""
    chance = random.Random(seed)
    bays = [await factories.add_bay(pool, f"A-{n:02}") for n in range(12)]
    session, f_cnt = dict.fromkeys(bays, 0), dict.fromkeys(bays, chance.randrange(40_000))
    newest: dict[Bay, tuple[tuple[int, int], bytes]] = {}
    contents: set[tuple[str, bytes]] = set()
    sent: dict[Bay, list[Uplink]] = {bay: [] for bay in bays}
    waiting: list[tuple[int, Bay, tuple[int, int], Uplink]] = []
    network_behind = timedelta()
    ingest = Ingest(pool, clock, Policies())
    for turn in range(30):
        clock.tick(60)
        if chance.random() < 0.1:
            ingest = Ingest(pool, clock, Policies())
        if chance.random() < 0.1:
            clock.tick(chance.choice([-1800, 600]))
        if chance.random() < 0.1:
            network_behind = timedelta(seconds=chance.choice([0, 1800, -1800]))
        batch: list[Event] = []
        for bay in bays:
            if chance.random() < 0.03:
                session[bay], f_cnt[bay], sent[bay] = session[bay] + 1, -1, []
                waiting = [w for w in waiting if w[1] is not bay]
                own = clock.now() if chance.random() < 0.5 else None
                batch += [Join(bay.sensor_eui, str(uuid4()), own, f"{session[bay]:08x}")] * chance.choice([1, 2])
            f_cnt[bay] += 1
            at, data = clock.now() - network_behind, chance.choice([OCCUPIED, FREE])
            data = data[:3] + bytes([turn, session[bay]]) + data[5:]  # no two frames are equal
            own_at = chance.choice(
                [clock.now(), None, datetime(1980, 1, 6, tzinfo=UTC), clock.now() + timedelta(days=900)]
            )
            frame = uplink(
                bay.sensor_eui,
                data=data,
                f_cnt=f_cnt[bay],
                dev_addr=f"{session[bay]:08x}",
                observed_at=own_at,
                network_at=at,
            )
            if chance.random() < 0.2 and sent[bay]:
                continue
            late = 0 if not sent[bay] or chance.random() < 0.7 else chance.randrange(1, 5)
            sent[bay].append(frame)
            waiting.append((turn + late, bay, (session[bay], f_cnt[bay]), frame))
        for _, bay, order, frame in [w for w in waiting if w[0] <= turn]:
            batch.append(frame)
            contents.add((frame.dev_eui, frame.data))
            newest[bay] = max(newest.get(bay, (order, frame.data)), (order, frame.data))
            if chance.random() < 0.2:
                batch.append(replace(frame, deduplication_id=str(uuid4()), network_at=clock.now(), observed_at=None))
        waiting = [w for w in waiting if w[0] > turn]
        for bay in bays:
            delivered = [f for f in sent[bay] if (f.dev_eui, f.data) in contents]
            if delivered and chance.random() < 0.2:
                batch.append(replace(chance.choice(delivered), deduplication_id=str(uuid4()), network_at=clock.now()))
        await ingest.store_batch(batch)
    rows = await pool.fetch("SELECT dev_eui, data, count(*) AS times FROM uplinks GROUP BY 1, 2")
    assert {(r["dev_eui"], r["data"]) for r in rows} == contents
    assert {r["times"] for r in rows} == {1}
    said = {bay: ("FREE", "OCCUPIED")[data[0]] for bay, (_, data) in newest.items()}
    assert {bay: await state(pool, bay) for bay in bays} == said
    known: dict[UUID, int] = {
        r["id"]: r["last_f_cnt"] for r in await pool.fetch("SELECT id, last_f_cnt FROM sensor_devices")
    }
    assert {bay: known[bay.sensor_id] for bay in bays} == {bay: order[1] for bay, (order, _) in newest.items()}
