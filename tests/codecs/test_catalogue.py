from itertools import combinations

import pytest

from baylight.codecs.all import DISPLAY_DRIVERS, SENSOR_CODECS, display_driver, sensor_codec
from baylight.codecs.catalogue import DeviceType, _device_type, load_catalogue
from baylight.domain.display import distinguishable, name
from baylight.domain.state import State

TYPES = {device_type.code: device_type for device_type in load_catalogue()}
DISPLAYS = [device_type for device_type in TYPES.values() if device_type.category == "display"]


def display_codes(display: DeviceType) -> dict[str, str]:
    codes = display.default_config["display_codes"]
    assert isinstance(codes, dict)
    return codes


def test_the_catalogue_ships_these_types():
    assert list(TYPES) == ["bosch_tps110", "browan_tbms100", "kuando_busylight"]


def test_each_type_names_a_codec_of_its_category():
    for device_type in TYPES.values():
        found = sensor_codec(device_type.codec), display_driver(device_type.codec)
        assert (found[0] is not None, found[1] is not None) == (
            device_type.category == "sensor",
            device_type.category == "display",
        )


def test_names_of_codecs_are_unique_and_unknown_ones_are_not_found():
    names = [codec.name for codec in (*SENSOR_CODECS, *DISPLAY_DRIVERS)]
    assert len(set(names)) == len(names)
    assert sensor_codec("kuando_busylight") is None
    assert display_driver("nothing") is None


def test_b9_a_sensor_s_deadline_allows_for_a_lost_heartbeat():
    assert TYPES["browan_tbms100"].uplink_interval_s == 3600
    assert TYPES["bosch_tps110"].uplink_interval_s == 86400
    assert all(device_type.silent_after_intervals >= 2 for device_type in TYPES.values())


@pytest.mark.parametrize("display", DISPLAYS, ids=lambda display: display.code)
def test_a13_a_display_listens_on_an_application_port(display: DeviceType):
    f_port = display.default_config["f_port"]
    assert isinstance(f_port, int)
    assert 1 <= f_port <= 223
    assert display.default_config["confirmed_downlinks"] is False


@pytest.mark.parametrize("display", DISPLAYS, ids=lambda display: display.code)
def test_b14_each_state_has_a_code_of_its_own_that_the_driver_accepts(display: DeviceType):
    driver = display_driver(display.codec)
    assert driver is not None
    codes = display_codes(display)
    assert set(codes) == set(State)
    lights = {}
    for state, text in codes.items():
        driver.check(bytes.fromhex(text))
        lights[state] = driver.describe(bytes.fromhex(text))
    for one, other in combinations(lights, 2):
        assert distinguishable(lights[one], lights[other]), (one, other)


def test_a12_maintenance_is_orange_and_unknown_is_not_green():
    driver = display_driver("kuando_busylight")
    assert driver is not None
    codes = display_codes(TYPES["kuando_busylight"])
    seen = {state: name(driver.describe(bytes.fromhex(text))) for state, text in codes.items()}
    assert seen == {
        "FREE": "green",
        "OCCUPIED": "red",
        "RESERVED": "yellow",
        "MAINTENANCE": "orange",
        "OUT_OF_ORDER": "purple",
        "UNKNOWN": "flashing blue",
    }


def test_a14_a_prefix_is_lower_case_hex_and_belongs_to_one_type():
    prefixes = [prefix for device_type in TYPES.values() for prefix in device_type.dev_eui_prefixes]
    assert "58a0cb" in prefixes
    assert len(set(prefixes)) == len(prefixes)
    for prefix in prefixes:
        assert prefix == prefix.lower()
        assert int(prefix, 16) >= 0


def test_a_file_with_a_misspelt_key_is_refused():
    with pytest.raises(ValueError, match="silent_after_interval"):
        _device_type("x", 'category = "sensor"\nsilent_after_interval = 3\n')
