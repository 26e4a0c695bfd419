"""gRPC API of the simulated ChirpStack: services of devices, applications and tenants, and keys of every kind."""

from __future__ import annotations

import asyncio
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import Any, NoReturn, Protocol, cast

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty

from baylight.lab.sim.behaviour import Behaviour, Faults
from baylight.lab.sim.commands import cast_f_port
from baylight.lab.sim.events import new_id, stable_uuid
from baylight.lab.sim.network import Application, Device, Item
from baylight.protocol import chirpstack_pb2 as pb


class Right(StrEnum):
    READ = "read"
    WRITE = "write"


@dataclass(slots=True)
class Key:
    """API key. `tenant` None: an administrator's, for all tenants. A deleted key stays a valid token without rights."""

    tenant: str | None
    read_only: bool = False
    deleted: bool = False

    @property
    def admin(self) -> bool:
        return self.tenant is None and not self.deleted

    def may(self, right: Right, tenant: str | None) -> bool:
        """Return True if the key allows this for things of that tenant; None: of no tenant that exists."""
        if self.deleted or (self.read_only and right is Right.WRITE):
            return False
        return self.tenant is None or self.tenant == tenant


class Server(Protocol):
    """Part of the simulated ChirpStack that its API needs."""

    faults: Faults
    behaviour: Behaviour

    @property
    def keys(self) -> Mapping[str, Key]: ...

    @property
    def devices(self) -> Mapping[str, Device]: ...

    @property
    def applications(self) -> Mapping[str, Application]: ...

    def accept(self, device: Device, item: Item, *, flush: bool = False) -> bool: ...

    def flush(self, device: Device) -> None: ...

    async def txack_published(self, queue_item_id: str) -> None: ...


Context = grpc.aio.ServicerContext[Any, Any]


class Api:
    """Services `/api.DeviceService/…`, `/api.ApplicationService/…` and `/api.TenantService/…` without TLS.

    The metadata carry the key as `authorization: Bearer …`. A call without the right is UNAUTHENTICATED without a text.
    """

    def __init__(self, host: Server) -> None:
        self._host = host
        self._server: grpc.aio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port the first time, later on the same one."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        services: dict[str, dict[str, tuple[Any, Any]]] = {
            "api.DeviceService": {
                "Enqueue": (self._enqueue, pb.EnqueueDeviceQueueItemRequest),
                "FlushQueue": (self._flush, pb.FlushDeviceQueueRequest),
                "GetQueue": (self._get_queue, pb.GetDeviceQueueItemsRequest),
                "Get": (self._get, pb.GetDeviceRequest),
                "List": (self._list, pb.ListDevicesRequest),
            },
            "api.ApplicationService": {
                "Get": (self._application, pb.GetApplicationRequest),
                "List": (self._applications, pb.ListApplicationsRequest),
            },
            "api.TenantService": {"List": (self._tenants, pb.ListTenantsRequest)},
            "api.DeviceProfileService": {"ListAdrAlgorithms": (self._algorithms, Empty)},
        }
        self._server.add_generic_rpc_handlers(tuple(_handlers(name, calls) for name, calls in services.items()))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.stop(grace=None)

    # Queues ----------------------------------------------------------------------------------------------------------

    async def _enqueue(
        self, request: pb.EnqueueDeviceQueueItemRequest, context: Context
    ) -> pb.EnqueueDeviceQueueItemResponse:
        wanted = request.queue_item
        device = await self._device(wanted.dev_eui, Right.WRITE, context)
        try:
            f_port = cast_f_port(wanted.f_port)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Validation error: {error}")
        if device is None:
            key = "device_queue_item_dev_eui_fkey"
            text = f'insert or update on table "device_queue_item" violates foreign key constraint "{key}"'
            await context.abort(grpc.StatusCode.INTERNAL, text)
        own_id = wanted.id and not self._host.behaviour.server_made_grpc_ids
        item = Item(
            id=wanted.id if own_id else new_id(),
            f_port=f_port,
            data=b"" if wanted.HasField("object") else wanted.data,
            confirmed=wanted.confirmed,
            expires_at=wanted.expires_at.ToDatetime(tzinfo=UTC) if wanted.HasField("expires_at") else None,
            encrypted=wanted.is_encrypted,
            f_cnt=wanted.f_cnt_down if wanted.is_encrypted else None,
        )
        if not self._host.accept(device, item, flush=request.flush_queue):
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, "Object already exists")
        if self._host.faults.answer_after_txack:
            await self._host.txack_published(item.id)
        await self._answer()
        return pb.EnqueueDeviceQueueItemResponse(id=item.id)

    async def _flush(self, request: pb.FlushDeviceQueueRequest, context: Context) -> pb.FlushDeviceQueueResponse:
        device = await self._device(request.dev_eui, Right.WRITE, context)
        if device is not None:
            self._host.flush(device)
        await self._answer()
        return pb.FlushDeviceQueueResponse()

    async def _get_queue(
        self, request: pb.GetDeviceQueueItemsRequest, context: Context
    ) -> pb.GetDeviceQueueItemsResponse:
        """Return all items, oldest first; none for an unknown device. `count_only` is ignored, `object` left out."""
        device = await self._device(request.dev_eui, Right.READ, context)
        result = [
            pb.DeviceQueueItem(
                id=item.id,
                dev_eui=request.dev_eui.lower(),
                confirmed=item.confirmed,
                f_port=item.f_port,
                data=item.data,
                is_pending=item.is_pending,
                f_cnt_down=item.f_cnt or 0,
                is_encrypted=item.encrypted,
                expires_at=item.expires_at,
            )
            for item in (device.queue if device else ())
        ]
        return pb.GetDeviceQueueItemsResponse(total_count=len(result), result=result)

    async def _answer(self) -> None:
        if self._host.faults.lose_answers:
            await asyncio.Event().wait()  # until the client's deadline, or until the server is stopped
        if self._host.faults.late_s:
            await asyncio.sleep(self._host.faults.late_s)

    # Devices, applications, tenants ----------------------------------------------------------------------

    async def _get(self, request: pb.GetDeviceRequest, context: Context) -> pb.GetDeviceResponse:
        device = await self._device(request.dev_eui, Right.READ, context)
        if device is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Object does not exist (id: {request.dev_eui.lower()})")
        return pb.GetDeviceResponse(
            device=pb.Device(
                dev_eui=device.dev_eui,
                name=device.name or device.dev_eui,
                application_id=device.application_id,
                is_disabled=device.disabled,
            ),
            last_seen_at=device.last_seen_at,
            class_enabled=pb.CLASS_C if device.class_c else pb.CLASS_A,
        )

    async def _list(self, request: pb.ListDevicesRequest, context: Context) -> pb.ListDevicesResponse:
        """Return devices by name, as ChirpStack orders them; without a limit only their number."""
        key = await self._key(context)
        id = await self._id(request.application_id, context)
        application = self._host.applications.get(id)
        await self._allow(key, Right.READ, application.tenant if application else None, context)
        found = [device for device in self._host.devices.values() if device.application_id == id]
        found.sort(key=lambda device: (device.name or device.dev_eui, device.dev_eui))
        result = [
            pb.DeviceListItem(
                dev_eui=device.dev_eui, name=device.name or device.dev_eui, device_profile_name=device.profile
            )
            for device in found[request.offset : request.offset + request.limit]
        ]
        return pb.ListDevicesResponse(total_count=len(found), result=result)

    async def _application(self, request: pb.GetApplicationRequest, context: Context) -> pb.GetApplicationResponse:
        key = await self._key(context)
        id = await self._id(request.id, context)
        found = self._host.applications.get(id)
        await self._allow(key, Right.READ, found.tenant if found else None, context)
        if found is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Object does not exist (id: {id})")
        answer = pb.Application(id=id, name=found.name, tenant_id=_tenant_id(found.tenant))
        return pb.GetApplicationResponse(application=answer)

    async def _applications(self, request: pb.ListApplicationsRequest, context: Context) -> pb.ListApplicationsResponse:
        key = await self._key(context)
        tenant_id = await self._id(request.tenant_id, context)
        owned = key is not None and key.tenant is not None and _tenant_id(key.tenant) == tenant_id
        await self._allow(key, Right.READ, key.tenant if key and owned else None, context)
        found = [a for a in self._host.applications.values() if _tenant_id(a.tenant) == tenant_id]
        found.sort(key=lambda application: (application.name, application.id))
        result = [
            pb.ApplicationListItem(id=application.id, name=application.name)
            for application in found[request.offset : request.offset + request.limit]
        ]
        return pb.ListApplicationsResponse(total_count=len(found), result=result)

    async def _tenants(self, request: pb.ListTenantsRequest, context: Context) -> pb.ListTenantsResponse:
        await self._allow(await self._key(context), Right.READ, None, context)
        found = sorted({application.tenant for application in self._host.applications.values()})
        result = [
            pb.TenantListItem(id=_tenant_id(name), name=name)
            for name in found[request.offset : request.offset + request.limit]
        ]
        return pb.ListTenantsResponse(total_count=len(found), result=result)

    async def _algorithms(self, request: Empty, context: Context) -> pb.ListTenantsResponse:
        """Answer each key that exists, whatever its tenant. The answer's messages have the same first field."""
        key = await self._key(context)
        await self._allow(key, Right.READ, key.tenant if key else None, context)
        return pb.ListTenantsResponse(total_count=1)

    # Keys ----------------------------------------------------------------------------------------------------

    async def _device(self, dev_eui: str, right: Right, context: Context) -> Device | None:
        """Return a device that the key has this right for; None if there is none and the key is an administrator's.

        For a tenant's key, "foreign" and "absent" have the same answer.
        """
        key = await self._key(context)
        problem = _eui_problem(dev_eui)
        if problem:
            await context.abort(grpc.StatusCode.INTERNAL, problem)
        device = self._host.devices.get(dev_eui.lower())
        tenant = device.tenant if device else None
        kind = not self._host.behaviour.foreign_device_unauthenticated
        if kind and key is not None and not key.deleted and not key.may(Right.READ, tenant):
            await context.abort(grpc.StatusCode.NOT_FOUND, "Object does not exist")
        await self._allow(key, right, tenant, context)
        return device

    async def _key(self, context: Context) -> Key | None:
        """Return the call's key, None if there is none. A text that is no token is refused before anything else."""
        if self._host.faults.slow_s:
            await asyncio.sleep(self._host.faults.slow_s)
        metadata = dict(cast("list[tuple[str, str]]", context.invocation_metadata() or ()))
        authorization = metadata.get("authorization")
        if authorization is None:
            return None
        if not authorization.startswith("Bearer "):
            text = "authorization metadata must be in format 'Bearer <TOKEN>"
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, text)
        key = self._host.keys.get(authorization.removeprefix("Bearer "))
        if key is None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidToken")
        return key

    async def _allow(self, key: Key | None, right: Right, tenant: str | None, context: Context) -> None:
        if key is None:
            await _refuse(context, "no authorization provided")
        if not key.may(right, tenant):
            await _refuse(context, "")

    async def _id(self, text: str, context: Context) -> str:
        """Return a UUID in its usual form; refuse a text that is none."""
        bare = text.replace("-", "")
        wrong = next((n for n, c in enumerate(text) if c not in string.hexdigits + "-"), None)
        if wrong is not None:
            problem = f"invalid character: found `{text[wrong]}` at {wrong}"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
        if len(bare) != 32:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"invalid length: found {len(text)}")
        return "-".join((bare[:8], bare[8:12], bare[12:16], bare[16:20], bare[20:])).lower()


async def _refuse(context: Context, text: str) -> NoReturn:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, text)


def _tenant_id(name: str) -> str:
    return stable_uuid(f"tenant {name}")


def _handlers(service: str, calls: Mapping[str, tuple[Any, Any]]) -> grpc.GenericRpcHandler[Any, Any]:
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=request.FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )
        for name, (call, request) in calls.items()
    }
    return grpc.method_handlers_generic_handler(service, handlers)


def _eui_problem(text: str) -> str | None:
    """Return what ChirpStack says of a DevEUI that it cannot parse."""
    if len(text) % 2:
        return "Odd number of digits"
    if len(text) != 16:
        return "Invalid string length"
    wrong = next((n for n, c in enumerate(text) if c not in string.hexdigits), None)
    return None if wrong is None else f"Invalid character '{text[wrong]}' at position {wrong}"
