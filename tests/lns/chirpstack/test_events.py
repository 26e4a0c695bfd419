"""Events of ChirpStack: samples, captured vectors, every leniency, every refusal, and fuzz."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baylight.domain.events import Ack, DeviceStatus, Event, Ignored, Join, Log, TxAck, Uplink
from baylight.domain.ids import DevEui
from baylight.errors import DeviceDataError
from baylight.lns.chirpstack.events import parse, parse_http
from baylight.lns.wire import MAX_DATA, MAX_PAYLOAD

SAMPLES = Path(__file__).parent / "samples"
EUI = DevEui("58a0cb0000110001")
APPLICATION = "0b7e9d1c-5a0f-4a5d-9d55-0c5d0f6f2a11"
DEDUPLICATION = "5f0c2b0a-7e3b-4b8e-9a55-0f1f5b3e7c21"
AT = datetime(2026, 11, 24, 8, 15, 30, 123456, tzinfo=UTC)
ITEM = "0193a1c2-7f1e-7c3a-8d11-5b5a0e9c4f10"
CODES = {"bad_topic", "too_large", "bad_json", "bad_event", "bad_dev_eui", "encrypted_payload"} | {
    "bad_application_id",
    "application_mismatch",
}
KINDS = ["up", "join", "txack", "ack", "log", "status"]


def sample(kind: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SAMPLES / f"{kind}.json").read_text())
    return loaded


def topic(kind: str, dev_eui: str = EUI) -> str:
    return f"application/{APPLICATION}/device/{dev_eui}/event/{kind}"


def read(kind: str, **changes: Any) -> Any:
    return parse(topic(kind), json.dumps(sample(kind) | changes).encode())


def refused(kind: str, **changes: Any) -> str:
    with pytest.raises(DeviceDataError) as caught:
        read(kind, **changes)
    return caught.value.code


EXPECTED: dict[str, Event] = {
    "up": Uplink(
        dev_eui=EUI,
        deduplication_id=DEDUPLICATION,
        observed_at=AT,
        network_at=datetime(2026, 11, 24, 8, 15, 30, 511000, tzinfo=UTC),
        dev_addr="01ffa0b2",
        f_cnt=70001,
        f_port=102,
        data=bytes.fromhex("010b460000000000"),
        confirmed=False,
        rssi_dbm=-61,
        snr_db=0.0,
        gateway_id="0016c001f1500002",
        data_rate=5,
        device_name="P1-017",
        profile_name="Bay sensor",
        application_id=APPLICATION,
        device_class="A",
    ),
    "join": Join(EUI, DEDUPLICATION, AT, "01ffa0b3", APPLICATION, device_class="A"),
    "txack": TxAck(
        EUI,
        ITEM,
        4294967295,
        0,
        "0016c001f1500002",
        AT,
        frequency_hz=869525000,
        spreading_factor=9,
        bandwidth_hz=125000,
    ),
    "ack": Ack(EUI, ITEM, acknowledged=False, f_cnt_down=12, observed_at=AT),
    "log": Log(
        EUI,
        "ERROR",
        "EXPIRED",
        "Device queue-item discarded because it has expired",
        ITEM,
        AT,
        {"queue_item_id": ITEM},
    ),
    "status": DeviceStatus(EUI, DEDUPLICATION, AT, battery_pct=None, external_power=False, margin_db=-9),
}


@pytest.mark.parametrize(
    ("said", "read_as"), [("CLASS_A", "A"), ("CLASS_B", "B"), ("CLASS_C", "C"), ("CLASS_X", None), (None, None)]
)
def test_the_class_by_which_a_device_is_served_is_read(said: str | None, read_as: str | None) -> None:
    info = sample("up")["deviceInfo"] | {"deviceClassEnabled": said}
    assert read("up", deviceInfo=info).device_class == read_as


@pytest.mark.parametrize("kind", KINDS)
def test_each_event_is_read(kind: str) -> None:
    assert read(kind) == EXPECTED[kind]


def test_captured_events_are_read(shared_vectors: Callable[[str], list[dict[str, Any]]]) -> None:
    kinds: dict[str, type] = dict(zip(KINDS, (Uplink, Join, TxAck, Ack, Log, DeviceStatus), strict=True))
    refusals: Counter[str] = Counter()
    for row in shared_vectors("chirpstack_events.jsonl"):
        payload = row["payload"]
        try:
            event = parse(row["topic"], json.dumps(payload).encode())
        except DeviceDataError as error:
            refusals[f"{row['event']} on {row['topic'].rsplit('/', 1)[1]}: {error.code}"] += 1
            continue
        if row["event"] not in kinds:
            assert isinstance(event, Ignored)
            continue
        assert type(event) is kinds[row["event"]]
        assert not isinstance(event, Ignored)
        assert event.dev_eui == payload["deviceInfo"]["devEui"]
        assert event.observed_at == datetime.fromisoformat(payload["time"])
        if isinstance(event, Uplink):
            data = payload.get("data") or ""
            assert event.data == base64.b64decode(data + "=" * (-len(data) % 4))
            assert event.f_cnt == payload.get("fCnt", 0)
            assert event.f_port == payload.get("fPort", 0)
            assert event.rssi_dbm == max((rx.get("rssi", 0) for rx in payload["rxInfo"]), default=None)
        if isinstance(event, TxAck | Ack):
            assert event.queue_item_id == payload["queueItemId"]
            assert event.f_cnt_down == payload["fCntDown"]
        if isinstance(event, Log):
            assert (event.level, event.code) == (payload["level"], payload["code"])
    # One captured log line was filed under the topic of uplinks, and a simulator mixed up two applications.
    assert refusals == {"log on up: bad_event": 1, "up on up: application_mismatch": 1}


@pytest.mark.parametrize(("kind", "reason"), [("location", "location"), ("integration", "unknown_event")])
def test_events_without_use_are_ignored_whatever_they_hold(kind: str, reason: str) -> None:
    assert parse(topic(kind), b"\xff not even JSON") == Ignored(reason)


@pytest.mark.parametrize(
    "wrong",
    ["", "up", "device/58a0cb0000110001/up", f"application/1/device/{EUI}/command/down", f"a/gateway/{EUI}/event/up"],
)
def test_other_topics_are_refused(wrong: str) -> None:
    with pytest.raises(DeviceDataError) as caught:
        parse(wrong, json.dumps(sample("up")).encode())
    assert caught.value.code == "bad_topic"


def test_a_topic_may_have_a_prefix() -> None:
    payload = json.dumps(sample("up")).encode()
    assert parse(f"town/north/{topic('up')}", payload) == EXPECTED["up"]
    assert parse(f"device/{EUI}/event/up", payload) == EXPECTED["up"]


@pytest.mark.parametrize("bad", ["#", "+", "a/b", "a\0", "a\x1f", "a\x7f", "a\x85", "a b", "x" * 101, "ä", "\uffff"])
def test_b2_an_application_that_no_topic_can_carry_is_refused(bad: str) -> None:
    for kind in ("up", "join", "txack"):
        event = sample(kind)
        event["deviceInfo"]["applicationId"] = bad
        for read_one in (lambda body, kind=kind: parse(topic(kind), body), partial(parse_http, kind)):
            with pytest.raises(DeviceDataError) as caught:
                read_one(json.dumps(event).encode())
            assert caught.value.code == "bad_application_id"


def test_b3_an_event_on_the_topic_of_another_application_is_refused() -> None:
    for kind in ("up", "join", "txack"):
        with pytest.raises(DeviceDataError) as caught:
            parse(f"application/other/device/{EUI}/event/{kind}", json.dumps(sample(kind)).encode())
        assert caught.value.code == "application_mismatch"


def test_b3_events_of_applications_that_are_not_accepted_are_ignored() -> None:
    for kind in ("up", "join", "txack"):
        body = json.dumps(sample(kind)).encode()
        assert parse(topic(kind), body, {"other"}) == parse_http(kind, body, {"other"}) == Ignored("other_application")
        assert parse(topic(kind), body, {"other", APPLICATION}) == EXPECTED[kind]
        assert parse_http(kind, body, {APPLICATION}) == EXPECTED[kind]


def test_dev_eui_may_have_any_case_but_must_be_the_topics() -> None:
    event = sample("up")
    event["deviceInfo"]["devEui"] = EUI.upper()
    assert parse(topic("up", EUI.upper()), json.dumps(event).encode()) == EXPECTED["up"]
    for eui, in_topic in ((EUI, "58a0cb0000110002"), ("58a0", "58a0"), ("", ""), ("g" * 16, "g" * 16)):
        event["deviceInfo"]["devEui"] = eui
        with pytest.raises(DeviceDataError) as caught:
            parse(topic("up", in_topic), json.dumps(event).encode())
        assert caught.value.code == "bad_dev_eui"


@pytest.mark.parametrize("kind", KINDS)
def test_null_means_missing(kind: str) -> None:
    needed = {"time", "deviceInfo", "deduplicationId", "queueItemId"}
    full = sample(kind)
    missing = {key: value for key, value in full.items() if key in needed}
    null = {key: value if key in needed else None for key, value in full.items()}
    if kind in ("up", "join", "status"):
        missing["deduplicationId"] = null["deduplicationId"] = DEDUPLICATION
    assert parse(topic(kind), json.dumps(missing).encode()) == parse(topic(kind), json.dumps(null).encode())


def test_protobuf_leaves_zeros_out() -> None:
    uplink = parse(topic("up"), json.dumps({key: sample("up")[key] for key in ("time", "deviceInfo", "deduplicationId")}
                                           | {"rxInfo": [{"gatewayId": "0016c001f1500001"}]}).encode())  # fmt: skip
    assert isinstance(uplink, Uplink)
    assert (uplink.f_cnt, uplink.f_port, uplink.data, uplink.data_rate) == (0, 0, b"", 0)
    assert (uplink.rssi_dbm, uplink.snr_db, uplink.gateway_id) == (0, 0.0, "0016c001f1500001")


def test_without_a_gateway_there_are_no_radio_facts() -> None:
    for rx_info in (None, [], [None]):
        uplink = read("up", rxInfo=rx_info)
        assert (uplink.rssi_dbm, uplink.snr_db, uplink.gateway_id, uplink.network_at) == (None, None, None, None)


def test_numbers_may_be_written_as_floats_or_text() -> None:
    assert read("up", fCnt=70001.0, fPort="102", dr=5.0) == EXPECTED["up"]


def test_radio_facts_are_those_of_the_strongest_gateway() -> None:
    receptions = [
        {"gatewayId": "0000000000000001", "rssi": -80, "snr": 9},
        {"gatewayId": "0000000000000002", "rssi": -70, "snr": 1.5, "nsTime": "2026-11-24T08:15:31Z"},
        {"gatewayId": "0000000000000003", "rssi": -70, "snr": 2.5, "nsTime": "absurd"},
    ]
    uplink = read("up", rxInfo=receptions)
    assert (uplink.gateway_id, uplink.rssi_dbm, uplink.snr_db) == ("0000000000000003", -70, 2.5)
    assert uplink.network_at == datetime(2026, 11, 24, 8, 15, 31, tzinfo=UTC)


def test_b19_a_gateways_clock_that_runs_ahead_does_not_touch_the_network_servers_time() -> None:
    ahead = read("up", time="2026-11-24T08:17:41+00:00")
    assert ahead.observed_at == datetime(2026, 11, 24, 8, 17, 41, tzinfo=UTC)
    assert ahead.network_at == datetime(2026, 11, 24, 8, 15, 30, 511000, tzinfo=UTC)


def test_an_absurd_radio_fact_is_dropped_and_the_uplink_kept() -> None:
    uplink = read("up", rxInfo=[{"gatewayId": "x", "rssi": 99999, "snr": "NaN", "nsTime": "1970-01-01T00:00:00Z"}])
    assert (uplink.gateway_id, uplink.rssi_dbm, uplink.snr_db, uplink.network_at) == (None, None, None, None)
    assert uplink.data == EXPECTED["up"].data


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-24T08:15:30Z", datetime(2026, 11, 24, 8, 15, 30, tzinfo=UTC)),
        ("2026-11-24T08:15:30.125Z", datetime(2026, 11, 24, 8, 15, 30, 125000, tzinfo=UTC)),
        ("2026-11-24T08:15:30.123456+00:00", AT),
        ("2026-11-24T10:15:30.123456999+02:00", AT),
    ],
)
def test_times_are_read_to_the_microsecond_and_in_utc(text: str, at: datetime) -> None:
    observed_at = read("up", time=text).observed_at
    assert observed_at == at
    assert observed_at.tzinfo is UTC


UNUSABLE = [None, "", "now", "NaN", "2026-11-24", "2026-11-24T08:15:30", "1970-01-01T00:00:00Z",
            "1980-01-06T00:00:20+00:00", "2106-02-07T06:28:15Z", "9999-12-31T23:59:59-10:00",
            "0001-01-01T00:00:00+14:00", "2026-02-30T00:00:00Z", "2026-11-24T08:15:30+99:00", 5, 1.5, True, [], {},
            {"seconds": 5}, "\0", "٢٠٢٦-11-24T08:15:30Z"]  # fmt: skip


@pytest.mark.parametrize("at", UNUSABLE)
def test_a1_an_event_keeps_its_content_if_its_time_is_unusable(at: object) -> None:
    up = read("up", time=at)
    assert (up.observed_at, up.data, up.f_cnt) == (up.network_at, EXPECTED["up"].data, EXPECTED["up"].f_cnt)
    assert up.network_at is not None
    without_any = read("up", time=at, rxInfo=[{"nsTime": at}])
    assert (without_any.observed_at, without_any.network_at) == (None, None)
    for kind in ("join", "txack", "ack", "log", "status"):
        event = parse(
            topic(kind, sample(kind)["deviceInfo"]["devEui"]), json.dumps(sample(kind) | {"time": at}).encode()
        )
        assert not isinstance(event, Ignored)
        assert event.observed_at is None


def test_a1_the_first_usable_time_of_several_receptions_counts() -> None:
    at = "2026-11-24T08:15:31Z"
    up = read("up", time=None, rxInfo=[{"nsTime": "1980-01-06T00:00:20Z"}, {"nsTime": at}, None, {"nsTime": 7}, {}])
    assert up.observed_at == up.network_at == datetime.fromisoformat(at)


def test_an_id_in_capitals_is_the_same_id() -> None:
    assert read("up", deduplicationId=DEDUPLICATION.upper()).deduplication_id == DEDUPLICATION


def test_an_id_that_is_no_uuid_becomes_one_for_ever_the_same_and_the_devices_own() -> None:
    first, again = read("up", deduplicationId="sim-1"), read("up", deduplicationId="sim-1")
    assert first.deduplication_id == again.deduplication_id == "02af420f-cedd-5a95-b6f8-2d271cd86799"
    assert read("up", deduplicationId="sim-2").deduplication_id != first.deduplication_id
    other = sample("up") | {"deduplicationId": "sim-1"}
    other["deviceInfo"]["devEui"] = "58a0cb0000110002"
    event = parse(topic("up", "58a0cb0000110002"), json.dumps(other).encode())
    assert isinstance(event, Uplink)
    assert event.deduplication_id != first.deduplication_id


@pytest.mark.parametrize("kind", ["up", "join", "status"])
def test_an_event_without_a_deduplication_id_is_refused(kind: str) -> None:
    assert refused(kind, deduplicationId=None) == "bad_event"
    assert refused(kind, deduplicationId="") == "bad_event"


@pytest.mark.parametrize("kind", ["txack", "ack"])
def test_an_event_without_a_queue_item_id_is_refused(kind: str) -> None:
    assert refused(kind, queueItemId="") == "bad_event"
    assert refused(kind, queueItemId=None) == "bad_event"


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("up", {"fCnt": -1}),
        ("up", {"fCnt": 2**32}),
        ("up", {"fCnt": 1.5}),
        ("up", {"fPort": 256}),
        ("up", {"fPort": True}),
        ("up", {"data": 5}),
        ("up", {"data": "not base64!"}),
        ("up", {"data": "AAAAA"}),
        ("up", {"data": "ä==="}),
        ("up", {"rxInfo": {}}),
        ("txack", {"downlinkId": 2**32}),
        ("ack", {"fCntDown": -1}),
        ("ack", {"acknowledged": "perhaps"}),
        ("log", {"context": []}),
        ("status", {"batteryLevel": [1]}),
    ],
)
def test_values_of_the_wrong_type_or_range_are_refused(kind: str, changes: dict[str, Any]) -> None:
    assert refused(kind, **changes) == "bad_event"


def test_payloads_up_to_the_limit_are_accepted() -> None:
    assert len(read("up", data=base64.b64encode(bytes(MAX_DATA)).decode()).data) == MAX_DATA
    assert refused("up", data=base64.b64encode(bytes(MAX_DATA + 10)).decode()) == "too_large"
    assert refused("up", object="x" * MAX_PAYLOAD) == "too_large"


def test_an_encrypted_payload_is_refused_as_that() -> None:
    context = {"sessionKeyId": "01", "appSKey": {"kekLabel": "kek", "aesKey": "AAAA"}}
    assert refused("up", joinServerContext=context) == "encrypted_payload"
    assert read("join", joinServerContext=context) == EXPECTED["join"]


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"\x0a\x24binary protobuf", b'{"time": "\xff"}', b"[" * 100_000, b'{"x":' + b"[" * 100_000]
)
def test_what_is_no_json_is_refused(payload: bytes) -> None:
    with pytest.raises(DeviceDataError) as caught:
        parse(topic("up"), payload)
    assert caught.value.code in ("bad_json", "bad_event")


def test_texts_that_postgresql_cannot_hold_are_cleaned_and_cut() -> None:
    info = sample("up")["deviceInfo"] | {"deviceName": "a\0b", "deviceProfileName": "p" * 1000}
    uplink = read("up", deviceInfo=info)
    assert (uplink.device_name, uplink.profile_name) == ("ab", "p" * 200)
    log = read("log", description="\0" + "d" * 9999, code="C\0", context={"k\0": "v\0", "n": None, "i": 5})
    assert log.description == "d" * 499
    assert log.code == "C"
    assert log.context == {"k": "v", "i": "5"}


def test_b20_an_unknown_battery_level_is_absent_not_zero() -> None:
    assert read("status", batteryLevelUnavailable=True, batteryLevel=0.0).battery_pct is None
    assert read("status", batteryLevelUnavailable=False, batteryLevel=None).battery_pct is None
    assert read("status", batteryLevelUnavailable=False, batteryLevel=88.5).battery_pct == 88.5
    mains = read("status", batteryLevelUnavailable=False, externalPowerSource=True, batteryLevel=0.0)
    assert (mains.battery_pct, mains.external_power) == (None, True)


@pytest.mark.parametrize(("sent", "margin"), [(-1, -1), (255, 255), (None, 0), (99999, None)])
def test_the_margin_is_kept_in_range(sent: int | None, margin: int | None) -> None:
    assert read("status", margin=sent).margin_db == margin


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def only_bounded_codes(kind: str, payload: bytes) -> None:
    refusal = None
    try:
        event = parse(topic(kind), payload)
    except DeviceDataError as error:
        refusal = error
    if refusal is not None:
        assert refusal.code in CODES
        assert "\0" not in refusal.message
    else:
        # A NUL itself; the four characters of its escape in a text are harmless.
        values = [
            item
            for value in (getattr(event, name) for name in type(event).__match_args__)
            for item in (value.items() if isinstance(value, dict) else [(value,)])
        ]
        assert not any("\0" in text for item in values for text in item if isinstance(text, str))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KINDS), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(kind: str, payload: bytes) -> None:
    only_bounded_codes(kind, payload)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_any_value_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    event = sample(kind)
    for key in data.draw(st.lists(st.sampled_from(sorted(event)), max_size=4)):
        event[key] = data.draw(JSON)
    for inner in ("deviceInfo", "context"):
        if isinstance(event.get(inner), dict) and event[inner]:
            event[inner][data.draw(st.sampled_from(sorted(event[inner])))] = data.draw(JSON)
    if isinstance(event.get("rxInfo"), list) and event["rxInfo"] and isinstance(event["rxInfo"][0], dict):
        event["rxInfo"][0][data.draw(st.sampled_from(["gatewayId", "nsTime", "rssi", "snr"]))] = data.draw(JSON)
    only_bounded_codes(kind, json.dumps(event).encode())


@given(st.text(max_size=80))
def test_any_topic_is_read_or_refused(name: str) -> None:
    with pytest.raises(DeviceDataError) as caught:
        parse(name, b"{}")
    assert caught.value.code in CODES
