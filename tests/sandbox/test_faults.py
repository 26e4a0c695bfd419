"""Whose fault it is when a call gets no answer: the codec's, its worker's, or that of other calls."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psutil

from baylight.codecs.ts013.calls import Answer, decode_call
from baylight.errors import DeviceDataError, TransientError
from baylight.sandbox.pool import Sandbox
from tests.support.eventually import until
from tests.support.sandbox import AT, GOOD, call

SLOW = Path(__file__).parents[1].joinpath("support", "slow_codec.js").read_text("utf-8")
LOOP = call("function decodeUplink() { for (;;); }", id="loops")


def stop(sandbox: Sandbox, with_signal: int) -> None:
    for pid in sandbox.pids:
        os.kill(pid, with_signal)


async def test_a4_an_honest_slow_codec_is_never_suspended(sandbox: Sandbox) -> None:
    calls = [call(SLOW, id="slow", data=bytes([n % 2])) for n in range(200)]
    outcomes = await sandbox.run(calls)
    answers = sum(isinstance(outcome, Answer) for outcome in outcomes)
    assert answers >= 190, "a processor that others use may need 4 times as long for a call"
    assert sandbox.suspended() == {}


async def test_a4_a_stopped_worker_is_not_the_codecs_fault(sandbox: Sandbox) -> None:
    await sandbox.run([call(SLOW, id="slow")])
    stop(sandbox, signal.SIGSTOP)
    outcomes = await sandbox.run([call(SLOW, id="slow")] * 3)
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert sandbox.suspended() == {}


async def test_a4_a_run_ends_in_its_time_while_a_worker_is_stopped(sandbox: Sandbox) -> None:
    await sandbox.run([call(SLOW, id="slow")])
    stop(sandbox, signal.SIGSTOP)
    began = asyncio.get_running_loop().time()
    outcomes = await sandbox.run([call(SLOW, id="slow")] * 3, within_s=0.5)
    assert asyncio.get_running_loop().time() - began < 3
    assert [o.code for o in outcomes if isinstance(o, TransientError)] == ["codec_late"] * 3
    assert isinstance((await sandbox.run([call(SLOW, id="slow")]))[0], Answer)


async def test_a4_a_worker_killed_again_and_again_is_not_the_codecs_fault(sandbox: Sandbox) -> None:
    slow = "function decodeUplink(i) { var t = Date.now(); while (Date.now() - t < 60); return { data: i.bytes[0] }; }"
    running = asyncio.create_task(sandbox.run([call(slow, id="slow")] * 10))
    killed: set[int] = set()

    def kill() -> bool:
        for pid in set(sandbox.pids) - killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        return len(killed) >= 6 or running.done()

    await until(kill)
    for outcome in await running:
        assert isinstance(outcome, Answer) or (isinstance(outcome, TransientError) and outcome.code == "codec_late")
    assert sandbox.suspended() == {}


async def test_a4_calls_beyond_the_time_of_a_run_are_late_and_the_others_answered(sandbox: Sandbox) -> None:
    await sandbox.run([call(SLOW, id="slow")])
    outcomes = await sandbox.run([call(SLOW, id="slow")] * 100, within_s=0.5)
    answered = [isinstance(outcome, Answer) for outcome in outcomes]
    assert answered[0]
    assert answered == sorted(answered, reverse=True)
    assert all(o.code == "codec_late" for o in outcomes if isinstance(o, TransientError))


async def test_a4_a_busy_sandbox_makes_a_run_late_and_blames_nobody(sandbox: Sandbox) -> None:
    await sandbox.run([call(SLOW, id="slow")])
    long = asyncio.create_task(sandbox.run([call(SLOW, id="slow")] * 40))
    await asyncio.wait([long], timeout=0.01)
    (outcome,) = await sandbox.run([decode_call(GOOD, 10, b"\x01", AT)], within_s=0.05)
    assert isinstance(outcome, TransientError)
    assert outcome.code == "codec_late"
    assert len(await long) == 40


async def test_a4_a_codec_that_loops_three_times_is_suspended_and_says_why(sandbox: Sandbox) -> None:
    outcomes = await sandbox.run([LOOP] * 5)
    codes = [o.code for o in outcomes if isinstance(o, DeviceDataError | TransientError)]
    assert codes == ["codec_timeout"] * 3 + ["codec_suspended"] * 2
    assert "100 ms" in sandbox.suspended()["loops"]


async def test_a4_a_suspension_ends_with_an_answer() -> None:
    source = "function decodeUplink(i) { if (i.bytes[0]) for (;;); return { data: 1 }; }"
    bad, good = call(source, id="both", data=b"\x01"), call(source, id="both", data=b"\x00")
    sandbox = Sandbox(workers=1, probe_s=0)
    try:
        await sandbox.run([bad] * 3)
        assert "both" in sandbox.suspended()
        assert await sandbox.run([good, good]) == [Answer(1)] * 2
        assert sandbox.suspended() == {}
    finally:
        await sandbox.close()


async def test_a4_another_version_of_a_suspended_codec_runs_at_once(sandbox: Sandbox) -> None:
    await sandbox.run([LOOP] * 3)
    assert await sandbox.run([call("function decodeUplink() { return { data: 1 }; }", id="loops2")]) == [Answer(1)]


def _cpu_s(sandbox: Sandbox) -> float:
    """Return the CPU seconds of the worker."""
    (pid,) = sandbox.pids
    return sum(psutil.Process(pid).cpu_times()[:2])


async def test_c7_many_looping_codecs_do_not_delay_quick_ones(sandbox: Sandbox) -> None:
    good, unknown = call(GOOD.source, id="good"), call(GOOD.source, id="unknown")
    loops = [call("function decodeUplink() { for (;;); }", id=f"loop {n}") for n in range(60)]
    await sandbox.run([good] * 5)
    calls = [*loops[:30], good, *loops[30:], unknown]

    outcomes = await sandbox.run(calls, quick_s=1)
    assert isinstance(outcomes[30], Answer)  # although 30 loops stand before it
    assert {o.code for o in outcomes if isinstance(o, TransientError)} == {"codec_late"}
    assert 1 <= len(sandbox.slow()) <= 21  # the others did not run

    runs = 1
    while not isinstance(outcomes[-1], Answer):
        outcomes = await sandbox.run(calls, quick_s=1)
        assert isinstance(outcomes[30], Answer)
        runs += 1
    assert runs <= 12
    assert len(sandbox.slow()) == 60
    before = _cpu_s(sandbox)
    assert sum(isinstance(o, Answer) for o in await sandbox.run(calls, quick_s=1)) == 2
    assert _cpu_s(sandbox) - before < 0.2  # no loop runs any more
    assert sandbox.suspended() == {}


async def test_c7_a_slow_codec_is_quick_again_after_a_quick_answer(sandbox: Sandbox) -> None:
    source = "function decodeUplink(i) { if (i.bytes[0]) for (;;); return { data: 1 }; }"
    bad, fine = call(source, data=b"\x01"), call(source, data=b"\x00")
    late = await sandbox.run([bad, fine], quick_s=1)
    assert [o.code for o in late if isinstance(o, TransientError)] == ["codec_late"] * 2
    assert list(sandbox.slow()) == ["tried"]
    assert isinstance((await sandbox.run([fine], quick_s=1))[0], TransientError)
    assert all(isinstance(outcome, Answer) for outcome in await sandbox.run([fine] * 5))  # the first makes a context
    assert isinstance((await sandbox.run([fine], quick_s=1))[0], Answer)


async def test_c7_calls_of_a_heavy_codec_end_the_wait_of_a_batch(sandbox: Sandbox) -> None:
    calls = [call(SLOW, id="heavy", data=bytes([n % 2])) for n in range(100)]
    await sandbox.run([call(GOOD.source, id="good")] * 5)
    outcomes = await sandbox.run([*calls, call(GOOD.source, id="good")], quick_s=10)
    assert isinstance(outcomes[-1], Answer)
    assert sum(isinstance(o, Answer) for o in outcomes) <= 11  # 26 ms each, 50 ms together
    assert list(sandbox.slow()) == ["heavy"]
    await sandbox.run(calls[:3])
    assert list(sandbox.slow()) == ["heavy"]
