"""Traps of single sensors, tried for every value rather than by example."""

from hypothesis import given
from hypothesis import strategies as st

from baylight.codecs.devices.fleximodo import Fleximodo
from baylight.codecs.devices.milesight import MilesightEm310Udl
from baylight.codecs.devices.pni_placepod import PniPlacepod
from baylight.domain.state import Occupancy


def test_b22_a_flag_that_says_do_not_use_outweighs_the_status_in_each_of_65536_combinations():
    codec, readings = Fleximodo(), 0
    for flags in range(0x10000):
        reading = codec.decode(2, flags.to_bytes(2) + bytes(8))
        if reading.occupancy is None:
            continue
        readings += 1
        assert flags & 0x3 == (1 if reading.occupancy is Occupancy.FREE else 2)
        assert not flags & 0x6C30  # to be ignored, at fault, not calibrated
        assert flags & 0x1008  # a change or a keep-alive
    # With 2 statuses and the 7 bits that have no meaning for it: changes, and keep-alives that were not sent again.
    free_bits = 16 - bin(0x3 | 0x6C30 | 0x1008 | 0x0100).count("1")
    assert readings == 2 * 2**free_bits * (2 * 2 + 1)


VENDOR_FIELD = st.tuples(st.sampled_from([b"\x05\x00", b"\x06\x00", b"\x99\x01"]), st.binary(min_size=1, max_size=1))


@given(st.lists(VENDOR_FIELD.map(b"".join), max_size=20), st.sampled_from([0, 1]), st.sampled_from([0x15, 0x37]))
def test_b1_unknown_fields_do_not_hide_the_status_of_a_placepod(before: list[bytes], status: int, kind: int):
    reading = PniPlacepod().decode(2, b"".join(before) + bytes((kind, 0x66, status)))
    assert reading.occupancy is (Occupancy.OCCUPIED if status else Occupancy.FREE)


@given(st.lists(st.integers(0, 0xFFFF) | st.integers(1400, 2100), max_size=50))
def test_a_distance_must_cross_the_whole_band_before_the_state_changes(distances: list[int]):
    codec, state, nearest, farthest = MilesightEm310Udl(), None, 0, 0
    for distance in distances:
        occupancy = codec.decode(85, b"\x03\x82" + distance.to_bytes(2, "little")).occupancy
        if occupancy is not None and occupancy is not state:
            assert 30 <= distance <= 4500
            if occupancy is Occupancy.OCCUPIED:
                nearest = distance
            else:
                farthest = distance
            if state is not None:
                assert farthest - nearest > codec.free_above_mm - codec.occupied_below_mm
            state = occupancy
