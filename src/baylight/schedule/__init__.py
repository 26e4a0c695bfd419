"""Decisions of people for a time: reservations and overrides of spaces.

`reservations.py` books a space for a person, `overrides.py` fixes the state of a space or of all spaces of a location.
Both write rows and have the spaces decided again; `domain/state.py` says what they mean for the light.

It does not watch the clock: `app/timer.py` calls `reservations` when one is over, and a space's `recompute_at` says
when time alone can change it. Personal data stand in reservations only, never in errors or logs.

Start with `reservations.py`. What can go wrong: two people book the same time. A constraint of the database refuses the
later one (`space_taken`). A repeated request with the same `request_id` is no second booking.
"""
