"""The way from an event to a light. It runs without a request of a person.

`events` stores what network servers report, in batches. `downlinks` hands commands to network servers. This folder
holds what both stand on: `sensors.py` and `displays.py` load and save devices, `spaces.py` decides spaces and hands
changes to displays, `conditions.py` begins and ends conditions, `gateways.py` derives those of gateways.
`retention.py` drops old partitions.

Rules are in `domain`; here are locks, SQL and order. Rows are locked by sensors, spaces, displays, actuations, each
by id. Every change of `spaces.current_state` goes through `spaces.py`, also those that people make.

What can go wrong: a deadlock or a lost connection. The batch is rolled back and stored again, because the broker has
no acknowledgement before COMMIT. An event that is already stored changes nothing.
"""
