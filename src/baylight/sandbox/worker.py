"""Process in which codecs run. It reads calls from standard input and writes outcomes to standard output.

A frame is its length in four bytes, big-endian, and MessagePack. Input: {"scripts": {id: [source, faults, seconds]},
"calls": [[id, function, input]], "within_s": seconds or nil, "quick_s": seconds or nil}. Output: first {wall: reason
why it does not hold, or ""}, then [kind, text, seconds] for each call, in order. `seconds` are CPU time. After `faults`
calls in a row that use too much of it, or when such calls have used `seconds`, a script's further calls are not run.

With `quick_s`, a call that uses more CPU time than QUICK_S is `slow`. So are the further calls, which are not run, of a
script whose calls have used more than QUICK_S together and HEAVY_S on average. No call begins after calls beyond
HEAVY_S have used `quick_s`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from baylight.sandbox import walls

if TYPE_CHECKING:
    from baylight.sandbox.engine import Engine

ADDRESS_SPACE = 512 << 20


QUICK_S = 0.05
"""CPU time of a quick call. Codecs of public collections need a tenth, also for their first call."""
HEAVY_S = 0.005
"""CPU time of a call that is not quick if it comes again and again."""
HARD_CPU_S = 0.5
"""CPU time after which the kernel ends the worker by SIGPROF: the engine did not stop the call at its own limit."""


class Batch(msgspec.Struct):
    scripts: dict[str, tuple[str, int, float]]
    calls: list[tuple[str, str, str]]
    within_s: float | None = None
    quick_s: float | None = None


def frame(value: object) -> bytes:
    body = msgspec.msgpack.encode(value)
    return len(body).to_bytes(4, "big") + body


def main() -> None:
    from baylight.sandbox.engine import Engine  # not at the top: the main process never loads the engine

    serve(Engine())


def serve(engine: Engine) -> None:
    """Run the calls that come in on an engine, within limits and behind walls, until the input ends."""
    limit()
    calls = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    outcomes = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(2, 1)  # text that a library prints must not be read as an outcome
    decoder = msgspec.msgpack.Decoder(Batch)
    outcomes.write(frame(walls.build()))
    while head := calls.read(4):
        run(engine, decoder.decode(calls.read(int.from_bytes(head, "big"))), outcomes)


def run(engine: Engine, batch: Batch, outcomes: BinaryIO) -> None:
    """Run the calls of a batch. `within_s` is measured by the clock on the wall: what begins later is `late`."""
    limit_s = None if batch.quick_s is None else QUICK_S
    until = None if batch.within_s is None else time.monotonic() + batch.within_s
    faults = {script_id: faults for script_id, (_, faults, _) in batch.scripts.items()}
    spent: dict[str, tuple[float, int]] = {}
    quick_left = batch.quick_s or 0.0
    left = {script_id: seconds for script_id, (_, _, seconds) in batch.scripts.items()}
    for script_id, function, text in batch.calls:
        if faults[script_id] <= 0 or left[script_id] <= 0:
            outcomes.write(frame(("suspended" if faults[script_id] <= 0 else "late", "", 0.0)))
            continue
        if limit_s is not None and _is_slow(*spent.get(script_id, (0.0, 0))):
            outcomes.write(frame(("slow", "", 0.0)))
            continue
        if (batch.quick_s is not None and quick_left <= 0) or (until is not None and time.monotonic() >= until):
            outcomes.write(frame(("late", "", 0.0)))
            continue
        source, most_faults, _ = batch.scripts[script_id]
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, HARD_CPU_S)
        kind, answer = engine.call(script_id, source, function, text, limit_s)
        signal.setitimer(signal.ITIMER_PROF, 0)
        seconds = time.process_time() - began
        if kind == "timeout" and batch.quick_s is not None:
            kind = "slow"
        elif kind == "timeout":
            faults[script_id] -= 1
            left[script_id] -= seconds
        elif kind == "answer":
            faults[script_id] = max(most_faults, MAX_FAULTS)
        if limit_s is not None:
            used, calls = spent.get(script_id, (0.0, 0))
            spent[script_id] = used + seconds, calls + 1
            quick_left -= seconds if seconds > HEAVY_S else 0
        outcomes.write(frame((kind, answer, seconds)))


def _is_slow(seconds: float, calls: int) -> bool:
    return seconds > QUICK_S and seconds > HEAVY_S * calls


MAX_FAULTS = 3
"""Calls in a row that may use too much CPU time; then their codec is suspended."""


def limit() -> None:
    """Limit memory, files and core dumps of this process, as far as the system supports it. See also `walls`."""
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
