"""Inventory: locations, spaces, devices, and which device serves which space, from when to when.

`locations.py` holds the tree of places, `spaces.py` the spaces, `devices.py` the registries of devices, and
`device_settings.py` what people set for a registered device; `device_types.py` and `display_codes.py` hold types and
codes. `assignments.py` and `swaps.py` say which device serves which space. `orphans.py` is the inbox of devices that
send but are not registered. `device_tests.py` tests devices in their places, and `verdicts.py` holds what a test
proves; `display_commands.py` sends what a person wants a display to show.

Each function that changes something receives a `Change`, writes its audit record, and has the spaces decided again. It
does not decide states (`domain`), and it does not know HTTP or files (`api`, `cli`, `bulk`).

Start with `spaces.py`. What can go wrong: two people change the same thing. The later one receives a ConflictError,
because the rules of the data are constraints with a name.
"""
