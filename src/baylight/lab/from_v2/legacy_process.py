"""V2's application in a process of its own, as on a real site: so its waits are those for the database alone.

Lines come by standard input: a `Setup`, then one word of `Word` each. Each is answered by a line with a `Reply`. The
process ends at the end of its input.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum

import msgspec

from baylight.errors import PermanentError
from baylight.lab.from_v2.legacy import Figures, LegacyApplication

_END_S = 10.0


class Word(StrEnum):
    """Word that changes what V2 does, or only asks for its figures."""

    DECIDE = "decide"
    REST = "rest"
    BOOK = "book"
    BOOK_NOTHING = "book nothing"
    ASK = "ask"
    MIGRATION_BEGINS = "migration begins"


class Setup(msgspec.Struct, frozen=True):
    """Setup of V2's application; see LegacyApplication."""

    dsn: str
    broker_host: str
    broker_port: int
    sensors: dict[str, str]
    application_id: str
    seed: int


class Reply(msgspec.Struct, frozen=True):
    """Figures of V2's statements before and since the migration began, and the codes of spaces reserved now."""

    before: Figures
    during: Figures
    reserved: set[str]


class LegacyProcess:
    """Process of V2's application, as its parent sees it."""

    def __init__(self, process: Process) -> None:
        assert process.stdin
        assert process.stdout
        self._input, self._output = process.stdin, process.stdout

    async def do(self, word: Word) -> Reply:
        """Return V2's answer when it has done it."""
        return await self.send(word.encode())

    async def send(self, line: bytes) -> Reply:
        """Send a line and return its answer. Raises PermanentError `v2_ended`."""
        self._input.write(line + b"\n")
        answer = await self._output.readline()
        if not answer:
            raise PermanentError("v2_ended", "the simulated application of V2 has ended")
        return msgspec.json.decode(answer, type=Reply)


@asynccontextmanager
async def legacy_process(setup: Setup) -> AsyncIterator[LegacyProcess]:
    """Run V2's application; end it at the end. It does not get a Ctrl-C of the terminal."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", __name__, stdin=PIPE, stdout=PIPE, start_new_session=True, limit=1 << 20
    )  # fmt: skip
    try:
        running = LegacyProcess(process)
        await running.send(msgspec.json.encode(setup))
        yield running
    finally:
        assert process.stdin
        process.stdin.close()
        try:
            async with asyncio.timeout(_END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _serve() -> None:
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    setup = msgspec.json.decode(await lines.readline(), type=Setup)
    v2 = LegacyApplication(setup.dsn, setup.sensors, setup.application_id, seed=setup.seed)
    async with v2.at_work(setup.broker_host, setup.broker_port):
        _reply(v2)
        while word := (await lines.readline()).decode().strip():
            await _obey(v2, Word(word))
            _reply(v2)


async def _obey(v2: LegacyApplication, word: Word) -> None:
    match word:
        case Word.DECIDE:
            await v2.begin_deciding()
        case Word.REST:
            await v2.end_deciding()
        case Word.BOOK | Word.BOOK_NOTHING:
            v2.booking = word is Word.BOOK
        case Word.MIGRATION_BEGINS:
            v2.phase = "during"
        case Word.ASK:
            pass


def _reply(v2: LegacyApplication) -> None:
    now = time.monotonic()
    reserved = {code for code, until in v2.booked.items() if until > now}
    reply = Reply(v2.figures["before"], v2.figures["during"], reserved)
    print(msgspec.json.encode(reply).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
