"""Event messages of ChirpStack as JSON: protobuf's JSON mapping with every scalar field of the integration messages.

An empty message (`object`, `relayRxInfo`, `joinServerContext`) is absent. Messages of the gateway (`rxInfo`, `txInfo`)
lack each field that is 0 or empty.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from uuid import NAMESPACE_OID, uuid4, uuid5

import msgspec

Json = dict[str, object]
GATEWAY = "0016c001f153a14c"
REGION = "eu868"
CONTEXT = "AQIDBA=="
_EMPTY = (None, False, 0, "")


def stable_uuid(name: str) -> str:
    """Return a UUID that depends on the name only, so that each run has the same."""
    return str(uuid5(NAMESPACE_OID, name))


APPLICATION = stable_uuid("application of the simulated car park")


def new_id() -> str:
    return str(uuid4())


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def rfc3339(ns: int) -> str:
    """Return the time in the form of chrono: nine digits of fraction and `+00:00`, never `Z`."""
    seconds, fraction = divmod(ns, 1_000_000_000)
    return f"{_second(seconds)}.{fraction:09d}+00:00"


def event_topic(application_id: str, dev_eui: str, event: str) -> str:
    return f"application/{application_id}/device/{dev_eui}/event/{event}"


def device_info(
    dev_eui: str,
    *,
    name: str = "",
    profile: str = "LoRaWAN device",
    class_c: bool = False,
    tenant: str = "ChirpStack",
    application_id: str = APPLICATION,
    application_name: str = "Car park",
    tags: Mapping[str, str] | None = None,
) -> Json:
    return {
        "tenantId": stable_uuid(f"tenant {tenant}"),
        "tenantName": tenant,
        "applicationId": application_id,
        "applicationName": application_name,
        "deviceProfileId": stable_uuid(f"profile {profile}"),
        "deviceProfileName": profile,
        "deviceName": name or dev_eui,
        "devEui": dev_eui,
        "deviceClassEnabled": "CLASS_C" if class_c else "CLASS_A",
        "tags": dict(tags or {}),
    }


def reception(
    gateway_id: str = GATEWAY,
    *,
    ns: int,
    gateway_ns: int | None = None,
    uplink_id: int = 1,
    rssi: int = -97,
    snr: float = 7.5,
    channel: int = 0,
) -> Json:
    """Return an entry of `rxInfo`. `gateway_ns`: the gateway's own clock, if it has one."""
    given: Json = {
        "gatewayId": gateway_id,
        "uplinkId": uplink_id,
        "gwTime": None if gateway_ns is None else rfc3339(gateway_ns),
        "nsTime": rfc3339(ns),
        "rssi": rssi,
        "snr": snr,
        "channel": channel,
    }
    found = {key: value for key, value in given.items() if value not in _EMPTY}
    return found | {"location": {}, "context": CONTEXT, "crcStatus": "CRC_OK"}


def up_payload(
    info: Json,
    f_port: int,
    data: bytes,
    *,
    f_cnt: int = 0,
    dev_addr: str = "01000001",
    confirmed: bool = False,
    at_ns: int | None = None,
    receptions: list[Json] | None = None,
    decoded: Json | None = None,
    deduplication_id: str | None = None,
) -> Json:
    """Return an `up` message. `at_ns` is its `time`. Without `receptions` one gateway received it then."""
    at_ns = time.time_ns() if at_ns is None else at_ns
    payload: Json = {
        "deduplicationId": deduplication_id or new_id(),
        "time": rfc3339(at_ns),
        "deviceInfo": info,
        "devAddr": dev_addr,
        "adr": False,
        "dr": 5,
        "fCnt": f_cnt,
        "fPort": f_port,
        "confirmed": confirmed,
        "data": b64encode(data).decode(),
        "object": decoded,
        "rxInfo": [reception(ns=at_ns)] if receptions is None else receptions,
        "txInfo": {
            "frequency": 868_100_000,
            "modulation": {"lora": {"bandwidth": 125_000, "spreadingFactor": 7, "codeRate": "CR_4_5"}},
        },
        "regionConfigId": REGION,
    }
    if decoded is None:
        del payload["object"]
    return payload


def up_event(dev_eui: str, f_port: int, data: bytes, *, info: Json | None = None, f_cnt: int = 0) -> bytes:
    """Return an encoded `up` message with a new deduplication id, for callers that publish many."""
    return encode(up_payload(info or device_info(dev_eui), f_port, data, f_cnt=f_cnt))


def join_payload(info: Json, *, dev_addr: str, at_ns: int, deduplication_id: str) -> Json:
    return {
        "deduplicationId": deduplication_id,
        "time": rfc3339(at_ns),
        "deviceInfo": info,
        "devAddr": dev_addr,
        "regionConfigId": REGION,
    }


def ack_payload(
    info: Json, *, queue_item_id: str, acknowledged: bool, f_cnt_down: int, at_ns: int, deduplication_id: str
) -> Json:
    return {
        "deduplicationId": deduplication_id,
        "time": rfc3339(at_ns),
        "deviceInfo": info,
        "queueItemId": queue_item_id,
        "acknowledged": acknowledged,
        "fCntDown": f_cnt_down,
    }


def txack_payload(
    info: Json, *, downlink_id: int, queue_item_id: str, f_cnt_down: int, gateway_id: str, class_c: bool, at_ns: int
) -> Json:
    return {
        "downlinkId": downlink_id,
        "time": rfc3339(at_ns),
        "deviceInfo": info,
        "queueItemId": queue_item_id,
        "fCntDown": f_cnt_down,
        "gatewayId": gateway_id,
        "txInfo": {
            "frequency": 869_525_000 if class_c else 868_100_000,
            "power": 29 if class_c else 16,
            "modulation": {
                "lora": {
                    "bandwidth": 125_000,
                    "spreadingFactor": 12 if class_c else 7,
                    "codeRate": "CR_4_5",
                    "polarizationInversion": True,
                }
            },
            "timing": {"immediately": {}} if class_c else {"delay": {"delay": "1s"}},
            "context": CONTEXT,
        },
    }


def log_payload(info: Json, *, level: str, code: str, description: str, context: Mapping[str, str], at_ns: int) -> Json:
    """Return a `log` message. Log events have no deduplication id."""
    return {
        "time": rfc3339(at_ns),
        "deviceInfo": info,
        "level": level,
        "code": code,
        "description": description,
        "context": dict(context),
    }


def status_payload(
    info: Json, *, margin: int, battery: float | None, external_power: bool, at_ns: int, deduplication_id: str
) -> Json:
    """Return a `status` message. `battery` in %; None (not known) is sent as 0 with `batteryLevelUnavailable`."""
    return {
        "deduplicationId": deduplication_id,
        "time": rfc3339(at_ns),
        "deviceInfo": info,
        "margin": margin,
        "externalPowerSource": external_power,
        "batteryLevelUnavailable": battery is None,
        "batteryLevel": battery or 0.0,
    }


_encoder = msgspec.json.Encoder()


def encode(payload: Json, *, emit_fields: bool = True) -> bytes:
    if not emit_fields:
        payload = {key: value for key, value in payload.items() if value not in _EMPTY}
    return _encoder.encode(payload)
