"""ChirpStack v4's integration events (JSON, by MQTT or HTTP) in neutral form.

The JSON is protobuf's: a missing key, null and the type's zero mean the same; numbers may come as 1.0 or "1".
Source: ChirpStack's api/proto/integration/integration.proto and gw/gw.proto.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import msgspec

from baylight.domain.events import Ack, DeviceStatus, Event, Ignored, Join, Log, TxAck, Uplink
from baylight.domain.ids import DevEui
from baylight.errors import DeviceDataError

LONGEST_PAYLOAD = 256 * 1024
LONGEST_DATA = 4096
LONGEST_TEXT = 500
_YEARS = range(2010, 2100)
_UINT32 = 2**32 - 1
_INT16 = 2**15 - 1
_NAMESPACE = UUID("6f5b1c2e-54a1-5e0c-9d0b-6d1c7f0f7c11")
_EUI64 = re.compile(r"[0-9a-f]{16}\Z")
_DEV_ADDR = re.compile(r"[0-9a-f]{8}\Z")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


class _Wire(msgspec.Struct, rename="camel", gc=False):
    pass


class _DeviceInfo(_Wire):
    dev_eui: str | None = None
    application_id: str | None = None
    device_name: str | None = None
    device_profile_name: str | None = None


class _RxInfo(_Wire):
    gateway_id: str | None = None
    ns_time: str | None = None
    rssi: float | None = None
    snr: float | None = None


class _Event(_Wire):
    """All fields that any event has: a few more defaults cost less than seven types and their decoders."""

    time: str | None = None
    device_info: _DeviceInfo | None = None
    deduplication_id: str | None = None
    dev_addr: str | None = None
    dr: int | None = None
    f_cnt: int | None = None
    f_port: int | None = None
    confirmed: bool | None = None
    data: str | None = None
    rx_info: list[_RxInfo | None] | None = None
    join_server_context: dict[str, Any] | None = None
    downlink_id: int | None = None
    queue_item_id: str | None = None
    f_cnt_down: int | None = None
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


_DECODER = msgspec.json.Decoder(_Event, strict=False)


def parse(topic: str, payload: bytes) -> Event | Ignored:
    """Raises DeviceDataError: `bad_topic`, `too_large`, `bad_json`, `bad_event` (a value of the wrong type or range,
    or without a needed key), `bad_dev_eui`, `bad_time`, `encrypted_payload`."""
    levels = topic.rsplit("/", 4)
    if len(levels) < 4 or levels[-4] != "device" or levels[-2] != "event":
        raise DeviceDataError("bad_topic", f"{_shown(topic)} is not …/device/<DevEUI>/event/<event>")
    return _parse(levels[-1], payload, levels[-3])


def parse_http(kind: str, payload: bytes) -> Event | Ignored:
    """As `parse`, for ChirpStack's HTTP integration: `kind` is the query's `event`."""
    return _parse(kind, payload, None)


def _parse(kind: str, payload: bytes, in_topic: str | None) -> Event | Ignored:
    build = _BUILDERS.get(kind)
    if build is None:
        return Ignored("location" if kind == "location" else "unknown_event")
    event = _decode(payload)
    return build(event, event.device_info or _DeviceInfo(), _dev_eui(event, in_topic))


def _decode(payload: bytes) -> _Event:
    if len(payload) > LONGEST_PAYLOAD:
        raise DeviceDataError("too_large", f"the event has {len(payload)} bytes, more than {LONGEST_PAYLOAD}")
    try:
        return _DECODER.decode(payload)
    except msgspec.ValidationError as error:
        raise DeviceDataError("bad_event", _clean(str(error), LONGEST_TEXT)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = _clean(str(error), LONGEST_TEXT)
        raise DeviceDataError("bad_json", f"not JSON ({detail}); ChirpStack needs json=true there") from None


def _uplink(event: _Event, info: _DeviceInfo, dev_eui: DevEui) -> Uplink:
    if event.join_server_context and any(event.join_server_context.values()):
        raise DeviceDataError(
            "encrypted_payload", "the payload is encrypted with a key of an external join server", dev_eui=dev_eui
        )
    heard = [rx for rx in event.rx_info or () if rx is not None]
    strongest = max(heard, key=_strength) if heard else None
    rssi = _finite(strongest.rssi) if strongest else None
    return Uplink(
        dev_eui=dev_eui,
        deduplication_id=_deduplication_id(event, dev_eui),
        observed_at=_time(event),
        network_at=min((at for rx in heard if (at := _instant(rx.ns_time))), default=None),
        dev_addr=_hex(event.dev_addr, _DEV_ADDR),
        f_cnt=_number(event.f_cnt, _UINT32, "fCnt"),
        f_port=_number(event.f_port, 255, "fPort"),
        data=_data(event.data or ""),
        confirmed=bool(event.confirmed),
        rssi_dbm=round(rssi) if rssi is not None and abs(rssi) <= _INT16 else None,
        snr_db=_finite(strongest.snr) if strongest else None,
        gateway_id=_hex(strongest.gateway_id, _EUI64) if strongest else None,
        data_rate=event.dr or 0 if 0 <= (event.dr or 0) <= 255 else None,
        device_name=_text(info.device_name),
        profile_name=_text(info.device_profile_name),
        application_id=_text(info.application_id),
    )


def _join(event: _Event, info: _DeviceInfo, dev_eui: DevEui) -> Join:
    return Join(
        dev_eui=dev_eui,
        deduplication_id=_deduplication_id(event, dev_eui),
        observed_at=_time(event),
        dev_addr=_hex(event.dev_addr, _DEV_ADDR),
        application_id=_text(info.application_id),
    )


def _tx_ack(event: _Event, info: _DeviceInfo, dev_eui: DevEui) -> TxAck:
    return TxAck(
        dev_eui=dev_eui,
        queue_item_id=_queue_item_id(event),
        downlink_id=_number(event.downlink_id, _UINT32, "downlinkId"),
        f_cnt_down=_number(event.f_cnt_down, _UINT32, "fCntDown"),
        gateway_id=_hex(event.gateway_id, _EUI64),
        observed_at=_time(event),
    )


def _ack(event: _Event, info: _DeviceInfo, dev_eui: DevEui) -> Ack:
    return Ack(
        dev_eui=dev_eui,
        queue_item_id=_queue_item_id(event),
        acknowledged=bool(event.acknowledged),
        f_cnt_down=_number(event.f_cnt_down, _UINT32, "fCntDown"),
        observed_at=_time(event),
    )


def _log(event: _Event, info: _DeviceInfo, dev_eui: DevEui) -> Log:
    pairs = list((event.context or {}).items())[:20]
    context = {_clean(key, 50): _clean(str(value), LONGEST_TEXT) for key, value in pairs if value is not None}
    return Log(
        dev_eui=dev_eui,
        level=_clean(event.level or "INFO", 20),
        code=_clean(event.code or "UNKNOWN", 50),
        description=_clean(event.description or "", LONGEST_TEXT),
        queue_item_id=context.get("queue_item_id") or None,
        observed_at=_time(event),
        context=context,
    )


def _status(event: _Event, info: _DeviceInfo, dev_eui: DevEui) -> DeviceStatus:
    level = event.battery_level
    # LoRaWAN L2 1.0.4, 5.5: 0 = external power, 255 = cannot tell; ChirpStack sends level 0 for both.
    told = level is not None and 0 <= level <= 100
    return DeviceStatus(
        dev_eui=dev_eui,
        deduplication_id=_deduplication_id(event, dev_eui),
        observed_at=_time(event),
        battery_pct=level if told and not (event.battery_level_unavailable or event.external_power_source) else None,
        external_power=bool(event.external_power_source),
        margin_db=event.margin or 0 if abs(event.margin or 0) <= _INT16 else None,
    )


_BUILDERS: dict[str, Callable[[_Event, _DeviceInfo, DevEui], Event]] = {
    "up": _uplink,
    "join": _join,
    "txack": _tx_ack,
    "ack": _ack,
    "log": _log,
    "status": _status,
}


def _dev_eui(event: _Event, in_topic: str | None) -> DevEui:
    text = ((event.device_info and event.device_info.dev_eui) or "").lower()
    if not _EUI64.match(text):
        raise DeviceDataError("bad_dev_eui", f"deviceInfo.devEui {_shown(text)} is not 16 hex digits")
    if in_topic is not None and in_topic.lower() != text:
        raise DeviceDataError("bad_dev_eui", f"the topic speaks of {_shown(in_topic)}, the event of {text}")
    return DevEui(text)


def _deduplication_id(event: _Event, dev_eui: DevEui) -> UUID:
    text = event.deduplication_id
    if not text:
        raise DeviceDataError("bad_event", "deduplicationId is missing", dev_eui=dev_eui)
    # Simulators write ids of their own; with the device in it, one id for a whole fleet is no clash.
    return UUID(text) if _UUID.match(text) else uuid5(_NAMESPACE, f"{dev_eui}/{text}")


def _data(text: str) -> bytes:
    if len(text) > LONGEST_DATA * 4 // 3 + 4:
        raise DeviceDataError("too_large", f"the payload has {len(text) * 3 // 4} bytes, more than {LONGEST_DATA}")
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError as error:
        raise DeviceDataError("bad_event", f"data is not base64: {error}") from None


def _queue_item_id(event: _Event) -> str:
    text = _text(event.queue_item_id)
    if not text:
        raise DeviceDataError("bad_event", "queueItemId is missing")
    return text


def _time(event: _Event) -> datetime:
    at = _instant(event.time)
    if at is None:
        raise DeviceDataError("bad_time", f"time {_shown(event.time or '')} is not an RFC 3339 time of our days")
    return at


def _instant(text: str | None) -> datetime | None:
    """None if absent, unreadable, without offset, or of an absurd year. Digits beyond microseconds are cut off."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    if at.tzinfo is None or at.year not in _YEARS:
        return None
    return at.astimezone(UTC)


def _strength(rx: _RxInfo) -> tuple[float, float]:
    """Protobuf leaves zeros out: a missing RSSI or SNR is 0."""
    return _finite(rx.rssi) or 0.0, _finite(rx.snr) or 0.0


def _finite(value: float | None) -> float | None:
    """0 for a missing one; None for what is no number, or none of radio's."""
    if value is None:
        return 0.0
    return value if abs(value) < 1e6 else None


def _number(value: int | None, most: int, name: str) -> int:
    if value is None:
        return 0
    if not 0 <= value <= most:
        raise DeviceDataError("bad_event", f"{name} is out of range")
    return value


def _hex(text: str | None, form: re.Pattern[str]) -> str | None:
    lower = (text or "").lower()
    return lower if form.match(lower) else None


def _text(text: str | None) -> str | None:
    return _clean(text, 200) or None if text else None


def _clean(text: str, longest: int) -> str:
    """PostgreSQL's text cannot hold NUL."""
    return text[:longest].replace("\0", "")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")
