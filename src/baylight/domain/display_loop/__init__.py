"""Closed loop of one display: what it must show, what was sent to it, what it reports, and what follows.

Pure: no I/O, and `now` is an argument. `control.displays` loads and saves displays. Start reading at `display.py` (the
events of a display); `record.py` holds its fields, `actuation.py` one command and its delivery.
"""
