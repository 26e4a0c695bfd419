"""Messages of The Things Stack in neutral form: own samples, public captures, unreadable ones."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baylight.domain.events import Ack, Event, Ignored, Join, Log, TxAck, Uplink
from baylight.domain.ids import DevEui
from baylight.errors import DeviceDataError
from baylight.lns.tts.events import parse
from baylight.lns.wire import MAX_DATA, MAX_PAYLOAD

EUI = DevEui("58a0cb0000110001")
AT = datetime(2026, 11, 24, 8, 15, 30, 123456, tzinfo=UTC)
LATER = datetime(2026, 11, 24, 8, 15, 30, 330111, tzinfo=UTC)
ITEM = f"baylight:{EUI}:0193a1c2-7f1e-7c3a-8d11-5b5a0e9c4f10:1795508130123456"
CODES = {"too_large", "bad_json", "bad_event", "bad_dev_eui", "bad_application_id", "encrypted_payload"}
IDS = {
    "device_id": "bay-017",
    "application_ids": {"application_id": "garage"},
    "dev_eui": "58A0CB0000110001",
    "join_eui": "58A0CB0001500000",
    "dev_addr": "260B1234",
}


def message(kind: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    envelope = {
        "end_device_ids": copy.deepcopy(IDS),
        "correlation_ids": ["gs:uplink:01JDM7QFYGPF09F2NK2YW5GW78"],
        "received_at": "2026-11-24T08:15:30.330111222Z",
        kind: body,
    }
    return envelope | more


def uplink(**changes: Any) -> dict[str, Any]:
    body = {
        "session_key_id": "AY0v/ZirzRkpNW0Cgjdhig==",
        "f_port": 102,
        "f_cnt": 70001,
        "frm_payload": "AQtGAAAAAAA=",
        "rx_metadata": [
            {"gateway_ids": {"gateway_id": "north", "eui": "0016C001F1500001"}, "rssi": -103, "snr": -4.5},
            {"gateway_ids": {"gateway_id": "south", "eui": "0016C001F1500002"}, "rssi": -61},
        ],
        "received_at": "2026-11-24T08:15:30.123456789Z",
        "version_ids": {"brand_id": "browan", "model_id": "tbms100"},
    }
    return {name: value for name, value in (body | changes).items() if value is not None}


def read(given: dict[str, Any], topic: str = "v3/garage@ttn/devices/bay-017/up") -> Event | Ignored:
    return parse(topic, json.dumps(given).encode())


def taken(**changes: Any) -> Uplink:
    event = read(message("uplink_message", uplink(**changes)))
    assert isinstance(event, Uplink)
    return event


def refused(given: dict[str, Any]) -> str:
    with pytest.raises(DeviceDataError) as caught:
        read(given)
    return caught.value.code


def outcome(payload: bytes) -> str | type:
    try:
        return type(parse("v3/garage@ttn/devices/bay-017/up", payload))
    except DeviceDataError as error:
        return error.code


def test_an_uplink_is_read() -> None:
    event = taken()
    assert event == Uplink(
        dev_eui=EUI,
        deduplication_id=event.deduplication_id,
        observed_at=AT,
        network_at=AT,
        dev_addr="260b1234",
        f_cnt=70001,
        f_port=102,
        data=bytes.fromhex("010b460000000000"),
        rssi_dbm=-61,
        snr_db=0.0,
        gateway_id="0016c001f1500002",
        device_name="bay-017",
        profile_name="browan tbms100",
        application_id="garage/bay-017",
        network_server="tts",
    )


def test_what_is_left_out_is_zero() -> None:
    event = taken(f_port=None, f_cnt=None, frm_payload=None, rx_metadata=None, version_ids=None)
    assert (event.f_port, event.f_cnt, event.data) == (0, 0, b"")
    assert (event.rssi_dbm, event.snr_db, event.gateway_id, event.profile_name) == (None, None, None, None)


def test_the_copies_that_mqtt_and_webhook_bring_are_one_message() -> None:
    by_mqtt = read(message("uplink_message", uplink()))
    by_webhook = read(message("uplink_message", uplink(), correlation_ids=["as:up:01", "other"]), "/inbound/tts")
    assert by_mqtt == by_webhook


@pytest.mark.parametrize(
    "other",
    [
        {"f_cnt": 70002},
        {"f_port": 103},
        {"frm_payload": "AAtGAAAAAAA="},
        {"session_key_id": "AZNi5dvTa96t7M6UDHLcnw=="},
        {"received_at": "2026-11-24T08:15:31.123456789Z"},
    ],
)
def test_b7_another_frame_or_session_is_another_message(other: dict[str, Any]) -> None:
    assert taken(**other).deduplication_id != taken().deduplication_id


def test_packet_brokers_gateway_is_named() -> None:
    rx = {"gateway_ids": {"gateway_id": "packetbroker"}, "packet_broker": {"forwarder_gateway_eui": "58A0CBFFFE8013BC"}}
    assert taken(rx_metadata=[rx | {"rssi": -82}]).gateway_id == "58a0cbfffe8013bc"
    assert (
        taken(rx_metadata=[rx, {"rssi": -120, "snr": -7}]).rssi_dbm == -120
    )  # an entry without an RSSI was not measured


def test_a_join_is_read() -> None:
    event = read(message("join_accept", {"session_key_id": "AXBSH1", "received_at": "2026-11-24T08:15:30.123456Z"}))
    assert isinstance(event, Join)
    assert event == Join(EUI, event.deduplication_id, AT, "260b1234", "garage/bay-017", "tts")
    assert read(message("join_accept", {})) != event


def test_messages_about_our_downlinks_carry_their_queue_item_id() -> None:
    down = {"f_port": 15, "f_cnt": 7, "frm_payload": "/wAAZAA=", "correlation_ids": ["as:downlink:01H", ITEM]}
    assert read(message("downlink_sent", down)) == TxAck(EUI, ITEM, None, 7, None, LATER)
    assert read(message("downlink_ack", down)) == Ack(EUI, ITEM, True, 7, LATER)
    assert read(message("downlink_nack", down)) == Ack(EUI, ITEM, False, 7, LATER)
    in_envelope = message("downlink_ack", {"f_port": 15}, correlation_ids=["as:up:01H", ITEM])
    assert read(in_envelope) == Ack(EUI, ITEM, True, 0, LATER)


@pytest.mark.parametrize(
    ("name", "code"),
    [("application_downlink_too_long", "DOWNLINK_PAYLOAD_SIZE"), ("no_dev_addr", "DOWNLINK_FAILED")],
)
def test_a_failed_downlink_has_a_reason_and_the_device_of_our_id(name: str, code: str) -> None:
    error = {"namespace": "pkg/networkserver", "name": name, "message_format": "it is so"}
    given = message("downlink_failed", {"downlink": {"correlation_ids": [ITEM]}, "error": error})
    del given["end_device_ids"]["dev_eui"]
    event = read(given)
    assert isinstance(event, Log)
    assert (event.dev_eui, event.code, event.queue_item_id, event.observed_at) == (EUI, code, ITEM, LATER)
    assert event.description == f"{name}: it is so"


@pytest.mark.parametrize("kind", ["downlink_sent", "downlink_ack", "downlink_nack", "downlink_failed"])
def test_downlinks_of_others_prove_nothing_of_ours(kind: str) -> None:
    down: dict[str, Any] = {"f_port": 15, "correlation_ids": ["my-correlation-id"]}
    assert read(message(kind, {"downlink": down} if kind == "downlink_failed" else down)) == Ignored("foreign_downlink")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("downlink_queued", "downlink_queued"),
        ("downlink_queue_invalidated", "downlink_queue_invalidated"),
        ("uplink_normalized", "normalized"),
        ("location_solved", "location"),
        ("service_data", "service_data"),
        ("something_new", "unknown_event"),
    ],
)
def test_messages_without_use_are_ignored(kind: str, reason: str) -> None:
    assert read(message(kind, {"correlation_ids": [ITEM]})) == Ignored(reason)


def test_a_simulated_uplink_changes_no_light() -> None:
    assert read(message("uplink_message", uplink(), simulated=True)) == Ignored("simulated")


@pytest.mark.parametrize("command", ["push", "replace"])
def test_our_own_commands_that_come_back_are_ignored(command: str) -> None:
    given = {"downlinks": [{"f_port": 15, "frm_payload": "vu8="}]}
    assert read(given, f"v3/garage@ttn/devices/bay-017/down/{command}") == Ignored("command")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"f_cnt": -1}, "bad_event"),
        ({"f_port": 256}, "bad_event"),
        ({"f_cnt": 2**32}, "bad_event"),
        ({"frm_payload": "?"}, "bad_event"),
        ({"frm_payload": "A" * (MAX_DATA * 2)}, "too_large"),
        ({"rx_metadata": [{"rssi": "far"}]}, "bad_event"),
        ({"app_s_key": {"kek_label": "", "encrypted_key": "AA=="}}, "encrypted_payload"),
    ],
)
def test_wrong_values_are_refused(changes: dict[str, Any], code: str) -> None:
    assert refused(message("uplink_message", uplink(**changes))) == code


@pytest.mark.parametrize("dev_eui", [None, "", "58A0CB000011000", "58A0CB000011000G", "58-A0-CB-00-00-11-00-01"])
def test_a_message_without_a_dev_eui_is_refused(dev_eui: str | None) -> None:
    given = message("uplink_message", uplink())
    given["end_device_ids"]["dev_eui"] = dev_eui
    assert refused(given) == "bad_dev_eui"


@pytest.mark.parametrize(
    "at",
    [None, "", "yesterday", "NaN", "2026-11-24T08:15:30", "1970-01-01T00:00:00Z", "2106-02-07T06:28:15Z", 5, [], {}],
)
def test_a1_a_message_keeps_its_content_if_its_time_is_unusable(at: object) -> None:
    assert taken(received_at=at).observed_at == LATER
    joins = [read(message("join_accept", {"session_key_id": key}, received_at=at)) for key in ("a", "a", "b")]
    ids = [join.deduplication_id for join in joins if isinstance(join, Join) and join.observed_at is None]
    assert (len(ids), len(set(ids)), ids[0] == ids[1]) == (3, 2, True)
    given = message("uplink_message", uplink(received_at=at), received_at=at)
    first, again = read(given), read(given)
    assert isinstance(first, Uplink)
    assert isinstance(again, Uplink)
    assert (first.observed_at, first.network_at) == (None, None)
    assert first.deduplication_id == again.deduplication_id


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff\xfe", b"null", b"[]", b"[" * 100_000])
def test_what_is_no_message_is_refused(payload: bytes) -> None:
    with pytest.raises(DeviceDataError) as caught:
        parse("v3/garage@ttn/devices/bay-017/up", payload)
    assert caught.value.code in ("bad_json", "bad_event")


def test_payloads_up_to_the_limit_are_accepted() -> None:
    text = json.dumps(message("uplink_message", uplink())).encode()
    assert isinstance(parse("", text.ljust(MAX_PAYLOAD)), Uplink)
    with pytest.raises(DeviceDataError, match="more than"):
        parse("", text.ljust(MAX_PAYLOAD + 1))


def test_texts_that_postgresql_cannot_hold_are_cleaned() -> None:
    given = message("uplink_message", uplink(version_ids={"model_id": "a\0b"}))
    event = read(given)
    assert isinstance(event, Uplink)
    assert event.profile_name == "ab"


@pytest.mark.parametrize("bad", ["+", "#", "a/b", "bay\0", "a b", "x" * 101, "\x7f", "ä"])
def test_b2_an_address_that_no_topic_can_carry_is_refused(bad: str) -> None:
    for kind in (message("uplink_message", uplink()), message("join_accept", {})):
        for field in ("device_id", "application_ids"):
            given = json.loads(json.dumps(kind))
            given["end_device_ids"][field] = bad if field == "device_id" else {"application_id": bad}
            with pytest.raises(DeviceDataError) as caught:
                read(given)
            assert caught.value.code == "bad_application_id"


def test_captured_messages_are_read(shared_vectors: Callable[[str], list[dict[str, Any]]]) -> None:
    seen: list[str] = []
    for vector in shared_vectors("tts_events.jsonl"):
        kind, given = vector["event"], vector["payload"]
        if kind == "downlinks(command)":
            continue
        event = read(given, vector["topic"])
        seen.append(kind)
        if kind == "uplink_message":
            assert isinstance(event, Uplink), vector
            ids, body = given["end_device_ids"], given["uplink_message"]
            assert event.dev_eui == ids["dev_eui"].lower()
            assert (event.f_port, event.f_cnt) == (body.get("f_port", 0), body.get("f_cnt", 0))
            assert event.rssi_dbm == max(rx["rssi"] for rx in body["rx_metadata"])
            assert event.gateway_id is not None
            assert event.observed_at is not None
            assert body["received_at"].startswith(event.observed_at.strftime("%Y-%m-%dT%H:%M:%S.%f"))
        elif kind == "join_accept":
            assert isinstance(event, Join), vector
        elif kind.startswith("downlink_"):
            assert isinstance(event, Ignored), vector  # none of them is ours
    assert seen.count("uplink_message") >= 10
    assert set(seen) >= {"uplink_message", "join_accept", "downlink_ack", "downlink_sent", "downlink_failed"}


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    assert outcome(payload) in {*CODES, Ignored}


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([*IDS, "end_device_ids", "received_at", "simulated"]), st.sampled_from([*uplink()]), _ANY, _ANY)
def test_any_value_anywhere_is_read_or_refused(outside: str, inside: str, first: Any, second: Any) -> None:
    given = message("uplink_message", uplink() | {inside: second})
    (given["end_device_ids"] if outside in IDS else given)[outside] = first
    assert outcome(json.dumps(given).encode()) in {*CODES, Uplink, Ignored}
