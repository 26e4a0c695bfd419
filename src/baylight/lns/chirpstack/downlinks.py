"""Downlinks to ChirpStack v4: by its gRPC API, or by MQTT `command/down`."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import msgspec

from baylight.domain.address import is_address
from baylight.domain.downlink import DeviceFacts, Downlink, QueueItem
from baylight.domain.ids import DevEui
from baylight.errors import BaylightError, NoUplinkYetError, PermanentError, TransientError, shorten
from baylight.lns.chirpstack.channel import Api, method, text_of
from baylight.lns.chirpstack.key import KeyDoubt, KeyFault, device_not_known
from baylight.lns.chirpstack.topics import DEFAULT_TOPIC, CommandTopic
from baylight.protocol import chirpstack_pb2 as pb

_NO_DEVICE = DevEui("0" * 16)
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
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
_UNKNOWN_KEY = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
_REFUSED = frozenset(
    {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.OUT_OF_RANGE}
)
# ChirpStack answers INTERNAL to mistakes of the caller, too; only the text shows which. All are bad hex.
_REFUSED_TEXTS = ("odd number of digits", "invalid character", "invalid string length")


class ChirpStackGrpc:
    """Port NetworkServer by gRPC. `target`: host:port. `ca`: see `Api`. One event loop makes, uses and closes it.

    ChirpStack makes its own queue item ids, so `enqueue` is not idempotent. After a lost answer, look in `queue` for
    the downlink's `expires_at`, which ChirpStack stores to the microsecond.

    A key that is deleted, read-only or of another tenant is refused like an unknown device. `KeyDoubt` finds
    which it is; a fault of the key is a TransientError `network_server_key_refused`, since no device is at fault.
    """

    def __init__(
        self, target: str, api_key: str, *, tls: bool = False, ca: Path | None = None, timeout_s: float = 5.0
    ) -> None:
        """Connect to nothing yet. Raises InputError as `Api` does."""
        api = Api(target, api_key, tls, ca)
        self._target = target
        self._timeout_s = timeout_s
        self._metadata = api.metadata
        self._channel = api.channel()
        self._enqueue = method(self._channel, "DeviceService/Enqueue", pb.EnqueueDeviceQueueItemResponse)
        self._get_queue = method(self._channel, "DeviceService/GetQueue", pb.GetDeviceQueueItemsResponse)
        self._get_device = method(self._channel, "DeviceService/Get", pb.GetDeviceResponse)
        self._list_devices = method(self._channel, "DeviceService/List", pb.ListDevicesResponse)
        self._list_algorithms = method(self._channel, "DeviceProfileService/ListAdrAlgorithms", None)
        self.reported: dict[DevEui, str] = {}
        """Application ids of displays whose events came from ChirpStack itself."""
        self._doubt = KeyDoubt(self.reported, reads_queue=self._reads_queue, lists=self._lists, any_key=self._any_key)

    async def enqueue(self, downlink: Downlink) -> str:
        if downlink.reported and downlink.application_id:
            self.reported[downlink.dev_eui] = downlink.application_id
        if fault := self._doubt.fault:
            raise fault
        item = pb.DeviceQueueItem(
            dev_eui=downlink.dev_eui, confirmed=downlink.confirmed, f_port=downlink.f_port, data=downlink.data
        )
        item.expires_at.FromDatetime(downlink.expires_at)
        answer = await self._call(self._enqueue, pb.EnqueueDeviceQueueItemRequest(queue_item=item), downlink.dev_eui)
        self._doubt.served(downlink.dev_eui)
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
                f_cnt_down=item.f_cnt_down or None,
            )
            for item in answer.result
        ]

    async def device(self, dev_eui: DevEui) -> DeviceFacts:
        answer = await self._call(self._get_device, pb.GetDeviceRequest(dev_eui=dev_eui), dev_eui)
        seen = answer.last_seen_at.ToDatetime(tzinfo=UTC) if answer.HasField("last_seen_at") else None
        class_c = answer.class_enabled == pb.DeviceClass.CLASS_C
        # Before its activation a device counts as class A, whatever its profile says.
        return DeviceFacts(not answer.device.is_disabled, class_c if class_c or seen else None, seen)

    async def ping(self) -> None:
        """Check address and key; with displays in `reported` the right to write, too.

        A command for FPort 0, which ChirpStack refuses after it has checked the right to write, proves this right. Its
        expiry lies in the past: even a server that accepted it would not send it.
        """
        self._doubt.forget()
        for dev_eui in self._doubt.to_ask():
            try:
                if await self._may_write(dev_eui):
                    self._doubt.served(dev_eui)
                    return
            except PermanentError as error:
                if error.code != "device_not_known":
                    raise
        try:
            await self._asked(self._get_queue, pb.GetDeviceQueueItemsRequest(dev_eui=_NO_DEVICE))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND and (error.code() not in _UNKNOWN_KEY or text_of(error)):
                raise self._in_plain_words(error, _NO_DEVICE) from error
            if await self._any_key() is False:
                raise self._doubt.found(KeyFault.DELETED, "it refuses what each key may do") from error

    async def close(self) -> None:
        await self._channel.close(None)

    async def _may_write(self, dev_eui: DevEui) -> bool:
        item = pb.DeviceQueueItem(dev_eui=dev_eui, f_port=0)
        item.expires_at.FromDatetime(_LONG_AGO)
        try:
            await self._call(self._enqueue, pb.EnqueueDeviceQueueItemRequest(queue_item=item), dev_eui)
        except PermanentError as error:
            if error.code != "downlink_refused":
                raise
        return True

    async def _reads_queue(self, dev_eui: DevEui) -> bool | None:
        return await self._allows(self._get_queue, pb.GetDeviceQueueItemsRequest(dev_eui=dev_eui))

    async def _lists(self, application_id: str) -> bool | None:
        return await self._allows(self._list_devices, pb.ListDevicesRequest(application_id=application_id, limit=1))

    async def _any_key(self) -> bool | None:
        return await self._allows(self._list_algorithms, None)

    async def _allows(self, method: Any, request: Any) -> bool | None:
        try:
            await self._asked(method, request)
        except grpc.aio.AioRpcError as error:
            return False if error.code() in _UNKNOWN_KEY else None
        return True

    async def _asked(self, method: Any, request: Any) -> Any:
        return await method(request, timeout=self._timeout_s, metadata=self._metadata)

    async def _call(self, method: Any, request: Any, dev_eui: DevEui) -> Any:
        try:
            return await self._asked(method, request)
        except grpc.aio.AioRpcError as error:
            if error.code() in _UNKNOWN_KEY and not text_of(error):
                raise await self._doubt.explain(dev_eui, error.code().name) from error
            raise self._in_plain_words(error, dev_eui) from error

    def _in_plain_words(self, error: grpc.aio.AioRpcError, dev_eui: DevEui) -> BaylightError:
        status, text = error.code(), text_of(error)
        facts: dict[str, Any] = {"dev_eui": dev_eui, "status": status.name}
        if status in _AWAY:
            return TransientError("chirpstack_away", f"ChirpStack at {self._target} does not answer: {text}", **facts)
        if status in _UNKNOWN_KEY:
            # Only the check of the token itself gives a text; the check of rights to a device gives none.
            return self._doubt.found(KeyFault.UNREADABLE, text)
        if status is grpc.StatusCode.UNIMPLEMENTED:
            return TransientError("not_chirpstack", f"there is no ChirpStack v4 API at {self._target}: {text}", **facts)
        if status is grpc.StatusCode.NOT_FOUND or "foreign key" in text.lower():
            return device_not_known(dev_eui, status.name)
        if status in _REFUSED or any(part in text.lower() for part in _REFUSED_TEXTS):
            return PermanentError(
                "downlink_refused",
                f"ChirpStack refuses the downlink: {text}; check that device {dev_eui} exists there",
                **facts,
            )
        return TransientError("chirpstack_failed", f"ChirpStack failed: {status.name} {text}", **facts)


Publish = Callable[[str, bytes], Awaitable[bool | None]]


class ChirpStackMqtt:
    """Port NetworkServer by MQTT. It needs no API key, but ChirpStack reports errors in its own log only.

    The queue item id is the downlink's, so `enqueue` is idempotent while the item is queued.
    """

    def __init__(self, publish: Publish, topic: CommandTopic = DEFAULT_TOPIC) -> None:
        """`publish` returns False if the broker reports that no client has subscribed to the topic."""
        self._publish = publish
        self._topic = topic

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
        if not is_address(downlink.application_id, "chirpstack"):
            raise PermanentError(
                "bad_application_id",
                f"the application id {shorten(downlink.application_id)!a} of display {downlink.dev_eui} cannot be "
                f"part of a topic: `baylight device add {downlink.dev_eui} --application <id>` replaces it",
                dev_eui=downlink.dev_eui,
            )
        topic = self._topic.of(downlink.application_id, downlink.dev_eui)
        if await self._publish(topic, msgspec.json.encode(command)) is False:
            raise TransientError(
                "chirpstack_not_subscribed",
                f"no client of the broker has subscribed to {topic}: start ChirpStack, or correct the prefix in "
                "BAYLIGHT_MQTT_TOPIC",
                dev_eui=downlink.dev_eui,
            )
        return str(downlink.id)

    async def queue(self, dev_eui: DevEui) -> None:
        return None

    async def device(self, dev_eui: DevEui) -> None:
        return None

    async def ping(self) -> None:
        """Do nothing: ChirpStack sends no answer by MQTT. The consumer reports whether the broker is reachable."""
