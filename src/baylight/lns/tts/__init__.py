"""The Things Stack v3: application messages and downlinks.

`events.py` reads its messages, by MQTT or webhook; both copies of one message have the same id, so it counts once.
`downlinks.py` makes commands, which go by MQTT or by `api.py`, its HTTP API.

It does not hold the MQTT connection (`lns/mqtt`), and it reads no payload that The Things Stack decoded: codecs are
ours.

Start with `parse` in `events.py`. What can go wrong: its MQTT has QoS 0, so messages are lost while no client is
connected; a webhook beside it closes that gap. A downlink replaces all that wait for the device there.
"""
