"""Every codec of a folder in our engine and in Node: equal, total, time, and each difference with its reason."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from baylight.codecs.ts013.calls import same
from bench.codec_parts.collection import Codec, read
from bench.codec_parts.engines import Result, Worker, node

ROUNDS, REPEATED = 5, 20
"""Rounds of which the median counts, and calls of each. One call is shorter than what some kernels measure."""
EQUAL, MEDIAN_MS = 0.99, 10.0
"""Bars: the least part of codecs that are equal, and the highest median time of a codec."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Codec, its median time of a repeated call, and how it differs from Node. `timed` False: no call has an answer."""

    path: str
    calls: int
    median_ms: float
    timed: bool
    differences: list[str]


def compare(folder: Path, *, as_json: bool) -> int:
    """Print the comparison; return the exit code: 0 if both bars are met. The last line is JSON."""
    codecs = read(folder)
    first, worker = node(codecs), Worker()
    try:
        ours = [_run(worker, codec) for codec in codecs]
    finally:
        worker.close()
    again = node(codecs)  # a value of the clock or of chance differs now
    found = [
        Comparison(codec.path, len(codec.calls), median_ms, timed, _differences(codec, results, left, right))
        for codec, (results, median_ms, timed), left, right in zip(codecs, ours, first, again, strict=True)
    ]
    return _print(found, as_json=as_json)


def _run(worker: Worker, codec: Codec) -> tuple[list[Result], float, bool]:
    calls = list(codec.calls)
    results = worker.run(codec, calls)
    answered = [call for call, result in zip(calls, results, strict=True) if result.answer is not None]
    rounds = [worker.run(codec, (answered or calls)[:1] * REPEATED) for _ in range(ROUNDS if answered else 0)]
    times = [1000 * statistics.mean(result.seconds for result in repeated) for repeated in rounds]
    return results, statistics.median(times or [0.0]), bool(answered)


def _differences(codec: Codec, ours: list[Result], first: list[Result], again: list[Result]) -> list[str]:
    lines = []
    for (function, text), our, one, two in zip(codec.calls, ours, first, again, strict=True):
        if _same(one, two) and not _same(our, one):
            lines.append(f"{function}({text[:120]}): {_reason(our, one)}")
    return lines


def _same(one: Result, other: Result) -> bool:
    if one.answer is None or other.answer is None:
        return one.answer is other.answer
    return same(json.loads(one.answer), json.loads(other.answer))


def _reason(our: Result, node_result: Result) -> str:
    if our.answer is None:
        return f"fails with {our.problem!r}, Node: {node_result.answer!s:.120}"
    if node_result.answer is None:
        return f"Node fails with {node_result.problem!r}, here: {our.answer:.120}"
    path, ours, nodes = _first_difference(json.loads(our.answer), json.loads(node_result.answer), "")
    return f"{path or 'answer'} is {ours!s:.80}, in Node {nodes!s:.80}"


def _first_difference(ours: object, nodes: object, path: str) -> tuple[str, object, object]:
    pairs: list[tuple[str, object, object]] = []
    if isinstance(ours, dict) and isinstance(nodes, dict):
        pairs = [(f"{path}.{key}", ours.get(key), nodes.get(key)) for key in [*nodes, *(ours.keys() - nodes.keys())]]
    elif isinstance(ours, list) and isinstance(nodes, list) and len(ours) == len(nodes):
        pairs = [(f"{path}[{n}]", one, other) for n, (one, other) in enumerate(zip(ours, nodes, strict=True))]
    for below, one, other in pairs:
        if not same(one, other):
            return _first_difference(one, other, below)
    return path, ours, nodes


def _print(found: list[Comparison], *, as_json: bool) -> int:
    timed = sorted((c for c in found if c.timed), key=lambda c: c.median_ms)
    equal = sum(not c.differences for c in found)
    median = statistics.median(c.median_ms for c in timed) if timed else 0.0
    slowest = timed[-1] if timed else None
    if not as_json:
        for comparison in found:
            for line in comparison.differences[:3]:
                print(f"differs  {comparison.path}: {line}")
            if len(comparison.differences) > 3:
                print(f"         and {len(comparison.differences) - 3} more calls")
        for comparison in reversed(timed[-5:]):
            print(f"slow     {comparison.median_ms:.2f} ms  {comparison.path}")
        print(f"equal {equal} of {len(found)} codecs, in {sum(c.calls for c in found)} calls; median {median:.3f} ms")
    figures = {
        "bench": "codec_folder",
        "equal": equal,
        "total": len(found),
        "calls": sum(c.calls for c in found),
        "median_ms": round(median, 3),
        "slowest_ms": round(slowest.median_ms, 3) if slowest else None,
        "slowest": slowest.path if slowest else None,
        "unanswered": len(found) - len(timed),
        "differ": {c.path: c.differences[0] for c in found if c.differences},
    }
    print(json.dumps(figures))
    fits = bool(found) and equal >= EQUAL * len(found) and (slowest is None or slowest.median_ms <= MEDIAN_MS)
    return 0 if fits else 1
