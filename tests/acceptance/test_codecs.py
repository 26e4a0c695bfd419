"""JavaScript codecs from the car to the light, while their worker processes are stopped and killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable

import pytest

from baylight.app.program import Program
from baylight.js_codecs import versions
from baylight.sandbox.pool import Sandbox
from baylight.store.pool import Pool
from tests.support.change import by
from tests.support.clock import RealClock
from tests.support.eventually import eventually, until
from tests.support.stage import GREEN, RED, Stage

SOURCE = "function decodeUplink(i) { return { data: { occupied: (i.bytes[0] & 1) === 1 } }; }"
MAPPING = {"field": "occupied", "occupied": [True], "free": [False], "f_ports": [102]}
EXAMPLES = [
    {"input": {"bytes": "01fb3a0000280400", "fPort": 102}, "output": {}, "occupancy": "OCCUPIED"},
    {"input": {"bytes": "00fb3a0000280400", "fPort": 102}, "output": {}, "occupancy": "FREE"},
]
STOPPED_S = 4


async def use_codec(pool: Pool, dev_eui: str) -> None:
    """Let a sensor decode by a JavaScript codec."""
    sandbox = Sandbox(workers=1)
    try:
        async with pool.acquire() as connection:
            change = by(connection, now=RealClock().now())
            await versions.create_codec(change, "eye", SOURCE, mapping=MAPPING, examples=EXAMPLES)
            await versions.activate_codec(change, sandbox, "eye", 1)
    finally:
        await sandbox.close()
    await pool.execute("UPDATE sensor_devices SET payload_decoder = 'js:eye' WHERE dev_eui = $1", dev_eui)


def send(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        os.kill(pid, number)


def still_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
async def test_a4_a_car_is_shown_although_the_sandbox_is_stopped_or_killed(stage: Stage, number: int) -> None:
    bay = next(bay for bay in stage.bays if bay.sensor_type == "browan_tbms100")
    await use_codec(stage.pool, bay.sensor_eui)
    async with stage.program() as program:
        await stage.begin()
        assert program.sandbox.pids
        halted = program.sandbox.pids
        send(halted, number)
        await stage.park.arrive(bay.code)
        await _wait_and_continue(program, halted, number)
        await stage.shows(bay, RED)
        await stage.all_proven()
        await stage.park.leave(bay.code)
        await stage.shows(bay, GREEN)
    await eventually(
        stage.pool, "SELECT count(*) FROM uplinks WHERE outcome IN ('to_decode', 'not_decodable')", equals=0
    )
    assert await stage.pool.fetchval("SELECT count(*) FROM conditions WHERE kind = 'codec_suspended'") == 0


async def _wait_and_continue(program: Program, halted: list[int], number: int) -> None:
    """Continue what was stopped after STOPPED_S, unless the program has ended it."""
    if number != signal.SIGSTOP:
        return
    began = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() - began > STOPPED_S)
    send((pid for pid in program.sandbox.pids if pid in halted and still_there(pid)), signal.SIGCONT)
