"""Simulated The Things Stack v3: one application with its devices, without radio.

`server.py` holds the devices, their queues, and the messages over MQTT. `api.py` is the HTTP API for downlinks.

It has no second application, no registry of devices, and no gateways. It imports nothing of `lns`, which it tests.

Start with `FakeTheThingsStack` in `server.py`. What can go wrong: the real server differs, and no conformance suite
compares the two, as there is one for ChirpStack.
"""
