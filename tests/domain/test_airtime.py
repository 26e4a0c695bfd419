"""Time on air, and the limits of the sub-bands."""

from __future__ import annotations

from itertools import pairwise

import pytest

from baylight.domain.airtime import EU868, FRAME_OVERHEAD_BYTES, HOUR, OTHER, SUB_BANDS, sub_band, time_on_air

COMMAND = FRAME_OVERHEAD_BYTES + 5


@pytest.mark.parametrize(
    ("spreading_factor", "seconds", "in_an_hour"), [(12, 1.319, 273), (9, 0.165, 2184), (7, 0.0515, 6995)]
)
def test_i17_a_command_of_5_bytes_has_the_measured_time_on_air(
    spreading_factor: int, seconds: float, in_an_hour: int
) -> None:
    airtime = time_on_air(COMMAND, spreading_factor, 125_000)
    assert airtime.total_seconds() == pytest.approx(seconds, rel=0.005)
    limit = SUB_BANDS["P"].limit
    assert limit is not None
    assert round(limit / airtime) == pytest.approx(in_an_hour, abs=3)


@pytest.mark.parametrize(
    ("size", "spreading_factor", "bandwidth_hz", "ms"),
    [
        (18, 11, 125_000, 659.5),  # low data rate optimization from SF11 on
        (18, 10, 125_000, 329.7),
        (18, 12, 500_000, 288.8),  # its symbols are short enough
        (18, 12, 250_000, 659.5),  # its symbols are 16.384 ms long
        (18, 7, 250_000, 25.7),
        (19, 12, 125_000, 1318.9),  # a request for a report fits into the same symbols
        (255, 7, 125_000, 394.5),
    ],
)
def test_i17_time_on_air_follows_size_spreading_factor_and_bandwidth(
    size: int, spreading_factor: int, bandwidth_hz: int, ms: float
) -> None:
    assert time_on_air(size, spreading_factor, bandwidth_hz).total_seconds() * 1000 == pytest.approx(ms, abs=0.1)


@pytest.mark.parametrize(
    ("frequency_hz", "name", "duty_cycle"),
    [
        (869_525_000, "P", 0.1),  # RX2 of EU868
        (868_100_000, "M", 0.01),
        (868_500_000, "M", 0.01),
        (868_000_000, "M", 0.01),
        (867_100_000, "L", 0.01),
        (865_000_000, "L", 0.01),
        (863_000_000, "K", 0.001),
        (868_800_000, "N", 0.001),
        (869_400_000, "P", 0.1),
        (869_800_000, "Q", 0.01),
        (870_000_000, "Q", 0.01),
        (869_650_000, "other", None),  # between two sub-bands
        (868_650_000, "other", None),
        (923_300_000, "other", None),  # RX2 of US915
        (None, "other", None),
    ],
)
def test_i17_each_frequency_has_one_sub_band(frequency_hz: int | None, name: str, duty_cycle: float | None) -> None:
    band = sub_band(frequency_hz)
    assert (band.name, band.duty_cycle) == (name, duty_cycle)
    assert SUB_BANDS[name] is band
    assert band.limit == (None if duty_cycle is None else duty_cycle * HOUR)


def test_i17_sub_bands_do_not_overlap() -> None:
    assert all(low.high_hz <= high.low_hz for low, high in pairwise(EU868))
    assert OTHER.limit is None
