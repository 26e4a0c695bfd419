"""Quality of a LoRa link. Source: Semtech SX1276 data sheet, table 13 (demodulator floors)."""

from __future__ import annotations

FLOOR_SNR_DB = {7: -7.5, 8: -10.0, 9: -12.5, 10: -15.0, 11: -17.5, 12: -20.0}
"""Lowest SNR at which a frame is still received, by spreading factor."""
MARGIN_DB = 10.0
"""Reserve above the floor when a device is installed, for a parked van, wet leaves, a colder radio. Network servers use
the same reserve for adaptive data rate."""
GOOD_UP_TO_SF = 10


def smallest_spreading_factor(snr_db: float) -> int | None:
    """Return the smallest (fastest) spreading factor that works at this SNR with the margin; None: not even 12."""
    return next((sf for sf, floor in FLOOR_SNR_DB.items() if snr_db >= floor + MARGIN_DB), None)


def verdict(snr_db: float, needed_snr_db: float | None) -> str:
    """Return `good`, `weak` or `bad`. `needed_snr_db`: the SNR that the device's type requires, None for no such."""
    if needed_snr_db is not None:
        return "good" if snr_db >= needed_snr_db else "bad"
    sf = smallest_spreading_factor(snr_db)
    if sf is None:
        return "bad"
    return "good" if sf <= GOOD_UP_TO_SF else "weak"
