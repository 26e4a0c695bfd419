"""What a network server tells, in neutral form: the input of ingest, whatever server it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from baylight.domain.ids import DevEui


class Uplink(msgspec.Struct, gc=False):
    """A data uplink.

    `deduplication_id` (a UUID, lower case) and `observed_at`, the event's own time, are equal in every redelivery;
    `observed_at` may run minutes ahead (a gateway without GPS).
    `network_at`: the network server's clock at arrival (ChirpStack `nsTime`), None if it tells none; order and age
    are taken from it, never from `observed_at`. `f_cnt` is the full 32-bit counter. `data` is decrypted; empty for
    MAC-only frames (`f_port` 0 or None). Radio facts are those of the strongest gateway. `network_server` is the one
    that told it, `application_id` where it keeps the device: ChirpStack's application id, or The Things Stack's
    `<application>/<device id>`.
    """

    dev_eui: DevEui
    deduplication_id: str
    observed_at: datetime
    network_at: datetime | None
    dev_addr: str | None
    f_cnt: int | None
    f_port: int | None
    data: bytes
    confirmed: bool = False
    rssi_dbm: int | None = None
    snr_db: float | None = None
    gateway_id: str | None = None
    data_rate: int | None = None
    device_name: str | None = None
    profile_name: str | None = None
    application_id: str | None = None
    network_server: str = "chirpstack"


@dataclass(frozen=True, slots=True)
class Join:
    """A device joined (or rejoined) the network: its session, its counters and its downlink queue begin anew."""

    dev_eui: DevEui
    deduplication_id: str
    observed_at: datetime
    dev_addr: str | None
    application_id: str | None = None
    network_server: str = "chirpstack"


@dataclass(frozen=True, slots=True)
class TxAck:
    """A gateway accepted a downlink for transmission. It proves nothing about the device.

    `downlink_id` differs for each try of the same queue item.
    """

    dev_eui: DevEui
    queue_item_id: str
    downlink_id: int | None
    f_cnt_down: int | None
    gateway_id: str | None
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class Ack:
    """A confirmed downlink was acknowledged by the device, or (`acknowledged` False) given up on."""

    dev_eui: DevEui
    queue_item_id: str
    acknowledged: bool
    f_cnt_down: int | None
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class Log:
    """A network server's log line about a device; `code` as the server spells it (ChirpStack LogCode)."""

    dev_eui: DevEui
    level: str
    code: str
    description: str
    queue_item_id: str | None
    observed_at: datetime
    context: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """Answer to DevStatusReq. `battery_pct` is None when the device says that it does not know (never 0 for that)."""

    dev_eui: DevEui
    deduplication_id: str
    observed_at: datetime
    battery_pct: float | None
    external_power: bool
    margin_db: int | None


Event = Uplink | Join | TxAck | Ack | Log | DeviceStatus


@dataclass(frozen=True, slots=True)
class Ignored:
    """A well-formed message that Baylight has no use for; counted by `reason` (snake_case, bounded vocabulary)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that could not be read: kept with its reason (code of the DeviceDataError), counted, never retried."""

    topic: str
    payload: bytes
    reason: str
    detail: str


Message = Event | Ignored | Rejected
