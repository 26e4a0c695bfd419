"""How well devices are received, against what they need."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from baylight.domain import radio
from baylight.domain.assignment import Role
from baylight.inventory.devices import find_device
from baylight.store.pool import Connection
from baylight.store.query import queries

FRAMES = 20


@dataclass(frozen=True, slots=True)
class Signal:
    """The radio link of a device over its newest frames. `lost`: frames that their counters miss between them.
    `snr_db`, `rssi_dbm`: medians. `spreading_factor`: the fastest that bears the SNR with a margin of 10 dB.
    `verdict`: `good`, `weak`, `bad`, `unknown`."""

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


async def signal(connection: Connection, dev_eui: str, role: Role | None = None) -> Signal:
    """Raises NotFoundError `unknown_device`."""
    device = await find_device(connection, dev_eui, role)
    rows = await connection.fetch(queries("inventory.device_tests")["radio"], device.dev_eui, FRAMES)
    needs = await connection.fetchrow(queries("inventory.device_tests")["needs"], device.id)
    needed_snr, needed_rssi = (needs["snr_db"], needs["rssi_dbm"]) if needs else (None, None)
    snr = median(row["snr_db"] for row in rows) if rows else None
    rssi = median(row["rssi_dbm"] for row in rows if row["rssi_dbm"] is not None) if rows else None
    word = "unknown" if snr is None else radio.verdict(snr, needed_snr)
    if needed_rssi is not None and rssi is not None and rssi < needed_rssi:
        word = "bad"
    floor = needed_snr if needed_snr is not None else radio.FLOOR_SNR_DB[12]
    return Signal(
        dev_eui=device.dev_eui,
        frames=len(rows),
        lost=_lost([row["f_cnt"] for row in reversed(rows) if row["f_cnt"] is not None]),
        rssi_dbm=rssi,
        snr_db=snr,
        lowest_snr_db=min((row["snr_db"] for row in rows), default=None),
        gateways=sorted({row["gateway_id"] for row in rows if row["gateway_id"]}),
        spreading_factor=radio.smallest_spreading_factor(snr) if snr is not None else None,
        needed_snr_db=needed_snr,
        needed_rssi_dbm=needed_rssi,
        margin_db=round(snr - floor, 1) if snr is not None else None,
        verdict=word,
    )


def _lost(counters: list[int]) -> int:
    """Gaps of more than 1000 are a rejoin or a pause, no loss."""
    steps = [b - a for a, b in pairwise(counters)]
    return sum(step - 1 for step in steps if 1 < step <= 1000)
