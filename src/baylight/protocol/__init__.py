"""gRPC messages of ChirpStack: `chirpstack.proto`, and the module generated from it (`make protocol`).

The file holds only the messages that Baylight uses, with the names, numbers and service paths of ChirpStack v4. It is
written by hand; do not edit `chirpstack_pb2.py`. `lns/chirpstack` is its user, and `lab/sim` plays the server with it.

There is no logic here. Start with `chirpstack.proto`. What can go wrong: another major version of protobuf refuses the
generated module when it is imported; then generate it again.
"""
