"""Callers of the API that do not read their responses: no light waits for them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from baylight.access import keys
from baylight.app import connections
from baylight.app import program as app
from tests.support.change import by
from tests.support.eventually import until
from tests.support.stage import RED, Stage

CONNECTIONS = 2


@pytest.fixture
async def key(stage: Stage) -> str:
    """Return a key that may only read, for a database whose export is larger than the buffers of sockets."""
    await stage.pool.execute(
        "INSERT INTO spaces (code, name) SELECT 'X-' || n, repeat('x', 90) FROM generate_series(1, 60000) AS n"
    )
    async with stage.pool.acquire() as connection:
        return (await keys.create_key(by(connection, actor="test"), "reader", ["read"]))[1]


@pytest.fixture
def callers() -> Iterator[ExitStack]:
    with ExitStack() as callers:
        yield callers


async def test_exports_that_no_caller_reads_delay_no_light(stage: Stage, key: str, callers: ExitStack) -> None:
    """An export reads one snapshot, so it keeps its connection to the database until its caller has read all."""
    async with stage.program(database_pool_size=CONNECTIONS) as program:
        await stage.begin()
        for _ in range(2 * CONNECTIONS):
            callers.enter_context(_export(program.http_port, key))
        await until(lambda: _all_in_use(program))
        await stage.park.arrive(stage.bays[0].code)
        await stage.shows(stage.bays[0], RED)
        assert _all_in_use(program)
        callers.close()


async def test_a_caller_that_does_not_read_for_long_is_disconnected(
    stage: Stage, key: str, callers: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "STALLED_S", 3)
    async with stage.program(database_pool_size=CONNECTIONS) as program:
        for _ in range(CONNECTIONS):
            callers.enter_context(_export(program.http_port, key))
        await until(lambda: _all_in_use(program))
        await until(lambda: program.api_pool.get_idle_size() == program.api_pool.get_size(), "still being written")


def _all_in_use(program: app.Program) -> bool:
    return program.api_pool.get_size() == CONNECTIONS and not program.api_pool.get_idle_size()


def _export(port: int, key: str) -> socket.socket:
    caller = socket.socket()
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    caller.connect(("127.0.0.1", port))
    caller.sendall(
        f"GET /api/v1/export/spaces HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode("ascii")
    )
    return caller
