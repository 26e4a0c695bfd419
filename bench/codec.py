"""Frames decoded per second of one core, by built-in codecs and by a JavaScript codec in the sandbox.

python -m bench.codec [--quick | --full]
python -m bench.codec --folder PATH [--json]    every codec of a folder, in the sandbox and in Node
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from baylight import log
from baylight.codecs.all import sensor_codec
from baylight.codecs.registry import SensorCodec
from baylight.codecs.ts013.calls import Answer, Decoded, Script, decode_call
from baylight.codecs.ts013.sensor_mapping import OccupancyMapping
from baylight.domain.state import Occupancy
from baylight.sandbox.pool import Sandbox
from bench import ground
from bench.codec_parts.compare import compare

BATCH = 1000
BUILT_IN = {"browan_tbms100": (102, "{:02x}fb3a0000280400"), "bosch_tps110": (1, "{:02x}")}
"""FPort and frame of each; the last bit of the first byte is the occupancy."""
MAPPING = OccupancyMapping.parse({"field": "occupancy", "occupied": ["occupied"], "free": ["vacant"]})
SCRIPT = Script(
    "bench",
    """
var KINDS = {
  0x0175: ['battery', 1, function (b, i) { return b[i]; }],
  0x0367: ['temperature', 2, function (b, i) { return int16(b, i) / 10; }],
  0x0468: ['humidity', 1, function (b, i) { return b[i] / 2; }],
  0x0500: ['occupancy', 1, function (b, i) { return b[i] === 1 ? 'occupied' : 'vacant'; }],
  0x0682: ['distance', 2, function (b, i) { return uint16(b, i); }]
};
function uint16(bytes, at) { return (bytes[at + 1] << 8 | bytes[at]) & 0xffff; }
function int16(bytes, at) { var value = uint16(bytes, at); return value > 0x7fff ? value - 0x10000 : value; }
function decodeUplink(input) {
  var data = {}, bytes = input.bytes, at = 0, warnings = [];
  while (at < bytes.length) {
    var kind = KINDS[bytes[at] << 8 | bytes[at + 1]];
    if (!kind) { warnings.push('unknown channel ' + bytes[at]); break; }
    data[kind[0]] = kind[2](bytes, at + 2);
    at += 2 + kind[1];
  }
  return { data: data, warnings: warnings, errors: [] };
}
""",
)
JAVASCRIPT_FRAME = "01755c0367f600046871068227010500{:02x}"
RECEIVED_AT = datetime(2026, 11, 24, tzinfo=UTC)


def frames(pattern: str, count: int) -> list[tuple[bytes, Occupancy]]:
    chance = random.Random(1)
    taken = [chance.randrange(2) for _ in range(count)]
    return [(bytes.fromhex(pattern.format(t)), Occupancy.OCCUPIED if t else Occupancy.FREE) for t in taken]


def built_in(codec: SensorCodec, f_port: int, sent: Sequence[tuple[bytes, Occupancy]]) -> float:
    """Return seconds of computing."""
    began = time.process_time()
    said = [codec.decode(f_port, data).occupancy for data, _ in sent]
    took = time.process_time() - began
    assert said == [occupancy for _, occupancy in sent]
    return took


async def javascript(sandbox: Sandbox, sent: Sequence[tuple[bytes, Occupancy]]) -> float:
    """Return seconds of computing, of this process and its worker together, from bytes to readings."""
    (pid,) = sandbox.pids
    worker = psutil.Process(pid)
    began = time.process_time() + sum(worker.cpu_times()[:2])
    said: list[Occupancy | None] = []
    for first in range(0, len(sent), BATCH):
        calls = [decode_call(SCRIPT, 85, data, RECEIVED_AT) for data, _ in sent[first : first + BATCH]]
        for outcome in await sandbox.run(calls):
            assert isinstance(outcome, Answer), outcome
            said.append(Decoded(outcome, MAPPING, 85).reading().occupancy)
    took = time.process_time() + sum(worker.cpu_times()[:2]) - began
    assert said == [occupancy for _, occupancy in sent]
    return took


async def measure(rounds: int, count: int, count_javascript: int) -> dict[str, list[float]]:
    """Return decodes per second of each way, one after the other in every round."""
    rates: dict[str, list[float]] = {name: [] for name in (*BUILT_IN, "javascript")}
    sandbox = Sandbox(workers=1)
    try:
        await sandbox.run([decode_call(SCRIPT, 85, b"\x05\x00\x01", RECEIVED_AT)])
        for n in range(rounds):
            for name, (f_port, pattern) in BUILT_IN.items():
                codec = sensor_codec(name)
                assert codec is not None
                rates[name].append(count / built_in(codec, f_port, frames(pattern, count)))
            sent = frames(JAVASCRIPT_FRAME, count_javascript)
            rates["javascript"].append(count_javascript / await javascript(sandbox, sent))
            print(f"round {n + 1}: " + ", ".join(f"{k} {v[-1]:,.0f}/s" for k, v in rates.items()), flush=True)
    finally:
        await sandbox.close()
    return rates


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="within a minute")
    arguments.add_argument("--full", action="store_true", help="the figures that are quoted")
    arguments.add_argument(
        "--folder", type=Path, help="compare the codecs of a folder with Node, in place of the rates"
    )
    arguments.add_argument("--json", action="store_true", help="with --folder: print only the line of JSON")
    given = arguments.parse_args()
    if given.folder is not None:
        sys.exit(compare(given.folder, as_json=given.json))
    log.configure(level="error")
    rounds, count, few = (
        (9, 200_000, 50_000) if given.full else (3, 50_000, 10_000) if given.quick else (5, 100_000, 20_000)
    )
    rates = asyncio.run(measure(rounds, count, few))
    median = {name: statistics.median(values) for name, values in rates.items()}
    print(f"\ncodecs, decodes per second and core ({ground.machine()}, median (lowest–highest)):")
    for name, values in rates.items():
        print(f"  {name:16} {ground.spread(values)}")
    slowest = min(median[name] for name in BUILT_IN)
    ground.finish(
        {"bench": "codec", "builtin_per_s": round(slowest), "javascript_per_s": round(median["javascript"])},
        [
            (f"built-in, the slowest, {slowest:,.0f} per second and core (bar 200,000)", slowest >= 200_000),
            (
                f"JavaScript {median['javascript']:,.0f} per second and core (bar 5,000)",
                median["javascript"] >= 5_000,
            ),
        ],
    )


if __name__ == "__main__":
    main()
