"""Displays beside the Busylight: their drivers send lights and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baylight.codecs.all import DISPLAY_DRIVERS, display_driver
from baylight.codecs.registry import DisplayDriver
from baylight.domain.lights import Light, name, parse_light
from baylight.errors import DeviceDataError, InputError

CODES = [
    ("heltec_status", "01", "green"),
    ("heltec_status", "02", "red"),
    ("heltec_status", "03", "yellow"),
    ("heltec_status", "00", "white"),
    ("heltec_counter", "30", "red"),
    ("heltec_counter", "31", "green"),
    ("heltec_counter", "3234", "green"),  # 24 places
    ("heltec_counter", "30303030", "red"),
    ("netvox_r602a", "9069010100b40000000000", "flashing red"),
    ("netvox_r602a", "9069000000000000000000", "off"),
    ("one_byte_light", "00", "off"),
    ("one_byte_light", "01", "green"),
    ("one_byte_light", "02", "red"),
    ("one_byte_light", "03", "yellow"),
    ("one_byte_light", "04", "orange"),
    ("one_byte_light", "05", "purple"),
    ("one_byte_light", "06", "flashing blue"),
    ("one_byte_light", "07", "white"),
]
REFUSED = [
    ("heltec_status", ""),
    ("heltec_status", "04"),  # there is no word for MAINTENANCE
    ("heltec_status", "0101"),
    ("heltec_counter", ""),
    ("heltec_counter", "01"),  # not ASCII
    ("heltec_counter", "2d31"),  # -1
    ("heltec_counter", "3132333435"),
    ("netvox_r602a", ""),
    ("netvox_r602a", "0169038407080000000000"),  # writes the configuration
    ("netvox_r602a", "0269000000000000000000"),
    ("netvox_r602a", "0369010100b40000000000"),  # the driver's own choice, if an answer is wanted
    ("netvox_r602a", "9059010100b40000000000"),  # another model
    ("netvox_r602a", "9069010100b4000000000001"),
    ("netvox_r602a", "9069010100b400000000ff"),
    ("netvox_r602a", "9069010100000000000000"),  # for 0 s
    ("netvox_r602a", "9069000000b40000000000"),  # of nothing
    ("one_byte_light", ""),
    ("one_byte_light", "08"),
    ("one_byte_light", "ff"),
    ("one_byte_light", "0100"),
]
REPORTS = [
    ("heltec_status", 1, "000502", "02", {"message": "status", "downlinks_received": 5, "last_byte": "02"}),
    ("heltec_status", 1, "000000", "00", {"message": "status", "downlinks_received": 0, "last_byte": "00"}),
    ("heltec_status", 1, "ffc3", None, {"message": "class_c"}),
    # A counter reports one digit, which does not prove the number.
    ("heltec_counter", 1, "012c32", None, {"message": "status", "downlinks_received": 300, "last_byte": "32"}),
    ("heltec_counter", 1, "ffc3", None, {"message": "class_c"}),
    ("netvox_r602a", 6, "0169010384000000000000", None, {"message": "status", "heartbeat_s": 900, "warns": False}),
    ("netvox_r602a", 6, "0169010384010000000000", None, {"message": "status", "heartbeat_s": 900, "warns": True}),
    ("netvox_r602a", 6, "016900640b202004240000", None, {"message": "version", "firmware": "10.0"}),
    ("netvox_r602a", 7, "8169000000000000000000", None, {"message": "configuration", "success": True}),
    ("netvox_r602a", 7, "8269038407080000000000", None, {"message": "configuration"}),
    ("netvox_r602a", 7, "8369010000000000000000", None, {"message": "started", "success": False}),
    ("one_byte_light", 1, "03", None, {"shows": "03"}),
]
BROKEN_REPORTS = [
    ("heltec_status", 1, "0005", "bad_value"),
    ("heltec_status", 1, "00050200", "bad_length"),
    ("heltec_status", 2, "000502", "unknown_f_port"),
    ("heltec_counter", 1, "32", "bad_length"),
    ("netvox_r602a", 6, "0159010384000000000000", "bad_value"),
    ("netvox_r602a", 7, "9069000000000000000000", "bad_value"),
    ("netvox_r602a", 6, "016901", "bad_length"),
    ("netvox_r602a", 8, "0169010384000000000000", "unknown_f_port"),
    ("one_byte_light", 1, "0102", "bad_length"),
    *((driver.name, 0, "", "no_data") for driver in DISPLAY_DRIVERS),
    *((driver.name, 1, "", "no_data") for driver in DISPLAY_DRIVERS),
]


def driver_named(driver_name: str) -> DisplayDriver:
    driver = display_driver(driver_name)
    assert driver is not None
    return driver


@pytest.mark.parametrize(("driver_name", "code", "seen"), CODES)
def test_b4_a_person_sees_what_the_driver_says(driver_name: str, code: str, seen: str):
    driver, payload = driver_named(driver_name), bytes.fromhex(code)
    driver.check(payload)
    assert name(driver.describe(payload)) == seen
    assert driver.command(payload, ask_report=False) == payload
    assert driver.shows(payload, payload)


@pytest.mark.parametrize(("driver_name", "code"), REFUSED)
def test_b18_what_is_not_a_light_never_leaves_the_driver(driver_name: str, code: str):
    driver = driver_named(driver_name)
    for ask_report in (False, True):
        with pytest.raises(InputError) as caught:
            driver.command(bytes.fromhex(code), ask_report=ask_report)
        assert caught.value.code == "bad_display_code"


@pytest.mark.parametrize("driver", DISPLAY_DRIVERS, ids=lambda driver: driver.name)
@given(payload=st.binary(max_size=20), ask_report=st.booleans())
def test_b18_every_payload_is_a_light_or_refused(driver: DisplayDriver, payload: bytes, ask_report: bool):
    try:
        sent = driver.command(payload, ask_report=ask_report)
    except InputError:
        return
    assert isinstance(driver.describe(payload), Light)
    assert sent == payload or ask_report


@pytest.mark.parametrize("driver", DISPLAY_DRIVERS, ids=lambda driver: driver.name)
@pytest.mark.parametrize("text", ["off", "green", "red", "yellow", "orange", "purple", "white", "flashing red"])
def test_a12_a_colour_is_seen_as_asked_for_or_refused(driver: DisplayDriver, text: str):
    try:
        code = driver.encode(parse_light(text))
    except InputError as error:
        refusal = error.code
    else:
        driver.check(code)
        assert name(driver.describe(code)) == text
        return
    assert refusal == "bad_light"
    assert driver.name != "kuando_busylight"


@pytest.mark.parametrize(("driver_name", "f_port", "data", "code", "fields"), REPORTS)
def test_b3_a_report_holds_what_is_shown_or_no_code(
    driver_name: str, f_port: int, data: str, code: str | None, fields: dict[str, object]
):
    report = driver_named(driver_name).decode_report(f_port, bytes.fromhex(data))
    assert report.code == (bytes.fromhex(code) if code else None)
    assert report.fields == fields


@pytest.mark.parametrize(("driver_name", "f_port", "data", "error"), BROKEN_REPORTS)
def test_b1_a_frame_that_is_no_report_is_refused(driver_name: str, f_port: int, data: str, error: str):
    with pytest.raises(DeviceDataError) as caught:
        driver_named(driver_name).decode_report(f_port, bytes.fromhex(data))
    assert caught.value.code == error


@pytest.mark.parametrize("driver", DISPLAY_DRIVERS, ids=lambda driver: driver.name)
@given(f_port=st.none() | st.integers(0, 255) | st.sampled_from([1, 6, 7, 15]), data=st.binary(max_size=30))
def test_any_report_is_read_or_refused(driver: DisplayDriver, f_port: int | None, data: bytes):
    try:
        report = driver.decode_report(f_port, data)
    except DeviceDataError:
        return
    assert report.code is None or driver.reports


def test_a_siren_can_be_asked_to_answer():
    start = bytes.fromhex("9069010100b40000000000")
    assert driver_named("netvox_r602a").command(start, ask_report=True).hex() == "0369010100b40000000000"
