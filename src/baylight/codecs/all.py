"""Every codec that ships. A new one is added here, by hand."""

from __future__ import annotations

from baylight.codecs.bosch_tps110 import BoschTps110
from baylight.codecs.browan_tbms100 import BrowanTbms100
from baylight.codecs.kuando_busylight import KuandoBusylight
from baylight.codecs.registry import DisplayDriver, SensorCodec

SENSOR_CODECS: tuple[SensorCodec, ...] = (BrowanTbms100(), BoschTps110())
DISPLAY_DRIVERS: tuple[DisplayDriver, ...] = (KuandoBusylight(),)

_SENSOR_CODECS = {codec.name: codec for codec in SENSOR_CODECS}
_DISPLAY_DRIVERS = {driver.name: driver for driver in DISPLAY_DRIVERS}


def sensor_codec(name: str) -> SensorCodec | None:
    return _SENSOR_CODECS.get(name)


def display_driver(name: str) -> DisplayDriver | None:
    return _DISPLAY_DRIVERS.get(name)
