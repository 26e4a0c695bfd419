import pytest
from hypothesis import given
from hypothesis import strategies as st

from baylight.codecs.devices.bosch_tps110 import BoschTps110
from baylight.domain.state import Occupancy
from baylight.errors import DeviceDataError

CODEC = BoschTps110()


@pytest.mark.parametrize(
    ("f_port", "data", "occupancy", "fields"),
    [
        (1, "00", Occupancy.FREE, {"message": "status"}),
        (1, "01", Occupancy.OCCUPIED, {"message": "status"}),
        (2, "00", Occupancy.FREE, {"message": "heartbeat"}),
        (2, "01", Occupancy.OCCUPIED, {"message": "heartbeat"}),
        (2, "0112", Occupancy.OCCUPIED, {"message": "heartbeat", "temperature_c": 18}),
        (2, "01ff", Occupancy.OCCUPIED, {"message": "heartbeat", "temperature_c": -1}),
    ],
)
def test_b4_status_and_heartbeat_report_the_bay(
    f_port: int, data: str, occupancy: Occupancy, fields: dict[str, object]
):
    reading = CODEC.decode(f_port, bytes.fromhex(data))
    assert reading.occupancy is occupancy
    assert reading.fields == fields


@pytest.mark.parametrize(
    ("data", "firmware", "cause"),
    [
        ("00000000990200d100050000001d020200", "0.29.2", "power_on"),
        ("0a000000970320cd000200000027020300", "0.39.2", "system_request"),
        ("0000000099020206006f00000017030200", "0.23.3", "power_on"),
    ],
)
def test_b1_a_startup_with_the_flag_unset_does_not_free_the_bay(data: str, firmware: str, cause: str):
    reading = CODEC.decode(3, bytes.fromhex(data))
    assert reading.occupancy is None
    assert reading.fields["firmware"] == firmware
    assert reading.fields["reset_cause"] == cause
    assert reading.fields["occupied_at_start"] is False


def test_a_startup_that_measured_a_car_counts():
    reading = CODEC.decode(3, bytes.fromhex("d0000000ab0301f50c0000000017030401"))
    assert reading.occupancy is Occupancy.OCCUPIED
    assert reading.fields["reset_cause"] == "other_4"
    assert reading.fields["debug"] == "d0000000ab0301f50c000000"


@pytest.mark.parametrize("f_port", [4, 5, 6, 7])
def test_b1_information_usage_debug_and_alarms_are_no_occupancy(f_port: int):
    assert CODEC.decode(f_port, b"\x00").occupancy is None


@pytest.mark.parametrize(
    ("f_port", "data", "code"),
    [
        (0, "", "no_data"),
        (None, "", "no_data"),
        (1, "", "no_data"),
        (4, "", "no_data"),
        (1, "0000", "bad_length"),
        (2, "000000", "bad_length"),
        (3, "00", "bad_length"),
        (8, "00", "unknown_f_port"),
        (51, "00", "unknown_f_port"),
    ],
)
def test_b1_a_frame_that_is_no_reading_is_never_free(f_port: int | None, data: str, code: str):
    with pytest.raises(DeviceDataError) as caught:
        CODEC.decode(f_port, bytes.fromhex(data))
    assert caught.value.code == code


@given(f_port=st.none() | st.integers(0, 8) | st.integers(0, 255), data=st.binary(max_size=20))
def test_b1_any_frame_decodes_or_is_refused_and_free_comes_from_two_ports_only(f_port: int | None, data: bytes):
    try:
        reading = CODEC.decode(f_port, data)
    except DeviceDataError:
        return
    if reading.occupancy is Occupancy.FREE:
        assert (f_port, len(data)) in {(1, 1), (2, 1), (2, 2)}
