"""Middleware for every request: its id, one log line, safe headers, a limit of the body, no traceback in an answer."""

from __future__ import annotations

import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from baylight.api.problems import problem
from baylight.log import logger

MAX_BODY_BYTES = 256 * 1024
MAX_IMPORT_BYTES = 64 * 1024 * 1024
MAX_CODEC_BYTES = 3 * 1024 * 1024
"""A text, a mapping and examples of a codec at their limits. JSON may write a character in three times its bytes."""
CODECS = "/api/v1/codecs/"
IMPORTS = ("/api/v1/import/", "/api/v1/import-tts", "/api/v1/import-delivery")
"""Paths whose bodies are files. A file goes to disk while it is read."""
_OWN_ID = re.compile(r"[A-Za-z0-9._-]{1,50}")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
_log = logger("api")


class Requests:
    """ASGI middleware. It keeps the X-Request-ID of a caller if that is harmless."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        _strip_slash(scope)
        began = time.perf_counter()
        given = Headers(scope=scope).get("x-request-id", "")
        state = scope.setdefault("state", {})
        state["request_id"] = request_id = given if _OWN_ID.fullmatch(given) else uuid4().hex
        method = scope["method"]
        state["head"] = head = method == "HEAD"
        if head:
            # The answer of GET without its body. The server has the original scope.
            scope = {**scope, "method": "GET"}
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            elif head:
                message = {**message, "body": b""}
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._bounded(scope, receive, answer)
            except ClientDisconnect:
                state["problem"] = "disconnected"
            except Exception:
                _log.exception("request_failed", path=scope["path"])
                if status == 0:
                    request = Request(scope)
                    response = problem(request, 500, "internal", "an internal error; the log has the request id")
                    await response(scope, receive, answer)
            finally:
                _log.info(
                    "request",
                    method=method,
                    path=scope["path"],
                    status=status,
                    ms=round((time.perf_counter() - began) * 1000, 1),
                    key=state.get("key"),
                    problem=state.get("problem"),
                )

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        received = 0
        path = scope["path"]
        max_bytes = MAX_BODY_BYTES
        if path.startswith((*IMPORTS, CODECS)):
            max_bytes = MAX_CODEC_BYTES if path.startswith(CODECS) else MAX_IMPORT_BYTES

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > max_bytes:
                raise HTTPException(413, f"a body may have at most {max_bytes} bytes")
            return message

        await self.app(scope, bounded, send)


def _strip_slash(scope: Scope) -> None:
    """Let a path with a slash at its end mean the same route. A redirect would send secrets to the caller's Host.

    An encoded slash belongs to a name, and stays.
    """
    given: bytes = scope.get("raw_path") or scope["path"].encode()
    slashes = len(given) - len(given.rstrip(b"/"))
    if slashes and len(given) > 1:
        scope["path"] = scope["path"][:-slashes] or "/"
        scope["raw_path"] = given[:-slashes] or b"/"
