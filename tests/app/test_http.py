"""Callers that send too much, too slowly, or never finish: the server ends them, and serves the others meanwhile."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack
from itertools import repeat

import httpx
import pytest

from baylight.app import http
from baylight.store.pool import Pool
from tests.support.eventually import until
from tests.support.loop_lag import loop_stays_free
from tests.support.servers import Database
from tests.support.site import Site, serving, site_on

SOON_S = 5.0
MUCH = 8 * 1024 * 1024
"""Bytes that a hostile caller sends if it is not stopped."""
BEGIN = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"POST /inbound/chirpstack HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
UPLOAD = b"POST /api/v1/import/spaces HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "header value": (BEGIN + b"X: ", b"a" * 1000),
    "header name": (BEGIN, b"a" * 1000),
    "small headers": (BEGIN, b"a:b\r\n" * 200),
    "folded header": (BEGIN + b"X: a\r\n", b" a\r\n" * 200),
    "address": (b"GET /", b"a" * 1000),
    "query": (b"GET /health/live?", b"a=b&" * 250),
    "method": (b"", b"G" * 1000),
    "blank lines": (b"", b"\r\n" * 500),
    "chunk extension": (CHUNKED + b"1;", b"a" * 1000),
    "trailers": (CHUNKED + b"0\r\n", b"a:b\r\n" * 200),
    "trailer value": (CHUNKED + b"0\r\nX: ", b"a" * 1000),
    "chunks of one byte": (UPLOAD, b"1\r\na\r\n" * 200),
    "body after its answer": (
        b"POST /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
        b"a" * 1000,
    ),
    "requests without waiting": (b"", (BEGIN + b"\r\n") * 20),
}
LARGE = {
    "many parameters": b"GET /health/live?" + b"a&" * 7000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "many cookies": BEGIN + b"Cookie: " + b"a=b;" * 15000 + b"\r\n\r\n",
    "percent signs": b"GET /api/v1/spaces/" + b"%2f" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "slashes": b"GET /api/v1/spaces/" + b"/" * 15000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a key": BEGIN + b"Authorization: " + b"Bearer " * 9000 + b"\r\n\r\n",
    "a long header": BEGIN + b"X-Request-ID: " + b"a" * 65000 + b"\r\n\r\n",
}
HALF = {
    "nothing": b"",
    "half a line": b"GET /hea",
    "no end of the headers": BEGIN,
    "no body": UPLOAD,
    "no body, the answer has come": CHUNKED,
    "half a body": UPLOAD + b"5\r\nab",
    "blank lines after an answer": BEGIN + b"\r\n\r\n",
    "a second half after an answer": BEGIN + b"\r\n" + BEGIN,
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a web socket": BEGIN + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
}


@pytest.fixture
def site(pool: Pool, database: Database) -> Site:
    return site_on(database, pool)


@pytest.fixture
async def port(site: Site) -> AsyncIterator[int]:
    """Port of a server whose routes are built: the framework does that at the first request."""
    async with serving(site.app) as address:
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{address}/api/v1/nothing")).status_code == 404
        yield int(address.rpartition(":")[2])


@pytest.fixture
def callers() -> Iterator[ExitStack]:
    with ExitStack() as callers:
        yield callers


@pytest.mark.parametrize("what", ENDLESS)
async def test_f1_endless_input_ends_and_leaves_the_loop_free(port: int, what: str) -> None:
    begin, part = ENDLESS[what]
    with loop_stays_free():
        sent = await asyncio.to_thread(_send, port, [begin, *repeat(part, MUCH // len(part))])
    if what != "chunks of one byte":  # an upload may be that large
        assert sent < MUCH, "it was never ended"


@pytest.mark.parametrize("what", LARGE)
async def test_f1_a_large_request_is_answered_and_leaves_the_loop_free(port: int, what: str) -> None:
    with loop_stays_free():
        assert (await asyncio.to_thread(_answer, port, LARGE[what])).startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize("header", ["X: " + "a" * http.MAX_HEAD_BYTES, "\r\n".join(["a:b"] * (http.MAX_FIELDS + 1))])
async def test_f1_headers_beyond_the_bound_are_refused(port: int, header: str) -> None:
    answer = await asyncio.to_thread(_answer, port, BEGIN + header.encode() + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"connection: close" in answer


async def test_f1_an_address_beyond_the_bound_is_refused(port: int) -> None:
    line = b"GET /" + b"a" * http.MAX_ADDRESS_BYTES + b" HTTP/1.1\r\n\r\n"
    assert (await asyncio.to_thread(_answer, port, line)).startswith(b"HTTP/1.1 414 ")


@pytest.mark.parametrize("what", HALF)
async def test_f1_a_half_sent_request_ends(port: int, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_S", 1.0)
    assert await asyncio.to_thread(_open_for, port, HALF[what], b"") < SOON_S


@pytest.mark.parametrize("begin", [b"GET / HTTP/1.1\r\nX: ", UPLOAD + b"fffff\r\n", CHUNKED + b"fffff\r\n"])
async def test_f1_a_request_that_trickles_ends(port: int, begin: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_S", 1.0)
    assert await asyncio.to_thread(_open_for, port, begin, b"a") < SOON_S


async def test_f1_a_half_sent_request_is_answered_408(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_S", 1.0)
    assert (await asyncio.to_thread(_answer, port, BEGIN)).startswith(b"HTTP/1.1 408 ")


async def test_f1_a_steady_upload_may_last(site: Site, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_S", 1.0)

    async def body() -> AsyncIterator[bytes]:
        yield b"code\n"
        for number in range(12):
            await asyncio.sleep(0.2)
            yield f"A-{number},{'x' * 300}\n".encode()

    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {await site.key('write')}"}) as client:
        answer = await client.post(f"http://127.0.0.1:{port}/api/v1/import/spaces", content=body())
    assert answer.status_code == 422  # it was read to its end


async def test_f1_half_sent_requests_leave_room_for_others(
    port: int, callers: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 50)
    for n in range(200):
        caller = callers.enter_context(socket.create_connection(("127.0.0.1", port)))
        caller.sendall((BEGIN, UPLOAD, b"")[n % 3])
        await asyncio.sleep(0)
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/health/live", timeout=SOON_S)).status_code == 200


async def test_f1_connections_are_bounded(
    site: Site, port: int, callers: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams that are under way are not ended for new callers."""
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 5)
    key = await site.key("read")
    request = f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    for _ in range(5):
        callers.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(request)
    await until(lambda: site.app.state.hub.watchers == 5)
    answer = await asyncio.to_thread(_answer, port, b"")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: " in answer
    assert site.app.state.hub.watchers == 5


def _send(port: int, parts: Iterable[bytes]) -> int:
    """Send parts until the server ends the connection; return the number of bytes."""
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=20) as caller:
        try:
            for part in parts:
                caller.sendall(part)
                sent += len(part)
        except OSError:
            pass
    return sent


def _answer(port: int, request: bytes) -> bytes:
    """Return the beginning of the answer to a request."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as caller:
        caller.sendall(request)
        return caller.recv(1000)


def _open_for(port: int, begin: bytes, more: bytes) -> float:
    """Return the seconds until the server ends a connection whose caller sends `more` every 100 ms."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=0.1) as caller:
        caller.sendall(begin)
        while time.monotonic() - began < SOON_S:
            try:
                if not caller.recv(1000):
                    break
            except TimeoutError:
                try:
                    caller.sendall(more)
                except OSError:
                    break
            except OSError:
                break
    return time.monotonic() - began
