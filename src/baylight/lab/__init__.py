"""The demo, and what stands in for the outside: a simulated car park, network servers, PostgreSQL and a broker.

`demo.py` is `baylight demo`: the real program on the simulated rest, with a check that every light is right. `from_v2`
is `baylight demo --from-v2`: the migration of a V2 database at work. `sim` simulates network servers, gateways and
devices. `embedded` starts PostgreSQL and MQTT brokers as child processes.

No process that serves a site imports it; only `cli` and tests do. It is no mock of our own code: it fakes only what is
outside of the process, over real MQTT, gRPC, HTTP and SQL.

Start with `demo.py`. What can go wrong: the machine has no PostgreSQL programs. The error says what to install or to
set.
"""
