"""ChirpStack's gRPC API on a real gRPC server, and MQTT commands in their wire form."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import grpc
import pytest

from baylight.domain.downlink import DeviceFacts, Downlink, QueueItem
from baylight.domain.ids import DevEui
from baylight.errors import InputError, PermanentError, TransientError
from baylight.lab.embedded.broker import free_port
from baylight.lns.chirpstack.downlinks import ChirpStackGrpc, ChirpStackMqtt
from baylight.lns.chirpstack.topics import CommandTopic, command_topic
from baylight.lns.router import Router
from baylight.protocol import chirpstack_pb2 as pb

EUI = DevEui("58a0cb0000110001")
SEEN = datetime(2026, 11, 24, 9, tzinfo=UTC)
DOWNLINK = Downlink(
    id=UUID("01890a5d-ac96-774b-bcce-b302099a8057"),
    dev_eui=EUI,
    f_port=15,
    data=bytes.fromhex("ff00006400"),
    confirmed=True,
    expires_at=datetime(2026, 11, 24, 10, 0, 0, 123457, tzinfo=UTC),
    application_id="17c82e96-be03-4f38-aef3-f83d48582d97",
)


class Server:
    """Service that stores each request. It answers `status` if that is set, and never if `silent`.

    `facts`: its answer about each device.
    """

    def __init__(self) -> None:
        self.items: list[pb.DeviceQueueItem] = []
        self.authorization: str | None = None
        self.status: tuple[grpc.StatusCode, str] | None = None
        self.silent = False
        self.facts = pb.GetDeviceResponse()
        self.target = ""

    async def start(self) -> grpc.aio.Server:
        server = grpc.aio.server()
        methods = {
            "Enqueue": self._handler(self.enqueue, pb.EnqueueDeviceQueueItemRequest),
            "GetQueue": self._handler(self.get_queue, pb.GetDeviceQueueItemsRequest),
            "Get": self._handler(lambda _: self.facts, pb.GetDeviceRequest),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("api.DeviceService", methods),))
        self.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        return server

    def _handler(self, answer: Callable[[Any], Any], request: Any) -> Any:
        async def call(message: Any, context: grpc.aio.ServicerContext) -> Any:
            self.authorization = str(dict(context.invocation_metadata() or ()).get("authorization"))
            if self.silent:
                await _for_ever()
            if self.status is not None:
                await context.abort(*self.status)
            return answer(message)

        return grpc.unary_unary_rpc_method_handler(
            call, request_deserializer=request.FromString, response_serializer=lambda reply: reply.SerializeToString()
        )

    def enqueue(self, request: pb.EnqueueDeviceQueueItemRequest) -> pb.EnqueueDeviceQueueItemResponse:
        item = request.queue_item
        item.id = f"item-{len(self.items)}"
        self.items.append(item)
        return pb.EnqueueDeviceQueueItemResponse(id=item.id)

    def get_queue(self, request: pb.GetDeviceQueueItemsRequest) -> pb.GetDeviceQueueItemsResponse:
        items = [item for item in self.items if item.dev_eui == request.dev_eui]
        return pb.GetDeviceQueueItemsResponse(total_count=len(items), result=items)


async def never(topic: str, payload: bytes) -> None:
    raise AssertionError(topic)


async def _for_ever() -> None:
    await asyncio.Event().wait()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    played = Server()
    running = await played.start()
    yield played
    await running.stop(None)


@pytest.fixture
async def chirpstack(server: Server) -> AsyncIterator[ChirpStackGrpc]:
    client = ChirpStackGrpc(server.target, "the-key", timeout_s=2)
    yield client
    await client.close()


async def test_enqueue_returns_the_servers_own_id(server: Server, chirpstack: ChirpStackGrpc) -> None:
    assert await chirpstack.enqueue(DOWNLINK) == "item-0"
    (item,) = server.items
    assert (item.dev_eui, item.f_port, item.data, item.confirmed) == (EUI, 15, DOWNLINK.data, True)
    assert server.authorization == "Bearer the-key"


async def test_a_try_is_found_again_by_the_microseconds_of_its_expiry(chirpstack: ChirpStackGrpc) -> None:
    await chirpstack.enqueue(DOWNLINK)
    assert await chirpstack.queue(EUI) == [
        QueueItem(id="item-0", f_port=15, data=DOWNLINK.data, is_pending=False, expires_at=DOWNLINK.expires_at)
    ]
    assert await chirpstack.queue(DevEui("0000000000000001")) == []


async def test_i11_the_queue_shows_what_was_never_tried(server: Server, chirpstack: ChirpStackGrpc) -> None:
    for f_cnt_down in (0, 7):
        server.items.append(pb.DeviceQueueItem(id="item", dev_eui=EUI, f_port=15, f_cnt_down=f_cnt_down))
    assert [item.f_cnt_down for item in await chirpstack.queue(EUI)] == [None, 7]


@pytest.mark.parametrize(
    ("disabled", "class_enabled", "seen", "expected"),
    [
        (False, pb.DeviceClass.CLASS_C, True, DeviceFacts(True, True, SEEN)),
        (True, pb.DeviceClass.CLASS_A, True, DeviceFacts(False, False, SEEN)),
        (False, pb.DeviceClass.CLASS_B, True, DeviceFacts(True, False, SEEN)),
        (False, pb.DeviceClass.CLASS_A, False, DeviceFacts(True, None, None)),
        (False, pb.DeviceClass.CLASS_C, False, DeviceFacts(True, True, None)),
    ],
)
async def test_i11_the_facts_of_a_device_are_reported(
    server: Server,
    chirpstack: ChirpStackGrpc,
    disabled: bool,
    class_enabled: pb.DeviceClass,
    seen: bool,
    expected: DeviceFacts,
) -> None:
    device = pb.Device(dev_eui=EUI, is_disabled=disabled)
    server.facts = pb.GetDeviceResponse(device=device, class_enabled=class_enabled, last_seen_at=SEEN if seen else None)
    assert await chirpstack.device(EUI) == expected
    assert await Router({"tts": ChirpStackMqtt(never), "chirpstack": chirpstack}).device(EUI) == expected


@pytest.mark.parametrize("status", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAUTHENTICATED])
async def test_i11_a_device_that_is_not_there_has_no_facts(
    server: Server, chirpstack: ChirpStackGrpc, status: grpc.StatusCode
) -> None:
    server.status = (status, "")
    router = Router({"chirpstack": chirpstack, "tts": ChirpStackMqtt(never)})
    for asked in (chirpstack, router):
        with pytest.raises(PermanentError) as caught:
            await asked.device(EUI)
        assert caught.value.code == "device_not_known"
    assert await Router({"chirpstack": ChirpStackMqtt(never)}).device(EUI) is None


async def test_an_item_of_another_program_may_lack_an_expiry(server: Server, chirpstack: ChirpStackGrpc) -> None:
    server.items.append(pb.DeviceQueueItem(id="theirs", dev_eui=EUI, f_port=2, data=b"\x01", is_pending=True))
    assert await chirpstack.queue(EUI) == [
        QueueItem(id="theirs", f_port=2, data=b"\x01", is_pending=True, expires_at=None)
    ]


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (grpc.StatusCode.UNAVAILABLE, "going down"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, ""),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "busy"),
        (grpc.StatusCode.ABORTED, ""),
        (grpc.StatusCode.UNKNOWN, ""),
        (grpc.StatusCode.INTERNAL, "connection pool timed out"),
        (grpc.StatusCode.UNAUTHENTICATED, "InvalidSignature"),
        (grpc.StatusCode.UNIMPLEMENTED, ""),
    ],
)
async def test_what_may_work_later_is_transient(
    server: Server, chirpstack: ChirpStackGrpc, status: grpc.StatusCode, text: str
) -> None:
    server.status = (status, text)
    with pytest.raises(TransientError):
        await chirpstack.enqueue(DOWNLINK)


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "fPort must be > 0", "downlink_refused"),
        (grpc.StatusCode.NOT_FOUND, "Object does not exist", "device_not_known"),
        (grpc.StatusCode.INTERNAL, "Odd number of digits", "downlink_refused"),
        (grpc.StatusCode.INTERNAL, "Invalid character 'x' at position 3", "downlink_refused"),
        (grpc.StatusCode.INTERNAL, 'violates foreign key constraint "device_queue_item_dev_eui"', "device_not_known"),
        (grpc.StatusCode.UNAUTHENTICATED, "", "device_not_known"),
    ],
)
async def test_what_cannot_work_is_permanent_and_explained(
    server: Server, chirpstack: ChirpStackGrpc, status: grpc.StatusCode, text: str, code: str
) -> None:
    server.status = (status, text)
    with pytest.raises(PermanentError) as caught:
        await chirpstack.enqueue(DOWNLINK)
    assert caught.value.code == code
    assert caught.value.facts == {"dev_eui": EUI, "status": status.name}


async def test_a_server_that_does_not_answer_is_away_after_the_timeout(server: Server) -> None:
    server.silent = True
    client = ChirpStackGrpc(server.target, "key", timeout_s=0.2)
    with pytest.raises(TransientError, match="does not answer"):
        await client.enqueue(DOWNLINK)
    await client.close()


async def test_a_server_that_is_not_there_is_away() -> None:
    client = ChirpStackGrpc(f"127.0.0.1:{free_port()}", "key", timeout_s=2)
    with pytest.raises(TransientError, match="does not answer"):
        await client.ping()
    await client.close()


async def test_ping_passes_with_an_admin_key_and_with_a_tenants(server: Server, chirpstack: ChirpStackGrpc) -> None:
    await chirpstack.ping()
    server.status = (grpc.StatusCode.UNAUTHENTICATED, "")
    await chirpstack.ping()
    server.status = (grpc.StatusCode.NOT_FOUND, "Object does not exist")
    await chirpstack.ping()


async def test_ping_distinguishes_a_bad_key_from_a_server_that_is_away(
    server: Server, chirpstack: ChirpStackGrpc
) -> None:
    server.status = (grpc.StatusCode.UNAUTHENTICATED, "InvalidToken")
    with pytest.raises(TransientError, match="API key"):
        await chirpstack.ping()
    server.status = (grpc.StatusCode.UNAVAILABLE, "")
    with pytest.raises(TransientError):
        await chirpstack.ping()


async def test_mqtt_command_has_our_id_and_the_form_that_chirpstack_reads() -> None:
    sent: list[tuple[str, bytes]] = []

    async def publish(topic: str, payload: bytes) -> None:
        sent.append((topic, payload))

    mqtt = ChirpStackMqtt(publish)
    assert await mqtt.enqueue(DOWNLINK) == str(DOWNLINK.id)
    ((topic, payload),) = sent
    assert topic == f"application/17c82e96-be03-4f38-aef3-f83d48582d97/device/{EUI}/command/down"
    assert json.loads(payload) == {
        "id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "devEui": EUI,
        "confirmed": True,
        "fPort": 15,
        "data": "/wAAZAA=",
        "expiresAt": "2026-11-24T10:00:00.123457+00:00",
    }
    assert await mqtt.queue(EUI) is None
    await mqtt.ping()


async def test_mqtt_command_needs_the_application() -> None:
    async def publish(topic: str, payload: bytes) -> None:
        raise AssertionError(topic)

    with pytest.raises(PermanentError) as caught:
        await ChirpStackMqtt(publish).enqueue(replace(DOWNLINK, application_id=None))
    assert caught.value.code == "application_id_missing"


@pytest.mark.parametrize("bad", ["#", "+", "a/b", "/", "a\0", "a\n", "a b", "\ud800", "x" * 101, "\x85", "ä"])
async def test_b2_an_application_that_no_topic_can_carry_fails_the_command_for_good(bad: str) -> None:
    async def publish(topic: str, payload: bytes) -> None:
        raise AssertionError(topic)

    with pytest.raises(PermanentError, match=f"device add {EUI} --application") as caught:
        await ChirpStackMqtt(publish).enqueue(replace(DOWNLINK, application_id=bad))
    assert caught.value.code == "bad_application_id"
    caught.value.message.encode()


async def test_b4_a_command_that_no_client_reads_is_tried_again_with_the_topic_in_words() -> None:
    async def publish(topic: str, payload: bytes) -> bool:
        return False

    with pytest.raises(TransientError, match=f"subscribed to garage/application/.*/device/{EUI}/command/down"):
        await ChirpStackMqtt(publish, CommandTopic("garage/application")).enqueue(DOWNLINK)


@pytest.mark.parametrize(
    ("events", "command"),
    [
        ("application/+/device/+/event/+", "application/A/device/E/command/down"),
        ("garage/application/+/device/+/event/+", "garage/application/A/device/E/command/down"),
        ("eu868/north/application/+/device/+/event/up", "eu868/north/application/A/device/E/command/down"),
        ("garage/application/0b7e/device/+/event/+", "garage/application/A/device/E/command/down"),
        ("/application/+/device/+/event/+", "/application/A/device/E/command/down"),
        ("garage/application/#", "garage/application/A/device/E/command/down"),
        ("application/#", "application/A/device/E/command/down"),
        ("lorawan/+/device/+/event/+", "lorawan/A/device/E/command/down"),
        ("#", "application/A/device/E/command/down"),
    ],
)
def test_b4_the_topic_of_commands_follows_from_the_topic_of_events(events: str, command: str) -> None:
    assert command_topic(events).of("A", "E") == command


@pytest.mark.parametrize("events", ["+/application/+/device/+/event/+", "garage/#", "+/device/+/event/+", "a/b/c"])
def test_b4_an_unnamed_prefix_is_refused(events: str) -> None:
    with pytest.raises(InputError, match="BAYLIGHT_MQTT_TOPIC"):
        command_topic(events)


async def test_mqtt_command_has_the_keys_of_captured_ones(
    shared_vectors: Callable[[str], list[dict[str, Any]]],
) -> None:
    sent: list[tuple[str, bytes]] = []

    async def publish(topic: str, payload: bytes) -> None:
        sent.append((topic, payload))

    for row in shared_vectors("downlink_commands.jsonl"):
        expected = row["payload"]
        padded = expected["data"] + "=" * (-len(expected["data"]) % 4)
        downlink = replace(
            DOWNLINK,
            dev_eui=DevEui(expected["devEui"]),
            f_port=expected["fPort"],
            data=base64.b64decode(padded),
            confirmed=expected["confirmed"],
            application_id=row["topic"].split("/")[1],
        )
        await ChirpStackMqtt(publish).enqueue(downlink)
        topic, payload = sent.pop()
        assert topic == row["topic"]
        command = json.loads(payload)
        assert {key: command[key] for key in expected} == {**expected, "data": padded}
