"""Codecs of devices: one small file for each device or family, with the table of its bytes and the source of the table.

A file knows its own bytes and nothing else. It does not know device types (`catalogue`), nor what a reading means for a
space (`domain`). The interfaces are in `codecs/registry.py`, shared functions in `codecs/frame.py`.

Start with `dragino_lds02.py` (a short sensor) and `one_byte_light.py` (a short display). What can go wrong: a maker
changes a frame. `tests/codecs/samples` holds real frames and what they mean.
"""
