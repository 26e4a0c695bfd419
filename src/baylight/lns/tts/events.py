"""The Things Stack v3's application messages (JSON, by MQTT or webhook), read into neutral form.

Only the body of a message counts, because the operator may set its MQTT topic and its webhook path. The JSON is
protobuf's: an empty field (0, false, "") is left out. Source: The Things Stack's api/messages.proto.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID, uuid5

import msgspec

from baylight.domain.address import is_level
from baylight.domain.events import Ack, Event, Ignored, Join, Log, TxAck, Uplink
from baylight.domain.ids import DevEui
from baylight.errors import DeviceDataError, shorten
from baylight.lns import wire

NETWORK_SERVER = "tts"
OURS = "baylight:"
"""Prefix of the correlation id of a Baylight downlink, which is its queue item id: `baylight:<DevEUI>:<id>:<try>`."""
_NAMESPACE = UUID("0d5d0f8e-6c0b-5b0e-8f43-1b0a3d1c2f55")


class _Wire(msgspec.Struct, gc=False):
    pass


class _ApplicationIds(_Wire):
    application_id: str | None = None


class _DeviceIds(_Wire):
    device_id: str | None = None
    application_ids: _ApplicationIds | None = None
    dev_eui: str | None = None
    dev_addr: str | None = None


class _GatewayIds(_Wire):
    eui: str | None = None


class _PacketBroker(_Wire):
    forwarder_gateway_eui: str | None = None


class _RxMetadata(_Wire):
    gateway_ids: _GatewayIds | None = None
    packet_broker: _PacketBroker | None = None
    rssi: float | None = None
    snr: float | None = None


class _VersionIds(_Wire):
    brand_id: str | None = None
    model_id: str | None = None


class _Uplink(_Wire):
    session_key_id: str | None = None
    f_port: wire.UInt8 | None = None
    f_cnt: wire.UInt32 | None = None
    frm_payload: str | None = None
    confirmed: bool | None = None
    rx_metadata: list[_RxMetadata | None] | None = None
    received_at: object = None
    version_ids: _VersionIds | None = None
    app_s_key: dict[str, object] | None = None


class _JoinAccept(_Wire):
    session_key_id: str | None = None
    received_at: object = None


class _Downlink(_Wire):
    f_cnt: wire.UInt32 | None = None
    correlation_ids: list[str] | None = None


class _Error(_Wire):
    namespace: str | None = None
    name: str | None = None
    message_format: str | None = None


class _Failed(_Wire):
    downlink: _Downlink | None = None
    error: _Error | None = None


class _Message(_Wire):
    """Message whose kind is the one field of the last eleven that is set."""

    end_device_ids: _DeviceIds | None = None
    correlation_ids: list[str] | None = None
    received_at: object = None
    simulated: bool | None = None
    uplink_message: _Uplink | None = None
    join_accept: _JoinAccept | None = None
    downlink_sent: _Downlink | None = None
    downlink_ack: _Downlink | None = None
    downlink_nack: _Downlink | None = None
    downlink_failed: _Failed | None = None
    downlink_queued: object = None
    downlink_queue_invalidated: object = None
    uplink_normalized: object = None
    location_solved: object = None
    service_data: object = None


_DECODER = msgspec.json.Decoder(_Message, strict=False)
_UNUSED = {
    "downlink_queued": "downlink_queued",
    "downlink_queue_invalidated": "downlink_queue_invalidated",
    "uplink_normalized": "normalized",
    "location_solved": "location",
    "service_data": "service_data",
}


def parse(topic_or_path: str, payload: bytes) -> Event | Ignored:
    """Read an application message.

    Messages that a person simulates in the console are ignored (they must change no light), and so are downlinks of
    others. Raises DeviceDataError: `too_large`, `bad_json`, `bad_event` (a value of the wrong type or range),
    `bad_dev_eui`, `bad_application_id`, `encrypted_payload`. A time that cannot be used is None in the event.
    """
    if topic_or_path.endswith(("/down/push", "/down/replace")):
        return Ignored("command")
    message = wire.decode(_DECODER, payload, "choose the format JSON in The Things Stack")
    for kind, build in _BUILDERS.items():
        if getattr(message, kind) is not None:
            return Ignored("simulated") if message.simulated else build(message)
    for kind, reason in _UNUSED.items():
        if getattr(message, kind) is not None:
            return Ignored(reason)
    return Ignored("unknown_event")


def _uplink(message: _Message) -> Uplink:
    body = message.uplink_message
    assert body is not None
    dev_eui = _dev_eui(message)
    if body.app_s_key:
        raise DeviceDataError(
            "encrypted_payload", "the payload is encrypted: link the application with payload crypto", dev_eui=dev_eui
        )
    at = wire.instant(body.received_at) or wire.instant(message.received_at)
    ids = message.end_device_ids or _DeviceIds()
    f_cnt, f_port = body.f_cnt or 0, body.f_port or 0
    data = wire.data(body.frm_payload or "", "frm_payload")
    strongest = max((rx for rx in body.rx_metadata or () if rx is not None), key=_strength, default=_RxMetadata())
    rssi = strongest.rssi if strongest.rssi is not None and abs(strongest.rssi) <= wire.INT16 else None
    snr = 0.0 if strongest.snr is None else strongest.snr
    return Uplink(
        dev_eui=dev_eui,
        deduplication_id=_id(dev_eui, "up", body.session_key_id, at, f_cnt, f_port, data.hex()),
        observed_at=at,
        network_at=at,
        dev_addr=wire.hex_digits(ids.dev_addr, wire.DEV_ADDR),
        f_cnt=f_cnt,
        f_port=f_port,
        data=data,
        confirmed=bool(body.confirmed),
        rssi_dbm=None if rssi is None else round(rssi),
        snr_db=None if rssi is None or abs(snr) > 1e6 else snr,
        gateway_id=_gateway_id(strongest),
        device_name=wire.short(ids.device_id),
        profile_name=_profile(body.version_ids),
        application_id=_address(ids),
        network_server=NETWORK_SERVER,
    )


def _join(message: _Message) -> Join:
    body = message.join_accept
    assert body is not None
    dev_eui = _dev_eui(message)
    at = wire.instant(body.received_at) or wire.instant(message.received_at)
    ids = message.end_device_ids or _DeviceIds()
    return Join(
        dev_eui=dev_eui,
        deduplication_id=_id(dev_eui, "join", body.session_key_id, at, ids.dev_addr),
        observed_at=at,
        dev_addr=wire.hex_digits(ids.dev_addr, wire.DEV_ADDR),
        application_id=_address(ids),
        network_server=NETWORK_SERVER,
        device_name=wire.short(ids.device_id),
    )


def _sent(message: _Message) -> TxAck | Ignored:
    body = message.downlink_sent or _Downlink()
    queue_item_id = _ours(message, body)
    if queue_item_id is None:
        return Ignored("foreign_downlink")
    f_cnt = body.f_cnt or 0
    return TxAck(_dev_eui(message, queue_item_id), queue_item_id, None, f_cnt, None, wire.instant(message.received_at))


def _ack(message: _Message) -> Ack | Ignored:
    body = message.downlink_ack or message.downlink_nack or _Downlink()
    queue_item_id = _ours(message, body)
    if queue_item_id is None:
        return Ignored("foreign_downlink")
    f_cnt = body.f_cnt or 0
    return Ack(
        _dev_eui(message, queue_item_id),
        queue_item_id,
        message.downlink_ack is not None,
        f_cnt,
        wire.instant(message.received_at),
    )


def _failed(message: _Message) -> Log | Ignored:
    body = message.downlink_failed or _Failed()
    queue_item_id = _ours(message, body.downlink or _Downlink())
    if queue_item_id is None:
        return Ignored("foreign_downlink")
    error = body.error or _Error()
    name = wire.clean(error.name or "unknown", 100)
    return Log(
        dev_eui=_dev_eui(message, queue_item_id),
        level="ERROR",
        code="DOWNLINK_PAYLOAD_SIZE" if name == "application_downlink_too_long" else "DOWNLINK_FAILED",
        description=wire.clean(f"{name}: {error.message_format or ''}", wire.MAX_TEXT),
        queue_item_id=queue_item_id,
        observed_at=wire.instant(message.received_at),
        context={"namespace": wire.clean(error.namespace or "", 100), "name": name},
    )


_BUILDERS: dict[str, Callable[[_Message], Event | Ignored]] = {
    "uplink_message": _uplink,
    "join_accept": _join,
    "downlink_sent": _sent,
    "downlink_ack": _ack,
    "downlink_nack": _ack,
    "downlink_failed": _failed,
}


def _id(dev_eui: DevEui, kind: str, session: str | None, at: datetime | None, *frame: object) -> str:
    """Return an id that is the same for both copies of a message, by MQTT and by webhook.

    It depends on device, session, time of receipt (if usable) and frame; not on correlation ids, to which components on
    the way add theirs.
    """
    return str(
        uuid5(_NAMESPACE, "/".join([dev_eui, kind, session or "", at.isoformat() if at else "", *map(str, frame)]))
    )


def _ours(message: _Message, downlink: _Downlink) -> str | None:
    for text in (*(downlink.correlation_ids or ()), *(message.correlation_ids or ())):
        if text.startswith(OURS) and len(text) <= 100:
            return wire.clean(text, 100)
    return None


def _dev_eui(message: _Message, queue_item_id: str = "") -> DevEui:
    """Return the message's DevEUI. Some messages about downlinks have none: then the one in our correlation id."""
    ids = message.end_device_ids or _DeviceIds()
    text = (ids.dev_eui or queue_item_id.removeprefix(OURS).partition(":")[0]).lower()
    if not wire.EUI64.match(text):
        raise DeviceDataError("bad_dev_eui", f"end_device_ids.dev_eui {shorten(text)!r} is not 16 hex digits")
    return DevEui(text)


def _address(ids: _DeviceIds) -> str | None:
    """Return `<application>/<device id>`, the address of downlinks.

    Raises DeviceDataError `bad_application_id` for one that no topic can carry.
    """
    application = ids.application_ids and ids.application_ids.application_id
    if not application or not ids.device_id:
        return None
    if not is_level(application) or not is_level(ids.device_id):
        shown = ascii(shorten(f"{application}/{ids.device_id}"))
        raise DeviceDataError("bad_application_id", f"{shown} is no application and device id of The Things Stack")
    return f"{application}/{ids.device_id}"


def _gateway_id(rx: _RxMetadata) -> str | None:
    own = rx.gateway_ids.eui if rx.gateway_ids else None
    forwarded = rx.packet_broker.forwarder_gateway_eui if rx.packet_broker else None
    return wire.hex_digits(own or forwarded, wire.EUI64)


def _strength(rx: _RxMetadata) -> tuple[float, float]:
    """Return RSSI and SNR for comparison. Metadata without an RSSI are not of a radio and come last."""
    return (-1e9 if rx.rssi is None else rx.rssi), rx.snr or 0.0


def _profile(version: _VersionIds | None) -> str | None:
    return wire.short(f"{version.brand_id or ''} {version.model_id or ''}".strip()) if version else None
