"""Signal of a device: how well gateways receive it, against what its type needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from baylight.domain import radio
from baylight.domain.assignment import Role
from baylight.inventory.devices import find_device
from baylight.store.pool import Connection
from baylight.store.query import Query

MAX_UPLINKS = 20
MAX_GAP = 1000
"""A larger gap of frame counters is a new join or a pause, and no loss."""


@dataclass(frozen=True, slots=True)
class Signal:
    """The radio link of a device over its newest uplinks.

    `frames`: number of these uplinks; `lost`: frames that are missing between them, by their counters. `snr_db`,
    `rssi_dbm`: medians. `spreading_factor`: the fastest one for which the SNR has a margin of 10 dB. `verdict`: `good`,
    `weak`, `bad`, `unknown`.
    """

    dev_eui: str
    frames: int
    lost: int
    rssi_dbm: float | None
    snr_db: float | None
    lowest_snr_db: float | None
    gateways: list[str]
    spreading_factor: int | None
    needed_snr_db: float | None
    needed_rssi_dbm: float | None
    margin_db: float | None
    verdict: str


class Reception(NamedTuple):
    """Signal of an uplink at the gateway that received it best."""

    f_cnt: int | None
    rssi_dbm: int | None
    snr_db: float
    gateway_id: str | None


class Needs(NamedTuple):
    """Signal that a device type needs."""

    snr_db: float | None = None
    rssi_dbm: float | None = None


RECEPTIONS = Query("insight.signal.receptions", Reception)
NEEDS = Query("insight.signal.needs", Needs)


async def get_signal(connection: Connection, dev_eui: str, role: Role | None = None) -> Signal:
    """Return the signal of a device. Raises NotFoundError `unknown_device`; InputError `two_devices`."""
    device = await find_device(connection, dev_eui, role)
    uplinks = await RECEPTIONS.all(connection, dev_eui=device.dev_eui, limit=MAX_UPLINKS)
    needs = await NEEDS.first(connection, device_id=device.id) or Needs()
    snr = median(uplink.snr_db for uplink in uplinks) if uplinks else None
    rssis = [uplink.rssi_dbm for uplink in uplinks if uplink.rssi_dbm is not None]
    rssi = median(rssis) if rssis else None
    verdict = "unknown" if snr is None else radio.verdict(snr, needs.snr_db)
    if needs.rssi_dbm is not None and rssi is not None and rssi < needs.rssi_dbm:
        verdict = "bad"
    floor = needs.snr_db if needs.snr_db is not None else radio.FLOOR_SNR_DB[12]
    return Signal(
        dev_eui=device.dev_eui,
        frames=len(uplinks),
        lost=_lost([uplink.f_cnt for uplink in reversed(uplinks) if uplink.f_cnt is not None]),
        rssi_dbm=rssi,
        snr_db=snr,
        lowest_snr_db=min((uplink.snr_db for uplink in uplinks), default=None),
        gateways=sorted({uplink.gateway_id for uplink in uplinks if uplink.gateway_id}),
        spreading_factor=radio.smallest_spreading_factor(snr) if snr is not None else None,
        needed_snr_db=needs.snr_db,
        needed_rssi_dbm=needs.rssi_dbm,
        margin_db=round(snr - floor, 1) if snr is not None else None,
        verdict=verdict,
    )


def _lost(counters: Sequence[int]) -> int:
    steps = [after - before for before, after in pairwise(counters)]
    return sum(step - 1 for step in steps if 1 < step <= MAX_GAP)
