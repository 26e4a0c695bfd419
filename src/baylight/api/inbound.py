"""Events that network servers deliver by HTTP. This path needs no API key and has no rate limit:
a network server that is refused would lose events."""

from __future__ import annotations

import asyncio
import hmac
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response, Security
from fastapi.security import APIKeyHeader
from pydantic import WithJsonSchema

from baylight.api.deps import Given
from baylight.api.problems import Refused
from baylight.domain.downlink import NETWORK_SERVERS

ANSWER_S = 4.0
"""Time for an answer. ChirpStack stops waiting after 5 s and does not try again, so a refusal must come earlier."""
_PROTOBUF = b"\x0a\x24"
_secret = APIKeyHeader(
    name="X-Baylight-Secret", auto_error=False, scheme_name="secret", description="the secret of the network server"
)
NetworkServer = Annotated[
    str,
    Path(description="network server that delivers"),
    WithJsonSchema({"type": "string", "enum": [*NETWORK_SERVERS]}),
]
router = APIRouter(prefix="/inbound", tags=["inbound"])


@router.post(
    "/{network_server}",
    summary="Receive an event of a network server",
    status_code=204,
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}, "required": True}},
)
async def receive_event(
    request: Request,
    given: Given,
    network_server: NetworkServer,
    secret: Annotated[str | None, Security(_secret)] = None,
    event: Annotated[str, Query(max_length=50, description="kind of the event, as ChirpStack names it")] = "",
) -> Response:
    """2xx: the event is stored, even if it is unreadable. 415: it is not JSON. 503: it is not stored, send it again.

    `network_server`: `chirpstack` (its HTTP integration, JSON; it adds `?event=`) or `tts` (a webhook, JSON).
    """
    inbound = given.inbound.get(network_server)
    if inbound is None:
        raise Refused(
            404, "inbound_not_set", f"events of {network_server[:50]!r} are not accepted: its secret is not set"
        )
    if not hmac.compare_digest((secret or "").encode(), inbound.secret.encode()):
        inbound.refused("secret_refused")
        raise Refused(401, "secret_refused", "send the secret of the settings in the header X-Baylight-Secret")
    body = await request.body()
    async with asyncio.timeout(ANSWER_S):
        await inbound.handle(event, body)
    if _is_binary(request.headers.get("Content-Type", ""), body):
        raise Refused(
            415,
            "not_json",
            "the event is not JSON: choose JSON, not Protobuf, as encoding in the network server's HTTP integration",
        )
    return Response(status_code=204)


def _is_binary(content_type: str, body: bytes) -> bool:
    """Return whether an event is Protobuf, by its type, or by the tag and length of the UUID that it begins with."""
    is_object = body.lstrip().startswith(b"{")
    return not is_object and (body.startswith(_PROTOBUF) or ("json" not in content_type.lower() and content_type != ""))
