"""Lists of ChirpStack v4's devices, by its gRPC API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc

from baylight.errors import InputError, TransientError
from baylight.lns.chirpstack.channel import Api, method, text_of
from baylight.ports import Listed
from baylight.protocol import chirpstack_pb2 as pb

_PAGE = 500
_TIMEOUT_S = 30.0
_WRONG = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,
)


async def devices(
    target: str,
    api_key: str,
    *,
    applications: Sequence[str] = (),
    tenant: str | None = None,
    tls: bool = False,
    ca: Path | None = None,
) -> AsyncIterator[Listed]:
    """Yield the devices of applications (ids) and of all applications of a tenant. `target`, `ca`: see `Api`.

    Raises InputError `chirpstack_refuses`, TransientError `chirpstack_away`; InputError as `Api` does.
    """
    api = Api(target, api_key, tls, ca)
    channel = api.channel()

    async def pages(service: str, answer: Any, request: Any) -> AsyncIterator[Any]:
        listed = method(channel, f"{service}/List", answer)
        request.limit = _PAGE
        while True:
            page = await listed(request, timeout=_TIMEOUT_S, metadata=api.metadata)
            for item in page.result:
                yield item
            request.offset += len(page.result)
            if not page.result or request.offset >= page.total_count:
                return

    try:
        ids = list(applications)
        if tenant:
            of_tenant = pb.ListApplicationsRequest(tenant_id=tenant)
            ids += [item.id async for item in pages("ApplicationService", pb.ListApplicationsResponse, of_tenant)]
        for application_id in dict.fromkeys(ids):
            request = pb.ListDevicesRequest(application_id=application_id)
            async for item in pages("DeviceService", pb.ListDevicesResponse, request):
                yield Listed(item.dev_eui, item.name, item.device_profile_name, application_id)
    except grpc.aio.AioRpcError as error:
        text = text_of(error) or error.code().name
        if error.code() in _WRONG:
            raise InputError(
                "chirpstack_refuses",
                f"ChirpStack at {target} refuses the request: {text}; check key, tenant and application",
            ) from error
        raise TransientError("chirpstack_away", f"ChirpStack at {target} does not answer: {text}") from error
    finally:
        await channel.close(None)
