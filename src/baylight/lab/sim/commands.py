"""Commands to the simulated ChirpStack: MQTT `command/down` and the gRPC DeviceService, which also lists devices."""

from __future__ import annotations

import asyncio
import json
import string
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn, Protocol, cast
from uuid import UUID

import grpc
import grpc.aio

from baylight.lab.sim.behaviour import Behaviour, Faults
from baylight.lab.sim.events import new_id
from baylight.lab.sim.network import Device, Item
from baylight.protocol import chirpstack_pb2 as pb

_SNAKE = {"devEui": "dev_eui", "fPort": "f_port", "expiresAt": "expires_at"}


def parse_command(topic: str, payload: bytes) -> tuple[str, str, Item]:
    """Return application id, DevEUI and item of a `command/down` message.

    Raises ValueError where ChirpStack refuses the message: devEui other than the topic's (case included), fPort 0
    (after a cast to 8 bits), a null, a bad id or base64. Both base64 alphabets are accepted, padded or not, and both
    spellings of keys.
    """
    _, application_id, _, dev_eui, _, command = topic.split("/")
    if command != "down":
        raise ValueError(f"unknown command {command}")
    body = json.loads(payload)
    if not isinstance(body, dict):
        raise ValueError("not an object")

    def value(key: str, default: object) -> Any:
        found = body.get(key, body.get(_SNAKE.get(key, key), default))
        if found is None:
            raise ValueError(f"{key} is null")
        return found

    if value("devEui", "") != dev_eui:
        raise ValueError("devEui does not match the topic")
    data = value("data", "").rstrip("=").replace("+", "-").replace("/", "_")
    expires_at = value("expiresAt", "")
    item = Item(
        id=str(UUID(value("id", ""))) if value("id", "") else new_id(),
        f_port=_f_port(int(value("fPort", 0))),
        # `object` wins over `data`; without a codec it makes an empty payload.
        data=b"" if body.get("object") else urlsafe_b64decode(data + "=" * (-len(data) % 4)),
        confirmed=bool(value("confirmed", False)),
        expires_at=datetime.fromisoformat(expires_at).astimezone(UTC) if expires_at else None,
    )
    return application_id, dev_eui, item


def _f_port(number: int) -> int:
    cast_to_8_bits = number & 0xFF
    if cast_to_8_bits == 0:
        raise ValueError("fPort must be 1-255")
    return cast_to_8_bits


class Queues(Protocol):
    """Part of the simulated ChirpStack that the gRPC service needs."""

    faults: Faults
    behaviour: Behaviour
    api_key: str
    admin_key: str

    @property
    def devices(self) -> Mapping[str, Device]: ...

    def accept(self, device: Device, item: Item, *, flush: bool = False) -> bool: ...

    def flush(self, device: Device) -> None: ...

    async def txack_published(self, queue_item_id: str) -> None: ...


Context = grpc.aio.ServicerContext[Any, Any]


class DeviceService:
    """Service `/api.DeviceService/…` without TLS. The metadata carry the key as `authorization: Bearer …`."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self._server: grpc.aio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port the first time, later on the same one."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        calls: dict[str, tuple[Any, Any]] = {
            "Enqueue": (self._enqueue, pb.EnqueueDeviceQueueItemRequest),
            "FlushQueue": (self._flush, pb.FlushDeviceQueueRequest),
            "GetQueue": (self._get, pb.GetDeviceQueueItemsRequest),
            "List": (self._list, pb.ListDevicesRequest),
        }
        applications = {"List": (self._applications, pb.ListApplicationsRequest)}
        self._server.add_generic_rpc_handlers(
            (_handlers("api.DeviceService", calls), _handlers("api.ApplicationService", applications))
        )
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.stop(grace=None)

    async def _enqueue(
        self, request: pb.EnqueueDeviceQueueItemRequest, context: Context
    ) -> pb.EnqueueDeviceQueueItemResponse:
        wanted = request.queue_item
        device = await self._device(wanted.dev_eui, context)
        try:
            f_port = _f_port(wanted.f_port)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        own_id = wanted.id and not self._queues.behaviour.server_made_grpc_ids
        expires = wanted.HasField("expires_at")
        item = Item(
            id=wanted.id if own_id else new_id(),
            f_port=f_port,
            data=b"" if wanted.HasField("object") else wanted.data,
            confirmed=wanted.confirmed,
            expires_at=wanted.expires_at.ToDatetime(tzinfo=UTC) if expires else None,
        )
        if not self._queues.accept(device, item, flush=request.flush_queue):
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, "Object already exists")
        if self._queues.faults.answer_after_txack:
            await self._queues.txack_published(item.id)
        await self._answer()
        return pb.EnqueueDeviceQueueItemResponse(id=item.id)

    async def _flush(self, request: pb.FlushDeviceQueueRequest, context: Context) -> pb.FlushDeviceQueueResponse:
        self._queues.flush(await self._device(request.dev_eui, context))
        await self._answer()
        return pb.FlushDeviceQueueResponse()

    async def _get(self, request: pb.GetDeviceQueueItemsRequest, context: Context) -> pb.GetDeviceQueueItemsResponse:
        """Return all items, oldest first. `count_only` is ignored, `object` is left out."""
        device = await self._device(request.dev_eui, context)
        result = [
            pb.DeviceQueueItem(
                id=item.id,
                dev_eui=device.dev_eui,
                confirmed=item.confirmed,
                f_port=item.f_port,
                data=item.data,
                is_pending=item.is_pending,
                f_cnt_down=item.f_cnt or 0,
                expires_at=item.expires_at,
            )
            for item in device.queue
        ]
        return pb.GetDeviceQueueItemsResponse(total_count=len(result), result=result)

    async def _list(self, request: pb.ListDevicesRequest, context: Context) -> pb.ListDevicesResponse:
        """Return devices by name, as ChirpStack orders them; without a limit only their number.

        A foreign application is refused.
        """
        admin = await self._key(context)
        found = [d for d in self._queues.devices.values() if d.application_id == request.application_id]
        if not admin and (not found or found[0].tenant != "ChirpStack"):
            await self._refuse(context, admin=False)
        found.sort(key=lambda device: (str(device.info["deviceName"]), device.dev_eui))
        result = [
            pb.DeviceListItem(
                dev_eui=device.dev_eui,
                name=str(device.info["deviceName"]),
                device_profile_name=str(device.info["deviceProfileName"]),
            )
            for device in found[request.offset : request.offset + request.limit]
        ]
        return pb.ListDevicesResponse(total_count=len(found), result=result)

    async def _applications(self, request: pb.ListApplicationsRequest, context: Context) -> pb.ListApplicationsResponse:
        await self._key(context)
        devices = [d for d in self._queues.devices.values() if d.info["tenantId"] == request.tenant_id]
        found = sorted({(str(d.info["applicationName"]), d.application_id) for d in devices})
        result = [
            pb.ApplicationListItem(id=id, name=name)
            for name, id in found[request.offset : request.offset + request.limit]
        ]
        return pb.ListApplicationsResponse(total_count=len(found), result=result)

    async def _answer(self) -> None:
        if self._queues.faults.lose_answers:
            await asyncio.Event().wait()  # until the client's deadline, or until the server is stopped
        if self._queues.faults.late_s:
            await asyncio.sleep(self._queues.faults.late_s)

    async def _device(self, dev_eui: str, context: Context) -> Device:
        """Check the key, then the device.

        For a tenant's key, "foreign" and "absent" have the same answer, without text.
        """
        admin = await self._key(context)
        if not _is_eui(dev_eui):
            await context.abort(grpc.StatusCode.INTERNAL, "Odd number of digits")
        device = self._queues.devices.get(dev_eui.lower())
        if device is None or (device.tenant != "ChirpStack" and not admin):
            await self._refuse(context, admin=admin)
        return device

    async def _key(self, context: Context) -> bool:
        """Return True if the key is an administrator's; refuse a wrong key."""
        if self._queues.faults.slow_s:
            await asyncio.sleep(self._queues.faults.slow_s)
        metadata = dict(cast("list[tuple[str, str]]", context.invocation_metadata() or ()))
        key = metadata.get("authorization", "")
        if key not in (f"Bearer {self._queues.api_key}", f"Bearer {self._queues.admin_key}"):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "invalid token")
        return key == f"Bearer {self._queues.admin_key}"

    async def _refuse(self, context: Context, *, admin: bool) -> NoReturn:
        if admin:
            await context.abort(grpc.StatusCode.INTERNAL, "violates foreign key constraint")
        if self._queues.behaviour.foreign_device_unauthenticated:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "")
        await context.abort(grpc.StatusCode.NOT_FOUND, "Object does not exist")


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


def _is_eui(text: str) -> bool:
    return len(text) == 16 and all(c in string.hexdigits for c in text)
