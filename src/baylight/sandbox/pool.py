"""Worker processes that run codecs. A codec that loops, allocates or kills its worker spoils only its own calls."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from baylight.codecs.ts013.calls import Answer, Call, answer
from baylight.errors import DeviceDataError
from baylight.log import Outage, logger
from baylight.sandbox.worker import SLOW_S, frame

log = logger("sandbox")

ALLOWANCE_S, REFILL = 1.0, 0.1
"""Seconds that the slow calls of a codec may use at once, and seconds that its allowance regains per second."""
START_TIMEOUT_S, ANSWER_TIMEOUT_S = 30.0, 2.0
"""Seconds within which a worker must start, and must send each answer.

The engine's own limit per call is `engine.TIME_S`.
"""
WORKER_COST_S = 30.0
"""Seconds of allowance that a codec loses with a worker: it is suspended for about 5 minutes."""
MAX_LOSSES = 2
"""Number of workers that may end during one call before the call fails."""

Outcome = Answer | DeviceDataError


class Sandbox:
    """A `ports.CodecEngine`. Workers start with the first call. `close` ends them."""

    def __init__(self, *, workers: int = 2) -> None:
        self._idle: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        self._workers = [_Worker() for _ in range(workers)]
        for worker in self._workers:
            self._idle.put_nowait(worker)
        self._allowances: dict[str, _Allowance] = {}
        self.outage = Outage(log, "javascript_engine")

    async def run(self, calls: Sequence[Call]) -> list[Outcome]:
        """Return one outcome for each call, in order. Runs at the same time wait for a free worker.

        A fault of a codec becomes the outcome of its call: DeviceDataError `codec_failed` or `codec_timeout`.
        """
        if not calls:
            return []
        worker = await self._idle.get()
        try:
            return await self._run(worker, calls)
        except BaseException:
            worker.kill()  # after a cancelled run its answers would be read as those of the next run
            raise
        finally:
            self._idle.put_nowait(worker)

    async def close(self) -> None:
        for worker in self._workers:
            worker.kill()
            await worker.ended()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    async def _run(self, worker: _Worker, calls: Sequence[Call]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        losses = 0
        while len(outcomes) < len(calls):
            rest = calls[len(outcomes) :]
            try:
                await worker.start()
            except (OSError, EOFError, TimeoutError) as error:
                why = f"no worker process could be started: {error or type(error).__name__}"
                self.outage.begin(why)
                return outcomes + [DeviceDataError("codec_failed", why) for _ in rest]
            self.outage.end()
            before = len(outcomes)
            try:
                await self._run_calls(worker, rest, outcomes)
            except TimeoutError:
                worker.kill()
                stuck = calls[len(outcomes)].script
                self._allowance(stuck.id).spend(WORKER_COST_S)
                log.warning("worker_did_not_answer", script=stuck.id)
                timeout = f"the codec did not end within {ANSWER_TIMEOUT_S:.0f} s"
                outcomes.append(DeviceDataError("codec_timeout", timeout))
            except (EOFError, OSError) as error:
                worker.kill()
                losses = losses + 1 if len(outcomes) == before else 1
                stuck = calls[len(outcomes)].script
                log.warning("worker_ended", script=stuck.id, error=str(error))
                if losses == MAX_LOSSES:  # the first worker may have ended for another reason than this call
                    self._allowance(stuck.id).spend(WORKER_COST_S)
                    outcomes.append(DeviceDataError("codec_failed", "the codec ends the process that it runs in"))
                    losses = 0
        return outcomes

    async def _run_calls(self, worker: _Worker, calls: Sequence[Call], outcomes: list[Outcome]) -> None:
        """Send the calls to a worker, and append the outcome of each to `outcomes` as it comes."""
        scripts = {c.script.id: (c.script.source, self._allowance(c.script.id).left()) for c in calls}
        worker.send(frame({"scripts": scripts, "calls": [(c.script.id, c.function.value, c.input) for c in calls]}))
        for call in calls:
            kind, text, seconds = await worker.next()
            if seconds > SLOW_S:
                self._allowance(call.script.id).spend(seconds)
            outcomes.append(_outcome(kind, text))

    def _allowance(self, script_id: str) -> _Allowance:
        if len(self._allowances) > 1000:
            self._allowances.clear()
        return self._allowances.setdefault(script_id, _Allowance())


def _outcome(kind: str, text: str) -> Outcome:
    if kind == "answer":
        try:
            return answer(text)
        except DeviceDataError as error:
            return error
    if kind == "timeout":
        return DeviceDataError("codec_timeout", text)
    if kind == "suspended":
        return DeviceDataError("codec_timeout", "the codec is suspended for a while: too many of its calls were slow")
    return DeviceDataError("codec_failed", text.replace("\0", "\ufffd"))


@dataclass(slots=True)
class _Allowance:
    """Seconds that a codec's slow calls may still use."""

    seconds: float = ALLOWANCE_S
    at: float | None = None

    def left(self) -> float:
        now = asyncio.get_running_loop().time()
        if self.at is not None:
            self.seconds = min(ALLOWANCE_S, self.seconds + (now - self.at) * REFILL)
        self.at = now
        return self.seconds

    def spend(self, seconds: float) -> None:
        self.seconds = self.left() - seconds


class _Worker:
    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._decoder = msgspec.msgpack.Decoder(tuple[str, str, float])

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Start the process unless it runs. Raises OSError, EOFError or TimeoutError."""
        if self._process is not None and self._process.returncode is None:
            return
        try:
            await self._begin()
        except EOFError:  # it was killed while it started, and another one may start
            await self._begin()

    async def _begin(self) -> None:
        self.kill()
        # Our own environment contains secrets that no codec may read.
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONDONTWRITEBYTECODE": "1"}
        if "SYSTEMROOT" in os.environ:
            environment["SYSTEMROOT"] = os.environ["SYSTEMROOT"]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "baylight.sandbox.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is only for our own process
        )
        try:
            await self._read(START_TIMEOUT_S)
        except BaseException:
            self.kill()
            raise

    def send(self, batch: bytes) -> None:
        """Write without waiting until the worker has read all, for the worker may itself wait until we read."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(batch)

    async def next(self) -> tuple[str, str, float]:
        """Return the next outcome. Raises EOFError if the worker ended, TimeoutError if it sends nothing."""
        return self._decoder.decode(await self._read(ANSWER_TIMEOUT_S))

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process, self._killed = None, self._process

    async def ended(self) -> None:
        if self._killed is not None:
            await self._killed.wait()

    _killed: asyncio.subprocess.Process | None = None

    async def _read(self, timeout_s: float) -> bytes:
        """Return the next frame. Raises EOFError, TimeoutError."""
        assert self._process is not None
        assert self._process.stdout is not None
        stdout = self._process.stdout
        try:
            async with asyncio.timeout(timeout_s):
                return await stdout.readexactly(int.from_bytes(await stdout.readexactly(4), "big"))
        except asyncio.IncompleteReadError:
            raise EOFError("the worker process ended") from None
