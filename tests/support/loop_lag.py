"""CPU time that single callbacks of the event loop use: other work waits for as long."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

LIMIT_S = 0.1


@contextmanager
def loop_stays_free(limit_s: float = LIMIT_S) -> Iterator[None]:
    """Check that no callback of asyncio's own event loop uses more CPU time of its thread.

    A callback is one read of a socket, or one step of a task. Time that the thread waits for a processor, or that other
    threads use, does not count. Code under test must run in the loop; a hostile client belongs in another thread.
    """
    assert type(asyncio.get_running_loop()).__module__.startswith("asyncio."), "uvloop has its own handles"
    longest, culprit = 0.0, ""
    run = asyncio.Handle._run

    def measured(handle: asyncio.Handle) -> None:
        nonlocal longest, culprit
        began = time.thread_time()
        run(handle)
        if (took := time.thread_time() - began) > longest:
            longest, culprit = took, repr(handle)

    gc.collect()
    gc.disable()  # a collection of the objects of other threads would count for the loop
    asyncio.Handle._run = measured  # type: ignore[method-assign]
    try:
        yield
    finally:
        gc.enable()
        asyncio.Handle._run = run  # type: ignore[method-assign]
    assert longest <= limit_s, f"{longest * 1000:.0f} ms of CPU time in {culprit}"
