"""The live page: files that need nothing from another server. Its data comes from the API, with a key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources

from fastapi import APIRouter, Response

_MODULES = ("live", "stream", "tiles", "actuations", "dialog", "elements", "words", "api")
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/live.css": ("live.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
} | {f"/{name}.js": (f"{name}.js", "text/javascript; charset=utf-8") for name in _MODULES}
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def router() -> APIRouter:
    """Return the routes of the page's files. They need no key, because the files contain no data."""
    found = APIRouter(include_in_schema=False)
    for path, (name, kind) in FILES.items():
        content = (resources.files("baylight.web") / name).read_bytes()
        found.add_api_route(path, _answer(content, kind), methods=["GET"])
    return found


def _answer(content: bytes, kind: str) -> Callable[[], Awaitable[Response]]:
    async def answer() -> Response:
        return Response(content, headers=_HEADERS, media_type=kind)

    return answer
