"""The public vectors of other people's codecs, where they speak of our devices."""

from collections.abc import Callable
from typing import Any

from baylight.codecs.bosch_tps110 import BoschTps110
from baylight.codecs.browan_tbms100 import BrowanTbms100
from baylight.codecs.kuando_busylight import KuandoBusylight
from baylight.domain.state import Occupancy
from baylight.errors import DeviceDataError

Vectors = Callable[[str], list[dict[str, Any]]]


def occupied(expected: object) -> bool | None:
    """What a vector expects of the bay, whatever its codec calls it; None if it says nothing."""
    if isinstance(expected, list):
        return next((found for found in map(occupied, expected) if found is not None), None)
    if not isinstance(expected, dict):
        return None
    for key in ("occupied", "status", "mot_motionst", "sensor_status", "map_state"):
        if key in expected:
            return bool(expected[key])
    return next((found for found in map(occupied, expected.values()) if found is not None), None)


def bosch(vector: dict[str, Any]) -> bool:
    return any(word in vector["codec"].lower() for word in ("tps110", "parkinglotsensor", "bosch"))


def tbms100(vector: dict[str, Any]) -> bool:
    return any(word in vector["codec"] for word in ("tbms100", "tabs_motion"))


def test_b4_sensors_agree_with_the_public_codecs(shared_vectors: Vectors):
    compared = 0
    for vector in shared_vectors("occupancy.jsonl"):
        if vector["direction"] != "uplinkDecoder" or not (bosch(vector) or tbms100(vector)):
            continue
        codec = BoschTps110() if bosch(vector) else BrowanTbms100()
        expected = occupied(vector["expected"])
        try:
            reading = codec.decode(vector["fPort"], bytes.fromhex(vector["bytes"]))
        except DeviceDataError:
            assert expected is None, vector
            continue
        if vector["fPort"] == 3 and not expected:
            assert reading.occupancy is None, vector  # a startup's 0 may be no measurement
        elif expected is not None:
            assert reading.occupancy is (Occupancy.OCCUPIED if expected else Occupancy.FREE), vector
        compared += 1
    assert compared >= 20


def test_b4_the_busylight_agrees_with_the_maker_s_examples(shared_vectors: Vectors):
    driver, compared = KuandoBusylight(), 0
    for vector in shared_vectors("occupancy.jsonl"):
        if vector["vendor"] != "plenom" or not isinstance(vector["input"], dict) or "red" not in vector["input"]:
            continue
        given, data = vector["input"], bytes.fromhex(vector["bytes"])
        asks = bool(given.get("immediate_uplink"))
        light = driver.describe(data[:5])
        assert (light.red, light.blue, light.green) == (given["red"], given["blue"], given["green"])
        assert driver.command(data[:5], ask_report=asks) == data
        compared += 1
    assert compared >= 9
