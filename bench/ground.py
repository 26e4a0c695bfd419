"""Parts that the benchmarks share: a durable server with a car park, and uplinks of known meaning."""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from baylight.inventory import device_types
from baylight.lab.embedded.broker import EmbeddedBroker, MosquittoBroker, find_mosquitto
from baylight.lab.embedded.postgres import EmbeddedPostgres
from baylight.lab.sim.events import APPLICATION, GATEWAY, device_info, event_topic, up_event
from baylight.store import migrate
from baylight.store.connect import install_codecs

TEMPLATE = "bench_template"
Broker = EmbeddedBroker | MosquittoBroker
_MOVING = (("sensor_devices", "last_seen_at"), ("display_devices", "desired_at"), ("spaces", "current_state_at"))
_FILL = """
INSERT INTO sensor_devices (
    dev_eui, device_type, dev_addr, application_id, battery_pct, last_f_cnt, heard_network_at, occupancy, occupancy_at
)
SELECT '58a0cb' || lpad(to_hex(n), 10, '0'), 'browan_tbms100', '01000001', '{application}', 100, 0, received_at, 'FREE',
       received_at
FROM generate_series(1, {n}) AS n CROSS JOIN (SELECT now() - interval '1 minute' AS received_at) AS before;
INSERT INTO display_devices (
    dev_eui, device_type, display_codes, fport, application_id, dev_addr, last_f_cnt, heard_network_at, gateway_id
)
SELECT '202020' || lpad(to_hex(n), 10, '0'), 'kuando_busylight',
       (SELECT default_config -> 'display_codes' FROM device_types WHERE code = 'kuando_busylight'), 15,
       '{application}', '01000001', 0, now() - interval '1 minute', '{gateway}'
FROM generate_series(1, {n}) AS n;
INSERT INTO spaces (
    name, code, sensor_device_id, display_device_id, current_state, state_reason, sensor_state, recompute_at
)
SELECT 'Bay ' || n, 'B' || n, s.id, d.id, 'FREE', 'sensor', 'FREE', now() + interval '1 hour'
FROM generate_series(1, {n}) AS n
JOIN sensor_devices AS s ON s.dev_eui = '58a0cb' || lpad(to_hex(n), 10, '0')
JOIN display_devices AS d ON d.dev_eui = '202020' || lpad(to_hex(n), 10, '0');
"""


@dataclass(frozen=True, slots=True)
class Uplinks:
    """Uplinks of a run, with their result.

    `messages`: (topic, payload) of ChirpStack `up` events, half of which change a state. `end`: states of the spaces
    after the last of them, by sensor EUI. `changes`: number of state changes on the way.
    """

    messages: list[tuple[str, bytes]]
    end: dict[str, str]
    changes: int


def sensor_eui(n: int) -> str:
    return f"58a0cb{n:010x}"


def uplinks(count: int, spaces: int, *, seed: int = 1) -> Uplinks:
    chance = random.Random(seed)
    state: dict[str, str] = {}
    messages, changes = [], 0
    infos = {}
    counters: Counter[str] = Counter()
    for _ in range(count):
        eui = sensor_eui(chance.randrange(spaces) + 1)
        counters[eui] += 1
        now = state.get(eui, "FREE")
        if chance.random() < 0.5:
            now = "FREE" if now == "OCCUPIED" else "OCCUPIED"
            changes += 1
        state[eui] = now
        data = bytes.fromhex("01fb3a0000280400" if now == "OCCUPIED" else "00fb3a0000280400")
        info = infos.get(eui) or infos.setdefault(eui, device_info(eui))
        messages.append((event_topic(APPLICATION, eui, "up"), up_event(eui, 102, data, info=info, f_cnt=counters[eui])))
    return Uplinks(messages, state, changes)


def arrival(n: int) -> tuple[str, str, bytes]:
    """Return sensor EUI, topic and payload for the arrival of a car at the n-th space."""
    eui = sensor_eui(n)
    payload = up_event(eui, 102, bytes.fromhex("01fb3a0000280400"), info=device_info(eui), f_cnt=1)
    return eui, event_topic(APPLICATION, eui, "up"), payload


class Server:
    """PostgreSQL for a whole benchmark. Each measurement has a fresh copy of the filled database."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres
        self._copies = 0

    async def fill(self, spaces: int) -> None:
        await self._execute("postgres", f"CREATE DATABASE {TEMPLATE}")
        dsn = self._postgres.dsn(TEMPLATE)
        await migrate.upgrade(dsn)
        connection = await asyncpg.connect(dsn)
        await install_codecs(connection)
        await device_types.sync(connection)
        await connection.execute(_FILL.format(n=spaces, application=APPLICATION, gateway=GATEWAY))
        await connection.execute("VACUUM ANALYZE")
        await connection.close()

    @asynccontextmanager
    async def copy(self) -> AsyncIterator[str]:
        """Make a copy of the filled database; yield its DSN; drop it at the end."""
        self._copies += 1
        name = f"bench_{self._copies}"
        await self._execute("postgres", f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        await self._execute("postgres", "CHECKPOINT")
        for table, column in _MOVING:
            # As on a running site: each page was touched since the checkpoint, so it is not written whole again.
            await self._execute(name, f"UPDATE {table} SET {column} = now()")
            await self._execute(name, f"VACUUM (ANALYZE) {table}")
        try:
            yield self._postgres.dsn(name)
        finally:
            await self._execute("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    async def _execute(self, database: str, sql: str) -> None:
        connection = await asyncpg.connect(self._postgres.dsn(database))
        await connection.execute(sql)
        await connection.close()


@asynccontextmanager
async def server(spaces: int) -> AsyncIterator[Server]:
    """Start PostgreSQL with fsync and synchronous_commit on, and fill its car park."""
    directory = tempfile.mkdtemp(prefix="bl-bench-")
    os.chmod(directory, 0o711)  # the account that PostgreSQL runs under must be able to enter
    postgres = EmbeddedPostgres(Path(directory), durable=True)
    try:
        await postgres.start()
        running = Server(postgres)
        await running.fill(spaces)
        yield running
    finally:
        await postgres.stop()
        postgres.delete()


@contextmanager
def broker() -> Iterator[Broker]:
    """Start Mosquitto if it is installed, as on a site; else the embedded broker, which hands out 200 at a time."""
    if find_mosquitto() is None:
        running: Broker = EmbeddedBroker()
    else:
        running = MosquittoBroker(Path(tempfile.mkdtemp(prefix="bl-bench-broker-")))
    running.start()
    try:
        yield running
    finally:
        running.stop()


async def check(dsn: str, sent: Uplinks) -> None:
    """Check that the end is what the uplinks mean (else AssertionError): a fast wrong answer is a failure."""
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("SELECT sensor_deveui, current_state FROM spaces")
    states = {row["sensor_deveui"]: row["current_state"] for row in rows}
    wrong = [eui for eui, state in sent.end.items() if states[eui] != state]
    stored = await connection.fetchval("SELECT count(*) FROM uplinks")
    changes = await connection.fetchval("SELECT count(*) FROM state_changes")
    actuations = await connection.fetchval("SELECT count(*) FROM actuations")
    await connection.close()
    found = (len(wrong), stored, changes, actuations)
    assert found == (0, len(sent.messages), sent.changes, sent.changes), f"wrong, stored, changes, actuations: {found}"


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})"


def finish(result: dict[str, object], bars: list[tuple[str, bool]]) -> None:
    """Print the bars and, last, the machine-readable line; exit with 1 if a bar is missed."""
    for name, met in bars:
        print(f"{'met   ' if met else 'MISSED'} {name}")
    print(json.dumps(result))
    sys.exit(not all(met for _, met in bars))


def machine() -> str:
    return f"{os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}"
