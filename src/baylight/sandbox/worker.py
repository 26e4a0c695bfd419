"""Process in which codecs run. It reads calls from standard input and writes outcomes to standard output.

A frame is its length in four bytes, big-endian, and MessagePack. Input: {"scripts": {id: [source, allowance in s]},
"calls": [[id, function, input]]}. Output: first {}, then [kind, text, seconds] for each call, in order.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, BinaryIO

import msgspec

if TYPE_CHECKING:
    from baylight.sandbox.engine import Engine

ADDRESS_SPACE = 512 << 20


class Batch(msgspec.Struct):
    scripts: dict[str, tuple[str, float]]
    calls: list[tuple[str, str, str]]


def frame(value: object) -> bytes:
    body = msgspec.msgpack.encode(value)
    return len(body).to_bytes(4, "big") + body


def main() -> None:
    from baylight.sandbox.engine import Engine  # not at the top: the main process never loads the engine

    limit()
    engine = Engine()
    calls = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    outcomes = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(2, 1)  # text that a library prints must not be read as an outcome
    outcomes.write(frame({}))
    decoder = msgspec.msgpack.Decoder(Batch)
    while head := calls.read(4):
        run(engine, decoder.decode(calls.read(int.from_bytes(head, "big"))), outcomes)


def run(engine: Engine, batch: Batch, outcomes: BinaryIO) -> None:
    left = {script_id: allowance for script_id, (_, allowance) in batch.scripts.items()}
    for script_id, function, text in batch.calls:
        if left[script_id] <= 0:
            outcomes.write(frame(("suspended", "", 0.0)))
            continue
        began = time.process_time()
        kind, answer = engine.call(script_id, batch.scripts[script_id][0], function, text)
        seconds = time.process_time() - began
        if seconds > SLOW_S:
            left[script_id] -= seconds
        outcomes.write(frame((kind, answer, seconds)))


SLOW_S = 0.025
"""CPU time from which a call counts against its codec's allowance."""


def limit() -> None:
    """Limit memory, files and core dumps of this process, as far as the system supports it."""
    try:
        import resource
    except ImportError:
        return
    for resource_type, maximum in (
        (resource.RLIMIT_AS, ADDRESS_SPACE),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 16),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(resource_type)
        lowered = maximum if hard == resource.RLIM_INFINITY else min(maximum, hard)
        try:
            resource.setrlimit(resource_type, (lowered, lowered))
        except (OSError, ValueError):
            continue  # macOS refuses some; the engine's own limits remain


if __name__ == "__main__":
    main()
