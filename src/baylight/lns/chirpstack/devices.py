"""Lists of ChirpStack v4's devices and applications, by its gRPC API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc

from baylight.errors import InputError, TransientError, shorten
from baylight.lns.chirpstack.channel import Api, method, text_of
from baylight.ports import Listed, ListedApplication
from baylight.protocol import chirpstack_pb2 as pb

_PAGE = 500
_AT_ONCE = 20
_TIMEOUT_S = 30.0
_REFUSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
_WRONG = (
    *_REFUSED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,
)


class ChirpStackDevices:
    """Port DeviceSource. It connects for each list."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def devices(self, applications: Sequence[str], tenant: str | None) -> AsyncIterator[Listed]:
        """Yield the devices of applications (ids) and of all applications of a tenant.

        Raises InputError `chirpstack_refuses`, `no_such_application`, `no_applications`, and as `Api` does;
        TransientError `chirpstack_away`.
        """
        async with _opened(self._api) as lists:
            ids = list(applications)
            for application_id in ids:
                await lists.check_application(application_id)
            if tenant:
                of_tenant = [item.id for item in await lists.applications(tenant)]
                if not of_tenant:
                    raise InputError(
                        "no_applications", f"ChirpStack lists no application of the tenant {tenant}: check its id"
                    )
                ids += of_tenant
            for application_id in dict.fromkeys(ids):
                async for device in lists.devices(application_id):
                    yield device

    async def applications(self, known: Sequence[str]) -> list[ListedApplication]:
        """Return the applications that the key can see.

        An administrator's key lists tenants. A tenant's key does not, so its tenant is that of an application in
        `known` (ids). Raises as `devices` does.
        """
        async with _opened(self._api) as lists:
            found = []
            for id, name in await lists.tenants(known):
                found += [ListedApplication(a.id, a.name, id, name) for a in await lists.applications(id)]
            return found


class _Lists:
    """Calls on an open channel. They raise as `_in_plain_words` does."""

    def __init__(self, api: Api, channel: grpc.aio.Channel) -> None:
        self._api, self._channel = api, channel

    async def devices(self, application_id: str) -> AsyncIterator[Listed]:
        request = pb.ListDevicesRequest(application_id=application_id)
        about = f"the devices of application {shorten(application_id)}"
        async for page in self._pages("DeviceService", pb.ListDevicesResponse, request, about):
            enabled = await self._enabled([item.dev_eui for item in page])
            for item, in_use in zip(page, enabled, strict=True):
                yield Listed(item.dev_eui, item.name, item.device_profile_name, application_id, in_use)

    async def applications(self, tenant_id: str) -> list[pb.ApplicationListItem]:
        request = pb.ListApplicationsRequest(tenant_id=tenant_id)
        about = f"the applications of tenant {shorten(tenant_id)}"
        pages = self._pages("ApplicationService", pb.ListApplicationsResponse, request, about)
        return [item async for page in pages for item in page]

    async def tenants(self, known: Sequence[str]) -> list[tuple[str, str]]:
        """Return id and name of the tenants that the key can see. A tenant's key shows no name."""
        try:
            pages = self._pages("TenantService", pb.ListTenantsResponse, pb.ListTenantsRequest(), "tenants")
            return [(item.id, item.name) async for page in pages for item in page]
        except InputError as error:
            if not isinstance(error.__cause__, grpc.aio.AioRpcError) or text_of(error.__cause__):
                raise
        found = [tenant for id in known if (tenant := await self._tenant_of(id))]
        return [(tenant, "") for tenant in dict.fromkeys(found)]

    async def check_application(self, id: str) -> None:
        """Raise InputError `no_such_application` if an administrator's key does not find an application.

        Its list of devices would be empty without an error.
        """
        try:
            await self._call("ApplicationService/Get", pb.GetApplicationResponse, pb.GetApplicationRequest(id=id))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                raise InputError(
                    "no_such_application", f"ChirpStack at {self._api.target} has no application {shorten(id)}"
                ) from error

    async def _tenant_of(self, application_id: str) -> str | None:
        request = pb.GetApplicationRequest(id=application_id)
        try:
            answer = await self._call("ApplicationService/Get", pb.GetApplicationResponse, request)
        except grpc.aio.AioRpcError:
            return None
        return str(answer.application.tenant_id)

    async def _enabled(self, dev_euis: Sequence[str]) -> list[bool]:
        """Return of each device whether it is enabled, as far as ChirpStack says so."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(dev_eui: str) -> bool:
            async with gate:
                try:
                    answer = await self._call(
                        "DeviceService/Get", pb.GetDeviceResponse, pb.GetDeviceRequest(dev_eui=dev_eui)
                    )
                except grpc.aio.AioRpcError:
                    return True
                return not answer.device.is_disabled

        return await asyncio.gather(*(one(dev_eui) for dev_eui in dev_euis))

    async def _pages(self, service: str, answer: Any, request: Any, about: str) -> AsyncIterator[Any]:
        request.limit = _PAGE
        while True:
            with _in_plain_words(self._api.target, about):
                page = await self._call(f"{service}/List", answer, request)
            yield page.result
            request.offset += len(page.result)
            if not page.result or request.offset >= page.total_count:
                return

    async def _call(self, path: str, answer: Any, request: Any) -> Any:
        return await method(self._channel, path, answer)(request, timeout=_TIMEOUT_S, metadata=self._api.metadata)


@asynccontextmanager
async def _opened(api: Api) -> AsyncIterator[_Lists]:
    channel = api.channel()
    try:
        yield _Lists(api, channel)
    finally:
        await channel.close(None)


@contextmanager
def _in_plain_words(target: str, about: str) -> Iterator[None]:
    """Raise InputError `chirpstack_refuses` or TransientError `chirpstack_away` for an error of gRPC."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        text = text_of(error) or error.code().name
        if error.code() in _REFUSED and not text_of(error):
            text = "the key may not see them, or they are of another tenant, or do not exist"
        if error.code() in _WRONG:
            raise InputError("chirpstack_refuses", f"ChirpStack at {target} refuses {about}: {text}") from error
        raise TransientError("chirpstack_away", f"ChirpStack at {target} does not answer: {text}") from error
