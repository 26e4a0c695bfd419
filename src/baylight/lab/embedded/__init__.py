"""PostgreSQL and MQTT brokers as child processes: for the demo, the tests and small trials.

`postgres.py` runs a server on a data directory, on a Unix socket without TCP port. `broker.py` runs the broker of the
package iotcore, or Mosquitto if it is installed. `account.py` finds the account that PostgreSQL runs under if root runs
Baylight, and directories that this account can reach.

It is not for production: the embedded broker loses its messages with its process. The children end with the process
that started them, even by SIGKILL.

Start with `EmbeddedPostgres.start`. What can go wrong: another process uses the data directory, or another major
version of PostgreSQL made it. Both are refused with a message, and nothing is changed.
"""
