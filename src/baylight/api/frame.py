"""Frame of routes that change something or answer with what people edit: ETags, If-Match, Idempotency-Key.

An ETag is a hash of the fields in ETAGS, as they are answered. It follows what people edit, not what devices report.
A request with If-Match or Idempotency-Key is one transaction from the first statement to the kept answer. If-Match is
checked by `Change.locked`, when the service has locked the rows. Other requests run as if there were no frame.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from hashlib import blake2b
from types import MappingProxyType, UnionType
from typing import Any, Union, get_args, get_origin
from uuid import UUID

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from baylight.access.answers import MAX_KEPT, MAX_KEY_LENGTH, Claim
from baylight.access.change import Change
from baylight.api.problems import Refused
from baylight.errors import NotFoundError
from baylight.inventory import device_types, devices, locations, orphans, spaces
from baylight.schedule import overrides, reservations
from baylight.store.pool import Connection

_SETTINGS = ("id", "dev_eui", "device_type", "enabled", "lifecycle_state", "notes")
_CODES = ("display_codes", "alike_allowed", "f_port", "confirmed_downlinks", "shared", "shared_rule")
_TYPE = ("dev_eui_prefixes", "uplink_interval_s", "silent_after_intervals", "default_config", "enabled")
_PLACE = ("latitude", "longitude", "metadata", "default_state", "maintenance", "sensor_dev_eui", "display_dev_eui")
ETAGS: Mapping[type, tuple[str, ...]] = MappingProxyType(
    {
        spaces.Space: ("id", "code", "name", "location_id", *_PLACE),
        devices.Sensor: (*_SETTINGS, "mobile"),
        devices.Display: (*_SETTINGS, *_CODES),
        locations.Location: ("id", "parent_id", "kind", "name", "timezone", "maintenance", "change_hold_s"),
        device_types.DeviceTypeRow: ("code", "manufacturer", "model", *_TYPE),
        orphans.Orphan: ("dev_eui", "ignored"),
        overrides.Override: ("id", "state", "from_at", "until_at", "reason", "ended_by"),
        reservations.Reservation: ("id", "space_id", "start_at", "end_at", "status"),
    }
)
"""The fields that make the ETag of each kind of object: what people edit, and what every key may read."""
_ADAPTERS: Mapping[type, TypeAdapter[Any]] = MappingProxyType({kind: TypeAdapter(kind) for kind in ETAGS})

_Get = Callable[[Connection, Request], Awaitable[Any]]


async def _device(connection: Connection, request: Request) -> Any:
    get = devices.get_sensor if request.path_params["registry"] == "sensors" else devices.get_display
    return await get(connection, request.path_params["dev_eui"])


async def _location(connection: Connection, request: Request) -> object:
    path = request.query_params.get("path") or (await request.json())["path"]
    return await locations.get_location(connection, path)


_OBJECTS: Mapping[str, _Get] = MappingProxyType(
    {
        "/spaces/{code:path}": lambda c, r: spaces.get_space(c, r.path_params["code"]),
        "/sensors/{dev_eui}": lambda c, r: devices.get_sensor(c, r.path_params["dev_eui"]),
        "/displays/{dev_eui}": lambda c, r: devices.get_display(c, r.path_params["dev_eui"]),
        "/device-types/{code}": lambda c, r: device_types.get_device_type(c, r.path_params["code"]),
        "/{registry}/{dev_eui}": _device,
        "/locations": _location,
        "/orphans/{dev_eui}": lambda c, r: orphans.get_orphan(c, r.path_params["dev_eui"]),
        "/overrides/{override_id}": lambda c, r: overrides.get_override(c, UUID(r.path_params["override_id"])),
        "/reservations/{reservation_id}": lambda c, r: reservations.get_reservation(
            c, UUID(r.path_params["reservation_id"])
        ),
    }
)
"""Function that gets the object of a route, by the beginning of its path."""

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_SECRETS = ("create_key",)
"""Operations whose answer is never kept, because it holds a secret."""


class Framed(APIRoute):
    """Route within the frame."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def framed(request: Request) -> Response:
            async with AsyncExitStack() as stack:
                request.state.frame = frame = Frame(request, self, stack)
                try:
                    response = await handle(request)
                    await frame.keep(response)
                except _Repeated as repeated:
                    response = repeated.response
            return self._tagged(request, response)

        return framed

    def _tagged(self, request: Request, response: Response) -> Response:
        """Give an answer its ETag; answer 304 if the caller has this state of the object already."""
        if response.status_code >= 300 or not (kinds := self.kinds()):
            return response
        body = json.loads(bytes(response.body))
        kind = next(kind for kind in kinds if body.keys() >= set(ETAGS[kind]))
        response.headers["ETag"] = tag = _etag(kind, body)
        if request.method == "GET" and _matches(request.headers.getlist("If-None-Match"), tag, weak=True):
            return Response(status_code=304, headers={"ETag": tag})
        return response

    def kinds(self) -> list[type]:
        """Return the kinds of the object in the answer; none if it has no ETag."""
        model = self.response_model
        answered = get_args(model) if get_origin(model) in (Union, UnionType) else (model,)
        return [kind for kind in ETAGS if kind in answered]

    def get(self) -> _Get | None:
        """Return how to get the object that the route changes; None if it has no ETag."""
        return next((get for path, get in _OBJECTS.items() if self.path.startswith(path)), None)

    def describe(self, *, changes: bool) -> None:
        """Add the headers of the frame to the description of the route. Idempotent."""
        extra: dict[str, Any] = {name: part for name, part in (self.openapi_extra or {}).items() if name in _OWN}
        named: list[str] = []
        methods = self.methods or set()
        if "GET" in methods and self.kinds():
            named.append("If-None-Match")
            extra["responses"] = {"304": {"description": "the object has this ETag still"}}
        if changes and self.get() and methods & {"PATCH", "PUT", "DELETE"}:
            named.append("If-Match")
        if changes and "POST" in methods:
            named.append("Idempotency-Key")
        if self.kinds():
            answer = {"headers": {"ETag": {"description": "what people edit of the object", "schema": _STRING}}}
            statuses = {str(self.status_code or 200), *(str(s) for s in self.responses if str(s)[0] == "2")}
            extra.setdefault("responses", {}).update(dict.fromkeys(sorted(statuses), answer))
        if named:
            extra["parameters"] = [{"in": "header", "name": name, **_HEADERS[name]} for name in named]
        self.openapi_extra = extra or None


_OWN = ("requestBody",)
"""Parts of a description that routes give themselves."""
_STRING = {"type": "string"}
_KEY = {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": "^[!-~]+$"}
_HEADERS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "If-Match": {
            "schema": _STRING,
            "description": "ETags: `precondition_failed` if the object has none of them any more",
        },
        "If-None-Match": {"schema": _STRING, "description": "ETags: 304 if the object has one of them still"},
        "Idempotency-Key": {
            "schema": _KEY,
            "description": "the same key and request again within 24 hours give the same answer and change nothing",
        },
    }
)


class _Repeated(Exception):
    """The request was answered before."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


@dataclass(slots=True)
class Frame:
    """State of one request. `stack` is closed when the answer is made, and before it is sent."""

    request: Request
    route: Framed
    stack: AsyncExitStack
    _claim: Claim | None = None
    _unchecked: bool = False
    """Mark of an If-Match that is not checked yet."""

    async def enter(self, change: Change, api_key_id: UUID) -> Change:
        """Return the change of the request. With If-Match or Idempotency-Key, its transaction begins here.

        Raises Refused `bad_idempotency_key`, `too_many_kept_answers`, and what `Claim.find` raises.
        """
        key = self._idempotency_key()
        expected = self.request.headers.getlist("If-Match")
        if key is None and not expected:
            return change
        await self.stack.enter_async_context(change.transaction())
        if key is not None:
            claim = Claim(change, api_key_id, key, await self._fingerprint())
            kept = await claim.find()
            if kept is not None:
                media_type = "application/json" if kept.body else None
                headers = {"Idempotent-Replayed": "true"}
                raise _Repeated(Response(kept.body, kept.status, headers, media_type))
            if wait := await claim.full_for():
                raise Refused(
                    429,
                    "too_many_kept_answers",
                    f"{MAX_KEPT} answers of this API key are kept already: wait, or send no Idempotency-Key",
                    retry_after_s=max(1, round(wait.total_seconds())),
                )
            self._claim = claim
        if not expected:
            return change
        self._unchecked = True

        async def check() -> None:
            await self._check(change.connection, expected)

        return replace(change, precondition=check)

    async def keep(self, response: Response) -> None:
        """Keep the answer, if a request is to be repeatable. Raises Refused `precondition_failed`."""
        if self._unchecked:
            raise Refused(
                412, "precondition_failed", "this route changes no object that has an ETag: leave out If-Match"
            )
        if self._claim is not None and response.status_code < 300:
            body = None if self.route.name in _SECRETS else bytes(response.body)
            await self._claim.keep(response.status_code, body)

    async def _check(self, connection: Connection, expected: list[str]) -> None:
        """Compare the object with If-Match, once: a service may lock and change in several steps."""
        get = self.route.get()
        if not self._unchecked or get is None:
            return
        self._unchecked = False
        tag = None
        try:
            found = await get(connection, self.request)
            tag = _etag(type(found), _ADAPTERS[type(found)].dump_python(found, mode="json"))
        except NotFoundError:
            pass  # it was deleted or renamed while this request waited
        if tag is None or not _matches(expected, tag, weak=False):
            raise Refused(412, "precondition_failed", "the object has changed since: get it again", etag=tag)

    def _idempotency_key(self) -> str | None:
        given = self.request.headers.getlist("Idempotency-Key")
        if self.request.method != "POST" or not given:
            return None
        if len(given) > 1 or not re.fullmatch(rf"[!-~]{{1,{MAX_KEY_LENGTH}}}", given[0]):
            message = f"an Idempotency-Key is sent once, and has 1 to {MAX_KEY_LENGTH} visible ASCII characters"
            raise Refused(422, "bad_idempotency_key", message)
        return given[0]

    async def _fingerprint(self) -> bytes:
        """Return a hash of the request. An import has the hash of its file already."""
        digest: bytes | None = getattr(self.request.state, "digest", None)
        url = self.request.url
        parts = (url.path, url.query, (digest or blake2b(await self.request.body()).digest()).hex())
        return blake2b("\n".join(parts).encode(), digest_size=32).digest()


def _etag(kind: type, answered: Mapping[str, object]) -> str:
    fields = [kind.__name__, *(answered[name] for name in ETAGS[kind])]
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return f'"{blake2b(text.encode(), digest_size=16).hexdigest()}"'


def _matches(headers: Collection[str], tag: str, *, weak: bool) -> bool:
    """Return whether a list of ETags has this one. `weak`: also as a weak one (RFC 9110, 8.8.3.2)."""
    return any(
        header.strip() == "*" or any(found == tag and (weak or not mark) for mark, found in _TAG.findall(header))
        for header in headers
    )
