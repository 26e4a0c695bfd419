"""LoRaWAN network servers: their events into neutral form, and commands to them.

`chirpstack` and `tts` hold one server each: `events.py` reads messages, `downlinks.py` sends commands. `mqtt` is the
consumer that acknowledges a message only after it is stored. `router.py` sends each command to the server that its
device is reached through. `wire.py` reads and checks fields of JSON messages.

It does not know what an event means (`control/events/uplinks.py`), and it does not touch the database.
`ports.NetworkServer` is its interface to the rest. Another network server is another folder here.

Start with `chirpstack/events.py`. What can go wrong: a message that cannot be read raises DeviceDataError, and `app`
stores it in `rejected_messages`. A server that does not answer raises TransientError, and the relay tries again.
"""
