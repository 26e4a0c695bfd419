"""The way from an event to a light. It runs without a request of a person.

`ingest.py` stores a batch of events in one transaction; `Ingest._store` reads as a table of contents. `batch.py` and
`uplinks.py` hold what the batch loads and what each event means, `scripted.py` the JavaScript codecs, `strangers.py`
unregistered devices. `spaces.py` decides spaces, `displays.py` loads and stores what displays show, `relay.py` hands
commands to network servers, `retention.py` drops old partitions.

Rules are in `domain`; here are locks, SQL and order. Rows are locked by sensors, spaces, displays, actuations, each by
id. Every change of `spaces.current_state` goes through `spaces.py`, also those that people make.

What can go wrong: a deadlock or a lost connection. The batch is rolled back and stored again, because the broker has no
acknowledgement before COMMIT. An event that is already stored changes nothing.
"""
