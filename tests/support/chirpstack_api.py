"""Real gRPC server that answers as ChirpStack's API does for each kind of key (measured answers: `grpc.jsonl`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import grpc

from baylight.protocol import chirpstack_pb2 as pb

OURS, THEIRS = "our-application", "their-application"
_UNKNOWN = grpc.StatusCode.UNAUTHENTICATED


class Key(StrEnum):
    """Kind of the key that the caller has."""

    ADMIN = "admin"
    TENANT = "tenant"
    READ_ONLY = "read_only"
    DELETED = "deleted"
    OTHER_TENANT = "other_tenant"
    GARBAGE = "garbage"


@dataclass
class KeyedServer:
    """Server with devices, by DevEUI, of two tenants' applications.

    `ours`: application that the good key may use. `old`: the server does not know the call that each key may make, and
    lists nothing. `accepted`: DevEUIs of commands.
    """

    devices: dict[str, str]
    key: Key = Key.TENANT
    ours: str = OURS
    old: bool = False
    away: bool = False
    target: str = ""
    accepted: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    async def enqueue(self, request: pb.EnqueueDeviceQueueItemRequest, context: Any) -> Any:
        item = request.queue_item
        await self._right(context, self.devices.get(item.dev_eui), write=True)
        if item.f_port & 0xFF == 0:
            text = "Validation error: FPort must be between 1 - 255"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        if item.dev_eui not in self.devices:
            text = 'insert or update on table "device_queue_item" violates foreign key constraint'
            await context.abort(grpc.StatusCode.INTERNAL, text)
        self.accepted.append(item.dev_eui)
        return pb.EnqueueDeviceQueueItemResponse(id=f"item-{len(self.accepted)}")

    async def get_queue(self, request: pb.GetDeviceQueueItemsRequest, context: Any) -> Any:
        await self._right(context, self.devices.get(request.dev_eui))
        return pb.GetDeviceQueueItemsResponse()

    async def list_devices(self, request: pb.ListDevicesRequest, context: Any) -> Any:
        if self.old:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
        await self._right(context, request.application_id)
        return pb.ListDevicesResponse()

    async def list_algorithms(self, _: bytes, context: Any) -> bytes:
        if self.old:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
        if self.key is Key.DELETED:
            await context.abort(_UNKNOWN, "")
        return b"\x08\x01"

    async def _right(self, context: Any, application: str | None, *, write: bool = False) -> None:
        if self.key is Key.GARBAGE:
            await context.abort(_UNKNOWN, "InvalidToken")
        own = {Key.TENANT: self.ours, Key.READ_ONLY: self.ours, Key.OTHER_TENANT: THEIRS}.get(self.key)
        right = self.key is Key.ADMIN or (application is not None and application == own)
        if not right or (write and self.key is Key.READ_ONLY):
            await context.abort(_UNKNOWN, "")

    def _handler(self, name: str, answer: Callable[[Any, Any], Any], request: Any) -> Any:
        async def call(message: Any, context: Any) -> Any:
            self.calls.append(name)
            if self.away:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
            return await answer(message, context)

        return grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=request.FromString if request else bytes,
            response_serializer=lambda reply: reply if isinstance(reply, bytes) else reply.SerializeToString(),
        )

    def handlers(self) -> tuple[Any, ...]:
        of_devices = {
            "Enqueue": self._handler("Enqueue", self.enqueue, pb.EnqueueDeviceQueueItemRequest),
            "GetQueue": self._handler("GetQueue", self.get_queue, pb.GetDeviceQueueItemsRequest),
            "List": self._handler("List", self.list_devices, pb.ListDevicesRequest),
        }
        of_profiles = {"ListAdrAlgorithms": self._handler("ListAdrAlgorithms", self.list_algorithms, None)}
        return (
            grpc.method_handlers_generic_handler("api.DeviceService", of_devices),
            grpc.method_handlers_generic_handler("api.DeviceProfileService", of_profiles),
        )


@asynccontextmanager
async def serving(played: KeyedServer, *, certificate: tuple[Path, Path] | None = None) -> AsyncIterator[KeyedServer]:
    """Serve on a free port, with TLS if there is a `certificate` (its files: private key, chain)."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(played.handlers())
    if certificate is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pair = (certificate[0].read_bytes(), certificate[1].read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    played.target = f"127.0.0.1:{port}"
    await server.start()
    try:
        yield played
    finally:
        await server.stop(None)
