"""Downlinks to ChirpStack v4: by its gRPC API, or by MQTT `command/down`."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Any

import grpc
import msgspec

from baylight.domain.downlink import Downlink, QueueItem
from baylight.domain.ids import DevEui
from baylight.errors import BaylightError, NoUplinkYetError, PermanentError, TransientError
from baylight.protocol import chirpstack_pb2 as pb

_SERVICE = "/api.DeviceService/"
_NO_DEVICE = DevEui("0" * 16)
# Keepalives detect a dead connection between commands, before the next one fails. A restart of the server is noticed
# within seconds.
_CHANNEL_OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]
_AWAY = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
    }
)
_REFUSED = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
    }
)
# ChirpStack answers INTERNAL to mistakes of the caller, too; only the text shows which. The first three are bad hex.
_REFUSED_TEXTS = ("odd number of digits", "invalid character", "invalid string length", "foreign key")


class ChirpStackGrpc:
    """Port NetworkServer by gRPC. `target`: host:port. One event loop makes, uses and closes it.

    ChirpStack makes its own queue item ids, so `enqueue` is not idempotent. After a lost answer, look in `queue` for
    the downlink's `expires_at`, which ChirpStack stores to the microsecond.
    """

    def __init__(self, target: str, api_key: str, *, tls: bool = False, timeout_s: float = 5.0) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._metadata = (("authorization", f"Bearer {api_key}"),)
        if tls:
            credentials = grpc.ssl_channel_credentials()
            self._channel = grpc.aio.secure_channel(target, credentials, options=_CHANNEL_OPTIONS)
        else:
            self._channel = grpc.aio.insecure_channel(target, options=_CHANNEL_OPTIONS)
        self._enqueue = self._method("Enqueue", pb.EnqueueDeviceQueueItemResponse)
        self._get_queue = self._method("GetQueue", pb.GetDeviceQueueItemsResponse)

    async def enqueue(self, downlink: Downlink) -> str:
        item = pb.DeviceQueueItem(
            dev_eui=downlink.dev_eui, confirmed=downlink.confirmed, f_port=downlink.f_port, data=downlink.data
        )
        item.expires_at.FromDatetime(downlink.expires_at)
        answer = await self._call(self._enqueue, pb.EnqueueDeviceQueueItemRequest(queue_item=item), downlink.dev_eui)
        return str(answer.id)

    async def queue(self, dev_eui: DevEui) -> list[QueueItem]:
        answer = await self._call(self._get_queue, pb.GetDeviceQueueItemsRequest(dev_eui=dev_eui), dev_eui)
        return [
            QueueItem(
                id=item.id,
                f_port=item.f_port,
                data=item.data,
                is_pending=item.is_pending,
                expires_at=item.expires_at.ToDatetime(tzinfo=UTC) if item.HasField("expires_at") else None,
            )
            for item in answer.result
        ]

    async def ping(self) -> None:
        """Ask for the queue of a device that does not exist.

        An admin key receives an empty queue, a tenant key `device_not_known`. Both prove address and key. A key that
        was deleted in ChirpStack gives the same answer as a tenant key; the first downlink fails with it.
        """
        try:
            await self.queue(_NO_DEVICE)
        except PermanentError as error:
            if error.code not in ("device_not_known", "downlink_refused"):
                raise

    async def close(self) -> None:
        await self._channel.close(None)

    def _method(self, name: str, answer: Any) -> Any:
        return self._channel.unary_unary(
            _SERVICE + name,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )

    async def _call(self, method: Any, request: Any, dev_eui: DevEui) -> Any:
        try:
            return await method(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise self._in_plain_words(error, dev_eui) from error

    def _in_plain_words(self, error: grpc.aio.AioRpcError, dev_eui: DevEui) -> BaylightError:
        status, text = error.code(), (error.details() or "").replace("\0", "")[:500]
        facts: dict[str, Any] = {"dev_eui": dev_eui, "status": status.name}
        if status in _AWAY:
            return TransientError("chirpstack_away", f"ChirpStack at {self._target} does not answer: {text}", **facts)
        if status is grpc.StatusCode.UNAUTHENTICATED and text:
            # Only the check of the token itself gives a text; the check of rights to a device gives none.
            return PermanentError(
                "bad_api_key",
                f"ChirpStack does not accept the API key ({text}); make a new one in its web interface",
                **facts,
            )
        if status in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            return PermanentError(
                "device_not_known",
                f"ChirpStack knows no device {dev_eui} that this API key may use; add the device, or use a key of its "
                "tenant that may write",
                **facts,
            )
        if status is grpc.StatusCode.UNIMPLEMENTED:
            return PermanentError("not_chirpstack", f"there is no ChirpStack v4 API at {self._target}: {text}", **facts)
        if status in _REFUSED or any(part in text.lower() for part in _REFUSED_TEXTS):
            return PermanentError(
                "downlink_refused",
                f"ChirpStack refuses the downlink: {text}; check that device {dev_eui} exists there",
                **facts,
            )
        return TransientError("chirpstack_failed", f"ChirpStack failed: {status.name} {text}", **facts)


class ChirpStackMqtt:
    """Port NetworkServer by MQTT. It needs no API key, but ChirpStack reports errors in its own log only.

    The queue item id is the downlink's, so `enqueue` is idempotent while the item is queued.
    """

    def __init__(self, publish: Callable[[str, bytes], Awaitable[None]]) -> None:
        self._publish = publish

    async def enqueue(self, downlink: Downlink) -> str:
        if not downlink.application_id:
            raise NoUplinkYetError(
                "application_id_missing",
                f"the ChirpStack application of {downlink.dev_eui} is not known: wait for an uplink of the device, "
                "or set its application id",
                dev_eui=downlink.dev_eui,
            )
        command = {
            "id": str(downlink.id),
            "devEui": downlink.dev_eui,
            "confirmed": downlink.confirmed,
            "fPort": downlink.f_port,
            "data": base64.b64encode(downlink.data).decode(),
            "expiresAt": downlink.expires_at.astimezone(UTC).isoformat(timespec="microseconds"),
        }
        topic = f"application/{downlink.application_id}/device/{downlink.dev_eui}/command/down"
        await self._publish(topic, msgspec.json.encode(command))
        return str(downlink.id)

    async def queue(self, dev_eui: DevEui) -> None:
        return None

    async def ping(self) -> None:
        """Do nothing: ChirpStack sends no answer by MQTT. The consumer reports whether the broker is reachable."""
