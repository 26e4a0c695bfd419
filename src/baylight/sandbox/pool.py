"""Worker processes that run codecs. A codec that loops, allocates or kills its worker spoils only its own calls."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from baylight.codecs.ts013.calls import Call, answer
from baylight.errors import DeviceDataError, TransientError
from baylight.log import Outage, logger
from baylight.ports import Outcome
from baylight.sandbox.process import ENDLESS_S, BadFrameError, WorkerProcess
from baylight.sandbox.worker import HARD_CPU_S, HEAVY_S, MAX_FAULTS, QUICK_S, frame

log = logger("sandbox")

ALLOWANCE_S, REFILL = 1.0, 0.1
"""CPU seconds that a codec's calls beyond the limit may use at once, and seconds regained per second."""
ANSWER_TIMEOUT_S = 2.0
"""Seconds within which a worker must send each answer. A worker that does not is ended: it is stalled.

The engine's own limit per call, of CPU time, is `engine.TIME_S`.
"""
GRACE_S = 0.5
"""Seconds beyond `within_s` in which the call under way may still answer."""
PROBE_S = 20.0
MAX_LOSSES = 2
"""Number of workers that may end during one call before the call has its outcome."""
MAX_HEAVY = 3
"""Calls in a row beyond HEAVY_S that make a codec a slow one. One below makes it a quick one again."""
_FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGQUIT}
"""Exit codes of workers that another program ended. The call that they ran is not the reason."""


class Sandbox:
    """A `ports.CodecEngine`. Workers start with the first call. `close` ends them."""

    def __init__(self, *, workers: int = 2, probe_s: float = PROBE_S, module: str = "baylight.sandbox.worker") -> None:
        """`probe_s`: seconds between two calls of a suspended codec. `module`: main module of a worker."""
        self._idle: asyncio.LifoQueue[WorkerProcess] = asyncio.LifoQueue()
        self._workers = [WorkerProcess(module) for _ in range(workers)]
        for worker in self._workers:
            self._idle.put_nowait(worker)
        self._conducts: dict[str, _Conduct] = {}
        self._probe_s = probe_s
        self.outage = Outage(log, "javascript_engine")

    async def run(
        self, calls: Sequence[Call], *, within_s: float | None = None, quick_s: float | None = None
    ) -> list[Outcome]:
        """Return one outcome for each call, in order, as `ports.CodecEngine.run` describes.

        Runs at the same time wait for a free worker. It returns at the latest GRACE_S after `within_s`.
        """
        if not calls:
            return []
        deadline = _Deadline(within_s)
        try:
            async with asyncio.timeout(within_s):
                worker = await self._idle.get()
        except TimeoutError:
            return [_late("all workers were busy") for _ in calls]
        try:
            if quick_s is None:
                return await self._run(worker, calls, deadline)
            return await self._run_quick(worker, calls, deadline, quick_s)
        except BaseException:
            worker.kill()  # after a cancelled run its answers would be read as those of the next run
            raise
        finally:
            self._idle.put_nowait(worker)

    def slow(self) -> Collection[str]:
        """Return the ids of the scripts that are slow: runs with `quick_s` leave them out."""
        return {script_id for script_id, c in self._conducts.items() if c.quick is False}

    def suspended(self) -> Mapping[str, str]:
        """Return the ids of the scripts that are suspended, each with the fault in words."""
        return {script_id: c.fault for script_id, c in self._conducts.items() if c.suspended}

    async def walls(self) -> Mapping[str, str]:
        """Start a worker unless it runs. Return its walls, each with the reason why it does not hold, or "".

        Raises TransientError.
        """
        worker = await self._idle.get()
        try:
            if not await self._started(worker, _Deadline(None)):
                raise TransientError(
                    "javascript_engine_away", self.outage.reason or "no worker process could be started"
                )
            return worker.walls
        finally:
            self._idle.put_nowait(worker)

    async def close(self) -> None:
        for worker in self._workers:
            await worker.close()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    async def _run_quick(
        self, worker: WorkerProcess, calls: Sequence[Call], deadline: _Deadline, quick_s: float
    ) -> list[Outcome]:
        """Run the calls of quick codecs, then those of unknown ones. None of them waits for a slow one."""
        outcomes: list[Outcome] = [_late(_SLOW) for _ in calls]
        for quick, budget_s in ((True, ENDLESS_S), (None, quick_s)):
            chosen = [n for n, call in enumerate(calls) if self._conduct(call.script.id).quick is quick]
            found = await self._run(worker, [calls[n] for n in chosen], deadline, budget_s)
            for n, outcome in zip(chosen, found, strict=True):
                outcomes[n] = outcome
        return outcomes

    async def _run(
        self, worker: WorkerProcess, calls: Sequence[Call], deadline: _Deadline, quick_s: float | None = None
    ) -> list[Outcome]:
        outcomes: list[Outcome] = []
        losses = 0
        while len(outcomes) < len(calls):
            rest = calls[len(outcomes) :]
            if deadline.left_s() <= 0 or not await self._started(worker, deadline):
                why = self.outage.reason or "there was no time for it"
                return outcomes + [_late(why) for _ in rest]
            before = len(outcomes)
            try:
                await self._run_calls(worker, rest, outcomes, deadline, quick_s)
                continue
            except TimeoutError:
                worker.kill()
                code: int | None = None
            except (EOFError, OSError):
                code = await worker.exit_code()
            except BadFrameError:
                worker.kill()
                code = 0
            stuck = calls[len(outcomes)].script
            losses = losses + 1 if len(outcomes) == before else 1
            log.warning("worker_ended" if code is not None else "worker_stalled", script=stuck.id, exit_code=code)
            if code == -signal.SIGPROF:
                fault = f"the codec runs longer than {HARD_CPU_S * 1000:.0f} ms, and the engine cannot stop it"
                self._conduct(stuck.id).suspend(fault)
                outcomes.append(DeviceDataError("codec_timeout", fault))
            elif losses == MAX_LOSSES:  # the first worker may have ended for another reason than this call
                if code is None or code in _FROM_OUTSIDE:
                    outcomes.append(_late("the worker that ran it was stalled or killed"))
                else:
                    self._conduct(stuck.id).suspend("the codec ends the process that it runs in")
                    outcomes.append(DeviceDataError("codec_crashed", "the codec ends the process that it runs in"))
                losses = 0
        return outcomes

    async def _started(self, worker: WorkerProcess, deadline: _Deadline) -> bool:
        """Start a worker unless it runs. Return False if it could not be started, or not in time."""
        try:
            if not await worker.start(deadline.left_s()):
                return False
        except (OSError, EOFError, TimeoutError, BadFrameError) as error:
            self.outage.begin(f"no worker process could be started: {error or type(error).__name__}")
            return False
        self.outage.end()
        return True

    async def _run_calls(
        self,
        worker: WorkerProcess,
        calls: Sequence[Call],
        outcomes: list[Outcome],
        deadline: _Deadline,
        quick_s: float | None,
    ) -> None:
        """Send the calls to a worker, and append the outcome of each to `outcomes` as it comes."""
        scripts = {c.script.id: (c.script.source, *self._conduct(c.script.id).limits()) for c in calls}
        batch = {"scripts": scripts, "calls": [(c.script.id, c.function.value, c.input) for c in calls]}
        within_s = deadline.left_s()
        worker.send(frame(batch | {"within_s": None if within_s == ENDLESS_S else within_s, "quick_s": quick_s}))
        for call in calls:
            kind, text, seconds = await worker.next(min(ANSWER_TIMEOUT_S, max(0.0, deadline.left_s()) + GRACE_S))
            conduct = self._conduct(call.script.id)
            if kind == "timeout":
                conduct.exceed(text, seconds)
            elif kind == "answer":
                conduct.answered(seconds)
            elif kind == "slow":
                conduct.quick = False
            outcomes.append(_outcome(kind, text, conduct.fault))

    def _conduct(self, script_id: str) -> _Conduct:
        if len(self._conducts) > 1000:
            self._conducts = {key: c for key, c in self._conducts.items() if c.quick is False}
        return self._conducts.setdefault(script_id, _Conduct(self._probe_s))


def _outcome(kind: str, text: str, fault: str) -> Outcome:
    if kind == "answer":
        try:
            return answer(text)
        except DeviceDataError as error:
            return error
    if kind == "timeout":
        return DeviceDataError("codec_timeout", text)
    if kind == "suspended":
        return TransientError("codec_suspended", f"the codec is suspended: {fault}")
    if kind == "slow":
        return _late(_SLOW)
    if kind == "late":
        return _late("there was no time for it")
    return DeviceDataError("codec_failed", text.replace("\0", "\ufffd"))


_SLOW = "it is slow, and is decoded apart from quick ones"


def _late(why: str) -> TransientError:
    return TransientError("codec_late", f"the codec did not run: {why}")


class _Deadline:
    """Time until which a run may begin calls. None: there is no such time."""

    def __init__(self, within_s: float | None) -> None:
        self._at = ENDLESS_S if within_s is None else asyncio.get_running_loop().time() + within_s

    def left_s(self) -> float:
        return self._at - asyncio.get_running_loop().time()


@dataclass(slots=True)
class _Conduct:
    """Record of a codec's calls: faults in a row, and CPU seconds that calls beyond the limit may still use."""

    probe_s: float
    faults: int = 0
    fault: str = ""
    suspended: bool = False
    seconds: float = ALLOWANCE_S
    quick: bool | None = None
    """Flag: others need not wait for it; None: not known."""
    heavy: int = 0
    at: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    probe_at: float = 0.0

    def limits(self) -> tuple[int, float]:
        """Return how many faults in a row, and how many seconds of faults, the next run may have."""
        now = asyncio.get_running_loop().time()
        self.seconds = min(ALLOWANCE_S, self.seconds + (now - self.at) * REFILL)
        self.at = now
        if not self.suspended:
            return MAX_FAULTS - self.faults, self.seconds
        if now < self.probe_at:
            return 0, self.seconds
        self.probe_at = now + self.probe_s
        return 1, ALLOWANCE_S

    def exceed(self, fault: str, seconds: float) -> None:
        """Note a call that used too much CPU time. MAX_FAULTS in a row suspend the codec."""
        self.seconds -= seconds
        self.quick = False
        self.faults += 1
        self.fault = fault
        if self.faults >= MAX_FAULTS:
            self.suspend(fault)

    def suspend(self, fault: str) -> None:
        if not self.suspended:
            self.probe_at = asyncio.get_running_loop().time() + self.probe_s
        self.suspended, self.fault, self.quick = True, fault, False

    def answered(self, seconds: float) -> None:
        self.suspended, self.faults, self.fault = False, 0, ""
        self.heavy = self.heavy + 1 if seconds > HEAVY_S else 0
        if not self.heavy:
            self.quick = True
        elif self.quick is not False:
            self.quick = seconds <= QUICK_S and self.heavy < MAX_HEAVY
