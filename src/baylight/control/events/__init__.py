"""Events of network servers on their way into the database: one batch is one transaction.

Start reading at `ingest.py`: `Ingest._store` reads as a table of contents. `batch.py` sorts the messages,
`duplicates.py` finds uplinks that are stored already, `uplinks.py` and `display_events.py` apply each event to its
device, `scripted.py` runs JavaScript codecs, and `later.py` decodes what waited for one. `strangers.py` counts
unregistered devices. `gateway_facts.py` writes what events say about gateways, after the commit.
"""
