"""Answers of an engine become values that can be stored, and readings; examples check them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baylight.codecs.registry import Reading
from baylight.codecs.ts013.calls import Answer, Decoded, answer, same
from baylight.codecs.ts013.examples import parse_examples
from baylight.codecs.ts013.sensor_mapping import OccupancyMapping
from baylight.domain.state import Occupancy
from baylight.errors import DeviceDataError, InputError

MAPPING = OccupancyMapping.parse({"field": "occupied", "occupied": [1], "free": [0], "battery_v": "bat"})
UPLINK: dict[str, Any] = {"type": "uplink", "input": {"bytes": "01ff", "fPort": 2}, "output": {"data": {"on": True}}}


def test_an_answer_may_lack_everything() -> None:
    assert answer("{}") == Answer(None)
    assert Decoded(answer("{}"), MAPPING, 1).reading() == Reading(None, {})


def test_messages_are_texts_whatever_the_codec_writes() -> None:
    found = answer(json.dumps({"errors": "bad", "warnings": [{"code": 1}, "x" * 1000, *["w"] * 50]}))
    assert found.errors == ("bad",)
    assert found.warnings[0] == '{"code": 1}'
    assert len(found.warnings) == 10
    assert len(found.warnings[1]) == 300


@pytest.mark.parametrize(
    "text", ["", "null", "[]", '"x"', "{", "[" * 5000, '{"bytes":[1.5]}', '{"bytes":"ff"}', '{"fPort":0}']
)
def test_an_unusable_answer_is_reported(text: str) -> None:
    with pytest.raises(DeviceDataError) as raised:
        answer(text)
    assert raised.value.code == "codec_failed"


@given(st.text(max_size=20))
def test_any_text_becomes_one_that_can_be_stored(text: str) -> None:
    found = answer(json.dumps({"data": text}, ensure_ascii=False)).data
    assert isinstance(found, str)
    assert "\0" not in found
    found.encode()  # no half of a surrogate pair is left
    if "\0" not in text:
        assert found == text


def test_damaged_text_is_replaced_and_pairs_survive() -> None:
    assert answer('{"data":"\\ud83c x \\\\ud83c \\u0000"}').data == "\ufffd x \\ud83c \ufffd"
    assert answer('{"data":"🅿 ok"}').data == "🅿 ok"


def test_fields_are_kept_and_volts_are_those_of_the_mapping() -> None:
    decoded = Decoded(Answer({"occupied": 1, "bat": "3.6V", "battery_v": 99}, warnings=("w",)), MAPPING, 1)
    assert decoded.reading() == Reading(
        Occupancy.OCCUPIED, {"occupied": 1, "bat": "3.6V", "battery_v": 3.6, "warnings": ["w"]}
    )
    assert Decoded(Answer([1, 2]), MAPPING, 1).reading() == Reading(None, {"data": [1, 2]})
    assert Decoded(Answer({"occupied": 1, "battery_v": 3.1}), None, 1).reading().fields["battery_v"] == 3.1


def test_c8_a_mapping_names_the_battery_in_percent() -> None:
    mapping = OccupancyMapping.parse({"field": "occupied", "occupied": [1], "free": [0], "battery_pct": "bat"})
    decoded = Decoded(Answer({"occupied": 0, "bat": "85 %", "battery_pct": 7}), mapping, 1)
    assert decoded.reading().fields == {"occupied": 0, "bat": "85 %", "battery_pct": 85.0}
    assert Decoded(Answer({"battery_pct": 40}), None, 1).reading().fields == {"battery_pct": 40.0}


@pytest.mark.parametrize("value", [None, "low", "3.6 V", 101, -1, 3600, {}])
def test_c8_what_cannot_be_percent_is_left_out(value: object) -> None:
    assert Decoded(Answer({"battery_pct": value}), None, 1).reading().fields == {}


@pytest.mark.parametrize("value", [3600, 100, "85%", -1, 1e300, None, "full", [3.6]])
def test_what_cannot_be_volts_is_left_out(value: object) -> None:
    assert Decoded(Answer({"bat": value}), MAPPING, 1).reading().fields == {"bat": value}
    assert Decoded(Answer({"battery_v": value}), None, 1).reading().fields == {}


def test_errors_of_the_codec_refuse_the_reading_unless_the_mapping_accepts_them() -> None:
    with pytest.raises(DeviceDataError, match="unknown FPort") as raised:
        Decoded(Answer({"occupied": 0}, ("unknown FPort",)), MAPPING, 1).reading()
    assert raised.value.code == "codec_error"
    lenient = OccupancyMapping.parse({"field": "occupied", "occupied": [1], "free": [0], "ignore_on_errors": False})
    assert Decoded(Answer({"occupied": 0}, ("no time",)), lenient, 1).reading().occupancy is Occupancy.FREE


@pytest.mark.parametrize(
    ("expected", "found", "equal"),
    [
        (1, 1.0, True),
        (0.3, 0.1 + 0.2, True),
        (1, True, False),
        (0, None, False),
        ({"a": None}, {}, False),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}, True),
        ([1], [1, 2], False),
        ("1", 1, False),
    ],
)
def test_examples_compare_json_values(expected: object, found: object, equal: bool) -> None:
    assert same(expected, found) is equal


def test_an_example_says_what_is_wrong() -> None:
    (example,) = parse_examples([UPLINK | {"occupancy": "FREE"}])
    assert json.loads(example.input) == {"bytes": [1, 255], "fPort": 2}
    assert example.problem(Answer({"on": True}), Occupancy.FREE) is None
    assert example.problem(Answer({"on": False}), Occupancy.FREE) == 'data is {"on": false}, not {"on": true}'
    assert example.problem(Answer({"on": True}, ("bad",)), Occupancy.FREE) == 'errors is ["bad"], not []'
    assert example.problem(Answer({"on": True}), None) == "the mapping gives nothing, not FREE"


def test_an_example_may_expect_errors_and_no_occupancy() -> None:
    (example,) = parse_examples([UPLINK | {"output": {"errors": ["bad"]}, "occupancy": None}])
    assert example.problem(Answer(None, ("bad",)), None) is None
    assert example.problem(Answer(None), None) is not None
    assert example.problem(Answer(None, ("bad",)), Occupancy.FREE) is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "downlink"}, "type is one of"),
        ({"input": {"fPort": 1}}, "'bytes' is missing"),
        ({"input": {"bytes": "0g"}}, "non-hexadecimal"),
        ({"input": {"bytes": [256]}}, "range"),
        ({"input": {"bytes": [], "fPort": "1"}}, "fPort"),
        ({"input": {"bytes": [], "recvTime": "yesterday"}}, "isoformat"),
        ({"input": None}, "example 1"),
        ({"output": 5}, "example 1"),
        ({"type": "downlink-encode"}, "'data' is missing"),
        ({"occupancy": "free"}, "OCCUPIED, FREE or null"),
        ({"occupancy": []}, "example 1"),
    ],
)
def test_a_wrong_example_is_refused_by_its_number(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as raised:
        parse_examples([UPLINK | change])
    assert raised.value.code == "bad_examples"
