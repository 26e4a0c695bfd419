"""The way from an event to a light. It runs without a request of a person.

`ingest.py` stores a batch of events in one transaction; `Ingest._store` reads as a table of contents. `batch.py` sorts
its messages, `duplicates.py` finds uplinks that are stored already, `sensors.py` loads and saves sensors, `uplinks.py`
applies each event to its device, `scripted.py` runs JavaScript codecs, `strangers.py` counts unregistered devices.
`spaces.py` decides spaces and hands changes to displays, `displays.py` loads and saves displays. `relay.py` hands
commands to network servers, `recovery.py` finds the outcome of those whose sender ended, `early_events.py` matches
events that came before the answer. `retention.py` drops old partitions.

Rules are in `domain`; here are locks, SQL and order. Rows are locked by sensors, spaces, displays, actuations, each by
id. Every change of `spaces.current_state` goes through `spaces.py`, also those that people make.

What can go wrong: a deadlock or a lost connection. The batch is rolled back and stored again, because the broker has no
acknowledgement before COMMIT. An event that is already stored changes nothing.
"""
