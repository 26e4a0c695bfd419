"""Values and rules of car parks: states, decisions, lights, displays, assignments. Pure: `now` is an argument.

`state.py` decides what a space must show, as one table of rules. `display_loop` is the loop of one display: what it
must show, what was sent, what it reported, and what follows. `downlink.py` and `lifecycle.py` are tables of
transitions. `assignment.py` says which device serves which space, and what a display makes of several spaces.
`events.py` holds the neutral events of network servers, `lights.py` the lights as a person sees them.

There is no I/O, no SQL, no clock and no knowledge of makers here. It imports only `errors`, the standard library, and
msgspec for values that each uplink makes.

Start with `decide` in `state.py`. What can go wrong is a wrong rule: so the tests compare rules with properties, such
as "FREE is shown only if a fresh reading or a person says so".
"""
