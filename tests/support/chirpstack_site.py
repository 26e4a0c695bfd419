"""Site as an application sees it: events by MQTT, commands by MQTT and gRPC, and control of its radio side.

The conformance suite uses ChirpStack only through this, so that it can be pointed at a real one whose gateways and
devices are simulated.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import gmqtt
import grpc
import grpc.aio
from gmqtt.mqtt.constants import MQTTv50

from baylight.lab.sim.behaviour import GatewayMode
from baylight.lab.sim.chirpstack import FakeChirpStack
from baylight.lab.sim.network import Device, ReceivedFrame
from baylight.protocol import chirpstack_pb2 as pb

LIGHT = "2020200000000001"
SENSOR = "58a0cb0000000001"
FOREIGN = "0101010101010101"
MARKER = "ffffffffffffffff"
DEADLINE_S = 10.0

Payload = dict[str, Any]


class Site:
    def __init__(self, broker_port: int, fake: FakeChirpStack) -> None:
        self.fake = fake
        self.events: list[tuple[str, str, Payload]] = []
        self.messages: list[bytes] = []
        self._port = broker_port
        self.news = asyncio.Event()
        self._client = gmqtt.Client("application")
        self._client.set_config({"reconnect_delay": 0.2, "reconnect_retries": -1})
        self._client.on_message = self._on_message

    async def start(self) -> None:
        for dev_eui, class_c in ((LIGHT, True), (SENSOR, False), (MARKER, False)):
            self.fake.add_device(dev_eui, class_c=class_c, tags={"bay": "1-01"})
        self.fake.add_device(FOREIGN, class_c=True, tenant="Somebody else")
        subscribed = asyncio.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        await self._client.connect("127.0.0.1", self._port, version=MQTTv50)
        self._client.subscribe("application/+/device/+/event/+", qos=1)
        await asyncio.wait_for(subscribed.wait(), DEADLINE_S)
        await self.fake.start()
        self._channel = grpc.aio.insecure_channel(self.fake.grpc_target)

    async def stop(self) -> None:
        await self._channel.close()
        await self.fake.stop()
        await self._client.disconnect()

    def _on_message(self, _client: object, topic: str, payload: bytes, *_: object) -> int:
        _, _, _, dev_eui, _, event = topic.split("/")
        self.messages.append(payload)
        self.events.append((event, dev_eui, json.loads(payload)))
        self.news.set()
        return 0

    @property
    def connected(self) -> bool:
        return bool(self._client.is_connected)

    # What the application sees and does

    def seen(self, event: str, dev_eui: str = LIGHT) -> list[Payload]:
        return [p for kind, eui, p in self.events if kind == event and eui == dev_eui]

    async def see(self, event: str, dev_eui: str = LIGHT, *, count: int = 1, **fields: object) -> Payload:
        """Wait for the `count`-th such event and return it."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                found = [p for p in self.seen(event, dev_eui) if fields.items() <= p.items()]
                if len(found) >= count:
                    return found[count - 1]
                self.news.clear()
                await self.news.wait()

    async def enqueue(
        self, data: bytes = b"\1", *, dev_eui: str = LIGHT, flush: bool = False, key: str | None = None, **fields: Any
    ) -> str:
        """Call gRPC Enqueue; return the server's id."""
        item = pb.DeviceQueueItem(dev_eui=dev_eui, data=data, **{"f_port": 15, **fields})
        request = pb.EnqueueDeviceQueueItemRequest(queue_item=item, flush_queue=flush)
        answer: pb.EnqueueDeviceQueueItemResponse = await self.call(
            "Enqueue", request, pb.EnqueueDeviceQueueItemResponse, key
        )
        return answer.id

    async def flush(self, dev_eui: str = LIGHT) -> None:
        await self.call("FlushQueue", pb.FlushDeviceQueueRequest(dev_eui=dev_eui), pb.FlushDeviceQueueResponse)

    async def queue(self, dev_eui: str = LIGHT) -> list[pb.DeviceQueueItem]:
        request = pb.GetDeviceQueueItemsRequest(dev_eui=dev_eui)
        return list((await self.call("GetQueue", request, pb.GetDeviceQueueItemsResponse)).result)

    async def call(
        self,
        method: str,
        request: Any,
        answer: Any,
        key: str | None = None,
        deadline_s: float = DEADLINE_S,
        *,
        service: str = "DeviceService",
    ) -> Any:
        """Call the API. `key`: None for the tenant's, "" for none."""
        call = self._channel.unary_unary(
            f"/api.{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        key = self.fake.api_key if key is None else key
        metadata = (("authorization", f"Bearer {key}"),) if key else ()
        return await call(request, metadata=metadata, timeout=deadline_s, wait_for_ready=True)

    def command(self, data: bytes = b"\1", /, *, dev_eui: str = LIGHT, **fields: object) -> None:
        """Publish MQTT command/down."""
        topic = f"application/{self.fake.application_id}/device/{dev_eui}/command/down"
        body = {"devEui": dev_eui, "confirmed": False, "fPort": 15, "data": b64encode(data).decode(), **fields}
        self._client.publish(topic, json.dumps(body), qos=1)

    # What happens at its radio side

    @property
    def light(self) -> Device:
        return self.fake.devices[LIGHT]

    async def uplink(self, dev_eui: str = LIGHT, **fields: Any) -> None:
        await self.fake.uplink(dev_eui, 15, b"\0", **fields)

    def gateway(self, mode: GatewayMode) -> None:
        self.fake.set_gateway(mode)

    async def tries(self, more: int) -> None:
        """Wait until the light's gateway has had this many more frames."""
        await self._until(lambda seen=self.fake.frames: self.fake.frames >= seen + more)

    async def tried(self) -> None:
        """Wait until the first item of the light's queue has been handed to a gateway."""
        await self._until(lambda: bool(self.light.queue and self.light.queue[0].tries))

    async def receives(self, count: int) -> list[ReceivedFrame]:
        """Wait until the light's radio has received this many frames; return them."""
        await self._until(lambda: len(self.light.received) >= count)
        return list(self.light.received)

    async def quiet(self) -> None:
        """Wait until everything that was published until now has arrived."""
        await self.fake.settled()
        sent = await self.fake.uplink(MARKER, 1, b"")
        await self.see("up", MARKER, fCnt=sent.f_cnt)

    async def _until(self, condition: Callable[[], bool]) -> None:
        await asyncio.wait_for(self.fake.until(condition), DEADLINE_S)


Sites = Callable[..., Awaitable[Site]]
