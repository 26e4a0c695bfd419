"""The HTTP server, with bounds on what a caller may send, for how long, and on how many connections.

uvicorn bounds none of these. A caller that is slow or sends no end costs one connection, for a bounded time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
"""Bytes of a request's first line and headers, or of what stands between two parts of its body."""
MAX_ADDRESS_BYTES = 16 * 1024
MAX_FIELDS = 200
"""Headers of a request, with those after its body."""
MAX_PIPELINED = 16
"""Requests that wait on a connection for the answer to the one before."""
REQUEST_S = 10.0
"""Seconds from the first byte to the end of the headers, and then longest time that a body is behind its pace."""
PACE = 1024
"""Bytes of a body in a second, at least."""
MAX_CONNECTIONS = 500
"""Connections of a process. The files that it may open are often 1024."""
_READ_BYTES = 16 * 1024
"""Bytes that are parsed at once. Other work of the event loop waits meanwhile."""


class Protocol(HttpToolsProtocol, asyncio.BufferedProtocol):
    """One connection. `overdue_at`: time of the loop at which its request must be complete; None while it is."""

    overdue_at: float | None = None

    # uvicorn narrows the transport, and asyncio.BufferedProtocol does not.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._read = memoryview(bytearray(_READ_BYTES))
        self._status = 400
        self._in_head, self._progress, self._silent = True, False, 0
        self.overdue_at = self.loop.time() + REQUEST_S
        self._check = self.loop.call_later(REQUEST_S, self._check_time)
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._check.cancel()
        super().connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._read

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what was read. Bytes that give no part of a request add up to a bounded number."""
        self._progress = False
        self.data_received(bytes(self._read[:nbytes]))
        self._silent = 0 if self._progress else self._silent + nbytes
        if self._silent > MAX_HEAD_BYTES:
            self._end(431)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self.overdue_at is None or self.cycle is not None:
            self.overdue_at = self.loop.time() + REQUEST_S

    def on_url(self, url: bytes) -> None:
        if len(self.url) + len(url) > MAX_ADDRESS_BYTES:
            self._refuse(414)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= MAX_FIELDS:
            self._refuse(431)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEAD_BYTES or len(self.pipeline) >= MAX_PIPELINED:
            self._refuse(431)
        super().on_headers_complete()
        self._in_head, self._progress = False, True
        self.overdue_at = self.loop.time() + REQUEST_S

    def on_body(self, body: bytes) -> None:
        self._progress = True
        if self.overdue_at is not None and not self.cycle.response_complete:
            self.overdue_at = min(self.overdue_at + len(body) / PACE, self.loop.time() + REQUEST_S)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head, self._progress, self.overdue_at = True, True, None
        super().on_message_complete()
        if self.cycle.response_complete:
            self.overdue_at = self.loop.time() + REQUEST_S

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.overdue_at is None and self.cycle.response_complete:
            self.overdue_at = self.loop.time() + REQUEST_S

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, or beyond a bound."""
        self._end(self._status)

    def _refuse(self, status: int) -> None:
        self._status = status
        raise ValueError  # ends the parser, which calls send_400_response

    def _check_time(self) -> None:
        now = self.loop.time()
        if self.flow.read_paused:
            self.overdue_at = now + REQUEST_S  # the delay is ours
        if self.overdue_at is not None and self.overdue_at <= now:
            self._end(408)
        else:
            self._check = self.loop.call_at(self.overdue_at or now + REQUEST_S, self._check_time)

    def _end(self, status: int) -> None:
        """End the connection, with an answer if that is still possible."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.transport.get_write_buffer_size() or (answering and (self._in_head or self.cycle.response_started)):
            self.transport.abort()
            return
        after = b"retry-after: 2\r\n" if status == 503 else b""
        self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\n" + after + b"connection: close\r\n\r\n")
        self.transport.close()

    def _make_room(self) -> None:
        """End the connection whose request is overdue first, if there are too many; this one if all others are served.

        So callers that never complete a request do not keep out others.
        """
        if len(self.connections) <= MAX_CONNECTIONS:
            return
        ours = [one for one in self.connections if isinstance(one, Protocol)]
        connected = [one for one in ours if not one.transport.is_closing()]
        if len(connected) > MAX_CONNECTIONS:
            min(connected, key=lambda one: one.overdue_at or float("inf"))._end(503)


class Server(uvicorn.Server):
    """HTTP server that leaves signals to the program, which stops all its parts in order."""

    def __init__(self, app: Any) -> None:
        super().__init__(
            uvicorn.Config(app, http=Protocol, ws="none", log_config=None, access_log=False, lifespan="on")
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
