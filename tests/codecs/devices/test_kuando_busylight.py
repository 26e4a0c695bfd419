import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from baylight.codecs.devices.kuando_busylight import KuandoBusylight
from baylight.domain.lights import Light, name
from baylight.errors import DeviceDataError, InputError

DRIVER = KuandoBusylight()
PART = st.integers(0, 255)
HALF = st.integers(1, 255).map(lambda hundredths: hundredths * 10)
LIGHT = st.builds(Light, PART, PART, PART) | st.builds(Light, PART, PART, PART, HALF, HALF)


def code(hexadecimal: str) -> bytes:
    return bytes.fromhex(hexadecimal)


@pytest.mark.parametrize(
    ("payload", "seen"),
    [
        # the maker's own examples
        ("00ff00ff00", "blue"),
        ("990000ff00", "red"),
        ("000099ff00", "green"),
        ("ff00ff6400", "yellow"),
        ("ffff006400", "purple"),
        ("00ff006464", "flashing blue"),
        ("ffffffff00", "white"),
        ("000035ff00", "dim green"),
        # seen in the field
        ("ff0032ff00", "orange"),
        ("ff6400ff00", "pink"),
        ("ff00a56400", "yellow"),
        ("0000ff6400", "green"),
        ("00ffffff00", "cyan"),
        ("0000000000", "off"),
        ("000000ff00", "off"),
    ],
)
def test_b4_a_person_sees_red_blue_green(payload: str, seen: str):
    DRIVER.check(code(payload))
    assert name(DRIVER.describe(code(payload))) == seen


def test_a12_web_orange_in_the_wrong_order_is_seen_as_pink():
    light = DRIVER.describe(code("ffa5006400"))
    assert (light.red, light.green, light.blue) == (255, 0, 165)
    assert name(light) == "pink"
    assert DRIVER.encode(Light(255, 165, 0)) == code("ff00a56400")
    assert DRIVER.encode(Light(255, 50, 0)) == code("ff00326400")


@pytest.mark.parametrize(
    ("light", "payload"),
    [
        (Light(0, 255, 0), "0000ff6400"),
        (Light(0, 0, 255, 1000, 1000), "00ff006464"),
        (Light(255, 0, 0, 500, 250), "ff00003219"),
        (Light(0, 0, 0), "0000000000"),
        (Light(0, 0, 0, 500, 500), "0000000000"),
    ],
)
def test_a_light_becomes_the_maker_s_five_bytes(light: Light, payload: str):
    assert DRIVER.encode(light) == code(payload)


@pytest.mark.parametrize(
    "light",
    [Light(256, 0, 0), Light(0, -1, 0), Light(0, 9, 0, 0, 1000), Light(0, 9, 0, 1000, 2560), Light(0, 9, 0, 5, 5)],
)
def test_a_light_that_the_lamp_cannot_show_is_refused(light: Light):
    with pytest.raises(InputError) as caught:
        DRIVER.encode(light)
    assert caught.value.code == "bad_light"


@given(LIGHT)
@example(Light(0x10, 0, 0))
@example(Light(0xAA, 1, 2, 10, 2550))
def test_what_is_encoded_is_valid_and_seen_again(light: Light):
    payload = DRIVER.encode(light)
    DRIVER.check(payload)
    seen = DRIVER.describe(payload)
    if (light.red, light.green, light.blue) == (0, 0, 0):
        assert seen == Light(0, 0, 0)
        return
    assert (seen.green, seen.blue, seen.on_ms, seen.off_ms) == (light.green, light.blue, light.on_ms, light.off_ms)
    assert 0 <= seen.red - light.red <= 2  # a red that would begin a command changes by a step that no person sees
    assert DRIVER.shows(payload, payload)


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "aa00",  # restart and factory reset
        "bb00",
        "0100",
        "0700",
        "0501",
        "0901",
        "09ffff0000ff00",  # default light after a join
        "1070b3d57ed1000000",  # JoinEUI
        "11" + "00" * 16,  # AppKey
        "aa00ff6400",
        "bb00ff6400",
        "1000ff6400",
        "1100ff6400",
        "0900ff6400",
        "0000ff64",
        "0000ff640001",
        "00ff000001",  # on for 0 s
        "00000000000000",
    ],
)
def test_b18_what_is_not_a_light_never_leaves_the_driver(payload: str):
    with pytest.raises(InputError) as caught:
        DRIVER.check(code(payload))
    assert caught.value.code == "bad_display_code"
    for ask_report in (False, True):
        with pytest.raises(InputError):
            DRIVER.command(code(payload), ask_report=ask_report)


@given(st.binary(max_size=20), st.booleans())
def test_b18_every_command_is_a_light(payload: bytes, ask_report: bool):
    try:
        sent = DRIVER.command(payload, ask_report=ask_report)
    except InputError:
        return
    assert len(sent) == (6 if ask_report else 5)
    assert sent[0] not in {0x09, 0x10, 0x11, 0xAA, 0xBB}


def test_a_sixth_byte_asks_for_a_report():
    assert DRIVER.command(code("00ff00ff00"), ask_report=True) == code("00ff00ff0001")
    assert DRIVER.command(code("00ff00ff00"), ask_report=False) == code("00ff00ff00")


@pytest.mark.parametrize(
    ("data", "shown", "fields"),
    [
        (  # the maker's document
            "c4ffffff210000000400000003000000999900ff00440f0101",
            "999900ff00",
            {
                "rssi_dbm": -60,
                "snr_db": 33,
                "downlinks_received": 4,
                "uplinks_sent": 3,
                "firmware": "6.8",
                "hardware": "1.5",
                "adr": True,
                "high_brightness": True,
            },
        ),
        (
            "b2ffffff250000009400000018000000000064ff00350c01",
            "000064ff00",
            {
                "rssi_dbm": -78,
                "snr_db": 37,
                "downlinks_received": 148,
                "uplinks_sent": 24,
                "firmware": "5.3",
                "hardware": "1.2",
                "adr": True,
            },
        ),
        (
            "a9ffffff230000000300000002000000ffff0064021f0c01",
            "ffff006402",
            {
                "rssi_dbm": -87,
                "snr_db": 35,
                "downlinks_received": 3,
                "uplinks_sent": 2,
                "firmware": "3.1",
                "hardware": "1.2",
                "adr": True,
            },
        ),
    ],
)
def test_b4_a_report_holds_the_light_and_the_radio(data: str, shown: str, fields: dict[str, object]):
    report = DRIVER.decode_report(15, code(data))
    assert report.code == code(shown)
    assert report.fields == fields


def test_b4_the_signal_strength_is_not_read_as_a_colour():
    # RSSI -81 dBm begins af ff ff ff: read as counter and colour it would be "175, white"
    report = DRIVER.decode_report(15, code("afffffff1e00000008000000060000000000ffff00290c01"))
    assert report.code == code("0000ffff00")
    assert report.fields["rssi_dbm"] == -81
    assert report.fields["downlinks_received"] == 8
    assert not DRIVER.shows(code("ffffffff00"), report.code)


def test_b2_a_lamp_that_has_received_nothing_since_its_join_does_not_count_as_dark():
    just_joined = DRIVER.decode_report(15, code("c4ffffff2100000000000000010000000000000000440f01"))
    assert just_joined.code is None
    assert just_joined.fields["downlinks_received"] == 0
    dim_green = DRIVER.decode_report(15, code("c4ffffff210000000000000001000000000035ff00440f01"))
    assert dim_green.code == code("000035ff00")
    assert not DRIVER.shows(code("0000000000"), dim_green.code)


@pytest.mark.parametrize("data", ["090100", "090100000000", "00" * 8, "00" * 10, "00" * 19, "00" * 20])
def test_b4_diagnostics_and_old_frames_do_not_report_the_light(data: str):
    assert DRIVER.decode_report(15, code(data)).code is None


@pytest.mark.parametrize(
    ("f_port", "data", "error"),
    [
        (15, "", "no_data"),
        (None, "", "no_data"),
        (0, "00" * 24, "no_data"),
        (6, "00" * 24, "unknown_f_port"),
        (15, "00" * 23, "bad_length"),
        (15, "00" * 26, "bad_length"),
        (15, "93ffffff1e", "bad_length"),  # only the beginning of a frame
        (15, "ff0000", "bad_value"),
    ],
)
def test_a_frame_that_is_no_report_is_refused(f_port: int | None, data: str, error: str):
    with pytest.raises(DeviceDataError) as caught:
        DRIVER.decode_report(f_port, code(data))
    assert caught.value.code == error


@given(f_port=st.none() | st.just(15) | st.integers(0, 255), data=st.binary(max_size=30))
def test_any_frame_is_a_report_or_is_refused(f_port: int | None, data: bytes):
    try:
        report = DRIVER.decode_report(f_port, data)
    except DeviceDataError:
        return
    assert f_port == 15
    if report.code is not None:
        assert report.code == data[16:21]
        DRIVER.describe(report.code)


@pytest.mark.parametrize(
    ("desired", "reported", "same"),
    [
        ("0000ff6400", "0000ff6400", True),
        ("0000ff6400", "0000ffff00", True),  # steady, whatever "on" is
        ("0000ff6400", "0000ff0000", True),
        ("0000ff6400", "000035ff00", False),  # dim green after a rejoin
        ("0000ff6400", "00ff006400", False),
        ("0000ff6400", "0000ff6464", False),
        ("00ff006464", "00ff006400", False),
        ("00ff006464", "00ff003264", False),
        ("0000000000", "000000ff00", True),
        ("0000000000", "0000006464", True),
        ("0000000000", "0000ff0064", True),  # never on
        ("0000000000", "0000ff6400", False),
        ("ff00006400", "", False),
    ],
)
def test_b2_same_code_means_same_light_for_a_person(desired: str, reported: str, same: bool):
    assert DRIVER.shows(code(desired), code(reported)) is same
    assert DRIVER.shows(code(reported), code(desired)) is same


def test_describing_what_is_no_light_is_refused():
    with pytest.raises(InputError):
        DRIVER.describe(code("aa00"))
