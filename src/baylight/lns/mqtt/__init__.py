"""Consumer of an MQTT broker that acknowledges a message only after its handler is done.

`consumer.py` keeps a connection and its subscription, `connection.py` is one life of it, with PUBACKs in the order of
the messages, `lanes.py` sorts messages into lanes. The events of one device stay in one lane. A lane passes all
messages that wait to the handler at once, and never waits for more. `gate.py` stops reading while too many messages
are not acknowledged. `outgoing.py` reads the broker's answers to our own messages, `away.py` has the pauses between two
tries to connect, `topics.py` the rules of topics.

The package does not know what a message means. One function parses a message, another handles a batch. The package is
not a general MQTT client.

Start with `lanes.py`. What can go wrong: the database is away. Then the handler raises, the lane tries again with a
back-off, nothing is acknowledged, and the broker keeps the messages. After a broken connection the broker sends them
again. Or the broker loses our session, and the messages in it: then it reports at the next connection that it knows no
session, and `BrokerSession.lost` makes that good. Further faults are conditions: see `Conditions` in `ports.py`.
"""
