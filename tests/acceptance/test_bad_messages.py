"""Bad messages from the broker: each is stored or counted with its reason, stops nothing, and changes no light."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from baylight.app.program import Program
from baylight.lab.sim.events import Json, device_info, encode, event_topic, up_payload
from tests.support.eventually import eventually, until
from tests.support.stage import GREEN, RED, Stage
from tests.support.uplinks import OCCUPIED

OCCUPIED_BYTE = b"\x01"
OWN_EVENTS = ("up", "join", "txack", "ack", "log", "status", "location", "integration", "")


def handled(program: Program) -> int:
    """Return the number of messages that ingest has handled, with any outcome."""
    return sum(program.ingest.counts.values())


async def publish(stage: Stage, program: Program, messages: list[tuple[str, bytes]]) -> None:
    """Publish messages. Return when the program has handled all of them."""
    before = handled(program)
    for topic, payload in messages:
        await stage.fake.publish_raw(topic, payload)
    await stage.fake.settled()
    await until(
        lambda: handled(program) >= before + len(messages), f"{len(messages)} sent, {handled(program) - before} handled"
    )


def bad_payloads(good: Json, dev_eui: str) -> list[bytes]:
    """Return bad payloads made from an `up` whose reading would change the light."""
    texts = [b"", b"{", b"null", b"[]", b"42", b'"up"', b"\xff\xfe\x00", b"{" * 5000, b'{"a":' * 2000, b"NaN"]
    texts += [encode(good)[:-7], b"\x00" * 300, json.dumps(good).encode("utf-16")]
    bodies: list[Json] = [{}, dict.fromkeys(good)]
    bodies += [{k: v for k, v in good.items() if k != missing} for missing in ("deduplicationId", "deviceInfo")]
    wrong: list[tuple[str, Any]] = [
        ("deduplicationId", 7), ("deduplicationId", ""), ("deviceInfo", []), ("deviceInfo", "x"),
        ("deviceInfo", {"devEui": 1}), ("deviceInfo", {"devEui": dev_eui[:-1]}), ("deviceInfo", {"devEui": "zz" * 8}),
        ("deviceInfo", {"devEui": "0101010101010101"}), ("fPort", "x"), ("fPort", -1), ("fPort", 1e9), ("fPort", []),
        ("fCnt", -1), ("fCnt", 2**40), ("data", "%%%"), ("data", 5), ("data", {}), ("rxInfo", 1), ("rxInfo", [1]),
        ("rxInfo", {"rssi": 1}), ("joinServerContext", {"sessionKeyId": "1"}),
    ]  # fmt: skip
    bodies += [good | {key: value} for key, value in wrong]
    return texts + [json.dumps(body).encode() for body in bodies]


async def test_messages_that_cannot_be_parsed_are_kept_with_their_reason_and_change_nothing(stage: Stage) -> None:
    bay = stage.bays[1]
    info = device_info(bay.sensor_eui)
    topic = event_topic(stage.fake.application_id, bay.sensor_eui, "up")
    bad = bad_payloads(up_payload(info, 102, OCCUPIED, deduplication_id="5f7f4a1b-0000-4000-8000-000000000001"),
                       bay.sensor_eui)  # fmt: skip
    async with stage.program() as program:
        await stage.begin()
        uplinks, changes = await rows(stage, "uplinks"), await rows(stage, "state_changes")
        await publish(stage, program, [(topic, payload) for payload in bad])
        rejected = await stage.pool.fetchval("SELECT sum(times) FROM rejected_messages")
        assert rejected == len(bad)
        reasons = {r["reason"] for r in await stage.pool.fetch("SELECT DISTINCT reason FROM rejected_messages")}
        assert reasons == {"bad_json", "bad_event", "bad_dev_eui", "encrypted_payload"}
        assert (await rows(stage, "uplinks"), await rows(stage, "state_changes")) == (uplinks, changes)
        await still_works(stage, program)


async def test_frames_without_a_reading_of_the_bay_are_stored_and_change_nothing(stage: Stage) -> None:
    bay, light = stage.bays[1], stage.bays[1].display_eui
    frames = [(0, b""), (102, b""), (102, OCCUPIED[:7]), (102, OCCUPIED + b"\0"), (99, OCCUPIED), (223, OCCUPIED_BYTE)]
    frames += [(255, OCCUPIED), (102, b"\x01" * 242), (102, b"\x01" * 300), (204, bytes(16))]
    async with stage.program() as program:
        await stage.begin()
        changes = await rows(stage, "state_changes")
        for f_port, data in frames:
            await stage.fake.uplink(bay.sensor_eui, f_port, data)
            await stage.fake.uplink(light, f_port, data)
        await stage.fake.settled()
        await eventually(
            stage.pool,
            "SELECT count(*) FROM uplinks WHERE outcome IN ('not_occupancy', 'not_decodable')",
            equals=2 * len(frames),
        )
        assert await rows(stage, "state_changes") == changes
        assert bay.light.code == GREEN
        await still_works(stage, program)


async def test_b1_a_frame_without_a_reading_never_frees_an_occupied_bay(stage: Stage) -> None:
    for bay in stage.bays:
        await stage.park.arrive(bay.code)
    async with stage.program():
        await stage.begin()
        for bay in stage.bays:
            for f_port, data in ((0, b""), (3, bytes(16)), (204, bytes(8)), (102, b""), (1, b""), (4, b"\0")):
                await stage.fake.uplink(bay.sensor_eui, f_port, data)
            await stage.fake.status(bay.sensor_eui, battery=None)
            await stage.fake.join(bay.sensor_eui)
        await stage.fake.settled()
        others = "SELECT count(*) FROM uplinks WHERE outcome NOT IN ('state_changed', 'display_report', 'unchanged')"
        await eventually(stage.pool, others, equals=14)  # a status comes with an uplink of its own
        assert {await stage.state(bay) for bay in stage.bays} == {"OCCUPIED"}
        assert all(bay.light.code == RED for bay in stage.bays)


async def test_events_of_unregistered_devices_are_stored(stage: Stage) -> None:
    stranger = "0102030405060708"
    info = device_info(stranger)
    topic = event_topic(stage.fake.application_id, stranger, "up")
    async with stage.program() as program:
        await stage.begin()
        await publish(stage, program, [(topic, encode(up_payload(info, 102, OCCUPIED)))] * 2)
        assert await stage.pool.fetchval("SELECT array_agg(outcome) FROM uplinks WHERE dev_eui = $1", stranger) == [
            "unknown_device"
        ]
        await still_works(stage, program)


async def test_an_eui_in_capitals_is_the_same_device(stage: Stage) -> None:
    bay = stage.bays[1]
    loud = bay.sensor_eui.upper()
    async with stage.program() as program:
        await stage.begin()
        payload = encode(up_payload(device_info(loud), 102, OCCUPIED))
        await publish(stage, program, [(event_topic(stage.fake.application_id, loud, "up"), payload)])
        await stage.shows(bay, RED)
        bay.sensor.occupied = True
        await stage.all_proven()


async def test_b19_times_in_the_future_neither_order_nor_exclude_later_uplinks(stage: Stage) -> None:
    bay = stage.bays[1]
    info, now = device_info(bay.sensor_eui), datetime.now(UTC)
    async with stage.program() as program:
        await stage.begin()
        for ahead in (timedelta(seconds=131), timedelta(days=1), timedelta(days=3000)):
            good = up_payload(info, 102, OCCUPIED) | {"time": (now + ahead).isoformat()}
            topic = event_topic(stage.fake.application_id, bay.sensor_eui, "up")
            await publish(stage, program, [(topic, encode(good))])
        await stage.shows(bay, RED)
        bay.sensor.occupied = True
        await stage.park.leave(bay.code)
        await stage.shows(bay, GREEN)
        await stage.all_proven()


async def test_b2_a_join_from_the_far_future_does_not_hide_a_later_one(stage: Stage) -> None:
    bay = stage.bays[0]
    await stage.park.arrive(bay.code)
    join = {"deduplicationId": "5f7f4a1b-0000-4000-8000-000000000002", "time": "2090-01-01T00:00:00Z",
            "deviceInfo": device_info(bay.display_eui), "devAddr": "01020304"}  # fmt: skip
    async with stage.program() as program:
        await stage.begin()
        topic = event_topic(stage.fake.application_id, bay.display_eui, "join")
        await publish(stage, program, [(topic, encode(join))])
        bay.light.report()
        await stage.all_proven()
        bay.light.power_cut()
        await stage.shows(bay, RED)
        await stage.all_proven()


async def test_nonsense_in_any_field_of_any_event_stops_nothing(stage: Stage) -> None:
    bay = stage.bays[0]
    junk: list[object] = [None, True, -1, 1e300, "", "\u0000", "x" * 3000, [], [None], {}, {"a": {"b": []}}]
    info = device_info(bay.display_eui)
    full: Json = {
        "deduplicationId": "5f7f4a1b-0000-4000-8000-000000000003", "time": datetime.now(UTC).isoformat(),
        "deviceInfo": info, "devAddr": "01020304", "queueItemId": "q", "downlinkId": 1, "fCntDown": 1,
        "gatewayId": "0016c001f153a14c", "acknowledged": False, "level": "ERROR", "code": "EXPIRED",
        "description": "d", "context": {"queue_item_id": "q"}, "margin": 5, "externalPowerSource": False,
        "batteryLevelUnavailable": True, "batteryLevel": 0,
    }  # fmt: skip
    messages = []
    for event in OWN_EVENTS:
        topic = event_topic(stage.fake.application_id, bay.display_eui, event)
        messages += [(topic, encode(full | {key: value})) for key in full for value in junk if event != "join"]
    async with stage.program() as program:
        await stage.begin()
        changes = await rows(stage, "state_changes")
        await publish(stage, program, messages)
        assert await rows(stage, "state_changes") == changes
        await still_works(stage, program)


async def test_events_of_a_real_chirpstack_are_each_stored_or_counted(
    stage: Stage, shared_vectors: Callable[[str], list[dict[str, Any]]]
) -> None:
    vectors = shared_vectors("chirpstack_events.jsonl")
    messages = [(v["topic"], encode(v["payload"])) for v in vectors if v.get("topic")]
    assert messages
    async with stage.program() as program:
        await stage.begin()
        await publish(stage, program, messages)
        assert not any(outcome == "not_stored" for _, outcome in program.ingest.counts)
        await still_works(stage, program)


async def rows(stage: Stage, table: str) -> int:
    return int(await stage.pool.fetchval(f"SELECT count(*) FROM {table}"))


async def still_works(stage: Stage, program: Program) -> None:
    """Check that the next car changes its light."""
    for bay in stage.bays:
        await stage.park.arrive(bay.code)
        await stage.shows(bay, RED)
    await stage.all_proven()
    assert program.problems() == {}
