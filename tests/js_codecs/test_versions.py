"""JavaScript codecs on a real database and in real worker processes: versions, activation, uplinks on their way."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from baylight.app.timer import Timer
from baylight.control.events import later
from baylight.control.events.ingest import Ingest
from baylight.domain.policies import Policies
from baylight.domain.state import Occupancy, Policy
from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.insight import doctor
from baylight.js_codecs import versions
from baylight.sandbox.pool import Sandbox
from baylight.store.pool import Connection, Pool
from tests.support import factories, uplinks
from tests.support.bay_eye import EXAMPLES, FREE, MAPPING, OCCUPIED, SOURCE, add, add_type, uplink
from tests.support.change import by
from tests.support.clock import T0, Clock


@pytest.fixture
async def engine() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(workers=1)
    yield sandbox
    await sandbox.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ingest(pool: Pool, clock: Clock, engine: Sandbox) -> Ingest:
    return Ingest(pool, clock, Policies(), engine)


@pytest.fixture
async def bay(db: Connection, pool: Pool, engine: Sandbox) -> factories.Bay:
    """A bay whose sensor decodes by version 1 of the codec."""
    await add(db)
    await versions.activate_codec(by(db, now=T0), engine, "bay_eye", 1)
    await add_type(db)
    return await factories.add_bay(pool, "A-01", sensor_type="acme_bay_eye")


async def state(db: Connection, bay: factories.Bay) -> str:
    return str(await db.fetchval("SELECT current_state FROM spaces WHERE id = $1", bay.space_id))


async def last(db: Connection) -> asyncpg.Record:
    row = await db.fetchrow("SELECT * FROM uplinks ORDER BY received_at DESC LIMIT 1")
    assert row is not None
    return row


# Versions ------------------------------------------------------------------------------------------------------------


async def test_versions_are_numbered_stored_and_listed(db: Connection) -> None:
    first = await add(db)
    assert (first.version, first.active, first.created_by) == (1, False, "ann")
    assert (await add(db)).id == first.id
    second = await add(db, SOURCE + "// better", notes="better")
    assert second.version == 2
    assert [(s.version, s.examples, s.notes) for s in await versions.list_codecs(db)] == [
        (2, 3, "better"),
        (1, 3, None),
    ]
    assert (await versions.get_codec(db, "bay_eye")).version == 2
    assert (await versions.get_codec(db, "bay_eye", 1)).source == SOURCE
    log = await db.fetch("SELECT action, after FROM audit_log WHERE object_type = 'codec' ORDER BY id")
    assert [(r["action"], r["after"]) for r in log] == [("codec.add", {"version": 1}), ("codec.add", {"version": 2})]


async def test_versions_added_at_once_get_numbers_of_their_own(pool: Pool) -> None:
    async def one(n: int) -> int:
        async with pool.acquire() as connection:
            return (await add(connection, f"{SOURCE}// {n}")).version

    assert sorted(await asyncio.gather(*(one(n) for n in range(8)))) == list(range(1, 9))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"source": " "}, "bad_source"),
        ({"source": "x" * 300_000}, "bad_source"),
        ({"source": "a\0b"}, "bad_source"),
        ({"mapping": {"field": "taken"}}, "bad_mapping"),
        ({"examples": [{"input": {}}]}, "bad_examples"),
    ],
)
async def test_a_codec_with_a_mistake_is_not_stored(db: Connection, change: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as raised:
        await add(db, **change)
    assert raised.value.code == code
    assert await versions.list_codecs(db) == []


async def test_a_name_is_plain(db: Connection) -> None:
    for name in ("", "Bay", "a b", "../x", "x" * 61):
        with pytest.raises(InputError) as raised:
            await versions.create_codec(by(db), name, SOURCE, mapping=None, examples=[])
        assert raised.value.code == "bad_codec_name"


async def test_an_unknown_codec_is_not_found(db: Connection, engine: Sandbox) -> None:
    await add(db)
    for name, version in (("other", None), ("bay_eye", 2)):
        with pytest.raises(NotFoundError):
            await versions.get_codec(db, name, version)
    with pytest.raises(NotFoundError):
        await versions.activate_codec(by(db, now=T0), engine, "bay_eye", 2)
    with pytest.raises(NotFoundError):
        await versions.deactivate_codec(by(db), "other")


async def test_a_version_never_changes(db: Connection) -> None:
    await add(db)
    for change in ("UPDATE payload_codecs SET source = 'x'", "DELETE FROM payload_codecs"):
        with pytest.raises(asyncpg.RestrictViolationError, match="fixed"):
            await db.execute(change)


# Activation ----------------------------------------------------------------------------------------------------------


async def test_only_one_version_is_active_and_each_change_is_audited(db: Connection, engine: Sandbox) -> None:
    await add(db)
    await add(db, SOURCE + "// better")
    proof = await versions.activate_codec(by(db, now=T0), engine, "bay_eye", 1)
    results = [(r.passed, r.occupancy) for r in proof.examples]
    assert results == [(True, Occupancy.OCCUPIED), (True, Occupancy.FREE), (True, None)]
    await versions.activate_codec(by(db, actor="bob", now=T0), engine, "bay_eye", 2)
    await versions.activate_codec(by(db, actor="bob", now=T0), engine, "bay_eye", 2)
    assert [(s.version, s.active) for s in await versions.list_codecs(db)] == [(2, True), (1, False)]
    await versions.deactivate_codec(by(db, actor="bob"), "bay_eye")
    await versions.deactivate_codec(by(db, actor="bob"), "bay_eye")
    log = await db.fetch("SELECT actor, before, after FROM audit_log WHERE action ~ 'activate' ORDER BY id")
    assert [tuple(r) for r in log] == [
        ("ann", {"version": None}, {"version": 1}),
        ("bob", {"version": 1}, {"version": 2}),
        ("bob", {"version": 2}, None),
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": SOURCE.replace("=== 1", "=== 2")}, 'data is {"taken": false'),
        ({"source": "function decodeUplink() { for (;;); }"}, "3 of 3 examples"),
        ({"source": "not JavaScript"}, "SyntaxError"),
        ({"mapping": MAPPING | {"invert": True}}, "the mapping gives FREE, not OCCUPIED"),
        ({"mapping": None}, "the mapping gives nothing"),
    ],
)
async def test_a_version_whose_examples_fail_stays_inactive(
    db: Connection, engine: Sandbox, change: dict[str, Any], words: str
) -> None:
    await add(db)
    await versions.activate_codec(by(db, now=T0), engine, "bay_eye", 1)
    await add(db, **change)
    with pytest.raises(InputError, match="examples") as raised:
        await versions.activate_codec(by(db, now=T0), engine, "bay_eye", 2)
    assert raised.value.code == "examples_fail"
    assert words in raised.value.message
    assert (await versions.get_codec(db, "bay_eye")).version == 1


async def test_a_version_without_examples_is_not_proven(db: Connection, engine: Sandbox) -> None:
    await add(db, examples=[])
    with pytest.raises(InputError) as raised:
        await versions.activate_codec(by(db, now=T0), engine, "bay_eye", 1)
    assert raised.value.code == "no_examples"


@pytest.mark.parametrize(("kept", "missing"), [([0, 2], "FREE"), ([1, 2], "OCCUPIED"), ([2], "FREE or OCCUPIED")])
async def test_a6_a_mapping_needs_an_example_of_each_occupancy(
    db: Connection, engine: Sandbox, kept: list[int], missing: str
) -> None:
    await add(db, examples=[EXAMPLES[n] for n in kept])
    with pytest.raises(InputError, match=missing) as raised:
        await versions.activate_codec(by(db, now=T0), engine, "bay_eye", 1)
    assert raised.value.code == "mapping_not_proven"
    assert not (await versions.get_codec(db, "bay_eye", 1)).active


async def test_a6_a_codec_that_reads_a_battery_as_a_distance_is_not_activated(db: Connection, engine: Sandbox) -> None:
    await add(
        db,
        "function decodeUplink(i) { return { data: { distance: 3000 + i.bytes[0] } }; }",
        mapping={"field": "distance", "threshold": {"occupied_below": 300, "free_above": 400}},
        examples=[{"input": {"bytes": "0a"}, "output": {"data": {"distance": 3010}}}],
    )
    with pytest.raises(InputError, match="OCCUPIED"):
        await versions.activate_codec(by(db, now=T0), engine, "bay_eye", 1)


async def test_a6_frames_that_no_example_covers_are_listed(
    db: Connection, ingest: Ingest, engine: Sandbox, bay: factories.Bay, clock: Clock
) -> None:
    for data, f_port in ((OCCUPIED, 3), (b"\x01\x24\x00", 3), (b"\x01\x24\x00", 3), (OCCUPIED, 9)):
        await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(60), data, f_port)])
    await add(db, mapping=MAPPING | {"f_ports": [3, 200]})
    proof = await versions.activate_codec(by(db, now=T0), engine, "bay_eye", 2)
    shapes = [(shape.f_port, shape.length, shape.seen) for shape in proof.uncovered]
    assert shapes == [(3, 3, 2), (9, 2, 1), (200, None, 0)]
    tested = await versions.run_examples(db, engine, await versions.get_codec(db, "bay_eye"))
    assert tested.uncovered == proof.uncovered


async def test_a6_doctor_lists_active_codecs_whose_mapping_is_not_proven(db: Connection) -> None:
    await add(db, examples=EXAMPLES[:1])
    await db.execute("UPDATE payload_codecs SET active = true, activated_at = now()")  # by an earlier version
    (finding,) = [f for f in await doctor.examine(db, now=T0, policy=Policy()) if f.check == "codec examples"]
    assert not finding.ok
    assert "bay_eye version 1: no example maps to FREE" in finding.detail


async def test_a_codec_in_use_is_not_put_to_rest_unawares(db: Connection, engine: Sandbox, bay: factories.Bay) -> None:
    with pytest.raises(ConflictError, match="bay_eye") as raised:
        await versions.deactivate_codec(by(db), "bay_eye")
    assert raised.value.facts["used_by"] == ["acme_bay_eye"]
    await versions.deactivate_codec(by(db), "bay_eye", force=True)
    assert not (await versions.get_codec(db, "bay_eye")).active


async def test_a_type_of_the_operator_s_own_decodes_by_the_codec(db: Connection) -> None:
    await add(db)
    made = await add_type(db, dev_eui_prefixes=["ACE0"])
    assert (made.codec, made.shipped, made.dev_eui_prefixes) == ("js:bay_eye", False, ["ace0"])
    with pytest.raises(ConflictError, match="exists already"):
        await add_type(db)
    with pytest.raises(NotFoundError):
        await add_type(db, "other")
    log = await db.fetchrow("SELECT * FROM audit_log WHERE object_type = 'device_type'")
    assert log is not None
    assert (log["object_id"], log["after"]) == ("acme_bay_eye", {"codec": "js:bay_eye"})


@pytest.mark.parametrize(
    "change",
    [
        {"manufacturer": ""},
        {"model": "x" * 101},
        {"uplink_interval_s": 0},
        {"silent_after_intervals": 0},
        {"uplink_interval_s": 30 * 86400, "silent_after_intervals": 13},  # E8
        {"dev_eui_prefixes": ["58:a0"]},
    ],
)
async def test_a_type_with_a_mistake_is_refused(db: Connection, change: dict[str, Any]) -> None:
    await add(db)
    with pytest.raises(InputError) as raised:
        await add_type(db, **change)
    assert raised.value.code == "bad_device_type"


async def test_bytes_and_commands_can_be_tried_out(db: Connection, engine: Sandbox) -> None:
    version = await add(db)
    tried = await versions.decode_uplink(engine, version, 3, OCCUPIED, T0)
    assert (tried.data, tried.occupancy) == ({"taken": True, "battery": "3.6 V"}, Occupancy.OCCUPIED)
    assert (await versions.decode_uplink(engine, version, 4, OCCUPIED, T0)).occupancy is None
    assert (
        await versions.decode_uplink(engine, version, 3, b"\x01", T0)
    ).problem == "codec_failed: a frame has two bytes"
    with pytest.raises(InputError):
        await versions.decode_uplink(engine, version, 0, b"", T0)
    sent = await versions.encode_downlink(engine, version, {"on": True})
    assert (sent.payload, sent.f_port, sent.problem) == ("01", 7, None)


# Uplinks -------------------------------------------------------------------------------------------------------------


async def test_an_uplink_is_decoded_by_the_active_version(
    db: Connection, ingest: Ingest, bay: factories.Bay, clock: Clock
) -> None:
    await ingest.store_batch([uplink(bay.sensor_eui, clock.now())])
    row = await last(db)
    assert (row["outcome"], row["occupancy"], row["error"]) == ("state_changed", "OCCUPIED", None)
    assert row["reading"] == {"taken": True, "battery": "3.6 V", "battery_v": 3.6}
    assert await state(db, bay) == "OCCUPIED"
    assert await db.fetchval("SELECT battery_v FROM sensor_devices WHERE id = $1", bay.sensor_id) == pytest.approx(3.6)
    await ingest.store_batch(
        [uplink(bay.sensor_eui, clock.tick(60), FREE), uplink(bay.sensor_eui, clock.tick(60), FREE)]
    )
    assert await state(db, bay) == "FREE"
    assert ingest.counts["uplink", "unchanged"] == 1


async def test_another_version_decodes_from_its_activation_on(
    db: Connection, ingest: Ingest, engine: Sandbox, bay: factories.Bay, clock: Clock
) -> None:
    await ingest.store_batch([uplink(bay.sensor_eui, clock.now())])
    turned = [EXAMPLES[0] | {"occupancy": "FREE"}, EXAMPLES[1] | {"occupancy": "OCCUPIED"}]
    await add(db, mapping=MAPPING | {"invert": True}, examples=turned)
    await versions.activate_codec(by(db, now=T0), engine, "bay_eye", 2)
    await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(60))])
    assert await state(db, bay) == "FREE"


@pytest.mark.parametrize(
    ("data", "f_port", "outcome", "error"),
    [
        (b"\x01", 3, "not_decodable", "codec_failed: a frame has two bytes"),
        (
            b"\xee\x00",
            3,
            "to_decode",
            "codec_late: the codec did not run: it is slow, and is decoded apart from quick ones",
        ),
        (FREE, 4, "not_occupancy", None),
        (FREE, 0, "not_occupancy", "no_data: the frame carries no data"),
        (FREE, None, "not_occupancy", "no_data: the frame carries no data"),
        (b"", 3, "not_occupancy", "no_data: the frame carries no data"),
    ],
)
async def test_b1_an_uplink_without_occupancy_leaves_the_state_alone(
    db: Connection,
    ingest: Ingest,
    bay: factories.Bay,
    clock: Clock,
    data: bytes,
    f_port: int | None,
    outcome: str,
    error: str | None,
) -> None:
    await ingest.store_batch([uplink(bay.sensor_eui, clock.now())])
    sent = uplink(bay.sensor_eui, clock.tick(60), data, f_port)
    await ingest.store_batch([sent, uplink(bay.sensor_eui, clock.tick(0.001), OCCUPIED)])
    row = await db.fetchrow("SELECT * FROM uplinks WHERE deduplication_id = $1", sent.deduplication_id)
    assert row is not None
    assert (row["outcome"], row["error"], row["data"]) == (outcome, error, data)
    assert await state(db, bay) == "OCCUPIED"


async def test_b5_a_bad_codec_costs_its_own_uplinks_alone(
    db: Connection, pool: Pool, ingest: Ingest, bay: factories.Bay, clock: Clock
) -> None:
    other = await factories.add_bay(pool, "A-02")
    at = clock.tick(600)
    events = [uplink(bay.sensor_eui, at - timedelta(seconds=n), b"\xee\x00") for n in range(120)]
    events += [uplink(other.sensor_eui, at, uplinks.OCCUPIED, 102)]
    await ingest.store_batch(events)
    assert await state(db, other) == "OCCUPIED"
    await ingest.decode_later(await later.list_due(db, limit=200))
    errors = [str(row["error"]) for row in await db.fetch("SELECT error FROM uplinks")]
    assert sum("codec_timeout" in error for error in errors) == 3
    assert sum("codec_suspended" in error for error in errors) == 117
    assert ingest.counts["uplink", "to_decode"] == 120
    assert await state(db, other) == "OCCUPIED"


async def test_ingest_goes_on_when_the_worker_is_killed(
    db: Connection, ingest: Ingest, engine: Sandbox, bay: factories.Bay, clock: Clock
) -> None:
    await ingest.store_batch([uplink(bay.sensor_eui, clock.now())])
    (pid,) = engine.pids
    os.kill(pid, signal.SIGKILL)
    await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(60), FREE)])
    assert await state(db, bay) == "FREE"
    assert engine.pids != [pid]


async def test_without_an_active_version_the_uplink_waits_undecoded(
    db: Connection, ingest: Ingest, bay: factories.Bay, clock: Clock
) -> None:
    await versions.deactivate_codec(by(db), "bay_eye", force=True)
    await ingest.store_batch([uplink(bay.sensor_eui, clock.now())])
    row = await last(db)
    assert (row["outcome"], row["error"]) == ("not_decodable", "no_codec: no version of the codec js:bay_eye is active")
    assert await state(db, bay) == "UNKNOWN"


async def test_a_program_without_an_engine_stores_the_uplink(
    db: Connection, pool: Pool, bay: factories.Bay, clock: Clock
) -> None:
    await Ingest(pool, clock, Policies()).store_batch([uplink(bay.sensor_eui, clock.now())])
    assert (await last(db))["outcome"] == "not_decodable"


async def test_a_sensor_that_changes_its_codec_is_decoded_by_the_new_one(
    db: Connection, pool: Pool, ingest: Ingest, bay: factories.Bay, clock: Clock
) -> None:
    builtin = uplinks.OCCUPIED
    await ingest.store_batch([uplink(bay.sensor_eui, clock.now(), FREE)])
    await pool.execute("UPDATE sensor_devices SET device_type = 'browan_tbms100' WHERE id = $1", bay.sensor_id)
    await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(60), builtin, 102)])
    assert await state(db, bay) == "OCCUPIED"
    await pool.execute("UPDATE sensor_devices SET payload_decoder = 'js:bay_eye' WHERE id = $1", bay.sensor_id)
    await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(60), FREE)])
    assert await state(db, bay) == "FREE"


async def test_a_redelivered_batch_changes_nothing(
    db: Connection, ingest: Ingest, bay: factories.Bay, clock: Clock
) -> None:
    events = [uplink(bay.sensor_eui, clock.tick(1), (OCCUPIED, FREE)[n % 2]) for n in range(10)]
    await ingest.store_batch(events)
    await ingest.store_batch(events)
    assert await db.fetchval("SELECT count(*) FROM uplinks") == 10
    assert await db.fetchval("SELECT count(*) FROM state_changes") == 10
    assert ingest.counts["uplink", "redelivered"] == 10


async def test_a_distance_between_the_bounds_keeps_the_bay_as_it_is(
    db: Connection, ingest: Ingest, engine: Sandbox, bay: factories.Bay, clock: Clock
) -> None:
    await add(
        db,
        "function Decoder(bytes) { return { distance: bytes[0] * 10 + ' mm' }; }",
        mapping={"field": "distance", "threshold": {"occupied_below": 300, "free_above": 400}},
        examples=[
            {"input": {"bytes": "0a"}, "output": {"data": {"distance": "100 mm"}}, "occupancy": "OCCUPIED"},
            {"input": {"bytes": "50"}, "output": {"data": {"distance": "800 mm"}}, "occupancy": "FREE"},
        ],
    )
    await versions.activate_codec(by(db, now=T0), engine, "bay_eye", 2)
    seen = []
    for centimetres in (35, 50, 35, 20, 35, 45):
        await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(60), bytes([centimetres]))])
        seen.append(await state(db, bay))
    assert seen == ["UNKNOWN", "FREE", "FREE", "OCCUPIED", "OCCUPIED", "FREE"]
    clock.tick(4 * 3600)  # past the sensor's silence deadline: its last reading no longer counts
    await ingest.store_batch([uplink(bay.sensor_eui, clock.now(), bytes([35]))])
    assert (await last(db))["outcome"] == "not_occupancy"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"source": "// \ud800"}, "bad_source"),
        ({"mapping": {"field": "taken", "occupied": ["\ud800"], "free": [0]}}, "bad_json"),
        ({"mapping": {"field": "\udfff", "occupied": [1], "free": [0]}}, "bad_json"),
        ({"examples": [{"input": {"bytes": "00"}, "output": {"data": {"\ud83d": 1}}}]}, "bad_json"),
        ({"notes": "\udc00"}, "bad_notes"),
    ],
)
async def test_c8_half_of_a_surrogate_pair_is_refused(db: Connection, change: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as raised:
        await add(db, **change)
    assert raised.value.code == code


async def test_damaged_text_from_a_codec_can_be_stored(
    db: Connection, ingest: Ingest, engine: Sandbox, bay: factories.Bay, clock: Clock
) -> None:
    body = "return { data: { id: String.fromCharCode(0, 0xd800, 65) } }"
    await add(db, f"function decodeUplink(i) {{ if (i.fPort === 9) throw '\\u0000 x'; {body}; }}", examples=[
        {"input": {"bytes": "00"}, "output": {"data": {"id": "\ufffd\ufffdA"}}}
    ], mapping=None)  # fmt: skip
    await versions.activate_codec(by(db, now=T0), engine, "bay_eye", 2)
    await ingest.store_batch([uplink(bay.sensor_eui, clock.now())])
    assert (await last(db))["reading"] == {"id": "\ufffd\ufffdA"}
    await ingest.store_batch([uplink(bay.sensor_eui, clock.tick(60), f_port=9)])
    assert (await last(db))["error"] == "codec_failed: \ufffd x"


async def test_a_motion_that_is_not_renewed_ends_by_time_alone(
    db: Connection, pool: Pool, ingest: Ingest, clock: Clock, engine: Sandbox, bay: factories.Bay
) -> None:
    await add(db, mapping=MAPPING | {"motion_timeout_s": 600})
    await versions.activate_codec(by(db, now=T0), engine, "bay_eye", 2)
    reconcile = Timer(pool, clock, Policies(), 25, 37)

    async def passes(seconds: float) -> str:
        clock.tick(seconds)
        await reconcile.spaces()
        return str(await pool.fetchval("SELECT current_state FROM spaces"))

    await ingest.store_batch([uplink(bay.sensor_eui, clock.at)])
    assert await passes(599) == "OCCUPIED"
    await ingest.store_batch([uplink(bay.sensor_eui, clock.at)])  # motion again
    assert await passes(599) == "OCCUPIED"
    await ingest.store_batch([uplink(bay.sensor_eui, clock.at, FREE)])  # too soon to end the motion
    assert await passes(0) == "OCCUPIED"
    assert await passes(1) == "FREE"
    await ingest.store_batch([uplink(bay.sensor_eui, clock.at)])  # the same word as the last one, but news
    assert await passes(0) == "OCCUPIED"
    assert await passes(600) == "FREE"
    assert await passes(3 * 3600 - 600) == "UNKNOWN"  # its last reading is three intervals old
