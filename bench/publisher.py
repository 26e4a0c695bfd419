"""Publisher of uplinks at QoS 1, as fast as the broker accepts them. It prints when it began (time.time)."""

from __future__ import annotations

import argparse
import time

import uvloop

from baylight.lab.sim.link import Link
from bench import ground


async def publish(host: str, port: int, sent: ground.Uplinks) -> None:
    link = Link(host, port, lambda *_: None, qos=1)
    await link.start("bench/nothing")
    print(time.time(), flush=True)
    for topic, payload in sent.messages:
        link.publish(topic, payload)
        await link.has_room()
    await link.drained()
    await link.stop()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("host")
    arguments.add_argument("numbers", nargs=4, type=int, help="port, count, spaces, seed")
    given = arguments.parse_args()
    port, count, spaces, seed = given.numbers
    uvloop.run(publish(given.host, port, ground.uplinks(count, spaces, seed=seed)))
