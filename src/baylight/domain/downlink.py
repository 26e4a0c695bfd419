"""Downlinks, and the statuses of an actuation as one table of transitions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from baylight.domain.ids import DevEui

NETWORK_SERVERS = ("chirpstack", "tts")
"""Network servers that devices are reached through: ChirpStack (the default) and The Things Stack."""

MAX_PAYLOAD_BYTES = 242
"""The longest application payload of any LoRaWAN region."""
MAX_F_PORT = 223
"""Application FPorts are 1 to 223 (LoRaWAN L2 1.0.4, 4.3.2)."""


@dataclass(frozen=True, slots=True)
class Downlink:
    """One command for a device.

    `id` is the actuation's; the network server may answer with an id of its own. `f_port`: 1-223. `data`: 1-242 bytes.
    `expires_at` is unique to the microsecond for each try: if the answer is lost, the try is found by it in the network
    server's queue. `network_server` and `application_id`: see `Uplink`. `reported`: the device was there, for its
    network server sent an uplink of it.
    """

    id: UUID
    dev_eui: DevEui
    f_port: int
    data: bytes
    confirmed: bool
    expires_at: datetime
    application_id: str | None = None
    network_server: str = "chirpstack"
    reported: bool = False


@dataclass(frozen=True, slots=True)
class QueueItem:
    """Entry of the network server's downlink queue of a device.

    `f_cnt_down`: counter of the last try; None: the network server has not tried to send it.
    """

    id: str
    f_port: int
    data: bytes
    is_pending: bool
    expires_at: datetime | None
    f_cnt_down: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """Facts about a device, as its network server has them.

    `enabled`: False if a person disabled it there, so that nothing is sent to it. `class_c`: None before its
    activation. `last_seen_at`: its last uplink there; None if there was none.
    """

    enabled: bool
    class_c: bool | None
    last_seen_at: datetime | None


class ActuationStatus(StrEnum):
    """Status of an actuation.

    Three proofs have three words: `transmitted` (a gateway sent the downlink), `acknowledged` (the device confirmed
    it), `shown` (the device reported that it shows the light).
    """

    PENDING = "pending"
    SENDING = "sending"
    QUEUED = "queued"
    TRANSMITTED = "transmitted"
    ACKNOWLEDGED = "acknowledged"
    SHOWN = "shown"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


_S = ActuationStatus
TRANSITIONS: MappingProxyType[ActuationStatus, frozenset[ActuationStatus]] = MappingProxyType(
    {
        _S.PENDING: frozenset({_S.SENDING, _S.SUPERSEDED, _S.EXPIRED, _S.FAILED}),
        _S.SENDING: frozenset(
            {
                _S.PENDING,
                _S.QUEUED,
                _S.TRANSMITTED,
                _S.ACKNOWLEDGED,
                _S.SHOWN,
                _S.FAILED,
                _S.EXPIRED,
                _S.SUPERSEDED,
            }
        ),
        _S.QUEUED: frozenset({_S.TRANSMITTED, _S.ACKNOWLEDGED, _S.SHOWN, _S.FAILED, _S.EXPIRED, _S.SUPERSEDED}),
        _S.TRANSMITTED: frozenset({_S.ACKNOWLEDGED, _S.SHOWN, _S.FAILED, _S.SUPERSEDED}),
        _S.ACKNOWLEDGED: frozenset({_S.SHOWN, _S.FAILED, _S.SUPERSEDED}),
        _S.SHOWN: frozenset(),
        _S.FAILED: frozenset(),
        _S.EXPIRED: frozenset(),
        _S.SUPERSEDED: frozenset(),
    }
)
OUTSTANDING = frozenset({_S.SENDING, _S.QUEUED})
"""Statuses of an actuation whose command is with the network server; at most one actuation of a display has one."""


class TriggerType(StrEnum):
    """Cause of an actuation or of a state change. The first five are the proposal's."""

    SENSOR_UPLINK = "sensor_uplink"
    API_RESERVATION = "api_reservation"
    MANUAL_OVERRIDE = "manual_override"
    SYSTEM_CLEANUP = "system_cleanup"
    RESERVATION_EXPIRED = "reservation_expired"
    RESERVATION_STARTED = "reservation_started"
    RECONCILIATION = "reconciliation"
    REJOIN_RECOVERY = "rejoin_recovery"
    MAINTENANCE = "maintenance"
    SENSOR_SILENT = "sensor_silent"
    ASSIGNMENT = "assignment"
    DEVICE_TEST = "device_test"
    DEVICE_COMMAND = "device_command"


BY_HAND = frozenset({TriggerType.DEVICE_TEST, TriggerType.DEVICE_COMMAND})
"""Causes of actuations that a person asked for once. They do not change what the display must show."""


class SyncStatus(StrEnum):
    """Relation of what a display shows to what it must show."""

    IN_SYNC = "in_sync"
    PENDING = "pending"
    DRIFTED = "drifted"
    UNREACHABLE = "unreachable"
    MISCONFIGURED = "misconfigured"
    UNKNOWN = "unknown"
