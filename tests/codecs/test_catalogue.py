from itertools import combinations

import pytest

from baylight.codecs.all import DISPLAY_DRIVERS, SENSOR_CODECS, display_driver, sensor_codec
from baylight.codecs.catalogue import DeviceType, _device_type, load_catalogue
from baylight.codecs.devices.milesight import MilesightEm310Udl
from baylight.domain.lights import Light, distinguishable, name
from baylight.domain.state import State

TYPES = {device_type.code: device_type for device_type in load_catalogue()}
DISPLAYS = [device_type for device_type in TYPES.values() if device_type.category == "display"]


def display_codes(display: DeviceType) -> dict[str, str]:
    codes = display.default_config["display_codes"]
    assert isinstance(codes, dict)
    return codes


def test_each_codec_serves_a_type():
    used = {device_type.codec for device_type in TYPES.values()}
    assert used == {codec.name for codec in (*SENSOR_CODECS, *DISPLAY_DRIVERS)}


def test_each_sensor_type_states_what_means_occupied_and_what_means_free():
    for device_type in TYPES.values():
        if device_type.category == "sensor":
            assert device_type.capabilities["occupied"] != device_type.capabilities["free"], device_type.code


def test_the_catalogue_states_the_distances_that_the_codec_uses():
    codec = sensor_codec("milesight_em310_udl")
    assert isinstance(codec, MilesightEm310Udl)
    assert TYPES["milesight_em310_udl"].default_config == {
        "occupied_below_mm": codec.occupied_below_mm,
        "free_above_mm": codec.free_above_mm,
    }
    assert codec.occupied_below_mm < codec.free_above_mm


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


def lights(display: DeviceType) -> dict[str, Light]:
    """Return the light of each code of a type, after its driver has accepted the code."""
    driver = display_driver(display.codec)
    assert driver is not None
    seen = {}
    for state, text in display_codes(display).items():
        driver.check(bytes.fromhex(text))
        seen[state] = driver.describe(bytes.fromhex(text))
    return seen


@pytest.mark.parametrize("display", DISPLAYS, ids=lambda display: display.code)
def test_b14_no_state_looks_free_but_free(display: DeviceType):
    seen = lights(display)
    assert set(seen) <= set(State)
    for state in seen.keys() - {"FREE"}:
        assert distinguishable(seen[state], seen["FREE"]), state


@pytest.mark.parametrize("display", DISPLAYS, ids=lambda display: display.code)
def test_b14_each_state_has_a_code_of_its_own_unless_the_display_counts(display: DeviceType):
    if display.capabilities.get("counts"):
        assert {text for state, text in display_codes(display).items() if state != "FREE"} == {b"0".hex()}
        return
    seen = lights(display)
    for one, other in combinations(seen, 2):
        assert distinguishable(seen[one], seen[other]), (one, other)


def test_b14_a_display_lacks_the_codes_of_states_that_it_cannot_show():
    missing = {display.code: set(State) - display_codes(display).keys() for display in DISPLAYS}
    assert missing["heltec_status"] == {"MAINTENANCE", "OUT_OF_ORDER"}
    assert missing["netvox_r602a"] == set(State)  # a siren must not sound because a person registered it
    assert not missing["kuando_busylight"] | missing["one_byte_light"] | missing["heltec_counter"]


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
