"""Process of a worker as the pool sees it: it starts, receives calls, sends outcomes, and ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

import msgspec

from baylight.sandbox import walls

START_TIMEOUT_S = 30.0
"""Seconds within which a worker must start. One that does not is ended: it is stalled."""
EXIT_TIMEOUT_S = 1.0
"""Seconds in which a worker that closed its output may end."""
MAX_FRAME = 1 << 20
"""Bytes of a frame that a worker may send. An answer has at most 32,768 characters."""
ENDLESS_S = float("inf")
"""Seconds of a wait without an end."""


class BadFrameError(Exception):
    """A worker sends what is no frame of the right kind: perhaps native code of a codec has control of it."""


class WorkerProcess:
    """Process that runs `module`, or none. `walls`: as it reported them, with the reason why one does not hold."""

    def __init__(self, module: str) -> None:
        self.walls: dict[str, str] = {}
        self._module = module
        self._process: asyncio.subprocess.Process | None = None
        self._first = msgspec.msgpack.Decoder(dict[str, str])
        self._decoder = msgspec.msgpack.Decoder(tuple[str, str, float])

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self, within_s: float) -> bool:
        """Start the process unless it runs. Return False if it has not started in time: it goes on to start.

        Raises OSError, EOFError, TimeoutError or BadFrameError.
        """
        if self._starting is None:
            if self._process is not None and self._process.returncode is None:
                return True
            self._starting = asyncio.create_task(self._begin_again())
        done, _ = await asyncio.wait({self._starting}, timeout=None if within_s == ENDLESS_S else within_s)
        if not done:
            return False
        task, self._starting = self._starting, None
        task.result()
        return True

    async def _begin_again(self) -> None:
        try:
            await self._begin()
        except EOFError:  # it was killed while it started, and another one may start
            await self._begin()

    async def _begin(self) -> None:
        self.kill()
        hidden = walls.hide()
        # Our own environment contains secrets that no codec may read.
        environment = {
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TZ": "UTC",
        }
        if "SYSTEMROOT" in os.environ:
            environment["SYSTEMROOT"] = os.environ["SYSTEMROOT"]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is only for our own process
        )
        try:
            built = self._first.decode(await self._read(START_TIMEOUT_S))
            self.walls = built | {walls.HIDDEN_PARENT: hidden}
        except msgspec.MsgspecError as error:
            self.kill()
            raise BadFrameError(f"its first frame is no list of walls: {error}") from None
        except BaseException:
            self.kill()
            raise

    def send(self, batch: bytes) -> None:
        """Write without waiting until the worker has read all, for the worker may itself wait until we read."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(batch)

    async def next(self, timeout_s: float) -> tuple[str, str, float]:
        """Return the next outcome. Raises EOFError if the worker ended, TimeoutError if it sends nothing."""
        try:
            return self._decoder.decode(await self._read(timeout_s))
        except msgspec.MsgspecError:
            raise BadFrameError from None

    def kill(self) -> None:
        """End the process without waiting. Idempotent."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process, self._killed = None, self._process

    async def exit_code(self) -> int | None:
        """Return the exit code of a process that closes its output. One that does not end is killed."""
        process = self._process
        if process is None:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EXIT_TIMEOUT_S):
                await process.wait()
        self.kill()
        return await process.wait()

    async def close(self) -> None:
        """Kill the process, also one that starts, and wait for its end."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait({self._starting})
            self._starting = None
        self.kill()
        if self._killed is not None:
            await self._killed.wait()

    _killed: asyncio.subprocess.Process | None = None
    _starting: asyncio.Task[None] | None = None

    async def _read(self, timeout_s: float) -> bytes:
        """Return the next frame. Raises EOFError, TimeoutError, BadFrameError."""
        assert self._process is not None
        assert self._process.stdout is not None
        stdout = self._process.stdout
        try:
            async with asyncio.timeout(timeout_s):
                length = int.from_bytes(await stdout.readexactly(4), "big")
                if length > MAX_FRAME:
                    raise BadFrameError(f"a frame of {length} bytes")
                return await stdout.readexactly(length)
        except asyncio.IncompleteReadError:
            raise EOFError("the worker process ended") from None
