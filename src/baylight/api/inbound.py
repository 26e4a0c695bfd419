"""What network servers deliver by HTTP. A path of its own: no API key, no limit of rate (B15)."""

from __future__ import annotations

import asyncio
import hmac
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from baylight.api.deps import Given
from baylight.api.problems import Refused

ANSWER_S = 4.0
"""ChirpStack gives up after 5 s, and does not try again: better it is told in time that nothing was taken."""
router = APIRouter(prefix="/inbound", tags=["inbound"])


@router.post("/{network_server}", status_code=204, include_in_schema=False)
async def take(
    request: Request,
    given: Given,
    network_server: str,
    secret: Annotated[str, Header(alias="X-Baylight-Secret")] = "",
    event: Annotated[str, Query(max_length=50)] = "",
) -> Response:
    """2xx: the event is stored for good, also one that could not be read. 503: it was not, send it again.

    `network_server`: `chirpstack` (its HTTP integration, JSON; it adds `?event=`) or `tts` (a webhook, JSON).
    """
    inbound = given.inbound.get(network_server)
    if inbound is None:
        raise Refused(404, "inbound_not_set", f"nothing is taken for {network_server[:50]!r}: its secret is not set")
    if not hmac.compare_digest(secret.encode(), inbound.secret.encode()):
        raise Refused(401, "secret_refused", "send the secret of the settings in the header X-Baylight-Secret")
    body = await request.body()
    async with asyncio.timeout(ANSWER_S):
        await inbound.take(event, body)
    return Response(status_code=204)
