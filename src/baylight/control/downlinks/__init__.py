"""Commands on their way to network servers.

`relay.py` claims due actuations, sends them outside of any transaction, and records the outcomes. `hold.py` limits
how many wait behind a gateway that acknowledges nothing. `recovery.py` asks the network server what became of
commands whose outcome is not known. `early_events.py` applies events that came before the answer to their command.
"""
