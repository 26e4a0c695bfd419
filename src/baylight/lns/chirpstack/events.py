"""ChirpStack v4's integration events (JSON, by MQTT or HTTP), read into neutral form.

The JSON is protobuf's: a missing key, null and the type's zero mean the same; numbers may be written as 1.0 or "1".
Source: ChirpStack's api/proto/integration/integration.proto and gw/gw.proto.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import msgspec

from baylight.domain.address import is_address
from baylight.domain.events import Ack, DeviceStatus, Event, Ignored, Join, Log, TxAck, Uplink
from baylight.domain.ids import DevEui
from baylight.errors import DeviceDataError, shorten
from baylight.lns import wire

_NAMESPACE = UUID("6f5b1c2e-54a1-5e0c-9d0b-6d1c7f0f7c11")
_X = "[0-9a-f]"
_UUID = re.compile(rf"{_X}{{8}}-{_X}{{4}}-{_X}{{4}}-{_X}{{4}}-{_X}{{12}}\Z")


class _Wire(msgspec.Struct, rename="camel", gc=False):
    pass


class _DeviceInfo(_Wire):
    dev_eui: str | None = None
    application_id: str | None = None
    device_name: str | None = None
    device_profile_name: str | None = None
    device_class_enabled: str | None = None


class _RxInfo(_Wire):
    gateway_id: str | None = None
    ns_time: object = None
    rssi: float | None = None
    snr: float | None = None


class _Lora(_Wire):
    bandwidth: wire.UInt32 | None = None
    spreading_factor: wire.UInt8 | None = None


class _Modulation(_Wire):
    lora: _Lora | None = None


class _TxInfo(_Wire):
    frequency: wire.UInt32 | None = None
    modulation: _Modulation | None = None


class _Event(_Wire):
    """All fields that any event has. A few more defaults cost less than seven types and their decoders."""

    time: object = None
    device_info: _DeviceInfo | None = None
    deduplication_id: str | None = None
    dev_addr: str | None = None
    dr: int | None = None
    f_cnt: wire.UInt32 | None = None
    f_port: wire.UInt8 | None = None
    confirmed: bool | None = None
    data: str | None = None
    rx_info: list[_RxInfo | None] | None = None
    tx_info: _TxInfo | None = None
    join_server_context: dict[str, Any] | None = None
    downlink_id: wire.UInt32 | None = None
    queue_item_id: str | None = None
    f_cnt_down: wire.UInt32 | None = None
    gateway_id: str | None = None
    acknowledged: bool | None = None
    level: str | None = None
    code: str | None = None
    description: str | None = None
    context: dict[str, Any] | None = None
    margin: int | None = None
    external_power_source: bool | None = None
    battery_level_unavailable: bool | None = None
    battery_level: float | None = None


_CLASSES = {"CLASS_A": "A", "CLASS_B": "B", "CLASS_C": "C"}
_DECODER = msgspec.json.Decoder(_Event, strict=False)
OTHER_APPLICATION = Ignored("other_application")
"""Result for an event of an application that the settings do not accept."""


def parse(topic: str, payload: bytes, accepted: Collection[str] = ()) -> Event | Ignored:
    """Read an event of ChirpStack's MQTT integration.

    `accepted`: ids of applications; the events of others are ignored. Empty: all are accepted.
    Raises DeviceDataError: `bad_topic`, `too_large`, `bad_json`, `bad_event` (a value of the wrong type or range, or a
    needed key is missing), `bad_dev_eui`, `bad_application_id` (no topic of a command could carry it),
    `application_mismatch` (the topic names another application than the event), `encrypted_payload`. A time that cannot
    be used is None in the event.
    """
    levels = topic.rsplit("/", 5)
    if len(levels) < 4 or levels[-4] != "device" or levels[-2] != "event":
        raise DeviceDataError("bad_topic", f"{shorten(topic)!r} is not …/device/<DevEUI>/event/<event>")
    return _parse(levels[-1], payload, levels[-3], levels[-5] if len(levels) > 4 else None, accepted)


def parse_http(kind: str, payload: bytes, accepted: Collection[str] = ()) -> Event | Ignored:
    """Read an event of ChirpStack's HTTP integration, see `parse`. `kind`: the query's `event`."""
    return _parse(kind, payload, None, None, accepted)


def _parse(
    kind: str, payload: bytes, in_topic: str | None, application: str | None, accepted: Collection[str]
) -> Event | Ignored:
    build = _BUILDERS.get(kind)
    if build is None:
        return Ignored("location" if kind == "location" else "unknown_event")
    event = wire.decode(_DECODER, payload, "ChirpStack needs json=true there")
    info = event.device_info or _DeviceInfo()
    dev_eui = _dev_eui(event, in_topic)
    _check_application(info.application_id, application, dev_eui)
    if accepted and (info.application_id or application) not in accepted:
        return OTHER_APPLICATION
    return build(event, info, dev_eui)


def _check_application(named: str | None, in_topic: str | None, dev_eui: DevEui) -> None:
    """Check that commands can go to the application, and that the topic names the same.

    An event without an application changes no address.
    """
    if not named:
        return
    if not is_address(named, "chirpstack"):
        detail = f"deviceInfo.applicationId {shorten(named)!a} is no id that a topic can carry"
        raise DeviceDataError("bad_application_id", detail, dev_eui=dev_eui)
    if in_topic not in (named, None):
        detail = f"the topic names application {shorten(in_topic or '')!a}, the event {named}"
        raise DeviceDataError("application_mismatch", detail, dev_eui=dev_eui)


def _uplink(event: _Event, info: _DeviceInfo, dev_eui: DevEui) -> Uplink:
    if event.join_server_context and any(event.join_server_context.values()):
        raise DeviceDataError(
            "encrypted_payload", "the payload is encrypted with a key of an external join server", dev_eui=dev_eui
        )
    strongest, network_at = _reception(event.rx_info)
    rssi = _finite(strongest.rssi) if strongest else None
    return Uplink(
        dev_eui,
        _deduplication_id(event, dev_eui),
        wire.instant(event.time) or network_at,
        network_at,
        wire.hex_digits(event.dev_addr, wire.DEV_ADDR),
        event.f_cnt or 0,
        event.f_port or 0,
        wire.data(event.data or "", "data"),
        bool(event.confirmed),
        round(rssi) if rssi is not None and abs(rssi) <= wire.INT16 else None,
        _finite(strongest.snr) if strongest else None,
        wire.hex_digits(strongest.gateway_id, wire.EUI64) if strongest else None,
        event.dr or 0 if 0 <= (event.dr or 0) <= 255 else None,
        wire.short(info.device_name),
        wire.short(info.device_profile_name),
        wire.short(info.application_id),
        device_class=_device_class(info),
    )


def _join(event: _Event, info: _DeviceInfo, dev_eui: DevEui) -> Join:
    return Join(
        dev_eui=dev_eui,
        deduplication_id=_deduplication_id(event, dev_eui),
        observed_at=wire.instant(event.time),
        dev_addr=wire.hex_digits(event.dev_addr, wire.DEV_ADDR),
        application_id=wire.short(info.application_id),
        device_class=_device_class(info),
        device_name=wire.short(info.device_name),
        profile_name=wire.short(info.device_profile_name),
    )


def _tx_ack(event: _Event, info: _DeviceInfo, dev_eui: DevEui) -> TxAck:
    sent = event.tx_info or _TxInfo()
    lora = sent.modulation.lora if sent.modulation else None
    return TxAck(
        dev_eui=dev_eui,
        queue_item_id=_queue_item_id(event),
        downlink_id=event.downlink_id or 0,
        f_cnt_down=event.f_cnt_down or 0,
        gateway_id=wire.hex_digits(event.gateway_id, wire.EUI64),
        observed_at=wire.instant(event.time),
        frequency_hz=sent.frequency or None,
        spreading_factor=lora.spreading_factor if lora and 5 <= (lora.spreading_factor or 0) <= 12 else None,
        bandwidth_hz=lora.bandwidth or None if lora else None,
    )


def _ack(event: _Event, info: _DeviceInfo, dev_eui: DevEui) -> Ack:
    return Ack(
        dev_eui=dev_eui,
        queue_item_id=_queue_item_id(event),
        acknowledged=bool(event.acknowledged),
        f_cnt_down=event.f_cnt_down or 0,
        observed_at=wire.instant(event.time),
    )


def _log(event: _Event, info: _DeviceInfo, dev_eui: DevEui) -> Log:
    pairs = list((event.context or {}).items())[:20]
    context = {wire.clean(key, 50): wire.clean(str(value), wire.MAX_TEXT) for key, value in pairs if value is not None}
    return Log(
        dev_eui=dev_eui,
        level=wire.clean(event.level or "INFO", 20),
        code=wire.clean(event.code or "UNKNOWN", 50),
        description=wire.clean(event.description or "", wire.MAX_TEXT),
        queue_item_id=context.get("queue_item_id") or None,
        observed_at=wire.instant(event.time),
        context=context,
    )


def _status(event: _Event, info: _DeviceInfo, dev_eui: DevEui) -> DeviceStatus:
    level = event.battery_level
    # LoRaWAN L2 1.0.4, 5.5: 0 = external power, 255 = not known; ChirpStack sends level 0 for both.
    in_range = level is not None and 0 <= level <= 100
    on_battery = not (event.battery_level_unavailable or event.external_power_source)
    return DeviceStatus(
        dev_eui=dev_eui,
        deduplication_id=_deduplication_id(event, dev_eui),
        observed_at=wire.instant(event.time),
        battery_pct=level if in_range and on_battery else None,
        external_power=bool(event.external_power_source),
        margin_db=event.margin or 0 if abs(event.margin or 0) <= wire.INT16 else None,
    )


_BUILDERS: dict[str, Callable[[_Event, _DeviceInfo, DevEui], Event]] = {
    "up": _uplink,
    "join": _join,
    "txack": _tx_ack,
    "ack": _ack,
    "log": _log,
    "status": _status,
}


def _device_class(info: _DeviceInfo) -> str | None:
    """Return the class by which ChirpStack serves the device now; None if the event does not say it."""
    return _CLASSES.get(info.device_class_enabled or "")


def _dev_eui(event: _Event, in_topic: str | None) -> DevEui:
    text = (event.device_info and event.device_info.dev_eui) or ""
    if text == in_topic and wire.EUI64.match(text):
        return DevEui(text)
    text = text.lower()
    if not wire.EUI64.match(text):
        raise DeviceDataError("bad_dev_eui", f"deviceInfo.devEui {shorten(text)!r} is not 16 hex digits")
    if in_topic not in (text, None) and in_topic.lower() != text:
        raise DeviceDataError("bad_dev_eui", f"the topic names {shorten(in_topic)!r}, the event {text}")
    return DevEui(text)


def _deduplication_id(event: _Event, dev_eui: DevEui) -> str:
    text = event.deduplication_id
    if not text:
        raise DeviceDataError("bad_event", "deduplicationId is missing", dev_eui=dev_eui)
    if _UUID.match(text) or _UUID.match(text := text.lower()):
        return text
    # Simulators write ids that are no UUIDs. The device is part of ours, so one id for a whole fleet is no clash.
    return str(uuid5(_NAMESPACE, f"{dev_eui}/{event.deduplication_id}"))


def _queue_item_id(event: _Event) -> str:
    text = wire.short(event.queue_item_id)
    if not text:
        raise DeviceDataError("bad_event", "queueItemId is missing")
    return text


def _reception(rx_info: list[_RxInfo | None] | None) -> tuple[_RxInfo | None, datetime | None]:
    """Return the strongest reception, and when the first of all reached the network server."""
    strongest, first = None, None
    for rx in rx_info or ():
        if rx is None:
            continue
        if strongest is None or _strength(rx) > _strength(strongest):
            strongest = rx
        at = wire.instant(rx.ns_time)
        if first is None or (at is not None and at < first):
            first = at
    return strongest, first


def _strength(rx: _RxInfo) -> tuple[float, float]:
    """Return RSSI and SNR for comparison. A missing one is 0, because protobuf leaves zeros out."""
    return _finite(rx.rssi) or 0.0, _finite(rx.snr) or 0.0


def _finite(value: float | None) -> float | None:
    """Return 0 for a missing value, None for one that is no number or outside of what radio can have."""
    if value is None:
        return 0.0
    return value if abs(value) < 1e6 else None
