"""Dependencies of the API, and of its routes: a connection, the key of the caller, the size of a page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Query, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CollectorRegistry

from baylight.access.change import Change
from baylight.access.keys import Key, Scope, Verifier
from baylight.api.bodies import Instant
from baylight.api.frame import Frame
from baylight.api.parameters import check_query
from baylight.api.problems import Refused
from baylight.domain.conditions import Condition
from baylight.domain.paging import MAX_PAGE_SIZE
from baylight.domain.policies import Policies
from baylight.errors import TransientError
from baylight.ports import Clock, CodecEngine, DeviceSource
from baylight.store.connect import AWAY
from baylight.store.pool import Connection, Pool, acquire


@dataclass(frozen=True, slots=True)
class Inbound:
    """A network server that delivers by HTTP.

    `handle(event, body)` returns after the commit; `event` is the parameter of the query. It raises TransientError if
    the event cannot be stored now. `refused(reason)` is called for an event that is refused before that.
    """

    secret: str
    handle: Callable[[str, bytes], Awaitable[None]]
    refused: Callable[[str], None] = lambda reason: None


@dataclass(frozen=True, slots=True)
class Deps:
    """Parts of the program that the API needs.

    `problems()`: for each part that does not work, the reason in plain words; empty when ready. `inbound`: by the last
    part of the path. `chirpstack_devices`: None if the API of ChirpStack is not set. `tts_application`: id of
    the only application at The Things Stack, "" for none or several. `conditions()`: conditions of
    services that last.
    """

    pool: Pool
    dsn: str
    clock: Clock
    policies: Policies
    registry: CollectorRegistry
    problems: Callable[[], dict[str, str]]
    conditions: Callable[[], Sequence[Condition]] = tuple
    codec_engine: CodecEngine | None = None
    inbound: Mapping[str, Inbound] = field(default_factory=dict)
    chirpstack_devices: DeviceSource | None = None
    tts_application: str = ""

    def change(self, connection: Connection, key: Key) -> Change:
        """Return a change that the holder of a key makes now."""
        return Change(connection, str(key.id), self.clock.now(), self.policies)


def deps(request: Request) -> Deps:
    given: Deps = request.app.state.deps
    return given


Given = Annotated[Deps, Depends(deps)]


async def connection(given: Given) -> AsyncIterator[Connection]:
    async with acquire(given.pool) as connection:
        yield connection


_bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="an API key: `bl_…`")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="header", description="the same key")


def _needs(scope: Scope) -> Callable[..., Awaitable[Key]]:
    async def caller(
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
        header: Annotated[str | None, Security(_header)],
    ) -> Key:
        text = bearer.credentials if bearer else header
        if not text:
            raise Refused(401, "key_missing", "send an API key: Authorization: Bearer bl_…")
        verifier: Verifier = request.app.state.verifier
        key = await verifier.verify(text)
        if key is None:
            raise Refused(401, "key_refused", "this API key is unknown, revoked or expired")
        request.state.key = key.prefix
        if not key.may(scope):
            raise Refused(403, "scope_missing", f"this needs a key with the scope {scope.value!r}", scope=scope.value)
        await check_query(request)
        return key

    return caller


async def find_key(request: Request) -> Key | None:
    """Return the key of a caller, or None if there is none, it is refused, or it cannot be checked now."""
    bearer = await _bearer(request)
    text = bearer.credentials if bearer else await _header(request)
    verifier: Verifier = request.app.state.verifier
    try:
        return await verifier.verify(text) if text else None
    except (TransientError, *AWAY):
        return None


read, write, admin = (_needs(scope) for scope in Scope)

Reading = Annotated[Key, Depends(read)]
Writing = Annotated[Key, Depends(write)]
Administering = Annotated[Key, Depends(admin)]
Database = Annotated[Connection, Depends(connection, scope="function")]
"""A connection until the route function returns. The response is sent after that, to a caller that may be slow."""
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE, description="largest number of items of the page")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the previous page")]

From = Annotated[Instant | None, Query(alias="from", description="only what is of this instant or later")]
Until = Annotated[Instant | None, Query(description="only what is earlier than this instant")]


async def _change(request: Request, key: Writing, connection: Database, given: Given) -> Change:
    return await _frame(request).enter(given.change(connection, key), key.id)


async def _administration(request: Request, key: Administering, connection: Database, given: Given) -> Change:
    return await _frame(request).enter(given.change(connection, key), key.id)


Opener = Callable[[], Awaitable[Change]]


async def _opener(request: Request, key: Writing, given: Given) -> Opener:
    async def opened() -> Change:
        frame = _frame(request)
        connection = await frame.stack.enter_async_context(acquire(given.pool))
        return await frame.enter(given.change(connection, key), key.id)

    return opened


def _frame(request: Request) -> Frame:
    frame: Frame = request.state.frame
    return frame


Changing = Annotated[Change, Depends(_change)]
AdminChanging = Annotated[Change, Depends(_administration)]
Opening = Annotated[Opener, Depends(_opener)]
"""Function that returns the change, for a route that uses no connection before it has its whole body."""
CHANGES = frozenset[Callable[..., object]]({_change, _administration, _opener})
