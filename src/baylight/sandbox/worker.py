"""The process in which codecs run: calls come in on standard input, outcomes leave on standard output, nothing else.

A frame is its length in four bytes, big-endian, and MessagePack. In: {"scripts": {id: [source, allowance in s]},
"calls": [[id, function, input]]}. Out: first {}, then [kind, text, seconds] for each call, in order.
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
    from baylight.sandbox.engine import Engine  # here alone: the main process never loads the engine

    limit()
    engine = Engine()
    given = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    said = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints is not taken for an outcome
    said.write(frame({}))
    decoder = msgspec.msgpack.Decoder(Batch)
    while head := given.read(4):
        run(engine, decoder.decode(given.read(int.from_bytes(head, "big"))), said)


def run(engine: Engine, batch: Batch, said: BinaryIO) -> None:
    left = {script_id: allowance for script_id, (_, allowance) in batch.scripts.items()}
    for script_id, function, text in batch.calls:
        if left[script_id] <= 0:
            said.write(frame(("suspended", "", 0.0)))
            continue
        began = time.process_time()
        kind, answer = engine.call(script_id, batch.scripts[script_id][0], function, text)
        seconds = time.process_time() - began
        if seconds > SLOW_S:
            left[script_id] -= seconds
        said.write(frame((kind, answer, seconds)))


SLOW_S = 0.025
"""A call that computes for longer counts against its codec's allowance."""


def limit() -> None:
    """Where the system can: no memory without end, no files, no children, no core dumps."""
    try:
        import resource
    except ImportError:
        return
    for what, most in (
        (resource.RLIMIT_AS, ADDRESS_SPACE),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 16),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        lowered = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(what, (lowered, lowered))
        except (OSError, ValueError):
            continue  # macOS refuses some; the engine's own limits stand


if __name__ == "__main__":
    main()
