import pytest
from hypothesis import given
from hypothesis import strategies as st

from baylight.codecs.devices.browan_tbms100 import BrowanTbms100
from baylight.domain.state import Occupancy
from baylight.errors import DeviceDataError

CODEC = BrowanTbms100()

SAMPLES = [
    # captured: 2025-10-14 16:09:30, a person sits down
    (
        "01fb3a0000280400",
        Occupancy.OCCUPIED,
        {"battery_v": 3.6, "battery_pct": 100, "temperature_c": 26, "minutes_since_event": 0, "event_count": 1064},
    ),
    (
        "00fb340500ab0d00",
        Occupancy.FREE,
        {"battery_v": 3.6, "battery_pct": 100, "temperature_c": 20, "minutes_since_event": 5, "event_count": 3499},
    ),
    # below zero
    (
        "01fb060000cc0e00",
        Occupancy.OCCUPIED,
        {"battery_v": 3.6, "battery_pct": 100, "temperature_c": -26, "minutes_since_event": 0, "event_count": 3788},
    ),
    # a reserved bit of byte 0 is set, and older firmware leaves the remaining capacity out: absent, not 0 %
    (
        "080b232fffffffff",
        Occupancy.FREE,
        {"battery_v": 3.6, "temperature_c": 3, "minutes_since_event": 65327, "event_count": 16777215},
    ),
]


@pytest.mark.parametrize(("data", "occupancy", "fields"), SAMPLES)
def test_b4_real_frames_decode_as_the_maker_documents(data: str, occupancy: Occupancy, fields: dict[str, object]):
    reading = CODEC.decode(102, bytes.fromhex(data))
    assert reading.occupancy is occupancy
    assert reading.fields == fields
    assert not reading.damaged


def test_battery_is_not_the_byte_divided_by_a_hundred():
    assert CODEC.decode(102, bytes.fromhex("01fb3a0000280400")).fields["battery_v"] == 3.6


def test_b1_a_configuration_answer_is_no_occupancy():
    for data in (bytes(16), bytes.fromhex("01" * 16)):
        assert CODEC.decode(204, data).occupancy is None


@pytest.mark.parametrize(
    ("f_port", "data", "code"),
    [
        (0, "", "no_data"),
        (None, "", "no_data"),
        (0, "01fb3a0000280400", "no_data"),  # MAC commands, not ours
        (102, "", "no_data"),
        (204, "", "no_data"),
        (42, "01", "unknown_f_port"),
        (103, "00fb340500ab0d00", "unknown_f_port"),
        (102, "00", "bad_length"),
        (102, "00fb340500ab0d0000", "bad_length"),
        (204, "00fb340500ab0d00", "bad_length"),
        (102, "0000000000000000", "bad_value"),
    ],
)
def test_b1_a_frame_that_is_no_reading_is_never_free(f_port: int | None, data: str, code: str):
    with pytest.raises(DeviceDataError) as caught:
        CODEC.decode(f_port, bytes.fromhex(data))
    assert caught.value.code == code


@given(f_port=st.none() | st.sampled_from([0, 102, 204]) | st.integers(0, 255), data=st.binary(max_size=60))
def test_b1_only_eight_bytes_on_port_102_report_the_bay(f_port: int | None, data: bytes):
    try:
        reading = CODEC.decode(f_port, data)
    except DeviceDataError:
        return
    assert (reading.occupancy is not None) == (f_port == 102)
    assert (f_port, len(data)) in {(102, 8), (204, 16)}
