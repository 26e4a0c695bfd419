"""Sensor codecs against their tables in `samples`: real bytes and their meaning, errors included."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baylight.codecs.all import SENSOR_CODECS, sensor_codec
from baylight.codecs.registry import Reading, SensorCodec
from baylight.domain.state import Occupancy
from baylight.errors import DeviceDataError

Sample = dict[str, Any]
ROWS: list[tuple[str, Sample]] = [
    (path.stem, sample)
    for path in sorted((Path(__file__).parent / "samples").glob("*.toml"))
    for sample in tomllib.loads(path.read_text("utf-8"))["sample"]
]
IDS = [f"{name}: {sample['about']}" for name, sample in ROWS]
# An MS10 has frames of 9 and of 10 bytes, so one that is cut by a byte looks like one of the other kind.
FREE_ROWS = [row for row in ROWS if row[1].get("occupancy") == "FREE" and row[0] != "merryiot_ms10"]
ERRORS = {"no_data", "unknown_f_port", "bad_length", "bad_value"}


def codec_named(name: str) -> SensorCodec:
    codec = sensor_codec(name)
    assert codec is not None, f"samples/{name}.toml has no codec"
    return codec


def outcome(codec: SensorCodec, f_port: int | None, data: bytes) -> Reading | str:
    """Return the reading, or the code of the error."""
    try:
        return codec.decode(f_port, data)
    except DeviceDataError as error:
        return error.code


def test_each_codec_has_samples_of_occupied_of_free_and_of_neither():
    found: dict[str, set[str | None]] = {}
    for name, sample in ROWS:
        found.setdefault(name, set()).add(sample.get("occupancy"))
    assert found == {codec.name: {"OCCUPIED", "FREE", None} for codec in SENSOR_CODECS}


@pytest.mark.parametrize(("name", "sample"), ROWS, ids=IDS)
def test_b4_a_frame_means_what_its_maker_says(name: str, sample: Sample):
    reading = outcome(codec_named(name), sample["f_port"], bytes.fromhex(sample["data"]))
    if isinstance(reading, str):
        assert reading == sample.get("error")
        return
    assert "error" not in sample
    expected = sample.get("occupancy")
    assert reading.occupancy is (Occupancy(expected) if expected else None)
    assert reading.damaged is sample.get("damaged", False)
    assert reading.fields == sample.get("fields", reading.fields)


@pytest.mark.parametrize(("name", "sample"), FREE_ROWS)
def test_b1_a_frame_that_is_cut_short_is_never_free(name: str, sample: Sample):
    reading = outcome(codec_named(name), sample["f_port"], bytes.fromhex(sample["data"])[:-1])
    assert isinstance(reading, str) or reading.occupancy is not Occupancy.FREE


@pytest.mark.parametrize(("name", "sample"), ROWS, ids=IDS)
def test_b1_a_frame_on_port_0_is_never_a_reading(name: str, sample: Sample):
    for f_port in (None, 0):
        assert outcome(codec_named(name), f_port, bytes.fromhex(sample["data"])) == "no_data"


PORTS = sorted({sample["f_port"] for _, sample in ROWS})


@pytest.mark.parametrize("codec", SENSOR_CODECS, ids=lambda codec: codec.name)
@given(f_port=st.none() | st.integers(0, 255) | st.sampled_from(PORTS), data=st.binary(max_size=60))
def test_any_frame_is_a_reading_or_a_named_error(codec: SensorCodec, f_port: int | None, data: bytes):
    check_outcome(outcome(codec, f_port, data))


@given(row=st.sampled_from(ROWS), at=st.integers(0, 241), byte=st.integers(0, 255))
def test_one_wrong_byte_is_a_reading_or_a_named_error(row: tuple[str, Sample], at: int, byte: int):
    name, sample = row
    data = bytearray.fromhex(sample["data"])
    if data:
        data[at % len(data)] = byte
    check_outcome(outcome(codec_named(name), sample["f_port"], bytes(data)))


def check_outcome(reading: Reading | str) -> None:
    if isinstance(reading, str):
        assert reading in ERRORS
        return
    json.dumps(reading.fields, allow_nan=False)
    assert not (reading.damaged and reading.occupancy)
