"""Airtime of downlinks, and the share of an hour that a sub-band allows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

HOUR = timedelta(hours=1)
FRAME_OVERHEAD_BYTES = 13
"""Bytes of a LoRaWAN 1.0 data frame besides its payload: MHDR 1, DevAddr 4, FCtrl 1, FCnt 2, FPort 1, MIC 4."""
PREAMBLE_SYMBOLS = 8 + 4.25
NEARLY_USED, FREE_AGAIN = 0.8, 0.7
"""Shares of the limit at which the condition begins, and below which it ends."""
LONG_SYMBOL_S = 0.016
"""Length of a symbol above which the radio uses its low data rate optimization."""


@dataclass(frozen=True, slots=True)
class SubBand:
    """Range of frequencies with a limit of its own. `duty_cycle`: share of an hour, None for no known limit."""

    name: str
    low_hz: int
    high_hz: int
    duty_cycle: float | None

    @property
    def limit(self) -> timedelta | None:
        """The airtime that a gateway may use in an hour."""
        return None if self.duty_cycle is None else self.duty_cycle * HOUR


EU868 = (
    SubBand("K", 863_000_000, 865_000_000, 0.001),
    SubBand("L", 865_000_000, 868_000_000, 0.01),
    SubBand("M", 868_000_000, 868_600_000, 0.01),
    SubBand("N", 868_700_000, 869_200_000, 0.001),
    SubBand("P", 869_400_000, 869_650_000, 0.1),
    SubBand("Q", 869_700_000, 870_000_000, 0.01),
)
"""Sub-bands of ETSI EN 300 220-2, table B.1, for transmitters without listen before talk."""
OTHER = SubBand("other", 0, 0, None)
"""All other frequencies, and those that the network server does not report: counted, without a limit."""
SUB_BANDS = {band.name: band for band in (*EU868, OTHER)}


def sub_band(frequency_hz: int | None) -> SubBand:
    """Return the sub-band of a frequency. The upper end of a sub-band belongs to the next one, if they touch."""
    if frequency_hz is not None:
        for band in EU868:
            if band.low_hz <= frequency_hz < band.high_hz or frequency_hz == EU868[-1].high_hz == band.high_hz:
                return band
    return OTHER


def time_on_air(size: int, spreading_factor: int, bandwidth_hz: int) -> timedelta:
    """Return how long a downlink of `size` bytes is on the air. `size`: the whole frame, FRAME_OVERHEAD_BYTES included.

    LoRa with code rate 4/5, explicit header and a preamble of 8 symbols; downlinks of LoRaWAN have no CRC. Source:
    Semtech SX1276 data sheet, section 4.1.1.7, which is the formula of AN1200.13.
    """
    symbol_s = 2**spreading_factor / bandwidth_hz
    optimized = 2 if symbol_s > LONG_SYMBOL_S else 0
    bits = 8 * size - 4 * spreading_factor + 28
    symbols = 8 + max(ceil(bits / (4 * (spreading_factor - optimized))) * 5, 0)
    return timedelta(seconds=(PREAMBLE_SYMBOLS + symbols) * symbol_s)


@dataclass(frozen=True, slots=True)
class Used:
    """Airtime that a gateway used in a sub-band. `assumed_frames`: those whose size or data rate was not reported."""

    gateway_id: str
    sub_band: str
    frames: int
    assumed_frames: int
    airtime_ms: float

    @property
    def share(self) -> float:
        """Share of the limit of an hour that is used; 0 without a limit."""
        limit = SUB_BANDS[self.sub_band].limit
        return 0.0 if limit is None else timedelta(milliseconds=self.airtime_ms) / limit

    def in_words(self) -> str:
        """Return a sentence part for people."""
        band = SUB_BANDS[self.sub_band]
        text = f"{self.airtime_ms / 1000:.1f} s in {self.frames} downlinks in an hour"
        if band.limit is None:
            return f"{text}, on frequencies without a known limit"
        where = f"{band.low_hz / 1e6:g}-{band.high_hz / 1e6:g} MHz"
        return f"{text}, {self.share:.0%} of the {band.limit.total_seconds():g} s that {where} allows"
