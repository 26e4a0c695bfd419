"""Events of network servers in neutral form: the input of ingest, the same for each kind of server."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from baylight.domain.ids import DevEui

MAX_DELAY = timedelta(days=8)
"""Longest time between an event and its arrival: a broker keeps messages for 7 days. An older time is wrong."""


class _Observed:
    """Event with a time of its own, which is equal in every redelivery: `observed_at`, None if it is unusable."""

    __slots__ = ()
    observed_at: datetime | None

    def at(self, now: datetime) -> datetime:
        """Return when it happened, never later than `now`. Without a usable time that is `now`."""
        at = self.observed_at
        return now if at is None or at < now - MAX_DELAY else min(at, now)


class Uplink(msgspec.Struct, gc=False):
    """Data uplink of a device.

    `deduplication_id` (a UUID, lower case) and `observed_at` (the event's own time) are equal in every redelivery.
    `observed_at` may run minutes ahead (a gateway without GPS); it is None if it is absent or unusable. `network_at` is
    the network server's clock at arrival (ChirpStack `nsTime`), None if there is none. Order and age follow the frame
    counter, and `network_at` where the counter says nothing, never `observed_at` alone.
    `f_cnt` is the full 32-bit counter. `data` is decrypted; it is empty for MAC-only frames (`f_port` 0 or None). Radio
    facts are those of the strongest gateway. `network_server` is the server that sent the event. `application_id` is
    the device's place there: ChirpStack's application id, or The Things Stack's `<application>/<device id>`.
    `device_class`: the class by which the server serves the device now, `A`, `B` or `C`; None: the server does not say.
    """

    dev_eui: DevEui
    deduplication_id: str
    observed_at: datetime | None
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
    device_class: str | None = None


@dataclass(frozen=True, slots=True)
class Join(_Observed):
    """Join or rejoin of a device: it has a new session, new counters and an empty downlink queue.

    `device_class`: see `Uplink`. ChirpStack says A until the first uplink after the first join of a class C device.
    The names are those in the network server; they do not tell two joins apart.
    """

    dev_eui: DevEui
    deduplication_id: str
    observed_at: datetime | None
    dev_addr: str | None
    application_id: str | None = None
    network_server: str = "chirpstack"
    device_class: str | None = None
    device_name: str | None = field(default=None, compare=False)
    profile_name: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class TxAck(_Observed):
    """Notice that a gateway accepted a downlink for transmission. It proves nothing about the device.

    `downlink_id` differs for each try of the same queue item. `f_cnt_down` is the counter of the frame in the device's
    session. `frequency_hz`, `spreading_factor` (7-12) and `bandwidth_hz` are those of the transmission; None: the
    server does not report them, or the modulation is not LoRa.
    """

    dev_eui: DevEui
    queue_item_id: str
    downlink_id: int | None
    f_cnt_down: int | None
    gateway_id: str | None
    observed_at: datetime | None
    frequency_hz: int | None = None
    spreading_factor: int | None = None
    bandwidth_hz: int | None = None


@dataclass(frozen=True, slots=True)
class Ack(_Observed):
    """End of a confirmed downlink: the device acknowledged it, or the server gave it up (`acknowledged` False)."""

    dev_eui: DevEui
    queue_item_id: str
    acknowledged: bool
    f_cnt_down: int | None
    observed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Log(_Observed):
    """Log line of a network server about a device. `code`: as the server spells it (ChirpStack LogCode)."""

    dev_eui: DevEui
    level: str
    code: str
    description: str
    queue_item_id: str | None
    observed_at: datetime | None
    context: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceStatus(_Observed):
    """Answer to DevStatusReq. `battery_pct` is None, never 0, if the device reports that it does not know."""

    dev_eui: DevEui
    deduplication_id: str
    observed_at: datetime | None
    battery_pct: float | None
    external_power: bool
    margin_db: int | None


Event = Uplink | Join | TxAck | Ack | Log | DeviceStatus


@dataclass(frozen=True, slots=True)
class Ignored:
    """Well-formed message without use for Baylight; counted by `reason` (snake_case, bounded vocabulary)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Message that cannot be read: stored with its reason (code of the DeviceDataError), counted, never retried."""

    topic: str
    payload: bytes
    reason: str
    detail: str


Message = Event | Ignored | Rejected


def device_of(message: Message) -> DevEui | None:
    """Return the device that a message names; None for a message that names none."""
    return getattr(message, "dev_eui", None)
