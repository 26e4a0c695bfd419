"""Callers of the API that do not read their responses: no light waits for them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack

import httpx
import pytest

from baylight.access import keys
from baylight.api.resources import bulk
from baylight.app import connections
from baylight.store import pool as store_pool
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


@pytest.mark.parametrize("path", ["/api/v1/export/spaces", "/api/v1/spaces?limit=500"])
async def test_f4_callers_that_do_not_read_hold_no_connection(
    stage: Stage, key: str, callers: ExitStack, path: str
) -> None:
    async with stage.program(database_pool_size=CONNECTIONS) as program:
        await stage.begin()
        for _ in range(6 * CONNECTIONS):
            callers.enter_context(_request(program.http_port, key, path))
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{program.http_port}", headers=headers) as client:

            async def answers() -> bool:
                answer = await client.get("/api/v1/locations", timeout=20)
                assert answer.status_code in (200, 503), answer.text  # 503 while the exports are made
                return answer.status_code == 200

            await until(answers, "no connection becomes free")
            await until(lambda: program.api_pool.get_idle_size() == program.api_pool.get_size(), "connections are held")
            assert (await client.get("/health/ready")).status_code == 200
        await stage.park.arrive(stage.bays[0].code)
        await stage.shows(stage.bays[0], RED)
        callers.close()


async def test_f4_each_wait_for_a_connection_is_bounded_and_readiness_knows(
    stage: Stage, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_pool, "ACQUIRE_S", 0.5)
    async with stage.program(database_pool_size=CONNECTIONS) as program, AsyncExitStack() as used:
        for _ in range(CONNECTIONS):
            await used.enter_async_context(program.api_pool.acquire())
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{program.http_port}", headers=headers) as client:
            for path in ("/api/v1/spaces", "/api/v1/export/spaces", "/metrics", "/api/v1/events"):
                answer = await client.get(path)
                assert (answer.status_code, "retry-after" in answer.headers) == (503, True), path
            assert (await client.get("/health/ready")).status_code == 503
            await used.aclose()
            assert (await client.get("/health/ready")).status_code == 200


async def test_f4_exports_are_bounded_and_a_caller_that_does_not_read_is_disconnected(
    stage: Stage, key: str, callers: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "STALLED_S", 3)
    monkeypatch.setattr(bulk, "MAX_EXPORTS", 2)
    async with stage.program(database_pool_size=CONNECTIONS) as program:
        for _ in range(2):
            caller = callers.enter_context(_request(program.http_port, key, "/api/v1/export/spaces"))
            await asyncio.to_thread(caller.recv, 1)
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{program.http_port}", headers=headers) as client:

            async def status() -> int:
                return (await client.get("/api/v1/export/locations")).status_code

            async def refused() -> bool:
                return await status() == 503

            async def accepted() -> bool:
                return await status() == 200

            await until(refused)
            await until(accepted, "still being written", every_s=0.2)


def _request(port: int, key: str, path: str) -> socket.socket:
    caller = socket.socket()
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    caller.connect(("127.0.0.1", port))
    caller.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode("ascii"))
    return caller
