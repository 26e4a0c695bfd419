"""Count the uplinks that are lost when a part is killed: those that the broker acknowledged and Baylight never stored.

    python -m bench.part_kills mosquitto | mosquitto-alone | baylight | postgresql | away [--kills N] [--seed N]
        [--stop] [--qos 0] [--share-group] [--messages N] [--mosquitto LINE]...

A client with a session of its own publishes uplinks, 100 a second, as ChirpStack does with the documented settings.
`baylight serve` runs as a process of its own, on PostgreSQL with fsync on and Mosquitto. The part is killed (SIGKILL;
with `--stop` SIGTERM) at random moments and started again. `mosquitto-alone`: Baylight is away meanwhile, so that all
uplinks wait in Mosquitto. `away`: Baylight is killed once, and stays away while `--messages` uplinks are published.
`--mosquitto` adds a line to Mosquitto's settings, after the documented ones.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import msgspec

from baylight.errors import TransientError
from baylight.lab.embedded.broker import MosquittoBroker
from baylight.lab.embedded.postgres import EmbeddedPostgres
from baylight.lns.mqtt.consumer import MqttConsumer
from baylight.log import configure
from bench import ground
from bench.broker_kills import NO_LOSS, Receiver, consumer, until_connected

PARTS = ("mosquitto", "mosquitto-alone", "baylight", "postgresql", "away")
SPACES = 50
PAUSE_S = 0.01
SETTLE_S = 15.0
"""Seconds without a newly stored uplink after which all have come."""
UP_S = 60.0


class _Up(msgspec.Struct, rename="camel"):
    deduplication_id: str


@dataclass(slots=True)
class Site:
    """Parts of a trial. `log`: file with the log of all processes of Baylight."""

    broker: MosquittoBroker
    postgres: EmbeddedPostgres
    environment: dict[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None

    async def start_baylight(self) -> None:
        with self.log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "baylight", "serve", env=self.environment, stderr=log
            )

    async def connected(self) -> None:
        """Wait until the newest process of Baylight has subscribed at the broker."""
        ends_at = time.monotonic() + UP_S
        while b"broker_connected" not in self.log.read_bytes():
            if time.monotonic() > ends_at:
                raise TimeoutError(f"baylight serve did not connect: {self.log.read_text()[-800:]}")
            await asyncio.sleep(0.1)

    async def kill_baylight(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        await self.process.wait()

    async def restart(self, part: str, how: signal.Signals) -> None:
        """Kill the part, and start it again."""
        if part == "baylight":
            await self.kill_baylight(how)
            await self.start_baylight()
        elif part.startswith("mosquitto"):
            await asyncio.to_thread(self.broker.stop if how is signal.SIGTERM else self.broker.kill)
            await asyncio.to_thread(self.broker.start)
        else:
            pid = int((self.postgres.place / "data" / "postmaster.pid").read_text().splitlines()[0])
            os.kill(pid, signal.SIGINT if how is signal.SIGTERM else how)
            await self.postgres.stop()
            await self.postgres.start()


class Sender:
    """Client that publishes the messages in their order.

    `accepted`: deduplication ids that the broker acknowledged. `last`: those after which the next one failed.
    """

    def __init__(self, client: MqttConsumer, messages: Iterator[tuple[str, bytes]], qos: int) -> None:
        self._client, self._messages, self._qos = client, messages, qos
        self.accepted: set[str] = set()
        self.last: set[str] = set()

    async def send(self, count: int | None = None) -> None:
        """Publish `count` messages, or until cancelled. A message without an answer is not sent again."""
        newest = ""
        while count is None or count > 0:
            topic, payload = next(self._messages)
            try:
                await self._client.publish(topic, payload, self._qos)
                newest = msgspec.json.decode(payload, type=_Up).deduplication_id
                self.accepted.add(newest)
            except TransientError:
                self.last.add(newest)
                await until_connected(self._client)
            count = None if count is None else count - 1
            await asyncio.sleep(PAUSE_S)


async def stored(dsn: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return {str(row[0]) for row in await connection.fetch("SELECT deduplication_id FROM uplinks")}
    finally:
        await connection.close()


async def all_stored(dsn: str, accepted: set[str]) -> set[str]:
    """Wait until all are stored, or none came for SETTLE_S; return those that are stored."""
    count, since, known = -1, time.monotonic(), set[str]()
    while time.monotonic() - since < SETTLE_S and not accepted <= known:
        known = await stored(dsn)
        if len(known) != count:
            count, since = len(known), time.monotonic()
        await asyncio.sleep(0.25)
    return known


async def trial(site: Site, sender: Sender, given: argparse.Namespace, chance: random.Random) -> None:
    how = signal.SIGTERM if given.stop else signal.SIGKILL
    if given.part == "away":
        await sender.send(50)
        await site.kill_baylight(how)
        await sender.send(given.messages)
        await site.start_baylight()
        return
    if given.part == "mosquitto-alone":
        await site.kill_baylight(signal.SIGTERM)
    sending = asyncio.create_task(sender.send())
    for _ in range(given.kills):
        await asyncio.sleep(chance.uniform(1.0, 3.0))
        await site.restart(given.part, how)
    await asyncio.sleep(1)
    sending.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sending
    if given.part == "mosquitto-alone":
        await site.start_baylight()


async def measure(given: argparse.Namespace) -> tuple[int, int, int]:
    """Return the numbers of acknowledged and of lost uplinks, and of those lost that were the last before a kill."""
    more = "".join(f"{line}\n" for line in given.mosquitto)
    directory = tempfile.mkdtemp(prefix="bl-kills-")
    os.chmod(directory, 0o711)  # the account that PostgreSQL runs under must be able to enter
    postgres = EmbeddedPostgres(Path(directory) / "postgres", durable=True)
    broker = MosquittoBroker(Path(directory) / "mosquitto", more=NO_LOSS + more)
    await postgres.start()
    server = ground.Server(postgres)
    await server.fill(SPACES)
    async with server.copy() as dsn:
        broker.start()
        environment = os.environ | {
            "BAYLIGHT_DATABASE_URL": dsn,
            "BAYLIGHT_MQTT_HOST": broker.host,
            "BAYLIGHT_MQTT_PORT": str(broker.port),
            "BAYLIGHT_HTTP_PORT": "0",
        }
        if given.share_group:
            environment["BAYLIGHT_MQTT_SHARE_GROUP"] = "bench"
        site = Site(broker, postgres, environment, Path(directory) / "baylight.log")
        client = consumer(broker, Receiver(), "chirpstack-events", "none", None)
        running = asyncio.create_task(client.run())
        await until_connected(client)
        await site.start_baylight()
        try:
            await site.connected()
            sender = Sender(client, iter(ground.uplinks(100_000, SPACES, seed=given.seed).messages), given.qos)
            await trial(site, sender, given, random.Random(given.seed))
            await site.connected()
            known = await all_stored(dsn, sender.accepted)
        finally:
            await site.kill_baylight(signal.SIGTERM)
            await client.stop()
            await asyncio.gather(running, return_exceptions=True)
    await asyncio.to_thread(broker.stop)
    await postgres.stop()
    postgres.delete()
    lost = sender.accepted - known
    return len(sender.accepted), len(lost), len(lost & sender.last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="mosquitto", choices=PARTS)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--stop", action="store_true", help="end the part in order (SIGTERM)")
    parser.add_argument("--qos", type=int, default=1, choices=[0, 1])
    parser.add_argument("--share-group", action="store_true", help="receive by a shared subscription")
    parser.add_argument("--messages", type=int, default=1500, help="uplinks while Baylight is away")
    parser.add_argument("--mosquitto", action="append", default=[], metavar="LINE", help="a line of mosquitto.conf")
    given = parser.parse_args()
    configure(level="error")
    accepted, lost, last = asyncio.run(measure(given))
    arguments = " ".join(sys.argv[1:])
    print(f"part_kills: {arguments}: {lost} of {accepted} acknowledged uplinks lost, {last} the last before a kill")


if __name__ == "__main__":
    main()
