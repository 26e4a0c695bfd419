"""Decoded fields to occupancy: the listed values count, all others are no information."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baylight.codecs.ts013.sensor_mapping import OccupancyMapping, Path, number
from baylight.domain.state import Occupancy
from baylight.errors import InputError

OCCUPIED, FREE = Occupancy.OCCUPIED, Occupancy.FREE
YES_NO: dict[str, Any] = {"field": "occupied", "occupied": [True, "occupied", 2], "free": [False, "vacant"]}
DISTANCE: dict[str, Any] = {"field": "distance", "threshold": {"occupied_below": 300, "free_above": 400}}


def read(mapping: dict[str, Any], data: object, f_port: int = 1, **more: Any) -> Occupancy | None:
    return OccupancyMapping.parse(mapping).occupancy(f_port, data, **more)


@pytest.mark.parametrize("value", [True, 1, 1.0, "1", "true", "TRUE", " Occupied ", "OCCUPIED", 2, "2.0"])
def test_occupied_is_understood_in_every_spelling(value: object) -> None:
    assert read(YES_NO, {"occupied": value}) is OCCUPIED


@pytest.mark.parametrize("value", [False, 0, 0.0, "0", "False", "vacant", "VACANT", "0.0"])
def test_free_is_understood_in_every_spelling(value: object) -> None:
    assert read(YES_NO, {"occupied": value}) is FREE


@pytest.mark.parametrize(
    "value", [None, "", "unknown", 3, -1, [], {}, [True], {"value": True}, "null", float("nan"), 10**400]
)
def test_b1_anything_else_is_no_information(value: object) -> None:
    assert read(YES_NO, {"occupied": value}) is None


@pytest.mark.parametrize("data", [None, {}, [], "occupied", 1, {"Occupied": True}, [{"occupied": True}], {"a": {}}])
def test_b1_a_missing_field_is_not_free(data: object) -> None:
    assert read(YES_NO, data) is None


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("status.parking", {"status": {"parking": 1}}),
        ("slots[1]", {"slots": [0, 1]}),
        ("slots[1].state", {"slots": [{"state": 0}, {"state": 1}]}),
        ("[variable=occupancy].value", [{"variable": "t", "value": 0}, {"variable": "occupancy", "value": 1}]),
        ("data[variable=Occupancy].value", {"data": [{"variable": "occupancy", "value": 1}]}),
        ("regions[].taken", {"regions": [{"taken": 0}, {"taken": 1}]}),
        ("decoded.result.output.occupied", {"decoded": {"result": {"output": {"occupied": 1}}}}),
        ("a b", {"a b": 1}),
    ],
)
def test_a_path_finds_its_value(path: str, data: object) -> None:
    assert read({"field": path, "occupied": [1], "free": [0]}, data) is OCCUPIED


def test_of_several_places_one_occupied_suffices_and_all_must_be_free() -> None:
    mapping = {"field": "r[]", "occupied": [1], "free": [0]}
    assert read(mapping, {"r": [0, 0]}) is FREE
    assert read(mapping, {"r": [0, None]}) is None
    assert read(mapping, {"r": [None, 1]}) is OCCUPIED
    assert read(mapping, {"r": []}) is None


@pytest.mark.parametrize("path", ["", "a[", "a]", "[=x]", "a..b", "a[x]", "a[-1]", 5, None, "x" * 201])
def test_what_is_no_path_is_refused(path: object) -> None:
    with pytest.raises(InputError, match="path"):
        Path.parse(path)


def test_only_frames_on_the_named_ports_count() -> None:
    mapping = YES_NO | {"f_ports": [1, 2]}
    assert read(mapping, {"occupied": True}, f_port=2) is OCCUPIED
    assert read(mapping, {"occupied": True}, f_port=7) is None


def test_a_door_that_is_closed_may_mean_occupied() -> None:
    mapping = YES_NO | {"invert": True}
    assert read(mapping, {"occupied": False}) is OCCUPIED
    assert read(mapping, {"occupied": True}) is FREE
    assert read(mapping, {"occupied": None}) is None


def test_between_the_bounds_the_last_occupancy_stays() -> None:
    assert read(DISTANCE, {"distance": 299}) is OCCUPIED
    assert read(DISTANCE, {"distance": 401}) is FREE
    assert read(DISTANCE, {"distance": "1200 mm"}) is FREE
    for previous in (OCCUPIED, FREE, None):
        assert read(DISTANCE, {"distance": 350}, previous=previous) is previous
    assert read(DISTANCE, {"distance": 299}, previous=FREE) is OCCUPIED
    assert read(DISTANCE, {"distance": None}, previous=OCCUPIED) is None
    assert read(DISTANCE, {"distance": True}, previous=OCCUPIED) is None
    assert read(DISTANCE, {"distance": "far"}, previous=FREE) is None


def test_a_count_is_occupied_above() -> None:
    mapping = {"field": "n", "threshold": {"occupied_above": 0, "free_below": 0}}
    assert read(mapping, {"n": 2}) is OCCUPIED
    assert read(mapping, {"n": -1}) is FREE
    assert read(mapping, {"n": 0}, previous=OCCUPIED) is OCCUPIED


@given(values=st.lists(st.floats(0, 1000), max_size=30))
def test_a_value_that_trembles_within_the_band_changes_nothing(values: list[float]) -> None:
    state: Occupancy | None = None
    for value in values:
        before, state = state, read(DISTANCE, {"distance": value}, previous=state)
        if state is not before:
            assert value < 300 if state is OCCUPIED else value > 400


def test_motion_stands_until_its_time_is_over() -> None:
    mapping = YES_NO | {"motion_timeout_s": 600}
    assert read(mapping, {"occupied": 1}, previous=FREE, age_s=10) is OCCUPIED
    assert read(mapping, {"occupied": 0}, previous=OCCUPIED, age_s=599) is None
    assert read(mapping, {"occupied": 0}, previous=OCCUPIED, age_s=600) is FREE
    assert read(mapping, {"occupied": 0}, previous=FREE, age_s=1) is FREE
    assert read(mapping, {"occupied": 0}) is FREE
    assert read(mapping, {"battery": 3}, previous=OCCUPIED, age_s=5000) is None


def test_b22_a_warning_may_mean_do_not_use_this() -> None:
    mapping = YES_NO | {"ignore_on_warnings": ["Not calibrated", "ignored"]}
    assert read(mapping, {"occupied": 0}, warnings=("battery low",)) is FREE
    assert read(mapping, {"occupied": 0}, warnings=("x", "Message IGNORED")) is None


def test_an_answer_to_a_command_is_not_a_reading() -> None:
    mapping = {"field": "Status", "occupied": ["ON"], "free": ["OFF"], "ignore_when": {"kind": ["answer", 7]}}
    assert read(mapping, {"Status": "off"}) is FREE
    assert read(mapping, {"Status": "off", "kind": "Answer"}) is None
    assert read(mapping, {"Status": "off", "kind": 7.0}) is None
    assert read(mapping, {"Status": "Success"}) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"field": None}, "path"),
        ({"occupied": []}, "either"),
        ({"free": []}, "FREE"),
        ({"free": [None]}, "null has no meaning"),
        ({"free": "vacant"}, "list"),
        ({"free": ["OCCUPIED"]}, "both"),
        ({"free": [1.0]}, "both"),
        ({"threshold": {"occupied_below": 1, "free_above": 2}}, "either"),
        ({"f_ports": []}, "f_ports"),
        ({"f_ports": [0]}, "f_ports"),
        ({"f_ports": [True]}, "f_ports"),
        ({"invert": 1}, "true or false"),
        ({"motion_timeout_s": 0}, "seconds"),
        ({"ignore_on_warnings": "x"}, "words"),
        ({"ignore_when": {"a": 1}}, "list"),
        ({"ignore_when": []}, "object"),
        ({"occuppied": [1]}, "unknown keys: occuppied"),
    ],
)
def test_a_mapping_with_a_mistake_is_refused_by_name(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        OccupancyMapping.parse(YES_NO | change)


@pytest.mark.parametrize(
    "threshold",
    [
        {"occupied_below": 400, "free_above": 300},
        {"occupied_above": 1, "free_below": 2},
        {"occupied_below": 1},
        {"occupied_below": 1, "free_below": 2},
        {"occupied_below": "1", "free_above": 2},
        {"occupied_below": 1, "free_above": 2, "unit": "mm"},
        [],
    ],
)
def test_a_threshold_whose_sides_cross_is_refused(threshold: object) -> None:
    with pytest.raises(InputError, match="threshold"):
        OccupancyMapping.parse(DISTANCE | {"threshold": threshold})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["occupied", "a", "b"]), inner),
    max_leaves=8,
)


@given(data=json_values)
def test_no_value_raises(data: object) -> None:
    said = read(YES_NO, data)
    if said is not None:
        assert isinstance(data, dict)
        assert data["occupied"] is not None
    read(DISTANCE | {"field": "[a=1].occupied[0]"}, data)
    number(data)
