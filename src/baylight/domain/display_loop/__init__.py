"""Closed loop of one display: what it must show, what was sent to it, what it reports, and what follows.

Three machines are composed, and each event moves them by one table, `events.EVENTS`:

* `deliveries`: the actuations of the display that are not at an end. At most one of them is with the network server.
* `display`: what is desired, what the lamp reported, and which commands it may have received since (`lamp.Possible`). A
  network server never proves that a lamp did not receive a frame. So a report proves the light only if no other command
  may have been received after it.
* `troubles`: the conditions of the display: what is wrong with it, since when. A retry does not reset them.

The invariant: if the last light that the lamp may have received differs from the desired one, then a command is on its
way, or a time is set at which the loop acts, or the display's next uplink is awaited. A model in
tests/domain/display_loop explores all states of a small world for it.

Pure: no I/O, and `now` is an argument. `control.displays` loads and saves displays; `control.events.display_events` and
`control.downlinks.relay` feed them. Start reading at `display.py`.
"""
