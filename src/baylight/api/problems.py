"""Errors as application/problem+json (RFC 9457). `type` is stable: `urn:baylight:problem:<code>`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Match

from baylight.errors import BaylightError, InputError, TransientError
from baylight.store.connect import BAD_VALUE, RETRY, database_away

RETRY_AFTER_S = 2
CODES = {
    HTTPStatus.BAD_REQUEST: "bad_request",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
}
"""Codes of the errors that the framework raises. The phrases of the standard library change with its version."""


class Refused(Exception):
    """A request that is refused before it reaches a service."""

    def __init__(self, status: int, code: str, detail: str, **facts: object) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.facts = status, code, detail, facts


class FieldError(BaseModel):
    """A field of a request that is wrong."""

    field: str
    message: str


class ProblemBody(BaseModel):
    """A problem (RFC 9457). `errors`: one entry for each wrong field. `request_id` is also in the log.

    `report`: the report of an import.
    """

    type: str
    title: str
    status: int
    detail: str
    request_id: str | None = None
    facts: dict[str, Any] | None = None
    errors: list[FieldError] | None = None
    report: dict[str, Any] | None = None


RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "a problem (RFC 9457)",
        "model": ProblemBody,
    }
}


def problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    facts: Mapping[str, object] | None = None,
    errors: list[dict[str, str]] | None = None,
    report: object = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return an answer with a problem, and note its code for the log."""
    request.state.problem = code
    body: dict[str, Any] = {
        "type": f"urn:baylight:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": getattr(request.state, "request_id", None),
    }
    if facts:
        body["facts"] = {name: _plain(value) for name, value in facts.items()}
    if errors:
        body["errors"] = errors
    if report is not None:
        body["report"] = jsonable_encoder(report)
    return JSONResponse(body, status, headers, "application/problem+json")


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    headers = {"WWW-Authenticate": 'Bearer realm="baylight"'} if error.status == 401 else {}
    if "retry_after_s" in error.facts:
        headers = {"Retry-After": str(error.facts["retry_after_s"])}
    return problem(request, error.status, error.code, error.detail, facts=error.facts, headers=headers)


async def _ours(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, InputError):
        return problem(request, error.status, error.code, error.message, facts=error.facts)
    if isinstance(error, TransientError):
        wait = max(1, round(error.retry_after_s or RETRY_AFTER_S))
        return problem(request, 503, error.code, error.message, headers={"Retry-After": str(wait)})
    raise error


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"field": ".".join(str(part) for part in one["loc"]), "message": str(one["msg"])} for one in error.errors()
    ]
    return problem(request, 422, "invalid_request", "the request has wrong or unknown fields", errors=errors)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = CODES.get(HTTPStatus(error.status_code), "bad_request")
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_methods(request))}
    return problem(request, error.status_code, code, str(error.detail), headers=headers)


def _methods(request: Request) -> list[str]:
    """Return the methods of all routes of a path. The framework names those of the first route only."""
    methods = ("DELETE", "GET", "PATCH", "POST", "PUT")
    routes = request.app.routes
    found = [m for m in methods if any(r.matches({**request.scope, "method": m})[0] is Match.FULL for r in routes)]
    return sorted([*found, "HEAD"]) if "GET" in found else found


async def _later(request: Request, _: Exception) -> JSONResponse:
    return await _ours(request, database_away("the database cannot be reached or is busy: try again"))


async def _value(request: Request, _: Exception) -> JSONResponse:
    return problem(request, 422, "bad_value", "a value is out of range or has characters that cannot be stored")


def install(app: FastAPI) -> None:
    """Let an application answer all errors as problems."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(BaylightError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(BAD_VALUE, _value)
    for kind in RETRY:
        app.add_exception_handler(kind, _later)
