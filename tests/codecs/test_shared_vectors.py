"""Public vectors of other codecs for our devices."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from baylight.codecs.all import sensor_codec
from baylight.codecs.devices.kuando_busylight import KuandoBusylight
from baylight.codecs.devices.netvox_r602a import NetvoxR602a
from baylight.codecs.devices.one_byte_light import OneByteLight
from baylight.domain.lights import name
from baylight.domain.state import Occupancy
from baylight.errors import DeviceDataError, InputError

Vector = dict[str, Any]
Vectors = Callable[[str], list[Vector]]
Fields = Mapping[str, Any]
OCCUPIED, FREE = Occupancy.OCCUPIED, Occupancy.FREE


@dataclass(frozen=True)
class Case:
    """Vectors that belong to a codec, and what they expect of a bay.

    `sources`: parts of the vector's codec path. `fields`: names of occupancy -> meanings of its values; a value
    that is not named there has no meaning. `unless`: fields and values that take the meaning away.
    `count`: how many there are at least. `f_port`: where the vectors do not state it.
    """

    sources: tuple[str, ...]
    fields: Mapping[str, Mapping[Any, Occupancy | None]]
    count: int
    unless: Mapping[str, tuple[Any, ...]]
    f_port: int = 1

    def meaning(self, expected: object) -> Occupancy | None:
        found = [fields for fields in dicts(expected) if self.fields.keys() & fields.keys()]
        for fields in dicts(expected):
            if any(fields.get(key) in values for key, values in self.unless.items() if key in fields):
                return None
        for fields in found:
            for key, values in self.fields.items():
                if key in fields:
                    return values.get(fields[key])
        return None


def dicts(value: object) -> Iterator[Fields]:
    """Yield each JSON object in a value, the outer ones first."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from dicts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from dicts(inner)


def case(
    *sources: str,
    count: int,
    unless: Mapping[str, tuple[Any, ...]] | None = None,
    f_port: int = 1,
    **fields: Mapping[Any, Occupancy | None],
) -> Case:
    return Case(sources, fields, count, unless or {}, f_port)


FLAG = {1: OCCUPIED, 0: FREE}  # True and False are the same keys
CASES = {
    "bosch_tps110": case(
        "tps110", "Parking_Lot_Sensor", "parkingLotSensor", "bosch_parksensor", count=24,
        occupied=FLAG, map_state=FLAG, p_state={"occupied": OCCUPIED, "free": FREE},
    ),
    "browan_tbdw100": case(
        "tbdw100", "lib/tabs.ex", "tabs_doornwindow", count=3, contact={"open": OCCUPIED, "closed": FREE}
    ),
    "browan_tbms100": case("tbms100", "tabs_motion", count=5, status=FLAG, mot_motionst=FLAG, sensor_status=FLAG),
    "dingtek_do200": case("do200", count=2, alarmPark=FLAG),
    "dragino_lds02": case("lds02", count=2, DOOR_OPEN_STATUS=FLAG),
    # 1 is "pending", although akenza reads it otherwise.
    "elsys_ers": case("elsys", count=34, occupancy={2: OCCUPIED, 0: FREE}, occupancy_1={2: OCCUPIED, 0: FREE}),
    "fleximodo": case("fleximodo", count=2, parkingStatus={"BUSY": OCCUPIED, "FREE": FREE}),
    # Start frames and answers carry the status bit, but are no observation. The second parser's two are version 2.
    "libelium_smart_parking_v3": case(
        "libelium_smart-parking_v3.ex", count=8, parking_slot_status=FLAG,
        unless={"frame_type_name": ("start1", "start2", "downlink", "unknown")},
    ),
    "libelium_smart_parking_v2": case("libelium_smart_parking_v3.exs", count=2, parking_slot_status=FLAG),
    "merryiot_ms10": case("merryiot-ms10", count=0, motion=FLAG),
    # A tilted sensor measures the distance to something else.
    "milesight_em310_udl": case("EM310-UDL", "em310-udl", count=3, unless={"tilt": ("tilt",), "position": ("tilt",)}),
    "milesight_vs330": case(
        "VS330", "vs330", count=4, occupancy={"occupied": OCCUPIED, "vacant": FREE, 1: OCCUPIED, 0: FREE}
    ),
    "milesight_vs340": case("VS34x", "vs340", "vs341", count=6, occupancy={"occupied": OCCUPIED, "vacant": FREE}),
    "milesight_ws202": case("WS202", "ws202", count=3, pir={"trigger": OCCUPIED, "normal": FREE}),
    "netvox_r719a": case("r719a", count=4, CarOnOff=FLAG),
    # A startup's "free" may be no measurement; null is not free.
    "nwave_nps310": case("nps310sm", count=2, occupied=FLAG, unless={"type": ("startup",)}),
    "nwave_nps405": case("nps405", count=3, occupied=FLAG, unless={"type": ("startup",)}),
    "pni_placepod": case("pni_placepods", "placePod", count=2, f_port=2, parking_status=FLAG, occupied=FLAG),
    "tekzitel_tekzipark": case("tekzipark", count=3, occupied=FLAG),
}  # fmt: skip


@pytest.mark.parametrize("codec_name", CASES)
def test_b4_sensors_agree_with_the_public_codecs(codec_name: str, shared_vectors: Vectors):
    codec, case = sensor_codec(codec_name), CASES[codec_name]
    assert codec is not None
    vectors = [
        vector
        for vector in shared_vectors("occupancy.jsonl")
        if vector["direction"] == "uplinkDecoder" and any(source in vector["codec"] for source in case.sources)
    ]
    assert len(vectors) >= case.count
    if not vectors:
        pytest.skip(f"there is no public vector for {codec_name}")
    for vector in vectors:
        expected = case.meaning(vector["expected"])
        if codec_name == "bosch_tps110" and vector["fPort"] == 3 and expected is FREE:
            expected = None  # as with a startup of Nwave
        try:
            occupancy = codec.decode(vector["fPort"] or case.f_port, bytes.fromhex(vector["bytes"])).occupancy
        except DeviceDataError:
            occupancy = None
        assert occupancy is expected, vector


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


def test_b18_of_the_siren_s_public_downlinks_only_a_warning_may_leave(shared_vectors: Vectors):
    driver, sent, refused = NetvoxR602a(), 0, 0
    for vector in shared_vectors("occupancy.jsonl"):
        if "r602a" not in vector["codec"]:
            continue
        data = bytes.fromhex(vector["bytes"])
        if vector["direction"] == "uplinkDecoder":
            fields = driver.decode_report(vector["fPort"], data).fields
            assert fields.get("success") in (None, vector["expected"]["data"].get("Status") == "Success")
            if "WarningStatus" in vector["expected"]["data"]:
                assert fields["warns"] is (vector["expected"]["data"]["WarningStatus"] == "Warning")
        elif "StartWarning" in str(vector["expected"]):
            assert name(driver.describe(data)) == "flashing red"
            assert driver.encode(driver.describe(data)) == driver.command(data, ask_report=False) == data
            sent += 1
        else:
            with pytest.raises(InputError):
                driver.command(data, ask_report=False)
            refused += 1
    assert (sent, refused) == (1, 3)


def test_boards_with_one_lamp_are_lit_by_one_byte(shared_vectors: Vectors):
    driver, seen = OneByteLight(), set()
    for vector in shared_vectors("occupancy.jsonl"):
        if vector["vendor"] == "arduino" and vector["direction"] == "downlinkEncoder":
            light = name(driver.describe(driver.command(bytes.fromhex(vector["bytes"]), ask_report=False)))
            seen.add((vector["input"]["data"]["ledState"], light))
    assert seen == {("off", "off"), ("on", "green")}
