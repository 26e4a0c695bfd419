"""One process of Baylight, wired from its parts.

`program.py` builds the parts from the settings, starts them, reports their health, and drains them at the end.
`connections.py` builds the clients that the settings name (brokers, network servers). `intake.py` reads messages,
stores them, and rejects unreadable ones. `timer.py` is the timer. It asks the database what is due and keeps no state,
so a restart loses nothing. `policies.py` makes the policies from the settings. `sources.py` names the sources of
events, each with the count of its refused messages (`refusals.py`) and the memory of its session (`sessions.py`).
`source_watch.py` notices that no events come.

The package holds no rules. Each part works without it, and the tests build parts by themselves. Only `cli` and `lab`
import it.

Start with `Program.run`. What can go wrong: the schema is not the program's (InputError, the process ends), or a
broker, the database or a network server is away (the process waits, and `/ready` reports for what).
"""
