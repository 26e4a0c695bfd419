"""Bytes of devices and their meaning. `devices` has one small file for each device or family.

A sensor's codec turns FPort and bytes into a `Reading`; a display's driver turns a light into bytes and an uplink into
a `Report`. All are pure: no I/O, no clock, no state. A frame without information about the bay has occupancy None,
never FREE. A frame that is not declared raises DeviceDataError; the uplink is then stored as not decodable.

It is not the place of states and rules (`domain`), nor of device types (`catalogue`). `ts013` holds calls, answers and
mappings of JavaScript codecs, which `sandbox` runs.

Start with `registry.py` (the interfaces), `devices/dragino_lds02.py` (a short codec) and `all.py` (the list of all).
What can go wrong: a frame is read as FREE although it says nothing about the bay. So the tests send each codec random,
cut and changed frames.
"""
