"""All codecs that are part of Baylight. A new one is added here, by hand."""

from __future__ import annotations

from baylight.codecs.devices.bosch_tps110 import BoschTps110
from baylight.codecs.devices.browan_tbdw100 import BrowanTbdw100
from baylight.codecs.devices.browan_tbms100 import BrowanTbms100
from baylight.codecs.devices.dingtek_do200 import DingtekDo200
from baylight.codecs.devices.dragino_lds02 import DraginoLds02
from baylight.codecs.devices.elsys_ers import ElsysErs
from baylight.codecs.devices.fleximodo import Fleximodo
from baylight.codecs.devices.heltec import HeltecCounter, HeltecStatus
from baylight.codecs.devices.kuando_busylight import KuandoBusylight
from baylight.codecs.devices.libelium_smart_parking import LibeliumSmartParking
from baylight.codecs.devices.merryiot_ms10 import MerryiotMs10
from baylight.codecs.devices.milesight import MilesightEm310Udl, MilesightVs330, MilesightVs340, MilesightWs202
from baylight.codecs.devices.netvox_r602a import NetvoxR602a
from baylight.codecs.devices.netvox_r719a import NetvoxR719a
from baylight.codecs.devices.nwave_nps import NwaveNps310, NwaveNps405
from baylight.codecs.devices.one_byte_light import OneByteLight
from baylight.codecs.devices.pni_placepod import PniPlacepod
from baylight.codecs.devices.tekzitel_tekzipark import TekzitelTekzipark
from baylight.codecs.registry import DisplayDriver, SensorCodec

SENSOR_CODECS: tuple[SensorCodec, ...] = (
    BoschTps110(),
    BrowanTbdw100(),
    BrowanTbms100(),
    DingtekDo200(),
    DraginoLds02(),
    ElsysErs(),
    Fleximodo(),
    LibeliumSmartParking(2),
    LibeliumSmartParking(3),
    MerryiotMs10(),
    MilesightEm310Udl(),
    MilesightVs330(),
    MilesightVs340(),
    MilesightWs202(),
    NetvoxR719a(),
    NwaveNps310(),
    NwaveNps405(),
    PniPlacepod(),
    TekzitelTekzipark(),
)
DISPLAY_DRIVERS: tuple[DisplayDriver, ...] = (
    HeltecCounter(),
    HeltecStatus(),
    KuandoBusylight(),
    NetvoxR602a(),
    OneByteLight(),
)

_SENSOR_CODECS = {codec.name: codec for codec in SENSOR_CODECS}
_DISPLAY_DRIVERS = {driver.name: driver for driver in DISPLAY_DRIVERS}


def sensor_codec(name: str) -> SensorCodec | None:
    return _SENSOR_CODECS.get(name)


def reports(codec: str, declared: bool) -> bool:
    """Return True if a display can report what it shows.

    `declared`: the value of its device type, which is used only for a JavaScript codec.
    """
    driver = display_driver(codec)
    return driver.reports if driver else declared


def display_driver(name: str) -> DisplayDriver | None:
    return _DISPLAY_DRIVERS.get(name)
