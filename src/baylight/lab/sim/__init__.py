"""Simulated network servers, gateways and devices, over real MQTT, gRPC and HTTP.

`chirpstack.py` is ChirpStack v4: `uplinks.py` and `sessions.py` receive, `downlinks.py` and `scheduler.py` send,
`gateways.py` is the air between it and devices, `events.py` has its messages, `api.py` and `commands.py` its APIs,
`link.py` its MQTT. `tts` is The Things Stack v3. `network.py` and `devices.py` hold devices and their models,
`car_park.py` the cars. `behaviour.py` lists what is reproduced of ChirpStack and the faults.

Of Baylight it imports only the light of `domain` and the messages of `protocol`. It is no load generator (see `bench`).

Start with `behaviour.py`. What can go wrong: the simulation differs from the real server. So
`tests/lab/sim/test_conformance.py` has a test for each numbered behaviour, and captured messages to compare with.
"""
